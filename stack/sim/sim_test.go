package sim_test

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
)

const ms = time.Millisecond

// pair runs fn in a bubble with a segment of two ports, the second of which is read.
func pair(t *testing.T, cfg sim.Config, fn func(s *sim.Segment, a, b *sim.Port, r *reader)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := sim.NewSegment(cfg)
		defer s.Close()
		a, b := s.Port(), s.Port()
		fn(s, a, b, startReader(b))
	})
}

func wantArrivals(t *testing.T, r *reader, want []arrival) {
	t.Helper()
	if diff := cmp.Diff(want, r.stop(t), cmp.AllowUnexported(arrival{})); diff != "" {
		t.Errorf("arrivals (-want +got):\n%s", diff)
	}
}

func TestPerfectWireDeliversInsideWrite(t *testing.T) {
	s := sim.NewSegment(sim.Config{})
	defer s.Close()
	a, b := s.Port(), s.Port()
	for i := range uint32(3) {
		send(t, a, b, 60, i)
	}
	frames := make([]link.Frame, 2)
	for _, want := range []int{2, 1} {
		n, err := b.Read(frames)
		if n != want || err != nil {
			t.Fatalf("Read = %d, %v; want %d", n, err, want)
		}
		for i := range n {
			frames[i].Release()
		}
	}
	want := sim.Stats{Sent: 3, Octets: 180, Delivered: 3}
	if got := s.Stats(); got != want {
		t.Errorf("Stats = %+v, want %+v", got, want)
	}
}

func TestFrameIsGatheredAndCopied(t *testing.T) {
	s := sim.NewSegment(sim.Config{})
	defer s.Close()
	a, b := s.Port(), s.Port()
	f := []link.Frame{newFrame(b.Info().MAC, a.Info().MAC, 20, 7)}
	body := []byte("hello, ")
	f[0].Append(body, nil)
	f[0].Append([]byte("world"), nil)
	want := make([]byte, f[0].Len())
	f[0].CopyTo(want)
	if _, err := a.Write(f); err != nil {
		t.Fatal(err)
	}
	clear(body)
	f[0].Release()

	got := make([]link.Frame, 1)
	if n, err := b.Read(got); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if !bytes.Equal(got[0].Header, want) || len(got[0].Payload) != 0 {
		t.Errorf("read %q and %d spans, want %q", got[0].Header, len(got[0].Payload), want)
	}
	if len(got[0].Prepend(link.Headroom)) != link.Headroom+len(want) {
		t.Error("a received frame lacks headroom")
	}
	got[0].Release()
}

func TestDelayIsExact(t *testing.T) {
	pair(t, sim.Config{Delay: 25 * ms}, func(_ *sim.Segment, a, b *sim.Port, r *reader) {
		send(t, a, b, 60, 1)
		time.Sleep(10 * ms)
		send(t, a, b, 60, 2)
		time.Sleep(time.Second)
		wantArrivals(t, r, []arrival{{25 * ms, 1}, {35 * ms, 2}})
	})
}

func TestPortsConfigurationIsOneDirections(t *testing.T) {
	pair(t, sim.Config{Delay: 5 * ms}, func(_ *sim.Segment, a, b *sim.Port, r *reader) {
		ra := startReader(a)
		a.Update(func(c *sim.Config) { c.Delay = 40 * ms })
		if a.Config().Delay != 40*ms || b.Config().Delay != 5*ms {
			t.Errorf("delays are %v and %v", a.Config().Delay, b.Config().Delay)
		}
		send(t, a, b, 60, 1)
		send(t, b, a, 60, 2)
		time.Sleep(time.Second)
		if diff := cmp.Diff([]arrival{{40 * ms, 1}}, r.stop(t), cmp.AllowUnexported(arrival{})); diff != "" {
			t.Error(diff)
		}
		wantArrivals(t, ra, []arrival{{5 * ms, 2}})
	})
}

