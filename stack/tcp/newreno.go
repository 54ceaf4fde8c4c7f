package tcp

import (
	"time"

	"github.com/unet-go/unet/internal/mono"
)

// newReno is the congestion control of RFC 5681, with congestion avoidance by octet counting. Its zero value
// is ready.
type newReno struct {
	// counted is the octets acknowledged since cwnd last grew in congestion avoidance.
	counted uint32
}

// blank says whether there is nothing to remember.
func (r *newReno) blank() bool { return r.counted == 0 }

// Name returns "reno", as Linux calls it.
func (r *newReno) Name() string { return "reno" }

// OnAck grows cwnd by what was acknowledged in slow start, and by one SMSS for each flight of octets in
// congestion avoidance: no more than one SMSS per round trip (RFC 5681 3.1).
func (r *newReno) OnAck(w *Window, acked uint32, limited bool, _ time.Duration, _ mono.Time) {
	if !limited {
		return
	}
	if w.InSlowStart() {
		r.counted = 0
		if acked = w.slowStart(acked); acked == 0 {
			return
		}
	}
	// A round trip's worth is what was in flight: where cwnd is no whole number of segments, it is less than cwnd.
	round := w.Cwnd
	if w.Flight > 0 {
		round = min(round, w.Flight)
	}
	// Neither a cwnd that the connection has cut meanwhile nor an ACK of more than a flight may buy two SMSS.
	r.counted = min(r.counted, round) + min(acked, round)
	if r.counted >= round {
		r.counted -= round
		w.grow(w.SMSS)
	}
}

// OnLoss returns half the flight, at least two segments (RFC 5681 equation 4). It is the flight that counts and
// not cwnd, which an application that sends little leaves far too large.
func (r *newReno) OnLoss(w *Window, flight uint32, _ mono.Time) uint32 {
	r.counted = 0
	return max(flight/2, 2*w.SMSS)
}

// OnTimeout begins the count anew; slow start follows.
func (r *newReno) OnTimeout(*Window, mono.Time) { r.counted = 0 }

// OnIdle does nothing: growth depends on octets alone, and the time idle brought none.
func (r *newReno) OnIdle(*Window, time.Duration, mono.Time) {}

// OnUndo does nothing: the connection restores all that the loss took.
func (r *newReno) OnUndo(*Window, mono.Time) {}
