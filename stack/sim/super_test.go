package sim_test

import (
	"testing"
	"time"

	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
)

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
