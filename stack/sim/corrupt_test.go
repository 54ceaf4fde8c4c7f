package sim_test

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"testing"
	"time"

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

func TestCorruptFlipsOneBitOfTheCopy(t *testing.T) {
	s := sim.NewSegment(sim.Config{Seed: 2, Corrupt: 1})
	defer s.Close()
	a, b := s.Port(), s.Port()
	places := make(map[int]bool)
	const n, size = 2000, 64
	for i := range uint32(n) {
		f := []link.Frame{newFrame(b.Info().MAC, a.Info().MAC, size, i)}
		f[0].Meta.ChecksumValid = true
		sent := bytes.Clone(f[0].Header)
		if _, err := a.Write(f); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(f[0].Header, sent) {
			t.Fatal("the sender's buffer was changed")
		}
		f[0].Release()
		if n, err := b.Read(f); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		count, first := difference(f[0].Header, sent)
		if count != 1 || first < 14 || f[0].Meta != (link.Meta{}) {
			t.Fatalf("%d bits differ, the first in octet %d, meta %+v", count, first, f[0].Meta)
		}
		places[first] = true
		f[0].Release()
	}
	if len(places) != size-14 {
		t.Errorf("only %d octets were ever hit", len(places))
	}
	if got := s.Stats(); got.Corrupted != n {
		t.Errorf("%+v", got)
	}
}

func TestCorruptLosesWhatIsNotIP(t *testing.T) {
	s := sim.NewSegment(sim.Config{Corrupt: 1})
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
		t.Errorf("%+v", got)
	}
}

// sum is RFC 1071's, folded and not complemented.
func sum(p []byte) uint16 {
	var s uint32
	for i := 0; i+1 < len(p); i += 2 {
		s += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	if len(p)%2 == 1 {
		s += uint32(p[len(p)-1]) << 8
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

func TestCorruptCompletesTheChecksumFirst(t *testing.T) {
	const at, field = 34, 16
	for seed := range int64(200) {
		s := sim.NewSegment(sim.Config{Offload: true, Seed: seed})
		a, b := s.Port(), s.Port()
		pseudo := uint16(0x1234)
		send := func() link.Frame {
			f := []link.Frame{newFrame(b.Info().MAC, a.Info().MAC, 77, 0xdeadbeef)}
			copy(f[0].Header[at+20:], "some payload that counts")
			binary.BigEndian.PutUint16(f[0].Header[at+field:], pseudo)
			f[0].Meta = link.Meta{NeedsChecksum: true, ChecksumStart: at, ChecksumOffset: field}
			if _, err := a.Write(f); err != nil {
				t.Fatal(err)
			}
			f[0].Release()
			if n, err := b.Read(f); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			return f[0]
		}
		clean := send()
		if !clean.Meta.NeedsChecksum {
			t.Fatal("a clean frame lost its offload")
		}
		clean.Release()
		s.Update(func(c *sim.Config) { c.Corrupt = 1 })
		bad := send()
		// The receiver adds the pseudo-header and the whole segment.
		total := sum(append(bytes.Clone(bad.Header[at:]), 0, byte(pseudo>>8), byte(pseudo)))
		if len(bad.Header[at:])%2 != 1 {
			t.Fatal("the test wants an odd length")
		}
		_, first := difference(bad.Header[:at], make([]byte, at))
		hitTransport := total != 0xffff
		hitIP := false
		for i := 18; i < at; i++ {
			hitIP = hitIP || bad.Header[i] != 0
		}
		hitIP = hitIP || binary.BigEndian.Uint32(bad.Header[14:]) != 0xdeadbeef
		if bad.Meta.NeedsChecksum || hitIP == hitTransport {
			t.Fatalf("seed %d: meta %+v, sum %#x, IP header hit %v (first %d)", seed, bad.Meta, total, hitIP, first)
		}
		bad.Release()
		s.Close()
	}
}

func TestOffloadCarriesSuperSegmentsWhole(t *testing.T) {
	meta := link.Meta{NeedsChecksum: true, ChecksumStart: 34, ChecksumOffset: 16, GSO: link.TCP4, GSOSize: 1000, HeaderLen: 54}
	t.Run("IPv4", func(t *testing.T) { testSuperSegments(t, meta) })
	meta.ChecksumStart, meta.GSO, meta.HeaderLen = 54, link.TCP6, 74
	t.Run("IPv6", func(t *testing.T) { testSuperSegments(t, meta) })
}

func testSuperSegments(t *testing.T, meta link.Meta) {
	// 60,000 octets of text in segments of 1000 are 60 segments, each with headers, at 1 octet per microsecond.
	cfg := sim.Config{Offload: true, Rate: 8_000_000}
	headers := int(meta.HeaderLen)
	first := time.Duration(60000+60*headers) * us
	pair(t, cfg, func(s *sim.Segment, a, b *sim.Port, r *reader) {
		if i := a.Info(); !i.Checksum || !i.TSO4 || !i.TSO6 || i.MaxPacket != 65535 {
			t.Errorf("Info = %+v", i)
		}
		write := func(n int, meta link.Meta) {
			f := []link.Frame{newFrame(b.Info().MAC, a.Info().MAC, n, uint32(n))}
			f[0].Meta = meta
			if _, err := a.Write(f); err != nil {
				t.Fatal(err)
			}
			f[0].Release()
		}
		write(60000+headers, meta)
		write(14+65536, meta)
		meta.GSOSize = uint16(1500 - headers + 14 + 1)
		write(60000+headers, meta)
		if got := s.Stats().Oversize; got != 2 {
			t.Errorf("Oversize = %d", got)
		}
		// A segment with an empty payload is one segment.
		meta.GSOSize = 1000
		write(headers, meta)
		<-afterAll()
		wantArrivals(t, r, []arrival{{first, uint32(60000 + headers)}, {first + time.Duration(headers)*us, uint32(headers)}})
	})
}