func TestUpdateKeepsWhatPortsHaveOfTheirOwn(t *testing.T) {
	s := sim.NewSegment(sim.Config{Seed: 3})
	defer s.Close()
	a, b := s.Port(), s.Port()
	a.Update(func(c *sim.Config) { c.Loss = 1; c.Seed = 9; c.Offload = true })
	s.Update(func(c *sim.Config) { c.Delay = ms })
	c := s.Port()
	for _, tt := range []struct {
		port *sim.Port
		loss float64
	}{{a, 1}, {b, 0}, {c, 0}} {
		got := tt.port.Config()
		if got.Loss != tt.loss || got.Delay != ms || got.Seed != 3 || got.Offload {
			t.Errorf("%s has %+v", tt.port.Name(), got)
		}
	}
}

func TestShorterDelayDoesNotOvertake(t *testing.T) {
	pair(t, sim.Config{Delay: 30 * ms}, func(s *sim.Segment, a, b *sim.Port, r *reader) {
		send(t, a, b, 60, 1)
		s.Update(func(c *sim.Config) { c.Delay = 0 })
		send(t, a, b, 60, 2) // would be there at once
		time.Sleep(time.Second)
		send(t, a, b, 60, 3)
		synctest.Wait()
		wantArrivals(t, r, []arrival{{30 * ms, 1}, {30 * ms, 2}, {1000 * ms, 3}})
	})
}

func TestJitterKeepsOrder(t *testing.T) {
	pair(t, sim.Config{Seed: 1, Delay: 10 * ms, Jitter: 50 * ms}, func(_ *sim.Segment, a, b *sim.Port, r *reader) {
		const n = 200
		for i := range uint32(n) {
			send(t, a, b, 60, i)
			time.Sleep(20 * ms)
		}
		time.Sleep(time.Second)
		got := r.stop(t)
		if len(got) != n {
			t.Fatalf("%d frames arrived of %d", len(got), n)
		}
		distinct := make(map[time.Duration]bool)
		for i, g := range got {
			late := g.at - time.Duration(i)*20*ms
			if g.number != uint32(i) || late < 10*ms || late >= 60*ms {
				t.Fatalf("frame %d at place %d, %v after it was sent", g.number, i, late)
			}
			distinct[late] = true
		}
		if len(distinct) < n/2 {
			t.Errorf("only %d different delays", len(distinct))
		}
	})
}

func TestRateSerialises(t *testing.T) {
	// 1000 octets at 1 Mbit/s take 8 ms.
	cfg := sim.Config{Rate: 1_000_000, Delay: 100 * ms}
	pair(t, cfg, func(_ *sim.Segment, a, b *sim.Port, r *reader) {
		send(t, a, b, 1000, 1)
		send(t, a, b, 1000, 2)
		send(t, a, b, 500, 3)
		time.Sleep(50 * ms) // idle: nothing is saved up
		send(t, a, b, 1000, 4)
		time.Sleep(time.Second)
		wantArrivals(t, r, []arrival{{108 * ms, 1}, {116 * ms, 2}, {120 * ms, 3}, {158 * ms, 4}})
	})
}

func TestRateLosesNoFractions(t *testing.T) {
	// 60 octets at 7 Gbit/s take 68 4/7 ns; 700 of them 48 us sharp.
	pair(t, sim.Config{Rate: 7_000_000_000}, func(_ *sim.Segment, a, b *sim.Port, r *reader) {
		for i := range uint32(700) {
			send(t, a, b, 60, i)
		}
		time.Sleep(time.Second)
		got := r.stop(t)
		if len(got) != 700 || got[699].at != 48*time.Microsecond {
			t.Errorf("last of %d frames at %v", len(got), got[len(got)-1].at)
		}
	})
}

func TestFullQueueDropsItsTail(t *testing.T) {
	pair(t, sim.Config{Rate: 1_000_000, Queue: 3}, func(s *sim.Segment, a, b *sim.Port, r *reader) {
		for i := range uint32(5) {
			send(t, a, b, 1000, i)
		}
		time.Sleep(8 * ms) // one has left
		send(t, a, b, 1000, 5)
		send(t, a, b, 1000, 6)
		time.Sleep(time.Second)
		wantArrivals(t, r, []arrival{{8 * ms, 0}, {16 * ms, 1}, {24 * ms, 2}, {32 * ms, 5}})
		if got := s.Stats().QueueDropped; got != 3 {
			t.Errorf("QueueDropped = %d, want 3", got)
		}
	})
}

