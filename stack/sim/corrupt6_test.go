package sim_test

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
	"testing"

	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
)

// Two ends of IPv6.
var (
	from6 = [16]byte{0x20, 0x01, 0x0d, 0xb8, 15: 1}
	to6   = [16]byte{0x20, 0x01, 0x0d, 0xb8, 15: 2}
)

// Extension headers of 8 and 16 octets, with options that are pad.
var (
	hopByHop    = []byte{0, 0, 1, 4, 0, 0, 0, 0}
	destination = []byte{0, 1, 1, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
)

// fragmentNumber is the number of the fragment header (RFC 8200 4.5).
const fragmentNumber = 44

// extension is an extension header of the type number.
type extension struct {
	number byte
	octets []byte
}

// fragmentHeader is the extension header of a fragment.
func fragmentHeader(offset int, more bool) extension {
	b := []byte{0, 0, byte(offset >> 8), byte(offset), 1, 2, 3, 4}
	if more {
		b[3] |= 1
	}
	return extension{fragmentNumber, b}
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
	return frames.IPv6(wire.IPv6{TrafficClass: 0xb8, FlowLabel: 0x12345, NextHeader: b[6], Src: from6, Dst: to6}, b[wire.IPv6Len:])
}

// sum6 is the sum of a transport protocol's octets with their pseudo header, 0xffff if the checksum is right.
func sum6(proto byte, segment []byte) uint16 {
	return wire.Fold(wire.Sum(segment, wire.PseudoHeader6(from6, to6, proto, len(segment))))
}

// segment6 is a segment or datagram of n octets with a right checksum.
func segment6(proto byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7)
	}
	at := map[byte]int{wire.ProtocolTCP: 16, wire.ProtocolUDP: 6, wire.ProtocolICMPv6: 2}[proto]
	if proto == wire.ProtocolUDP {
		binary.BigEndian.PutUint16(b[4:], uint16(n))
	}
	binary.BigEndian.PutUint16(b[at:], 0)
	binary.BigEndian.PutUint16(b[at:], ^sum6(proto, b))
	return b
}

// frame6 is an Ethernet frame that carries a packet.
func frame6(from, to *sim.Port, packet []byte) link.Frame {
	f := newFrame(to.Info().MAC, from.Info().MAC, 14+len(packet), 0)
	binary.BigEndian.PutUint16(f.Header[12:], wire.EtherTypeIPv6)
	copy(f.Header[14:], packet)
	return f
}

// corrupted6 sends a packet n times, each time with a flipped bit, and returns what arrives, without link headers.
func corrupted6(t *testing.T, packet []byte, meta link.Meta, n int) (arrived [][]byte, lost uint64) {
	t.Helper()
	s := sim.NewSegment(sim.Config{Seed: 3, Corrupt: 1, Offload: true, MTU: 65535})
	defer s.Close()
	a, b := s.Port(), s.Port()
	f := make([]link.Frame, 1)
	for range n {
		f[0] = frame6(a, b, packet)
		f[0].Meta = meta
		if _, err := a.Write(f); err != nil {
			t.Fatal(err)
		}
		f[0].Release()
		if s.Stats().Lost > 0 {
			return arrived, s.Stats().Lost
		}
		if n, err := b.Read(f); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if f[0].Meta.NeedsChecksum || f[0].Meta.ChecksumValid {
			t.Fatalf("the device vouches for a corrupted frame: %+v", f[0].Meta)
		}
		arrived = append(arrived, bytes.Clone(f[0].Header[14:]))
		f[0].Release()
	}
	return arrived, 0
}

// run is a run of octets.
type run struct{ from, to int }

// corruption is a packet and what may be corrupted of it.
type corruption struct {
	name      string
	proto     byte
	packet    []byte
	transport int // where it begins in the packet
	covered   []run
	// what the datagram has in front of and behind this fragment
	before, after []byte
}

// IPv6 has no header checksum: only what a transport checksum covers may be corrupted, all of that, and the receiver
// finds it out by that checksum.
func TestCorruptIPv6(t *testing.T) {
	const tcp, udp, icmp = wire.ProtocolTCP, wire.ProtocolUDP, wire.ProtocolICMPv6
	const routing = wire.IPv6Routing
	hop, dest := extension{wire.IPv6HopByHop, hopByHop}, extension{wire.IPv6DestinationOptions, destination}
	whole := segment6(udp, 96)
	for _, c := range []corruption{
		{name: "TCP", proto: tcp, packet: packet6(tcp, segment6(tcp, 61)), transport: 40, covered: []run{{8, 101}}},
		{name: "UDP", proto: udp, packet: packet6(udp, segment6(udp, 20)), transport: 40, covered: []run{{8, 44}, {46, 60}}},
		{name: "ICMPv6", proto: icmp, packet: packet6(icmp, segment6(icmp, 9)), transport: 40, covered: []run{{8, 49}}},
		{name: "with pad", proto: tcp, packet: append(packet6(tcp, segment6(tcp, 21)), make([]byte, 7)...), transport: 40, covered: []run{{8, 61}}},
		{name: "hop-by-hop options", proto: icmp, packet: packet6(icmp, segment6(icmp, 8), hop), transport: 48, covered: []run{{48, 56}}},
		{name: "several extension headers", proto: tcp, packet: packet6(tcp, segment6(tcp, 24), hop, dest), transport: 64, covered: []run{{64, 88}}},
		{name: "UDP behind a routing header", proto: udp, packet: packet6(udp, segment6(udp, 9), extension{routing, hopByHop}), transport: 48,
			covered: []run{{48, 52}, {54, 57}}},
		{name: "an atomic fragment", proto: tcp, packet: packet6(tcp, segment6(tcp, 24), fragmentHeader(0, false)), transport: 48, covered: []run{{48, 72}}},
		{name: "the first fragment", proto: udp, packet: packet6(udp, whole[:48], fragmentHeader(0, true)), transport: 48,
			covered: []run{{48, 52}, {54, 96}}, after: whole[48:]},
		{name: "a later fragment", proto: udp, packet: packet6(udp, whole[48:72], hop, fragmentHeader(48, true)), transport: 56,
			covered: []run{{56, 80}}, before: whole[:48], after: whole[72:]},
	} {
		t.Run(c.name, c.test)
	}
}

