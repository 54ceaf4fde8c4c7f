package sim_test

import (
	"slices"
	"testing"
	"time"

	"github.com/unet-go/unet/stack/sim"
)

// A lane is the port of its number: the same frames are lost, duplicated and held back, and arrive at the same time.
func TestLaneIsThePortsWayOut(t *testing.T) {
	cfg := sim.Config{Seed: 7, Rate: 1e7, Queue: 20, Delay: 3 * ms, Jitter: 2 * ms, Loss: 0.1,
		Burst: sim.Burst{Enter: 0.02, Leave: 0.3}, Duplicate: 0.1, Reorder: 0.1, ReorderDelay: 4 * ms}
	pair(t, cfg, func(_ *sim.Segment, a, b *sim.Port, r *reader) {
		lane, other := sim.NewLane(cfg, 1), sim.NewLane(cfg, 2)
		var want []arrival
		differ := false
		start := time.Now()
		for number := range uint32(1000) {
			n := 100 + int(number*37%1000)
			send(t, a, b, n, number)
			at, copies := lane.Send(time.Since(start), n)
			for _, at := range at[:copies] {
				want = append(want, arrival{at: at, number: number})
			}
			_, others := other.Send(time.Since(start), n)
			differ = differ || others != copies
			time.Sleep(400 * time.Microsecond)
		}
		time.Sleep(time.Second)
		// What arrives at one moment does so in the order of departure.
		slices.SortStableFunc(want, func(x, y arrival) int { return int(x.at - y.at) })
		wantArrivals(t, r, want)
		if s := a.Stats(); !differ || s.QueueDropped == 0 || s.Lost == 0 || s.Duplicated == 0 || s.Reordered == 0 {
			t.Errorf("the path was too kind, or its two directions alike: %+v", s)
		}
	})
	t.Run("what is too large or damaged does not arrive", func(t *testing.T) {
		if _, copies := sim.NewLane(sim.Config{MTU: 1000}, 1).Send(0, 1015); copies != 0 {
			t.Error("a frame above the MTU arrived")
		}
		if _, copies := sim.NewLane(sim.Config{Corrupt: 1}, 1).Send(0, 1000); copies != 0 {
			t.Error("a damaged frame arrived")
		}
	})
}
