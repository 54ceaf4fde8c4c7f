package sim_test

import (
	"bytes"
	"encoding/binary"
	"maps"
	"math/bits"
	"slices"
	"testing"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
)

// difference returns the number of bits in which a and b differ, and the first octet that does.
func difference(a, b []byte) (count, first int) {
	first = -1
	for i := range a {
		if d := bits.OnesCount8(a[i] ^ b[i]); d > 0 {
			if count == 0 {
				first = i
			}
			count += d
		}
	}
	return count, first
}

// ipFrame is an Ethernet frame that carries a packet of the version that its first octet says, or of the IPv4 one where it
// has none.
func ipFrame(from, to *sim.Port, packet []byte) link.Frame {
	f := newFrame(to.Info().MAC, from.Info().MAC, 14+len(packet), 0)
	if len(packet) > 0 && packet[0]>>4 == 6 {
		binary.BigEndian.PutUint16(f.Header[12:], wire.EtherTypeIPv6)
	}
	copy(f.Header[14:], packet)
	return f
}

// corrupted sends a packet n times, each time with a flipped bit, and returns what arrives, without link headers.
func corrupted(t *testing.T, packet []byte, meta link.Meta, cfg sim.Config, n int) (arrived [][]byte, lost uint64) {
	t.Helper()
	cfg.Offload, cfg.MTU = true, 65535
	s := sim.NewSegment(cfg)
	defer s.Close()
	a, b := s.Port(), s.Port()
	f := make([]link.Frame, 1)
	for range n {
		f[0] = ipFrame(a, b, packet)
		f[0].Meta = meta
		sent := bytes.Clone(f[0].Header)
		if _, err := a.Write(f); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(f[0].Header, sent) {
			t.Fatal("the sender's buffer was changed")
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
		if !bytes.Equal(f[0].Header[:14], sent[:14]) {
			t.Fatal("the link header was changed")
		}
		arrived = append(arrived, bytes.Clone(f[0].Header[14:]))
		f[0].Release()
	}
	if got := s.Stats().Corrupted; got != uint64(n) {
		t.Errorf("%d frames count as corrupted, of %d", got, n)
	}
	return arrived, 0
}

// always is the configuration of a segment that corrupts every frame.
var always = sim.Config{Seed: 3, Corrupt: 1}

// run is a run of octets.
type run struct{ from, to int }

// corruption is a packet and what may be corrupted of it: all that a checksum always sees.
type corruption struct {
	name    string
	packet  []byte
	covered []run
	// what the datagram has in front of and behind this fragment
	before, after []byte
}

func TestCorrupt(t *testing.T) {
	t.Run("IPv4", func(t *testing.T) {
		for _, c := range corruptions4() {
			t.Run(c.name, c.test)
		}
	})
	t.Run("IPv6", func(t *testing.T) {
		for _, c := range corruptions6() {
			t.Run(c.name, c.test)
		}
	})
}

// test corrupts the packet until every octet must have been hit.
func (c *corruption) test(t *testing.T) {
	if !accepts(t, c.packet, c.before, c.after) {
		t.Fatalf("%x: the receiver does not take it as it is", c.packet)
	}
	arrived, lost := corrupted(t, c.packet, link.Meta{ChecksumValid: true}, always, 40*len(c.packet))
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
		if accepts(t, p, c.before, c.after) {
			t.Fatalf("octet %d: no checksum sees it", first)
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
func TestCorruptLosesWhatHasNoChecksum(t *testing.T) {
	for name, packet := range uncovered() {
		if arrived, lost := corrupted(t, packet, link.Meta{}, always, 1); lost != 1 {
			t.Errorf("%s: it arrived as %x", name, arrived)
		}
	}
	s := sim.NewSegment(always)
	defer s.Close()
	a, b := s.Port(), s.Port()
	f := []link.Frame{newFrame(b.Info().MAC, a.Info().MAC, 42, 0)}
	f[0].Header[13] = 6 // ARP
	if _, err := a.Write(f); err != nil {
		t.Fatal(err)
	}
	f[0].Release()
	send(t, a, b, 14, 0) // nothing to corrupt
	if got := s.Stats(); got.Lost != 2 || got.Corrupted != 0 || got.Delivered != 0 {
		t.Errorf("ARP and an empty frame: %+v", got)
	}
}

// A checksum that is left to the device, as of a super-segment, is completed before a bit is flipped.
func TestCorruptCompletesTheChecksum(t *testing.T) {
	const field = 16
	for family, e := range families {
		t.Run(family, func(t *testing.T) {
			packet := e.packet(wire.ProtocolTCP, e.segment(wire.ProtocolTCP, 20+3001))
			at := len(packet) - 20 - 3001
			begun := bytes.Clone(packet)
			segment := begun[at:]
			binary.BigEndian.PutUint16(segment[field:], wire.Fold(wire.PseudoHeader(e.src, e.dst, wire.ProtocolTCP, len(segment))))
			start := uint16(14 + at)
			for _, meta := range []link.Meta{
				{NeedsChecksum: true, ChecksumStart: start, ChecksumOffset: field},
				{NeedsChecksum: true, ChecksumStart: start, ChecksumOffset: field, GSO: e.super, GSOSize: 1000, HeaderLen: start + 20},
			} {
				arrived, lost := corrupted(t, begun, meta, always, 200)
				if lost > 0 {
					t.Fatal("it was lost")
				}
				for _, p := range arrived {
					if count, first := difference(p, packet); count != 1 {
						t.Fatalf("%d bits differ from the completed packet, the first in octet %d", count, first)
					}
				}
			}
		})
	}
}

// A filter corrupts as chance does, not the same bit each time.
func TestCorruptByFilter(t *testing.T) {
	for family, e := range families {
		t.Run(family, func(t *testing.T) {
			packet := e.packet(wire.ProtocolTCP, e.segment(wire.ProtocolTCP, 60))
			cfg := sim.Config{Filter: func(*sim.Port, []byte) sim.Verdict { return sim.Corrupt }}
			arrived, _ := corrupted(t, packet, link.Meta{}, cfg, 100)
			places := map[int]bool{}
			for _, p := range arrived {
				count, first := difference(p, packet)
				if count != 1 || accepts(t, p, nil, nil) {
					t.Fatalf("%d bits differ, the first in octet %d", count, first)
				}
				places[first] = true
			}
			if len(places) < 30 {
				t.Errorf("of 100 frames %d octets were hit", len(places))
			}
		})
	}
}
