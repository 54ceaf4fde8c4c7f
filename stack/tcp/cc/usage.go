package cc

import (
	"time"

	"github.com/unet-go/unet/internal/mono"
)

// Usage says how far a flow has used cwnd in the current window of data: up to end.
//
// Of the two rules there are, growth follows Linux's, which is the stricter one in congestion avoidance: cwnd grows
// for every acknowledgment of a window in which it was the limit, however the application paused since, and in slow
// start also while it is less than twice what the window put into the network, so that the next flight may be twice as
// large (RFC 5681 3.1; RFC 7661 4.3 would let congestion avoidance grow too from half a window on, which is more than
// RFC 9438 4.2 allows). A flight that never came near cwnd raises nothing.
type Usage struct {
	limited bool      // cwnd has kept text back, or left no room for a segment
	peak    uint32    // the most that was in the network; the latest such amount if limited
	end     uint32    // SND.NXT when that was noted
	faded   mono.Time // when the connection's Window.Used was last brought up to date
}

// Begin begins a window of data at una, for a connection that sent something at last most recently.
func (u *Usage) Begin(una uint32, last mono.Time) { *u = Usage{end: una, faded: last} }

// Forget ends the window of data: cwnd has been set to what this window did not measure.
func (u *Usage) Forget(una uint32) { u.limited, u.peak, u.end = false, 0, una }

// Note takes what the sending of new text, or cwnd in its way, says about the use of cwnd: limited says that inFlight, which
// is in the network now, leaves no room in cwnd for a segment. una and nxt are SND.UNA and SND.NXT. used is what the
// connection remembers as Window.Used; it fades with each rto.
func (u *Usage) Note(inFlight, una, nxt uint32, limited bool, used *uint32, rto time.Duration, now mono.Time) {
	next := reached(una, u.end)
	if next {
		u.fade(used, rto, now)
	}
	if next || limited || !u.limited && inFlight > u.peak {
		peak := inFlight
		if limited && u.limited && !next {
			peak = max(peak, u.peak)
		}
		u.limited, u.peak, u.end = limited, peak, nxt
	}
	*used = max(*used, inFlight)
}

// fade halves what is remembered of the use of cwnd with each RTO that passes.
func (u *Usage) fade(used *uint32, rto time.Duration, now mono.Time) {
	rto = max(rto, time.Microsecond)
	if passed := min(now.Sub(u.faded), rto); passed > 0 {
		*used -= uint32(int64(*used) * int64(passed) / int64(2*rto))
	}
	u.faded = now
}

// mayGrow says whether what is acknowledged now may raise cwnd.
func (u *Usage) mayGrow(w *Window) bool {
	return u.limited || w.InSlowStart() && uint64(w.Cwnd) < 2*uint64(u.peak)
}

// round returns the most that was in the network in a window of data that cwnd has limited, at most cwnd: all of it but
// the room in which no full segment finds place. It is what a round trip acknowledges. Zero if that is not known.
func (u *Usage) round(cwnd uint32) uint32 {
	if u.limited {
		return min(u.peak, cwnd)
	}
	return 0
}

// validated returns cwnd for a controller that computes ssthresh from it. A cwnd that has not been used for a while may
// be far more than the path carries now: what counts is twice the most that was lately in the network, which is as far
// as slow start would have let it grow, and the initial window, which anybody may send.
func (w *Window) validated() uint32 {
	return min(w.Cwnd, max(uint32(min(2*uint64(w.Used), MaxCwnd)), InitialWindow(w.SMSS)))
}
