package capture

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/unet-go/unet/internal/wire"
)

func (p *Printer) ipv6(b []byte) string {
	pk, ok := parseIPv6(b)
	if !ok {
		return "IP6 [|ip6]"
	}
	missing := ""
	if pk.missing > 0 {
		missing = fmt.Sprintf("truncated-ip6 - %d bytes missing!", pk.missing)
	}
	return "IP6 " + missing + p.chain(&pk)
}

// chainNames are the headers that are no transport header.
var chainNames = map[uint8]string{wire.IPv6HopByHop: "HBH ", wire.IPv6DestinationOptions: "DSTOPT ", wire.IPv6Routing: "RT6 ", wire.IPv6Fragments: "frag ",
	wire.IPv6NoNext: "no next header"}

// cutOptions is printed for options that are cut off.
var cutOptions = map[uint8]string{wire.IPv6HopByHop: "[|hbhopt]", wire.IPv6DestinationOptions: "[|dstopt]"}

// chain prints the extension headers of a packet and what they end with. Each takes octets of the packet, so there is an end.
func (p *Printer) chain(pk *packet) string {
	var s strings.Builder
	for {
		text, known := chainNames[pk.proto]
		if !known {
			return s.String() + p.transport(pk)
		}
		s.WriteString(between(pk))
		if pk.proto == wire.IPv6HopByHop && pk.behind {
			return s.String() + "[The Hop-by-Hop Options header don't follow the IPv6 header] (invalid)"
		}
		n, whole := 0, false
		switch pk.proto {
		case wire.IPv6NoNext:
		case wire.IPv6Routing:
			text, n, whole = routing(pk.body)
		case wire.IPv6Fragments:
			text, n, whole = fragment(pk)
		default:
			var h wire.IPv6Extension
			if _, err := h.Parse(pk.body); err != nil {
				text = cutOptions[pk.proto]
			} else {
				n, whole = 2+len(h.Data), true
			}
		}
		s.WriteString(text)
		if !whole {
			return s.String()
		}
		pk.proto, pk.body, pk.behind = pk.body[0], pk.body[n:], true
	}
}

// fragment prints a fragment header. whole says that its octets, n of them, are followed by a header: that there is one, and
// that this is the first fragment.
func fragment(pk *packet) (text string, n int, whole bool) {
	var h wire.IPv6Fragment
	data, err := h.Parse(pk.body)
	if err != nil {
		return "[|frag6]", 0, false
	}
	pk.fragment = pk.fragment || !h.Atomic()
	text = fmt.Sprintf("frag (%d|%d)", h.Offset, len(data))
	if h.Offset != 0 || len(data) == 0 {
		return text, 0, false
	}
	return text + " ", wire.IPv6FragmentLen, true
}

// routing prints a routing header of n octets (RFC 8200 4.4, 8754 2, 6275 6.4). whole says that there is what its length says,
// and that the type is known.
func routing(b []byte) (text string, n int, whole bool) {
	const cut = " [|rt6]"
	if len(b) < 2 {
		return "RT6" + cut, 0, false
	}
	words, s := int(b[1]), fmt.Sprintf("RT6 (len=%d", b[1])
	if len(b) < 3 {
		return s + cut, 0, false
	}
	s += fmt.Sprintf(", type=%d", b[2])
	if b[2] == 0 {
		s += " [Deprecated]"
	}
	if len(b) < 4 {
		return s + cut, 0, false
	}
	s += fmt.Sprintf(", segleft=%d", b[3])
	if kind := b[2]; kind != 0 && kind != 2 && kind != 4 {
		return s + " (unknown type) (invalid)", 0, false
	}
	if len(b) < 8 {
		return s + cut, 0, false
	}
	if b[2] == 4 {
		s += fmt.Sprintf(", last-entry=%d", b[4])
		if b[5] != 0 {
			s += fmt.Sprintf(", flags=0x%0x", b[5])
		}
		s += fmt.Sprintf(", tag=%x", binary.BigEndian.Uint16(b[6:]))
	}
	n = 8 + 8*words
	switch {
	case words%2 != 0:
		return s + fmt.Sprintf(" (invalid length %d) (invalid)", words), 0, false
	case n > len(b):
		return s + cut, 0, false
	}
	for i, at := 0, 8; at < n; i, at = i+1, at+16 {
		s += fmt.Sprintf(", [%d]%v", i, netip.AddrFrom16([16]byte(b[at:])))
	}
	return s + ") ", n, true
}
