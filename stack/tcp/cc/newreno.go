package cc

import "github.com/unet-go/unet/internal/mono"

// newReno is the congestion control of RFC 5681, with congestion avoidance by octet counting. Its zero value
// is ready.
type newReno struct {
	// counted is the octets acknowledged since cwnd last grew in congestion avoidance.
	counted uint32
}

// blank says whether there is nothing to remember.
func (r *newReno) blank() bool { return r.counted == 0 }

// name returns "reno", as Linux calls it.
func (r *newReno) name() string { return "reno" }

// onAck grows cwnd by what was acknowledged in slow start, and by one SMSS for each flight of octets in
// congestion avoidance: no more than one SMSS per round trip (RFC 5681 3.1).
func (r *newReno) onAck(w *Window, acked, round uint32, limited bool, _ mono.Time) {
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

// onLoss returns half the flight, at least two segments (RFC 5681 equation 4). It is the flight that counts and
// not cwnd, which an application that sends little leaves far too large.
func (r *newReno) onLoss(_, flight, smss uint32) uint32 {
	r.counted = 0
	return max(flight/2, 2*smss)
}

// onTimeout begins a new count; slow start follows.
func (r *newReno) onTimeout() { r.counted = 0 }

// onIdle does nothing: growth depends on octets alone, and the time idle brought none.
func (r *newReno) onIdle(mono.Time) {}

// onUndo does nothing: cwnd and ssthresh are all that the loss took.
func (r *newReno) onUndo() {}
