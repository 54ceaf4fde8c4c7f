package fdtable_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"github.com/unet-go/unet/fdtable"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// family is a version of IP as scripts use it: the socket's domain and the addresses on the link.
type family struct {
	version, domain int
	host, peer      netip.Addr // the two ends of the link
	router          netip.Addr // which sends ICMP errors
	any             netip.Addr
	bits            int // of the link's network
	mss             int // of the usual link
	mtu             int // of the usual link
	// wider is by how much the MTUs of a script's link are larger than those that it says.
	wider int
}

// families are the values of a family line.
var families = map[string]*family{
	"4": {version: 4, domain: fdtable.AF_INET, host: netip.MustParseAddr("192.0.2.1"), peer: netip.MustParseAddr("192.0.2.2"),
		router: netip.MustParseAddr("192.0.2.254"), any: netip.IPv4Unspecified(), bits: 24, mss: 1460, mtu: 1500},
	"6": {version: 6, domain: fdtable.AF_INET6, host: netip.MustParseAddr("2001:db8::1"), peer: netip.MustParseAddr("2001:db8::2"),
		router: netip.MustParseAddr("2001:db8::fe"), any: netip.IPv6Unspecified(), bits: 64, mss: 1440, mtu: 1500},
}

// alike6 is IPv6 for scripts that name no family, and run over IPv4 too. Its header is 20 octets longer, and so are all
// MTUs: segments are as long as over IPv4.
var alike6 = func() *family {
	f := *families["6"]
	f.mss, f.wider = 1460, 20
	return &f
}()

// over6 ends the name of such a script.
const over6 = " over IPv6"

// networks4 are the networks of scripts, and what they are over IPv6.
var networks4 = strings.NewReplacer("192.0.2.", "2001:db8::", "198.51.100.", "2001:db8:1::", "203.0.113.", "2001:db8:2::")

var (
	address4  = regexp.MustCompile(`\b(\d+\.\d+\.\d+\.)(\d+)(:\d+|/24)?\b`)
	options46 = strings.NewReplacer("IP_TOS", "IPV6_TCLASS", "IP_TTL", "IPV6_UNICAST_HOPS", "IP_MTU", "IPV6_MTU")
)

// translate returns a line of a script for IPv4 as it is for IPv6: with other addresses and options.
func translate(line string) string {
	line = options46.Replace(line)
	return address4.ReplaceAllStringFunc(line, func(text string) string {
		m := address4.FindStringSubmatch(text)
		addr := networks4.Replace(m[1]) + m[2]
		switch {
		case strings.HasPrefix(m[3], ":"):
			return "[" + addr + "]" + m[3]
		case m[3] != "":
			return addr + "/64"
		}
		return addr
	})
}

// icmp6 is what a router says over IPv6 in place of an error of ICMP (RFC 7915 4.2).
var icmp6 = map[[2]byte][2]byte{{3, 0}: {1, 0}, {3, 1}: {1, 3}, {3, 2}: {4, 1}, {3, 3}: {1, 4}, {3, 4}: {2, 0}, {3, 5}: {1, 5},
	{11, 0}: {3, 0}, {12, 0}: {4, 0}}

// ipHeader is an IP header of either family, apart from its lengths and its checksum. It is written and read here
// without the stack's own code, checksums aside.
type ipHeader struct {
	src, dst netip.Addr
	proto    byte // the next header of IPv6
	ttl, tos byte // the hop limit and the traffic class of IPv6
	// of IPv4 alone
	options []byte
	id      uint16
	df      bool
}

// packet returns the packet of a payload.
func (h *ipHeader) packet(payload []byte) []byte {
	if h.src.Is6() {
		b := make([]byte, 40, 40+len(payload))
		binary.BigEndian.PutUint32(b, 6<<28|uint32(h.tos)<<20)
		binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
		b[6], b[7] = h.proto, h.ttl
		src, dst := h.src.As16(), h.dst.As16()
		copy(b[8:], src[:])
		copy(b[24:], dst[:])
		return append(b, payload...)
	}
	front := 20 + len(h.options)
	b := make([]byte, front, front+len(payload))
	b[0], b[1], b[8], b[9] = 0x40|byte(front/4), h.tos, h.ttl, h.proto
	binary.BigEndian.PutUint16(b[2:], uint16(cap(b)))
	src, dst := h.src.As4(), h.dst.As4()
	copy(b[12:], src[:])
	copy(b[16:], dst[:])
	copy(b[20:], h.options)
	binary.BigEndian.PutUint16(b[10:], wire.Checksum(b, 0))
	return append(b, payload...)
}

