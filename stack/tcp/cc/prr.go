package cc

// PRR is proportional rate reduction (RFC 9937 6): during fast recovery it lets leave as much as brings what is in the
// network down to ssthresh within a round trip.
type PRR struct {
	// Delivered and Out are how many octets were delivered and sent since recovery began.
	Delivered, Out uint32
	// RecoverFS is what was in flight then.
	RecoverFS uint32
}

// Sent notes octets that were sent during fast recovery.
func (p *PRR) Sent(octets uint32) { p.Out += octets }

// onAck sets cwnd for one acknowledgment (RFC 9937 6.2).
func (p *PRR) onAck(w *Window, a *Ack) {
	if a.Delivered == 0 && !a.Forced {
		w.Cwnd = max(w.InFlight, w.SMSS) // with nothing in the network only the timer would go on
		return
	}
	p.Delivered += a.Delivered
	var quota uint32
	if w.InFlight > w.Ssthresh {
		owed := (uint64(p.Delivered)*uint64(w.Ssthresh) + uint64(p.RecoverFS) - 1) / uint64(p.RecoverFS)
		quota = uint32(max(int64(owed)-int64(p.Out), 0))
	} else {
		quota = uint32(max(int64(p.Delivered)-int64(p.Out), int64(a.Delivered)))
		if a.Safe {
			quota += w.SMSS
		}
		quota = min(quota, w.Ssthresh-w.InFlight)
	}
	// What the application or the peer's window has kept back does not leave in one burst, which would fill the queue
	// that the cut is to drain: no faster than in slow start, or by a first flight.
	quota = min(quota, max(2*a.Delivered+w.SMSS, InitialWindow(w.SMSS)))
	if a.Forced {
		quota = max(quota, w.SMSS)
	}
	w.Cwnd = max(w.InFlight+quota, w.SMSS)
}
