package tcp

import (
	"time"

	"github.com/unet-go/unet/internal/mono"
)

// usage says how far the flow has used cwnd in the current window of data: up to end.
//
// Of the two rules there are, growth follows Linux's, which is the stricter one in congestion avoidance: cwnd grows
// for every acknowledgment of a window in which it was the limit, however the application paused since, and in slow
// start also while it is less than twice what the window put into the network, so that the next flight may be twice as
// large (RFC 5681 3.1; RFC 7661 4.3 would let congestion avoidance grow too from half a window on, which is more than
// RFC 9438 4.2 allows). A flight that never came near cwnd raises nothing.
type usage struct {
	limited bool      // cwnd has kept text back, or left no room for a segment
	peak    uint32    // the most that was in the network; where limited says so, since it does
	end     Seq       // SND.NXT when that was noted
	since   mono.Time // when Conn.used was last brought up to date
}

// noteUsage takes what the sending of new text, or cwnd in its way, says about the use of cwnd.
func (c *Conn) noteUsage(sent bool, now mono.Time) {
	u, pipe := &c.tx.usage, c.pipe()
	limited := pipe+uint32(c.smss) > c.cwnd
	if !sent && !limited {
		return
	}
	next := u.end.LessThanEq(c.snd.una)
	if next {
		c.fadeUsed(now)
	}
	if next || limited || !u.limited && pipe > u.peak {
		peak := pipe
		if limited && u.limited && !next {
			peak = max(peak, u.peak)
		}
		u.limited, u.peak, u.end = limited, peak, c.snd.nxt
	}
	c.used = max(c.used, pipe)
}

// mayGrow says whether what is acknowledged now may raise cwnd.
func (c *Conn) mayGrow() bool {
	u := &c.tx.usage
	return u.limited || c.cwnd < c.ssthresh && uint64(c.cwnd) < 2*uint64(u.peak)
}

// forgetUsage ends the window of data: cwnd has been set to what this window did not measure.
func (c *Conn) forgetUsage() {
	u := &c.tx.usage
	u.limited, u.peak, u.end = false, 0, c.snd.una
}

// lossWindow is window for a controller that computes ssthresh from cwnd. A cwnd that has not been used for a while may
// be far more than the path carries now: what counts is twice the most that was lately in the network, which is as far
// as slow start would have let it grow, and the initial window, which anybody may send.
func (c *Conn) lossWindow() *Window {
	w := c.window()
	w.Cwnd = min(w.Cwnd, max(uint32(min(2*uint64(c.used), maxCwnd)), initialWindow(c.smss)))
	return w
}

// fadeUsed halves what is remembered of the use of cwnd with each RTO that passes.
func (c *Conn) fadeUsed(now mono.Time) {
	u, rto := &c.tx.usage, max(micros(c.rto), time.Microsecond)
	if passed := min(now.Sub(u.since), rto); passed > 0 {
		c.used -= uint32(int64(c.used) * int64(passed) / int64(2*rto))
	}
	u.since = now
}