// survivors sends n frames and returns the numbers of those that arrive.
func survivors(t *testing.T, cfg sim.Config, n int) (got []uint32, stats sim.Stats) {
	t.Helper()
	pair(t, cfg, func(s *sim.Segment, a, b *sim.Port, r *reader) {
		for i := range n {
			send(t, a, b, 60, uint32(i))
			synctest.Wait()
		}
		time.Sleep(time.Second)
		got, stats = numbers(r.stop(t)), s.Stats()
	})
	return got, stats
}

func TestLoss(t *testing.T) {
	const n = 20000
	got, stats := survivors(t, sim.Config{Seed: 1, Loss: 0.05}, n)
	// Five standard deviations of a binomial distribution are 154.
	if lost := n - len(got); lost < 1000-154 || lost > 1000+154 || stats.Lost != uint64(lost) {
		t.Errorf("lost %d of %d, counted %d", lost, n, stats.Lost)
	}
	for loss, want := range map[float64]int{0: n, 1: 0} {
		if got, _ := survivors(t, sim.Config{Loss: loss}, n); len(got) != want {
			t.Errorf("with loss %v arrived %d of %d", loss, len(got), n)
		}
	}
}

func TestSameSeedSameFate(t *testing.T) {
	base := sim.Config{Seed: 42, Loss: 0.2}
	first, _ := survivors(t, base, 500)
	if again, _ := survivors(t, base, 500); !cmp.Equal(first, again) {
		t.Error("the same seed lost other frames")
	}
	late := base
	late.Delay, late.Jitter, late.Rate = 3*ms, ms, 1e9
	if timed, _ := survivors(t, late, 500); !cmp.Equal(first, timed) {
		t.Error("delay changed which frames are lost")
	}
	other := base
	other.Seed = 43
	if got, _ := survivors(t, other, 500); cmp.Equal(first, got) {
		t.Error("another seed lost the same frames")
	}
}

func TestPortsHaveChancesOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sim.NewSegment(sim.Config{Loss: 0.5})
		defer s.Close()
		a, b := s.Port(), s.Port()
		ra, rb := startReader(a), startReader(b)
		for i := range uint32(200) {
			send(t, a, b, 60, i)
			send(t, b, a, 60, i)
		}
		synctest.Wait()
		if x, y := numbers(ra.stop(t)), numbers(rb.stop(t)); cmp.Equal(x, y) || len(x) == 0 || len(y) == 0 {
			t.Errorf("%d and %d frames arrived, the same ones", len(x), len(y))
		}
	})
}

func TestBurstLoss(t *testing.T) {
	const n = 20000
	cfg := sim.Config{Seed: 5, Burst: sim.Burst{Enter: 0.02, Leave: 0.2}}
	got, _ := survivors(t, cfg, n)
	runs, next := 0, uint32(0)
	for _, g := range append(got, n) {
		if g != next {
			runs++
		}
		next = g + 1
	}
	lost := n - len(got)
	// A burst is 1/Leave = 5 frames long, and the link is bad for Enter/(Enter+Leave) = 1/11 of the time.
	if lost < n/11*8/10 || lost > n/11*12/10 {
		t.Errorf("lost %d of %d", lost, n)
	}
	if mean := float64(lost) / float64(runs); mean < 4 || mean > 6 {
		t.Errorf("a mean burst has %.2f frames", mean)
	}
	cfg.Burst.Loss = 0.5
	if half, _ := survivors(t, cfg, n); n-len(half) < lost*4/10 || n-len(half) > lost*6/10 {
		t.Errorf("with half the loss in a burst lost %d, with all %d", n-len(half), lost)
	}
}

func TestDuplicate(t *testing.T) {
	got, stats := survivors(t, sim.Config{Duplicate: 1}, 3)
	if !cmp.Equal(got, []uint32{0, 0, 1, 1, 2, 2}) || stats.Duplicated != 3 || stats.Delivered != 6 {
		t.Errorf("arrived %v, stats %+v", got, stats)
	}
}

