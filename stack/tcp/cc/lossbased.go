package cc

import (
	"time"

	"github.com/unet-go/unet/internal/mono"
)

// law is what tells CUBIC and NewReno apart: how the window grows, and how far a loss cuts it.
type law interface {
	name() string
	// blank says whether there is nothing to remember.
	blank() bool
	// onAck grows cwnd for acked octets. round is how many octets a round trip acknowledges, zero if that is not known.
	// limited says that Cwnd was what limited the flow in this window of data, or in slow start that at least half of Cwnd
	// was used: only then may Cwnd grow (RFC 5681 errata, RFC 7661 4.3).
	onAck(w *Window, acked, round uint32, limited bool, now mono.Time)
	// onLoss returns the ssthresh for a loss event with flight octets outstanding, at least 2*SMSS (RFC 5681 equation 4,
	// RFC 9438 4.6), and notes the event. cwnd is the part of the window that was lately used.
	onLoss(cwnd, flight, smss uint32) uint32
	// onTimeout follows onLoss, if that was called for the same data, when the retransmission timer has expired.
	onTimeout()
	onIdle(now mono.Time)
	// onUndo tells that the last loss event was spurious.
	onUndo()
}

// lossBased is a Controller that grows cwnd until something is lost: what all of them do around the law of each.
type lossBased[L any, P interface {
	*L
	law
}] struct{ state L }

func (b *lossBased[L, P]) law() P { return &b.state }

func (b *lossBased[L, P]) Name() string       { return b.law().name() }
func (b *lossBased[L, P]) Blank() bool        { return b.law().blank() }
func (b *lossBased[L, P]) Sampler() *Sampler  { return nil }
func (b *lossBased[L, P]) PacingRate() uint64 { return 0 }

func (b *lossBased[L, P]) OnLost(*Window, *Loss, mono.Time) {}

// OnAck grows cwnd outside recovery, and reduces it proportionally in recovery.
func (b *lossBased[L, P]) OnAck(w *Window, a *Ack, now mono.Time) {
	switch a.Phase {
	case Recovery:
		w.Flight.PRR.onAck(w, a)
		return
	case Reduced:
		return
	case Open:
		if a.Echo {
			return
		}
	case Timeout:
	}
	if a.Acked == 0 {
		return
	}
	f := w.Flight
	acked, round, limited := a.Acked, f.Usage.round(w.Cwnd), f.Usage.mayGrow(w)
	if limited {
		acked = f.HyStart.onAck(w, a)
	} else {
		f.HyStart.pass(a.Una)
	}
	b.law().onAck(w, acked, round, limited, now)
}

// reduce sets ssthresh for a loss event.
func (b *lossBased[L, P]) reduce(w *Window, flight uint32) {
	w.Ssthresh = b.law().onLoss(w.validated(), flight, w.SMSS)
}

// OnRecovery begins proportional rate reduction towards the new ssthresh, which ECN may have set for this flight already.
func (b *lossBased[L, P]) OnRecovery(w *Window, r Reduction, _ mono.Time) {
	if !r.Again {
		b.reduce(w, r.Flight)
	}
	w.Flight.PRR = PRR{RecoverFS: max(r.InNetwork, w.SMSS)}
}

// OnRecovered sets cwnd to ssthresh (RFC 9937 6.2), or to half of it where the network is so empty that this would be a
// burst of more than three first flights: slow start makes up for the rest in a round trip.
func (b *lossBased[L, P]) OnRecovered(w *Window, _ mono.Time) {
	w.Cwnd = max(min(w.Ssthresh, max(w.Ssthresh/2, w.InFlight+3*InitialWindow(w.SMSS))), w.SMSS)
}

// OnTimeout sets cwnd to one segment (RFC 5681 3.1, RFC 6675 5.1).
func (b *lossBased[L, P]) OnTimeout(w *Window, r Reduction, _ mono.Time) {
	if !r.Again {
		b.reduce(w, r.Flight)
	}
	b.law().onTimeout()
	w.Cwnd = w.SMSS
}

// OnSignal cuts cwnd to the new ssthresh at once.
func (b *lossBased[L, P]) OnSignal(w *Window, _ Signal, flight uint32, _ mono.Time) {
	b.reduce(w, flight)
	w.Cwnd = min(w.Cwnd, max(w.Ssthresh, w.SMSS))
}

// OnUndo gives back what the latest reduction took (RFC 9438 4.9, RFC 4015).
func (b *lossBased[L, P]) OnUndo(w *Window, prior Prior, _ mono.Time) {
	w.Cwnd, w.Ssthresh = max(w.Cwnd, prior.Cwnd), max(w.Ssthresh, prior.Ssthresh)
	b.law().onUndo()
}

// OnIdle brings cwnd back to its initial size (RFC 5681 4.1). Ssthresh remembers most of what the path has carried, so
// that slow start comes back there soon (RFC 7661 4.4.1).
func (b *lossBased[L, P]) OnIdle(w *Window, _ time.Duration, now mono.Time) {
	b.law().onIdle(now)
	if initial := InitialWindow(w.SMSS); w.Cwnd > initial {
		w.Ssthresh = max(w.Ssthresh, w.Cwnd/4*3)
		w.Cwnd = initial
	}
}
