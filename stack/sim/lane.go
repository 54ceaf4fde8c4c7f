package sim

import "time"

// Lane is a port's way out without the port: it says when frames arrive that it never sees, for a simulation
// that keeps its own time and needs neither goroutines nor a bubble. The fate of its nth frame is that of the
// nth frame of the port with its number, on a segment of the same configuration. Two things are simpler: there
// is no filter, and a frame with a flipped bit counts as lost, since whoever receives it finds out. Its methods
// must not be called by two goroutines at once.
type Lane struct {
	plan *plan
	out  sender
}

// NewLane returns the lane of port number number, of which a segment's first is 1.
func NewLane(cfg Config, number int) *Lane {
	l := &Lane{plan: compile(cfg)}
	l.out.seed = portSeed(cfg.Seed, number)
	return l
}

// Send takes a frame of so many octets, link header included, at the moment now, which counts from any origin
// and never goes back. It returns when the frame arrives, and how often: not at all if it is lost, twice if it
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
