package sim

import "time"

// Lane is the sending side of a port without the port. It computes when frames would arrive from their lengths alone, for
// a simulation that keeps its own time and needs neither goroutines nor a bubble. The nth frame of a lane has the same
// fate as the nth frame of the port with the same number, on a segment of the same configuration. Two things are simpler:
// there is no filter, and a frame with a flipped bit counts as lost, since its receiver would drop it. Its methods
// must not be called by two goroutines at once.
type Lane struct {
	plan *plan
	out  sender
}

// NewLane returns the lane of the port with the given number. A segment's first port has number 1.
func NewLane(cfg Config, number int) *Lane {
	l := &Lane{plan: compile(cfg)}
	l.out.seed = portSeed(cfg.Seed, number)
	return l
}

// Send sends a frame of the given length in octets, link header included, at the time now, which counts from any origin
// and never goes back. It returns the times at which the frame arrives, and their number: 0 if it is lost, 2 if it
// is duplicated.
func (l *Lane) Send(now time.Duration, octets int) (at [2]time.Duration, copies int) {
	w, pl := &l.out, l.plan
	w.number++
	if octets-etherLen > pl.MTU {
		return at, 0
	}
	var ft fate
	lost := w.draw(pl, &ft)
	left, ok := w.serialise(pl, now, octets)
	if !ok || lost || ft.corrupt {
		return at, 0
	}
	due := left + pl.Delay + ft.jitter
	if ft.reorder {
		at[0] = max(due, w.last) + pl.ReorderDelay
	} else {
		due = max(due, w.last)
		w.last, at[0] = due, due
	}
	if !ft.duplicate {
		return at, 1
	}
	w.last = max(due, w.last)
	at[1] = w.last
	return at, 2
}