// test corrupts the packet until every octet must have been hit.
func (c *corruption) test(t *testing.T) {
	arrived, lost := corrupted6(t, c.packet, link.Meta{}, 40*len(c.packet))
	if lost > 0 {
		t.Fatal("it was lost")
	}
	hit := map[int]bool{}
	for _, p := range arrived {
		count, first := difference(p, c.packet)
		if count != 1 {
			t.Fatalf("%d bits differ, the first in octet %d", count, first)
		}
		hit[first] = true
		var h wire.IPv6
		if _, err := h.Parse(p); err != nil || h.NextHeader != c.packet[6] {
			t.Fatalf("octet %d: next header %d, or the lengths are wrong", first, h.NextHeader)
		}
		text := p[c.transport:c.covered[len(c.covered)-1].to]
		all := slices.Concat(c.before, text, c.after)
		if wire.Fold(wire.Sum(all, wire.PseudoHeader6(h.Src, h.Dst, c.proto, len(all)))) == 0xffff {
			t.Fatalf("octet %d: the checksum does not see it", first)
		}
	}
	var want []int
	for _, r := range c.covered {
		for at := r.from; at < r.to; at++ {
			want = append(want, at)
		}
	}
	if got := slices.Sorted(maps.Keys(hit)); !slices.Equal(got, want) {
		t.Errorf("hit were the octets %v, want %v", got, c.covered)
	}
}

// What no checksum covers is lost.
func TestCorruptLosesIPv6WithoutChecksum(t *testing.T) {
	const tcp, udp = wire.ProtocolTCP, wire.ProtocolUDP
	noChecksum := segment6(udp, 20)
	noChecksum[6], noChecksum[7] = 0, 0
	long := packet6(tcp, segment6(tcp, 30))
	for name, packet := range map[string][]byte{
		"no next header":                packet6(59, make([]byte, 20)),
		"ESP":                           packet6(50, make([]byte, 20)),
		"UDP without a checksum":        packet6(udp, noChecksum),
		"UDP, cut short":                packet6(udp, noChecksum[:7]),
		"a header and nothing else":     packet6(tcp, nil),
		"a header, cut short":           long[:39],
		"less than it says":             long[:69],
		"an extension that is too long": packet6(tcp, segment6(tcp, 30), extension{wire.IPv6HopByHop, []byte{0, 9, 1, 4, 0, 0, 0, 0}}),
		"an extension, cut short":       packet6(wire.IPv6HopByHop, hopByHop[:7]),
		"a fragment, cut short":         packet6(fragmentNumber, hopByHop[:7]),
		"a later fragment of what stands behind an extension": packet6(wire.IPv6DestinationOptions, segment6(tcp, 32), fragmentHeader(64, true)),
	} {
		if arrived, lost := corrupted6(t, packet, link.Meta{}, 1); lost != 1 {
			t.Errorf("%s: it arrived as %x", name, arrived)
		}
	}
}

// A checksum that is left to the device, as of a super-segment, is completed before a bit is flipped.
func TestCorruptCompletesTheChecksumOfIPv6(t *testing.T) {
	const at, field = 14 + 40, 16
	packet := packet6(wire.ProtocolTCP, segment6(wire.ProtocolTCP, 20+3001))
	begun := bytes.Clone(packet)
	segment := begun[40:]
	binary.BigEndian.PutUint16(segment[field:], wire.Fold(wire.PseudoHeader6(from6, to6, wire.ProtocolTCP, len(segment))))
	for _, meta := range []link.Meta{
		{NeedsChecksum: true, ChecksumStart: at, ChecksumOffset: field},
		{NeedsChecksum: true, ChecksumStart: at, ChecksumOffset: field, GSO: link.TCP6, GSOSize: 1000, HeaderLen: at + 20},
	} {
		arrived, lost := corrupted6(t, begun, meta, 200)
		if lost > 0 {
			t.Fatal("it was lost")
		}
		for _, p := range arrived {
			if count, first := difference(p, packet); count != 1 {
				t.Fatalf("%d bits differ from the completed packet, the first in octet %d", count, first)
			}
		}
	}
}
