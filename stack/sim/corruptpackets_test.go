package sim_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// ends are two hosts of a family.
type ends struct {
	src, dst netip.Addr
	icmp     uint8 // the protocol
	super    link.Segmentation
}

var (
	ends4 = &ends{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), wire.ProtocolICMP, link.TCP4}
	ends6 = &ends{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"), wire.ProtocolICMPv6, link.TCP6}

	families = map[string]*ends{"IPv4": ends4, "IPv6": ends6}
)

func (e *ends) packet(proto byte, payload []byte) []byte {
	return frames.IP(e.src, e.dst, proto, payload)
}

// segment is a segment, datagram or message of n octets with a right checksum.
func (e *ends) segment(proto byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7)
	}
	if proto == wire.ProtocolUDP {
		binary.BigEndian.PutUint16(b[4:], uint16(n))
	}
	e.putSum(proto, b, n)
	return b
}

// putSum writes the checksum of a transport protocol over the first n octets of b.
func (e *ends) putSum(proto byte, b []byte, n int) {
	field := b[map[byte]int{wire.ProtocolTCP: 16, wire.ProtocolUDP: 6}[proto]:]
	if proto == e.icmp {
		field = b[2:]
	}
	binary.BigEndian.PutUint16(field, 0)
	binary.BigEndian.PutUint16(field, ^e.sum(proto, b[:n]))
}

// sum is the sum of a transport protocol's octets with their pseudo header, 0xffff if the checksum is right.
func (e *ends) sum(proto byte, segment []byte) uint16 {
	p := frames.Packet{Src: e.src, Dst: e.dst, Protocol: proto, Payload: segment}
	return p.TransportSum()
}

// sparse is a datagram whose checksum has one bit set.
func (e *ends) sparse(n int) []byte {
	b := e.segment(wire.ProtocolUDP, n)
	last := b[n-2-n%2:]
	old := uint32(binary.BigEndian.Uint16(last))
	sum := uint32(^binary.BigEndian.Uint16(b[6:])) // of all but the checksum
	want := uint32(^uint16(0x0400))
	binary.BigEndian.PutUint16(last, wire.Fold(old+want+0xffff-sum))
	e.putSum(wire.ProtocolUDP, b, n)
	return b
}

// accepts says whether a receiver takes a packet of either family up to its program: its checksums are right. before and
// after are what the datagram has in front of and behind this fragment.
func accepts(t *testing.T, p, before, after []byte) bool {
	t.Helper()
	e := ends{}
	var proto byte
	var payload []byte
	if p[0]>>4 == 4 {
		var h wire.IPv4
		header := p[:min(4*int(p[0]&0xf), len(p))]
		if wire.Checksum(header, 0) != 0 {
			return false
		}
		rest, err := h.Parse(p)
		if err != nil {
			t.Fatalf("%x: %v, which is no checksum", p, err)
		}
		e, proto, payload = *ends4, h.Protocol, rest
		e.src, e.dst = netip.AddrFrom4(h.Src), netip.AddrFrom4(h.Dst)
	} else {
		var h wire.IPv6
		if _, err := h.Parse(p); err != nil {
			t.Fatalf("%x: %v, which is no checksum", p, err)
		}
		whole := p[:wire.IPv6Len+h.PayloadLen]
		chain, problem, ok := wire.WalkIPv6(whole)
		if !ok {
			t.Fatalf("%x: %+v, which is no checksum", p, problem)
		}
		e, proto, payload = *ends6, chain.Protocol, whole[chain.At:]
		if proto == wire.IPv6Fragments {
			proto, payload = payload[0], payload[wire.IPv6FragmentLen:]
		}
		e.src, e.dst = netip.AddrFrom16(h.Src), netip.AddrFrom16(h.Dst)
	}
	return e.delivers(t, proto, slices.Concat(before, payload, after))
}

