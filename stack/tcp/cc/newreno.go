package cc

import (
	"time"

	"github.com/unet-go/unet/internal/mono"
)

// newReno is the congestion control of RFC 5681, with congestion avoidance by octet counting. Its zero value
// is ready.
type newReno struct {
	lossBased
	// counted is the octets acknowledged since cwnd last grew in congestion avoidance.
	counted uint32
}

// Blank says whether there is nothing to remember.
func (r *newReno) Blank() bool { return r.counted == 0 }

// Name returns "reno", as Linux calls it.
func (r *newReno) Name() string { return "reno" }

// OnAck grows cwnd outside of recovery.
func (r *newReno) OnAck(w *Window, a *Ack, _ mono.Time) {
	if acked, round, limited, ok := r.lossBased.onAck(w, a); ok && limited {
		r.grow(w, acked, round)
	}
}

// OnRecovery cuts ssthresh, if ECN has not done so for this flight.
func (r *newReno) OnRecovery(w *Window, e Reduction, _ mono.Time) {
	if !e.Again {
		w.Ssthresh = r.cut(e.Flight, w.SMSS)
	}
	r.beginReduction(w, e)
}

// OnTimeout sets cwnd to one segment (RFC 5681 3.1, RFC 6675 5.1).
func (r *newReno) OnTimeout(w *Window, e Reduction, _ mono.Time) {
	if !e.Again {
		w.Ssthresh = r.cut(e.Flight, w.SMSS)
	}
	r.counted = 0
	w.Cwnd = w.SMSS
}

// OnSignal cuts cwnd and ssthresh.
func (r *newReno) OnSignal(w *Window, _ Signal, flight uint32, _ mono.Time) {
	r.onSignal(w, r.cut(flight, w.SMSS))
}

// OnUndo brings back cwnd and ssthresh, which are all that the loss took.
func (r *newReno) OnUndo(w *Window, prior Prior, _ mono.Time) { r.onUndo(w, prior) }

// OnIdle restarts: growth depends on octets alone, and the time idle brought none.
func (r *newReno) OnIdle(w *Window, _ time.Duration, _ mono.Time) { r.restart(w) }

// grow grows cwnd by what was acknowledged in slow start, and by one SMSS for each flight of octets in
// congestion avoidance: no more than one SMSS per round trip (RFC 5681 3.1).
func (r *newReno) grow(w *Window, acked, round uint32) {
	if w.InSlowStart() {
		r.counted = 0
		if acked = w.slowStart(acked); acked == 0 {
			return
		}
	}
	// A round trip's worth is what was in flight: where cwnd is no whole number of segments, it is less than cwnd.
	if round = min(round, w.Cwnd); round == 0 {
		round = w.Cwnd
	}
	// Neither a cwnd that the connection has cut meanwhile nor an ACK of more than a flight may buy two SMSS.
	r.counted = min(r.counted, round) + min(acked, round)
	if r.counted >= round {
		r.counted -= round
		w.grow(w.SMSS)
	}
}

// cut returns half the flight, at least two segments (RFC 5681 equation 4), for ssthresh. It is the flight that counts and
// not cwnd, which an application that sends little leaves far too large.
func (r *newReno) cut(flight, smss uint32) uint32 {
	r.counted = 0
	return max(flight/2, 2*smss)
}