func TestReorderHoldsBack(t *testing.T) {
	cfg := sim.Config{Delay: 10 * ms, ReorderDelay: 5 * ms}
	pair(t, cfg, func(s *sim.Segment, a, b *sim.Port, r *reader) {
		a.Update(func(c *sim.Config) { c.Reorder = 1 })
		send(t, a, b, 60, 1)
		a.Update(func(c *sim.Config) { c.Reorder = 0 })
		send(t, a, b, 60, 2)
		time.Sleep(3 * ms)
		send(t, a, b, 60, 3)
		time.Sleep(3 * ms)
		send(t, a, b, 60, 4)
		time.Sleep(time.Second)
		wantArrivals(t, r, []arrival{{10 * ms, 2}, {13 * ms, 3}, {15 * ms, 1}, {16 * ms, 4}})
		if got := s.Stats().Reordered; got != 1 {
			t.Errorf("Reordered = %d", got)
		}
	})
}

func TestReorderWithoutDelay(t *testing.T) {
	pair(t, sim.Config{Reorder: 1}, func(s *sim.Segment, a, b *sim.Port, r *reader) {
		send(t, a, b, 60, 1)
		s.Update(func(c *sim.Config) { c.Reorder = 0 })
		send(t, a, b, 60, 2)
		time.Sleep(time.Second)
		wantArrivals(t, r, []arrival{{0, 2}, {sim.DefaultReorderDelay, 1}})
	})
}

func TestFilter(t *testing.T) {
	count := 0
	cfg := sim.Config{ReorderDelay: 5 * ms}
	cfg.Filter = func(from *sim.Port, frame []byte) sim.Verdict {
		if from.Name() != "port1" || len(frame) != 60 {
			t.Errorf("filter got %d octets from %s", len(frame), from.Name())
		}
		count++
		return [...]sim.Verdict{sim.Pass, sim.Pass, sim.Drop, sim.Duplicate, sim.Reorder, sim.Pass}[count-1]
	}
	pair(t, cfg, func(s *sim.Segment, a, b *sim.Port, r *reader) {
		for i := range uint32(6) {
			send(t, a, b, 60, i+1)
		}
		time.Sleep(time.Second)
		wantArrivals(t, r, []arrival{{0, 1}, {0, 2}, {0, 4}, {0, 4}, {0, 6}, {5 * ms, 5}})
		if got := s.Stats().Filtered; got != 1 {
			t.Errorf("Filtered = %d", got)
		}
	})
}

func TestOversizeIsABlackHole(t *testing.T) {
	s := sim.NewSegment(sim.Config{MTU: 1400})
	defer s.Close()
	a, b := s.Port(), s.Port()
	if got := a.Info().MTU; got != 1400 {
		t.Errorf("Info().MTU = %d", got)
	}
	send(t, a, b, 14+1400, 0)
	send(t, a, b, 14+1401, 1)
	s.Update(func(c *sim.Config) { c.MTU = 576 })
	send(t, a, b, 14+577, 2)
	send(t, a, b, 14+576, 3)
	got := s.Stats()
	if got.Oversize != 2 || got.Delivered != 2 || a.Info().MTU != 1400 {
		t.Errorf("stats %+v, MTU %d", got, a.Info().MTU)
	}
}

func TestMalformedFramesAreRefused(t *testing.T) {
	for _, offload := range []bool{false, true} {
		s := sim.NewSegment(sim.Config{Offload: offload, Corrupt: 1})
		a, b := s.Port(), s.Port()
		for n, meta := range map[int]link.Meta{
			0: {}, 13: {},
			60: {NeedsChecksum: true, ChecksumStart: 40, ChecksumOffset: 19},
			61: {GSO: link.TCP4, HeaderLen: 54},
			62: {GSO: link.TCP4, HeaderLen: 63, GSOSize: 1},
			63: {GSO: link.TCP4, HeaderLen: 13, GSOSize: 1},
			64: {GSO: link.TCP6 + 1, HeaderLen: 54, GSOSize: 1},
		} {
			f := []link.Frame{newFrame(b.Info().MAC, a.Info().MAC, max(n, 14), 0)}
			f[0].Header, f[0].Meta = f[0].Header[:n], meta
			if _, err := a.Write(f); err != nil {
				t.Fatal(err)
			}
			f[0].Release()
		}
		if got := s.Stats(); got.Refused != 7 || got.Delivered != 0 {
			t.Errorf("offload %v: %+v", offload, got)
		}
		s.Close()
	}
}