// delivers says whether the checksum of a transport protocol is right. A protocol that has none is taken.
func (e *ends) delivers(t *testing.T, proto byte, b []byte) bool {
	t.Helper()
	switch proto {
	case wire.ProtocolTCP, e.icmp:
		return e.sum(proto, b) == 0xffff
	case wire.ProtocolUDP:
		var h wire.UDP
		data, err := h.Parse(b)
		if err != nil {
			t.Fatalf("%x: %v, which is no checksum", b, err)
		}
		if h.Checksum == 0 {
			return e.src.Is4()
		}
		return e.sum(proto, b[:wire.UDPLen+len(data)]) == 0xffff
	}
	return true
}

func corruptions4() []corruption {
	const tcp, udp, icmp = wire.ProtocolTCP, wire.ProtocolUDP, wire.ProtocolICMP
	e := ends4
	packet := func(h wire.IPv4, payload []byte) []byte {
		h.Src, h.Dst = e.src.As4(), e.dst.As4()
		return frames.IPv4(h, payload)
	}
	whole := e.segment(udp, 96)
	long := append(e.segment(udp, 20), 9, 9, 9, 9)
	unsummed := e.segment(udp, 20)
	unsummed[6], unsummed[7] = 0, 0
	return []corruption{
		{name: "TCP", packet: e.packet(tcp, e.segment(tcp, 61)), covered: []run{{1, 81}}},
		{name: "UDP", packet: e.packet(udp, e.segment(udp, 20)), covered: []run{{1, 24}, {26, 40}}},
		{name: "UDP, a checksum of one bit", packet: e.packet(udp, e.sparse(20)), covered: []run{{1, 24}, {28, 40}}},
		{name: "UDP with octets behind its length", packet: e.packet(udp, long), covered: []run{{1, 24}, {26, 40}}},
		{name: "UDP without a checksum", packet: e.packet(udp, unsummed), covered: []run{{1, 20}}},
		{name: "ICMP", packet: e.packet(icmp, e.segment(icmp, 9)), covered: []run{{1, 29}}},
		{name: "ESP", packet: e.packet(50, make([]byte, 9)), covered: []run{{1, 20}}},
		{name: "ICMPv6", packet: e.packet(wire.ProtocolICMPv6, make([]byte, 9)), covered: []run{{1, 20}}},
		{name: "with pad", packet: append(e.packet(tcp, e.segment(tcp, 21)), make([]byte, 7)...), covered: []run{{1, 41}}},
		{name: "with options", packet: packet(wire.IPv4{Protocol: tcp, Options: []byte{148, 4, 0, 0}}, e.segment(tcp, 20)), covered: []run{{1, 44}}},
		{name: "the first fragment", packet: packet(wire.IPv4{Protocol: udp, MF: true}, whole[:48]), covered: []run{{1, 24}, {26, 68}}, after: whole[48:]},
		{name: "a later fragment of UDP", packet: packet(wire.IPv4{Protocol: udp, MF: true, FragmentOffset: 48}, whole[48:72]), covered: []run{{1, 20}},
			before: whole[:48], after: whole[72:]},
	}
}

