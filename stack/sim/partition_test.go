package sim_test

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
)

// trio runs fn in a bubble with a segment of three ports, all of which are read.
func trio(t *testing.T, cfg sim.Config, fn func(s *sim.Segment, ports [3]*sim.Port, readers [3]*reader)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := sim.NewSegment(cfg)
		defer s.Close()
		var ports [3]*sim.Port
		var readers [3]*reader
		for i := range ports {
			ports[i] = s.Port()
			readers[i] = startReader(ports[i])
		}
		fn(s, ports, readers)
	})
}

// sendAll sends a frame from each port to each other one, numbered by both: 12 is from the first to the second.
func sendAll(t *testing.T, ports [3]*sim.Port) {
	t.Helper()
	for i, from := range ports {
		for j, to := range ports {
			if i != j {
				send(t, from, to, 60, uint32(10*(i+1)+j+1))
			}
		}
	}
}

func TestPartition(t *testing.T) {
	for _, c := range []struct {
		name string
		cut  func(s *sim.Segment, p [3]*sim.Port)
		want [3][]uint32
		lost uint64
	}{
		{"two ports", func(s *sim.Segment, p [3]*sim.Port) { s.Partition(p[0], p[1]) },
			[3][]uint32{{31}, {32}, {13, 23}}, 2},
		{"one from all", func(s *sim.Segment, p [3]*sim.Port) { s.Partition(p[2]) },
			[3][]uint32{{21}, {12}, nil}, 4},
		{"two calls add up", func(s *sim.Segment, p [3]*sim.Port) { s.Partition(p[0], p[1]); s.Partition(p[1], p[2]) },
			[3][]uint32{{31}, nil, {13}}, 4},
		{"one is healed", func(s *sim.Segment, p [3]*sim.Port) { s.Partition(p[0]); s.Partition(p[1], p[2]); s.Heal(p[2]) },
			[3][]uint32{{31}, {32}, {13, 23}}, 2},
		{"all are healed", func(s *sim.Segment, p [3]*sim.Port) { s.Heal(); s.Partition(p[0]); s.Partition(p[1]); s.Heal() },
			[3][]uint32{{21, 31}, {12, 32}, {13, 23}}, 0},
		{"from itself", func(s *sim.Segment, p [3]*sim.Port) { s.Partition(p[0], p[0]) },
			[3][]uint32{{21, 31}, {12, 32}, {13, 23}}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			trio(t, sim.Config{}, func(s *sim.Segment, ports [3]*sim.Port, readers [3]*reader) {
				c.cut(s, ports)
				sendAll(t, ports)
				if got := s.Stats().Partitioned; got != c.lost {
					t.Errorf("%d frames are counted, want %d", got, c.lost)
				}
				synctest.Wait()
				for i, r := range readers {
					if diff := cmp.Diff(c.want[i], numbers(r.stop(t))); diff != "" {
						t.Errorf("port %d (-want +got):\n%s", i+1, diff)
					}
				}
			})
		})
	}
}