func TestSwitching(t *testing.T) {
	s := sim.NewSegment(sim.Config{})
	defer s.Close()
	a, b, c := s.Port(), s.Port(), s.NewPort(sim.PortConfig{Name: "c", MAC: link.MAC{2, 1, 1, 1, 1, 1}})
	if got := s.Ports(); !cmp.Equal(got, []*sim.Port{a, b, c}, cmp.Comparer(func(x, y *sim.Port) bool { return x == y })) {
		t.Errorf("Ports = %v", got)
	}
	for _, tt := range []struct {
		name string
		dst  link.MAC
		want [3]uint64
	}{
		{"unicast", c.Info().MAC, [3]uint64{0, 0, 1}},
		{"broadcast", link.MAC{255, 255, 255, 255, 255, 255}, [3]uint64{0, 1, 1}},
		{"multicast", link.MAC{0x33, 0x33, 0, 0, 0, 1}, [3]uint64{0, 1, 1}},
		{"an address of no port", link.MAC{2, 9, 9, 9, 9, 9}, [3]uint64{0, 1, 1}},
		{"its own address", a.Info().MAC, [3]uint64{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var before, after [3]uint64
			for i, p := range []*sim.Port{a, b, c} {
				before[i] = p.Stats().Delivered
			}
			f := []link.Frame{newFrame(tt.dst, a.Info().MAC, 60, 0)}
			if _, err := a.Write(f); err != nil {
				t.Fatal(err)
			}
			f[0].Release()
			for i, p := range []*sim.Port{a, b, c} {
				after[i] = p.Stats().Delivered - before[i]
			}
			if after != tt.want {
				t.Errorf("delivered %v, want %v", after, tt.want)
			}
		})
	}
	if got := a.Stats().Unclaimed; got != 1 {
		t.Errorf("Unclaimed = %d", got)
	}
}

func TestReceiversOfABroadcastOwnTheirCopies(t *testing.T) {
	s := sim.NewSegment(sim.Config{Duplicate: 1})
	defer s.Close()
	a, b, c := s.Port(), s.Port(), s.Port()
	f := []link.Frame{newFrame(link.MAC{255, 255, 255, 255, 255, 255}, a.Info().MAC, 60, 7)}
	if _, err := a.Write(f); err != nil {
		t.Fatal(err)
	}
	f[0].Release()
	for _, p := range []*sim.Port{b, c} {
		got := make([]link.Frame, 4)
		n, err := p.Read(got)
		if n != 2 || err != nil {
			t.Fatal(n, err)
		}
		for i := range n {
			if got[i].Header[29] != 7 {
				t.Errorf("%s: another port wrote into the frame", p.Name())
			}
			clear(got[i].Header)
			got[i].Release()
		}
	}
}

func TestUnplugLosesBothDirections(t *testing.T) {
	s := sim.NewSegment(sim.Config{})
	defer s.Close()
	a, b := s.Port(), s.Port()
	b.Unplug(true)
	send(t, a, b, 60, 0)
	send(t, b, a, 60, 1)
	if got := s.Stats(); got.Unplugged != 2 || got.Delivered != 0 {
		t.Errorf("unplugged: %+v", got)
	}
	b.Unplug(false)
	send(t, a, b, 60, 2)
	if got := s.Stats(); got.Delivered != 1 {
		t.Errorf("plugged in again: %+v", got)
	}
}