// Extension headers of 8 and 16 octets, with options that are pad.
var (
	hopByHop    = []byte{0, 0, 1, 4, 0, 0, 0, 0}
	destination = []byte{0, 1, 1, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
)

// extension is an extension header of the type number.
type extension struct {
	number byte
	octets []byte
}

// fragmentHeader is the extension header of a fragment.
func fragmentHeader(offset int, more bool) extension {
	b := make([]byte, wire.IPv6FragmentLen)
	(&wire.IPv6Fragment{Offset: offset, More: more, ID: 0x01020304}).Marshal(b)
	return extension{wire.IPv6Fragments, b}
}

// packet6 is an IPv6 packet of what stands behind the extension headers.
func packet6(next byte, payload []byte, extensions ...extension) []byte {
	b := make([]byte, wire.IPv6Len)
	at := &b[6]
	*at = next
	for _, e := range extensions {
		*at = e.number
		b = append(b, e.octets...)
		at = &b[len(b)-len(e.octets)]
		*at = next
	}
	b = append(b, payload...)
	return frames.IPv6(wire.IPv6{TrafficClass: 0xb8, FlowLabel: 0x12345, NextHeader: b[6], Src: ends6.src.As16(), Dst: ends6.dst.As16()}, b[wire.IPv6Len:])
}

func corruptions6() []corruption {
	const tcp, udp, icmp = wire.ProtocolTCP, wire.ProtocolUDP, wire.ProtocolICMPv6
	e := ends6
	hop, dest := extension{wire.IPv6HopByHop, hopByHop}, extension{wire.IPv6DestinationOptions, destination}
	whole := e.segment(udp, 96)
	long := append(e.segment(udp, 20), 9, 9, 9, 9)
	return []corruption{
		{name: "TCP", packet: packet6(tcp, e.segment(tcp, 61)), covered: []run{{8, 101}}},
		{name: "UDP", packet: packet6(udp, e.segment(udp, 20)), covered: []run{{8, 44}, {46, 60}}},
		{name: "UDP, a checksum of one bit", packet: packet6(udp, e.sparse(20)), covered: []run{{8, 44}, {48, 60}}},
		{name: "UDP with octets behind its length", packet: packet6(udp, long), covered: []run{{8, 44}, {46, 60}}},
		{name: "ICMPv6", packet: packet6(icmp, e.segment(icmp, 9)), covered: []run{{8, 49}}},
		{name: "with pad", packet: append(packet6(tcp, e.segment(tcp, 21)), make([]byte, 7)...), covered: []run{{8, 61}}},
		{name: "hop-by-hop options", packet: packet6(icmp, e.segment(icmp, 8), hop), covered: []run{{48, 56}}},
		{name: "several extension headers", packet: packet6(tcp, e.segment(tcp, 24), hop, dest), covered: []run{{64, 88}}},
		{name: "UDP behind a routing header", packet: packet6(udp, e.segment(udp, 9), extension{wire.IPv6Routing, make([]byte, 8)}),
			covered: []run{{48, 52}, {54, 57}}},
		{name: "an atomic fragment", packet: packet6(tcp, e.segment(tcp, 24), fragmentHeader(0, false)), covered: []run{{48, 72}}},
		{name: "the first fragment", packet: packet6(udp, whole[:48], fragmentHeader(0, true)), covered: []run{{48, 52}, {54, 96}}, after: whole[48:]},
		{name: "a later fragment", packet: packet6(udp, whole[48:72], hop, fragmentHeader(48, true)),
			covered: []run{{56, 80}}, before: whole[:48], after: whole[72:]},
	}
}

// uncovered are packets of which no checksum covers anything.
func uncovered() map[string][]byte {
	const tcp, udp = wire.ProtocolTCP, wire.ProtocolUDP
	noChecksum := ends6.segment(udp, 20)
	noChecksum[6], noChecksum[7] = 0, 0
	tooShort := ends6.segment(udp, 20)
	tooShort[5] = 7
	long := packet6(tcp, ends6.segment(tcp, 30))
	long4 := ends4.packet(tcp, ends4.segment(tcp, 30))
	small := slices.Clone(long4)
	small[0] = 0x44
	return map[string][]byte{
		"IPv4, cut short":               long4[:19],
		"IPv4, less than it says":       long4[:49],
		"IPv4, a header of 16 octets":   small,
		"no next header":                packet6(59, make([]byte, 20)),
		"ESP":                           packet6(50, make([]byte, 20)),
		"ICMP over IPv6":                packet6(wire.ProtocolICMP, make([]byte, 20)),
		"UDP without a checksum":        packet6(udp, noChecksum),
		"UDP of a length below 8":       packet6(udp, tooShort),
		"UDP, cut short":                packet6(udp, noChecksum[:7]),
		"a header and nothing else":     packet6(tcp, nil),
		"a header, cut short":           long[:39],
		"less than it says":             long[:69],
		"an extension that is too long": packet6(tcp, ends6.segment(tcp, 30), extension{wire.IPv6HopByHop, []byte{0, 9, 1, 4, 0, 0, 0, 0}}),
		"an extension, cut short":       packet6(wire.IPv6HopByHop, hopByHop[:7]),
		"a fragment, cut short":         packet6(wire.IPv6Fragments, hopByHop[:7]),
		"a later fragment of what stands behind an extension": packet6(wire.IPv6DestinationOptions, ends6.segment(tcp, 32), fragmentHeader(64, true)),
	}
}
