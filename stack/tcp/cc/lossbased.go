package cc

import "github.com/unet-go/unet/internal/mono"

// lossBased is what CUBIC and NewReno have in common: they grow cwnd until something is lost. What tells them apart is how
// cwnd grows, and how far a loss cuts it.
type lossBased struct{}

// Sampler returns nil: a controller that goes by losses needs no delivery rates.
func (lossBased) Sampler() *Sampler { return nil }

// PacingRate returns 0.
func (lossBased) PacingRate() uint64 { return 0 }

// OnLost does nothing: the beginning of recovery says enough.
func (lossBased) OnLost(*Window, *Loss, mono.Time) {}

// OnRecovered sets cwnd to ssthresh (RFC 9937 6.2), or to half of it where the network is so empty that this would be a
// burst of more than three first flights: slow start makes up for the rest in a round trip.
func (lossBased) OnRecovered(w *Window, _ mono.Time) {
	w.Cwnd = max(min(w.Ssthresh, max(w.Ssthresh/2, w.InFlight+3*InitialWindow(w.SMSS))), w.SMSS)
}

// onAck does what is the same for every acknowledgment: in fast recovery it reduces cwnd proportionally. Elsewhere it
// returns for how many octets cwnd may grow, and how many a round trip acknowledges, zero if that is not known. limited says
// that Cwnd was what limited the flow in this window of data, or in slow start that at least half of Cwnd was used: only
// then may Cwnd grow (RFC 5681 errata, RFC 7661 4.3).
func (lossBased) onAck(w *Window, a *Ack) (acked, round uint32, limited, ok bool) {
	if a.Phase == Recovery {
		w.Flight.PRR.onAck(w, a)
		return 0, 0, false, false
	}
	if a.Acked == 0 || a.Phase == Reduced || a.Echo && a.Phase == Open {
		return 0, 0, false, false
	}
	f := w.Flight
	round, limited = f.Usage.round(w.Cwnd), f.Usage.mayGrow(w)
	if limited {
		return f.HyStart.onAck(w, a), round, true, true
	}
	f.HyStart.pass(a.Una)
	return a.Acked, round, false, true
}

// beginReduction begins proportional rate reduction towards ssthresh.
func (lossBased) beginReduction(w *Window, r Reduction) {
	w.Flight.PRR = PRR{RecoverFS: max(r.InNetwork, w.SMSS)}
}

// onSignal cuts cwnd to the new ssthresh at once.
func (lossBased) onSignal(w *Window, ssthresh uint32) {
	w.Ssthresh = ssthresh
	w.Cwnd = min(w.Cwnd, max(ssthresh, w.SMSS))
}

// onUndo gives back what the latest reduction took (RFC 9438 4.9, RFC 4015).
func (lossBased) onUndo(w *Window, prior Prior) {
	w.Cwnd, w.Ssthresh = max(w.Cwnd, prior.Cwnd), max(w.Ssthresh, prior.Ssthresh)
}

// restart brings cwnd back to its initial size after an idle time (RFC 5681 4.1). Ssthresh remembers most of what the path
// has carried, so that slow start comes back there soon (RFC 7661 4.4.1).
func (lossBased) restart(w *Window) {
	if initial := InitialWindow(w.SMSS); w.Cwnd > initial {
		w.Ssthresh = max(w.Ssthresh, w.Cwnd/4*3)
		w.Cwnd = initial
	}
}