func TestReceiveQueueIsBounded(t *testing.T) {
	s := sim.NewSegment(sim.Config{})
	defer s.Close()
	a, b := s.Port(), s.NewPort(sim.PortConfig{Queue: 100})
	for i := range uint32(150) {
		send(t, a, b, 60, i)
	}
	if got := b.Stats(); got.Delivered != 100 || got.Overflowed != 50 {
		t.Errorf("%+v", got)
	}
	frames := make([]link.Frame, 200)
	n, err := b.Read(frames)
	if n != 100 || err != nil {
		t.Fatal(n, err)
	}
	for i := range n {
		if frames[i].Header[29] != byte(i) {
			t.Errorf("frame %d is number %d", i, frames[i].Header[29])
		}
		frames[i].Release()
	}
}

func TestPortions(t *testing.T) {
	s := sim.NewSegment(sim.Config{})
	defer s.Close()
	a, b := s.Port(), s.NewPort(sim.PortConfig{Portions: true})
	for i := range uint32(80) {
		send(t, a, b, 60, i)
	}
	frames := make([]link.Frame, 200)
	next := byte(0)
	for _, want := range []int{20, 15, 12, 12, 12, 9} {
		n, err := b.Read(frames)
		if n != want || err != nil {
			t.Fatalf("Read = %d, %v, want %d frames", n, err, want)
		}
		for i := range n {
			if got := frames[i].Header[29]; got != next {
				t.Errorf("frame %d is number %d", next, got)
			}
			next++
			frames[i].Release()
		}
	}
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sim.NewSegment(sim.Config{Delay: time.Hour})
		a, b, c := s.Port(), s.Port(), s.Port()
		r := startReader(b)
		send(t, a, b, 60, 1)
		send(t, a, c, 60, 2)
		synctest.Wait()
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		send(t, a, b, 60, 3) // stays in flight
		for range 2 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		<-r.done
		// The frame to c found no port of that address any more and went to all.
		if !cmp.Equal(numbers(r.got), []uint32{1, 2}) || !errors.Is(r.err, link.ErrClosed) {
			t.Errorf("arrived %v, then %v", r.got, r.err)
		}
		for _, p := range []*sim.Port{a, s.Port()} {
			f := []link.Frame{newFrame(b.Info().MAC, a.Info().MAC, 60, 0)}
			if n, err := p.Write(f); n != 0 || err != link.ErrClosed {
				t.Errorf("%s: Write = %d, %v", p.Name(), n, err)
			}
			if n, err := p.Read(f[:1:1]); n != 0 || err != link.ErrClosed {
				t.Errorf("%s: Read = %d, %v", p.Name(), n, err)
			}
			f[0].Release()
		}
		if got := s.Stats(); got.Sent != 3 || len(s.Ports()) != 0 {
			t.Errorf("%+v, %d ports", got, len(s.Ports()))
		}
	})
}

func TestRunsInRealTime(t *testing.T) {
	s := sim.NewSegment(sim.Config{Delay: ms})
	defer s.Close()
	a, b := s.Port(), s.Port()
	sent := time.Now()
	send(t, a, b, 60, 1)
	frames := make([]link.Frame, 1)
	if n, err := b.Read(frames); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if took := time.Since(sent); took < ms {
		t.Errorf("arrived after %v, before its time", took)
	}
	frames[0].Release()
}

func TestEverythingAtOnce(t *testing.T) {
	s := sim.NewSegment(sim.Config{Delay: us, Jitter: us, Loss: 0.1, Duplicate: 0.1, Reorder: 0.1, ReorderDelay: us})
	stop := s.WritePcap(io.Discard)
	ports := []*sim.Port{s.Port(), s.Port(), s.Port()}
	var readers []*reader
	var writers sync.WaitGroup
	for i, p := range ports {
		readers = append(readers, startReader(p))
		writers.Go(func() {
			for k := range uint32(500) {
				send(t, p, ports[(i+1+int(k)%2)%3], 60, k)
				switch k % 50 {
				case 10:
					s.Update(func(c *sim.Config) { c.Delay = us - c.Delay })
				case 20:
					p.Unplug(k%100 < 50)
				case 30:
					s.Port().Close()
				case 40:
					_ = s.Stats()
				}
			}
		})
	}
	writers.Wait()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for _, r := range readers {
		<-r.done
	}
	if got := s.Stats(); got.Sent != 1500 {
		t.Errorf("%+v", got)
	}
}
