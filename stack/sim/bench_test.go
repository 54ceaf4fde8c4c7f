package sim_test

import (
	"testing"

	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
)

// exchange returns a function that writes a batch to one port and reads it from another.
func exchange(tb testing.TB, cfg sim.Config, batch, octets int) func() {
	s := sim.NewSegment(cfg)
	a, b := s.Port(), s.Port()
	out, in := make([]link.Frame, batch), make([]link.Frame, batch)
	for i := range out {
		out[i] = newFrame(b.Info().MAC, a.Info().MAC, octets, 0)
	}
	tb.Cleanup(func() {
		release(out)
		s.Close()
	})
	return func() {
		if _, err := a.Write(out); err != nil {
			tb.Fatal(err)
		}
		for left := batch; left > 0; {
			n, err := b.Read(in)
			if err != nil {
				tb.Fatal(err)
			}
			release(in[:n])
			left -= n
		}
	}
}

func release(frames []link.Frame) {
	for i := range frames {
		frames[i].Release()
	}
}

func benchmark(b *testing.B, cfg sim.Config, batch, octets int) {
	run := exchange(b, cfg, batch, octets)
	b.SetBytes(int64(octets))
	b.ReportAllocs()
	for i := 0; i < b.N; i += batch {
		run()
	}
}

// The unit of all of these is one frame.
func BenchmarkOneByOne60(b *testing.B)    { benchmark(b, sim.Config{}, 1, 60) }
func BenchmarkBatch64Of60(b *testing.B)   { benchmark(b, sim.Config{}, 64, 60) }
func BenchmarkBatch64Of1514(b *testing.B) { benchmark(b, sim.Config{}, 64, 1514) }
func BenchmarkBatch64Timed(b *testing.B)  { benchmark(b, sim.Config{Rate: 1e15}, 64, 60) }