// readIP reads the header of a packet of either family. An IPv6 packet has no identification, and is never fragmented
// on its way.
func readIP(b []byte) (h ipHeader, payload []byte, err error) {
	if len(b) < 20 || b[0]>>4 == 6 && len(b) < 40 {
		return h, nil, fmt.Errorf("IP packet of %d octets", len(b))
	}
	if b[0]>>4 == 6 {
		end := 40 + int(binary.BigEndian.Uint16(b[4:]))
		if end > len(b) {
			return h, nil, fmt.Errorf("IP packet of %d octets says %d", len(b), end)
		}
		h = ipHeader{proto: b[6], ttl: b[7], tos: b[0]<<4 | b[1]>>4, df: true,
			src: netip.AddrFrom16([16]byte(b[8:24])), dst: netip.AddrFrom16([16]byte(b[24:40]))}
		return h, b[40:end], nil
	}
	front, end := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	switch {
	case end > len(b) || front < 20 || front > end:
		return h, nil, fmt.Errorf("IP packet of %d octets says %d", len(b), end)
	case wire.Checksum(b[:front], 0) != 0:
		return h, nil, fmt.Errorf("wrong IP checksum")
	}
	h = ipHeader{proto: b[9], ttl: b[8], tos: b[1], options: b[20:front], id: binary.BigEndian.Uint16(b[4:]), df: b[6]&0x40 != 0,
		src: netip.AddrFrom4([4]byte(b[12:16])), dst: netip.AddrFrom4([4]byte(b[16:20]))}
	return h, b[front:end], nil
}

// isTCP says whether an IP packet of either family carries a segment.
func isTCP(packet []byte) bool {
	h, _, err := readIP(packet)
	return err == nil && h.proto == wire.ProtocolTCP
}

// icmpPacket is the packet of an ICMP or ICMPv6 message, whose checksum it completes.
func icmpPacket(from, to netip.Addr, message []byte) []byte {
	h := &ipHeader{src: from, dst: to, proto: wire.ProtocolICMP, ttl: 64}
	sum := uint32(0)
	if from.Is6() {
		h.proto = wire.ProtocolICMPv6
		sum = wire.PseudoHeader(from, to, h.proto, len(message))
	}
	binary.BigEndian.PutUint16(message[2:], 0)
	binary.BigEndian.PutUint16(message[2:], wire.Checksum(message, sum))
	return h.packet(message)
}

// icmpError is an ICMP or ICMPv6 error about a packet: of IPv4 it quotes the header and 8 octets (RFC 792), of IPv6 all
// (RFC 4443 3.1).
func (f *family) icmpError(typ, code byte, mtu uint32, quoted []byte) []byte {
	message := []byte{typ, code, 0, 0, 0, 0, 0, 0}
	if f.version == 6 {
		binary.BigEndian.PutUint32(message[4:], mtu)
	} else {
		binary.BigEndian.PutUint16(message[6:], uint16(mtu))
		quoted = quoted[:28]
	}
	return icmpPacket(f.router, f.host, append(message, quoted...))
}

// etherTypeOf is the type of the Ethernet frame of a packet.
func etherTypeOf(packet []byte) uint16 {
	if packet[0]>>4 == 6 {
		return wire.EtherTypeIPv6
	}
	return wire.EtherTypeIPv4
}

// groupMAC is the Ethernet address of frames to a multicast address, or to one that ends like a broadcast address.
func groupMAC(a netip.Addr) (mac link.MAC, is bool) {
	b := a.AsSlice()
	last := [4]byte(b[len(b)-4:])
	switch {
	case a.IsMulticast() && a.Is6():
		return link.MAC{0x33, 0x33, last[0], last[1], last[2], last[3]}, true
	case a.IsMulticast():
		return link.MAC{1, 0, 0x5e, last[1] & 0x7f, last[2], last[3]}, true
	case a.Is4() && last[3] == 255:
		return link.MAC{255, 255, 255, 255, 255, 255}, true
	}
	return link.MAC{}, false
}
