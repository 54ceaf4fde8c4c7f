package stranger

import (
	"math/rand/v2"
	"net/netip"

	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/wire"
)

// family is what a world needs to know of a version of IP.
type family struct {
	name      string
	prefix    netip.Prefix // of the hosts' network; the hosts are 1 and 2 in it
	etherType uint16
	headerLen int
	leastMTU  int // RFC 791 3.1, RFC 8200 5
}

var families = []*family{
	{"IPv4", netip.MustParsePrefix("10.0.0.0/24"), wire.EtherTypeIPv4, wire.IPv4Len, 576},
	{"IPv6", netip.MustParsePrefix("fd00::/64"), wire.EtherTypeIPv6, wire.IPv6Len, 1280},
}

// addr is the address of a host, which is number i.
func (f *family) addr(i int) netip.Addr {
	a := f.prefix.Addr()
	for range i {
		a = a.Next()
	}
	return a
}

// header is the header of a packet of either family; the other's is unused.
type header struct {
	*family
	ip4 wire.IPv4
	ip6 wire.IPv6
}

// parse reads the header of a packet. tcp says that what follows is a whole TCP segment.
func (h *header) parse(b []byte) (payload []byte, tcp bool, err error) {
	if h.etherType == wire.EtherTypeIPv6 {
		payload, err = h.ip6.Parse(b)
		return payload, h.ip6.NextHeader == wire.ProtocolTCP, err
	}
	payload, err = h.ip4.Parse(b)
	h.ip4.Options = nil
	return payload, h.ip4.Protocol == wire.ProtocolTCP && !h.ip4.MF && h.ip4.FragmentOffset == 0, err
}

// mark says that there was congestion, if the sender wants to know.
func (h *header) mark() {
	for _, tos := range []*uint8{&h.ip4.TOS, &h.ip6.TrafficClass} {
		if *tos&3 != 0 {
			*tos |= 3
		}
	}
}

// pack makes a packet of a segment, with right lengths and checksums.
func (h header) pack(segment *wire.TCP, text []byte) []byte {
	if h.etherType == wire.EtherTypeIPv6 {
		h.ip6.PayloadLen = 0
		return frames.IPv6(h.ip6, frames.TCP(netip.AddrFrom16(h.ip6.Src), netip.AddrFrom16(h.ip6.Dst), *segment, text))
	}
	h.ip4.TotalLen = 0
	return frames.IPv4(h.ip4, frames.TCP(netip.AddrFrom4(h.ip4.Src), netip.AddrFrom4(h.ip4.Dst), *segment, text))
}

// piece makes a fragment of n octets of the payload of a packet.
func (h header) piece(id uint32, payload []byte, at, n int) []byte {
	more, data := at+n < len(payload), payload[at:at+n]
	if h.etherType == wire.EtherTypeIPv6 {
		b := make([]byte, wire.IPv6FragmentLen)
		(&wire.IPv6Fragment{NextHeader: h.ip6.NextHeader, Offset: at, More: more, ID: id}).Marshal(b)
		h.ip6.NextHeader, h.ip6.PayloadLen = wire.IPv6Fragments, 0
		return frames.IPv6(h.ip6, append(b, data...))
	}
	h.ip4.ID, h.ip4.DF, h.ip4.TotalLen = uint16(id), false, 0
	h.ip4.FragmentOffset, h.ip4.MF = at, more
	return frames.IPv4(h.ip4, data)
}

// flip inverts a bit that a checksum covers of a packet or a fragment of TCP. IPv6 has no header checksum.
func (f *family) flip(p []byte, r *rand.Rand) {
	from := 1 // not IPv4's header length: with another one the sum of other octets may be right
	if f.etherType == wire.EtherTypeIPv6 {
		from = wire.IPv6Len
		if p[6] == wire.IPv6Fragments {
			from += wire.IPv6FragmentLen
		}
	}
	p[from+r.IntN(len(p)-from)] ^= 1 << r.IntN(8)
}