// A partition cuts broadcasts off as well, and frames that are on their way when it begins; one on its way when it ends arrives.
func TestPartitionOfFramesOnTheirWay(t *testing.T) {
	trio(t, sim.Config{Delay: 10 * ms}, func(s *sim.Segment, ports [3]*sim.Port, readers [3]*reader) {
		broadcast := func(number uint32) {
			f := []link.Frame{newFrame(link.MAC{255, 255, 255, 255, 255, 255}, ports[0].Info().MAC, 60, number)}
			if _, err := ports[0].Write(f); err != nil {
				t.Fatal(err)
			}
			f[0].Release()
		}
		broadcast(1)
		time.Sleep(5 * ms)
		s.Partition(ports[0], ports[1])
		time.Sleep(6 * ms)
		broadcast(2)
		time.Sleep(5 * ms)
		s.Heal()
		time.Sleep(6 * ms)
		if diff := cmp.Diff([]uint32{2}, numbers(readers[1].stop(t))); diff != "" {
			t.Errorf("behind the partition (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]uint32{1, 2}, numbers(readers[2].stop(t))); diff != "" {
			t.Errorf("beside it (-want +got):\n%s", diff)
		}
	})
}

// A frame that does not reach a port is in the capture a second time: as lost there, when it is lost.
func TestLostAtTheFarEndIsMarked(t *testing.T) {
	for _, c := range []struct {
		name, comment string
		lose          func(s *sim.Segment, a, b *sim.Port)
	}{
		{"unplugged", "dropped: unplugged", func(_ *sim.Segment, _, b *sim.Port) { b.Unplug(true) }},
		{"without a carrier", "dropped: unplugged", func(_ *sim.Segment, _, b *sim.Port) { b.SetCarrier(false) }},
		{"partitioned", "dropped: partitioned", func(s *sim.Segment, a, b *sim.Port) { s.Partition(a, b) }},
	} {
		for _, delay := range []time.Duration{0, 3 * ms} {
			pair(t, sim.Config{Delay: delay}, func(s *sim.Segment, a, b *sim.Port, r *reader) {
				var file bytes.Buffer
				stop := s.WritePcap(&file)
				c.lose(s, a, b)
				start := time.Now()
				send(t, a, b, 60, 1)
				time.Sleep(10 * ms)
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				got := readPcap(t, file.Bytes(), start)
				if len(got) != 2 {
					t.Fatalf("%s: %d frames in the capture, want 2", c.name, len(got))
				}
				want := []captured{{0, a.Name(), got[0].Data, "", false}, {delay, b.Name(), got[0].Data, c.comment, true}}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s, delay %v (-want +got):\n%s", c.name, delay, diff)
				}
				if n := len(r.stop(t)); n != 0 {
					t.Errorf("%s: %d frames arrived", c.name, n)
				}
			})
		}
	}
}

// The host learns of another MTU, once for each change, and at once if it is another one than at first.
func TestSetMTU(t *testing.T) {
	pair(t, sim.Config{}, func(s *sim.Segment, a, b *sim.Port, r *reader) {
		var got []int
		a.SetMTU(1400)
		a.WatchMTU(func(mtu int) { got = append(got, mtu) })
		a.SetMTU(1400)
		send(t, a, b, 1415, 1)
		a.SetMTU(0) // the default
		send(t, a, b, 1415, 2)
		a.Close()
		a.SetMTU(1300)
		synctest.Wait()
		if arrived := numbers(r.stop(t)); !cmp.Equal(arrived, []uint32{2}) {
			t.Errorf("frames %v arrived, want the second", arrived)
		}
		if want := []int{1400, 1500}; !cmp.Equal(got, want) {
			t.Errorf("the host was told %v, want %v", got, want)
		}
		if mtu := a.Info().MTU; mtu != 1500 {
			t.Errorf("Info has %d", mtu)
		}
	})
}

// The host learns of its carrier, once for each change, and at once if it is away already; nothing after Close.
func TestCarrier(t *testing.T) {
	pair(t, sim.Config{}, func(s *sim.Segment, a, b *sim.Port, r *reader) {
		var got []bool
		b.SetCarrier(false)
		b.WatchCarrier(func(up bool) { got = append(got, up) })
		b.SetCarrier(false)
		send(t, a, b, 60, 1)
		b.Unplug(true)
		b.SetCarrier(true)
		send(t, a, b, 60, 2)
		b.Unplug(false)
		send(t, a, b, 60, 3)
		synctest.Wait()
		if arrived := numbers(r.stop(t)); !cmp.Equal(arrived, []uint32{3}) {
			t.Errorf("frames %v arrived, want the third", arrived)
		}
		b.SetCarrier(false)
		if want := []bool{false, true}; !cmp.Equal(got, want) {
			t.Errorf("the host was told %v, want %v", got, want)
		}
		if n := s.Stats().Unplugged; n != 2 {
			t.Errorf("%d frames are counted, want 2", n)
		}
	})
}
