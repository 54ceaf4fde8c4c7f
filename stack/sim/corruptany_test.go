package sim_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
)

// chancePacket builds packets of a family by chance.
type chancePacket struct {
	*rand.Rand
	*ends
}

func (r chancePacket) octets(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		if r.IntN(4) > 0 { // zeros too, so that sums of small pieces are small
			b[i] = byte(r.Uint32())
		}
	}
	return b
}

// transport returns a segment, datagram or message, whose checksum is right, and its protocol. A datagram may have octets
// beyond its length where surplus says so.
func (r chancePacket) transport(surplus bool) (proto byte, b []byte) {
	text := r.octets(r.IntN(200))
	switch r.IntN(4) {
	case 0:
		h := wire.TCP{SrcPort: uint16(r.Uint32()), DstPort: uint16(r.Uint32()), Seq: r.Uint32(), Flags: uint16(r.Uint32()) & 0x1ff, Window: uint16(r.Uint32())}
		return wire.ProtocolTCP, frames.TCP(r.src, r.dst, h, text)
	case 1:
		b = frames.UDP(r.src, r.dst, uint16(r.Uint32()), uint16(r.Uint32()), text)
		if surplus && r.IntN(4) == 0 {
			b = append(b, r.octets(r.IntN(40))...)
		}
		return wire.ProtocolUDP, b
	case 2: // neighbour discovery or an error, over IPv6
		return r.icmp, frames.ICMP(r.src, r.dst, uint8(133+r.IntN(5)), 0, [4]byte{}, text)
	}
	return r.icmp, frames.ICMP(r.src, r.dst, uint8(r.Uint32()), uint8(r.Uint32()), [4]byte(r.octets(4)), text)
}

// packet returns a packet, and if it is a fragment what is before and behind it in the datagram.
func (r chancePacket) packet() (p, before, after []byte) {
	fragment := r.IntN(3) == 0
	proto, b := r.transport(!fragment)
	piece, offset := b, 0
	if fragment {
		offset = 8 * r.IntN(len(b)/8)
		end := min(offset+8+8*r.IntN(10), len(b))
		if offset == 0 { // with its header
			end = min(max(end, 24), len(b))
		}
		before, piece, after = b[:offset], b[offset:end], b[end:]
	}
	if r.src.Is4() {
		h := wire.IPv4{Protocol: proto, Src: r.src.As4(), Dst: r.dst.As4(), ID: uint16(r.Uint32()), TOS: uint8(r.Uint32()), TTL: uint8(1 + r.IntN(255)),
			MF: len(after) > 0, FragmentOffset: offset}
		for range r.IntN(10) {
			h.Options = append(h.Options, wire.IPv4OptNOP)
		}
		p = frames.IPv4(h, piece)
	} else {
		var headers []extension
		for range r.IntN(3) {
			kind := []byte{wire.IPv6DestinationOptions, wire.IPv6Routing}[r.IntN(2)]
			octets := destination
			if kind == wire.IPv6Routing {
				octets = make([]byte, 8)
			}
			headers = append(headers, extension{kind, octets})
		}
		if fragment {
			headers = append(headers, fragmentHeader(offset, len(after) > 0))
		}
		p = packet6(proto, piece, headers...)
	}
	return append(p, make([]byte, r.IntN(2)*r.IntN(46))...), before, after
}

// Of packets of every kind, no corrupted one is taken by a receiver that checks what it has to.
func TestCorruptIsAlwaysSeen(t *testing.T) {
	const seeds, packets = 40, 500
	for family, e := range families {
		t.Run(family, func(t *testing.T) {
			lost := 0
			for seed := range uint64(seeds) {
				s := sim.NewSegment(sim.Config{Seed: int64(seed), Corrupt: 1})
				a, b := s.Port(), s.Port()
				r := chancePacket{rand.New(rand.NewPCG(seed, 1)), e}
				for i := range packets {
					p, before, after := r.packet()
					name := fmt.Sprintf("seed %d, packet %d", seed, i)
					if !accepts(t, p, before, after) {
						t.Fatalf("%s: %x is not right from the beginning", name, p)
					}
					f := []link.Frame{ipFrame(a, b, p)}
					was := s.Stats().Lost
					if _, err := a.Write(f); err != nil {
						t.Fatal(err)
					}
					f[0].Release()
					if s.Stats().Lost > was {
						lost++
						continue
					}
					if n, err := b.Read(f); n != 1 || err != nil {
						t.Fatal(n, err)
					}
					got := f[0].Header[14:]
					if count, at := difference(got, p); count != 1 {
						t.Fatalf("%s: %d bits differ, the first in octet %d", name, count, at)
					} else if accepts(t, got, before, after) {
						t.Fatalf("%s: octet %d of %x, no checksum sees it", name, at, p)
					}
					f[0].Release()
				}
				s.Close()
			}
			if lost > 0 {
				t.Errorf("%d of %d were lost, although all have a checksum", lost, seeds*packets)
			}
		})
	}
}

// neighbour discovery is ICMPv6, so its messages are corrupted; ARP has no checksum, so it is lost.
func TestCorruptNeighborDiscovery(t *testing.T) {
	m := make([]byte, wire.NDNeighborLen)
	(&wire.NDNeighbor{Solicited: true, Target: ends6.src.As16()}).Marshal(m, wire.ICMPv6NeighborAdvertisement)
	wire.PutICMPv6Checksum(m, ends6.src.As16(), ends6.dst.As16())
	p := packet6(wire.ProtocolICMPv6, m)
	arrived, lost := corrupted(t, p, link.Meta{}, always, 300)
	if lost > 0 {
		t.Fatal("it was lost")
	}
	for _, got := range arrived {
		if accepts(t, got, nil, nil) {
			t.Fatalf("%x: no checksum sees it", got)
		}
	}
	if binary.BigEndian.Uint16(p[4:]) != wire.NDNeighborLen {
		t.Error("the test's packet is wrong")
	}
}
