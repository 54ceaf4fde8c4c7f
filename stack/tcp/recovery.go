package tcp

import (
	"time"

	"github.com/unet-go/unet/internal/mono"
)

// recovery is the state of loss detection and recovery, which lives while something is in flight.
type recovery struct {
	// RACK (RFC 8985 5.2): the transmission time and end of the segment sent last among those delivered,
	// its round-trip time, and the highest number delivered.
	rackXmit mono.Time
	rackEnd  Seq
	rackRTT  time.Duration
	fack     Seq
	reoAt    mono.Time // when the reordering window of a suspected segment ends

	// PRR (RFC 9937 6): octets delivered and sent since recovery began, and RecoverFS.
	prrDelivered, prrOut, recoverFS uint32
	force                           bool // the next segment leaves whatever cwnd says

	hystart hystart
	usage   usage
	frto    frtoStep
	cwrEnd  Seq    // SND.NXT when ECN has cut the window
	lossUna Seq    // snd.una at the last timeout
	reno    uint32 // octets that duplicate ACKs say have left, without SACK
}

// recovering says whether loss recovery is on.
func (c *Conn) recovering() bool { return c.ca == caRecovery || c.ca == caLoss }

// flightSize is FlightSize of RFC 5681 2.
func (c *Conn) flightSize() uint32 { return c.snd.nxt.Distance(c.snd.una) }

// pipe estimates the octets that are in the network (RFC 6675 4).
func (c *Conn) pipe() uint32 {
	tx := c.tx
	if tx == nil {
		return 0
	}
	gone := tx.sb.sacked + tx.sb.lost + tx.reno
	return c.flightSize() - min(gone, c.flightSize())
}

// react is congestion control's answer to an acknowledgment.
func (c *Conn) react(seg *Segment, ev *ackEvent, now mono.Time) {
	tx := c.tx
	lost := tx.sb.lost
	c.cc.loss.reo.pass(c.snd.una)
	c.expireUndo()
	if c.has(flagSACK) {
		if tx.sb.sacked > 0 || tx.sb.lost > 0 || c.recovering() {
			c.detect(now)
		}
	} else {
		c.countDuplicate(ev)
	}
	c.endTLP(seg, ev, now)
	if c.ca == caCWR && tx.cwrEnd.LessThanEq(c.snd.una) {
		c.ca = caOpen
	}
	echo := seg.Has(ECE) && c.has(flagECN)
	if echo {
		c.heedECE(ev, now)
	}
	switch c.ca {
	case caOpen, caCWR:
		if tx.sb.lost > 0 {
			c.enterRecovery(ev, now)
			c.prr(ev.delivered, false)
		} else if ev.acked > 0 && c.ca == caOpen && !echo {
			c.grow(ev, now)
		}
	case caRecovery:
		if c.recover.LessThanEq(c.snd.una) {
			c.exitRecovery()
			return
		}
		// SafeACK: it makes progress and shows no further loss.
		c.prr(ev.delivered, ev.acked > 0 && tx.sb.lost <= lost)
	case caLoss:
		if c.forwardRTO(seg, ev, now) {
			return
		}
		if c.recover.LessThanEq(c.snd.una) {
			c.ca = caOpen
			tx.reno, c.dupACKs = 0, 0
		}
		if ev.acked > 0 {
			c.grow(ev, now)
		}
	}
}

// grow lets the controller raise cwnd, and the send buffer with it.
func (c *Conn) grow(ev *ackEvent, now mono.Time) {
	w := c.window()
	acked, limited := ev.acked, c.mayGrow()
	if limited {
		acked = c.tx.hystart.onAck(w, c.snd.una, c.snd.nxt, acked, ev.rtt)
	} else {
		c.tx.hystart.pass(c.snd.una)
	}
	c.cc.OnAck(w, acked, limited, ev.rtt, now)
	c.setCwnd(w)
	if !c.has(flagSendFixed) && c.env.Pressure == Ample {
		// More than the peer's window can never be in flight, though cwnd may be up to twice that.
		want := min(int64(min(w.Cwnd, c.snd.maxWnd))*2, int64(c.env.Config.MaxSendBuffer))
		c.sndBuf = max(c.sndBuf, int32(want))
	}
}

// window returns the Env's scratch window with what the controller is to see: one on the stack would escape
// through the interface, an allocation for each ACK.
func (c *Conn) window() *Window {
	w := &c.env.window
	*w = Window{Cwnd: c.cwnd, Ssthresh: c.ssthresh, SMSS: uint32(c.smss), SRTT: micros(c.srtt), MinRTT: micros(c.minRTT)}
	if c.tx != nil && c.tx.usage.limited {
		w.Flight = min(c.tx.usage.peak, c.cwnd)
	}
	return w
}

func (c *Conn) setCwnd(w *Window) {
	c.cwnd = min(max(w.Cwnd, uint32(c.smss)), maxCwnd)
	c.ssthresh = w.Ssthresh
}

// countDuplicate does without SACK what the scoreboard does with it (RFC 5681 3.2, RFC 6582): each duplicate
// ACK stands for a segment that has left the network, the third for the loss of the first, and a partial
// acknowledgment for the loss of the next. What a peer can feign is bounded by what is in flight.
func (c *Conn) countDuplicate(ev *ackEvent) {
	tx := c.tx
	mss := uint32(c.smss)
	switch {
	case ev.acked > 0:
		tx.reno -= min(tx.reno, ev.acked)
		if !c.recovering() {
			tx.reno, c.dupACKs = 0, 0
			// RFC 6582's recover stays behind, so that the ring of numbers does not bring it in front.
			c.recover = maxSeq(c.recover, c.snd.una.Sub(1))
		} else if c.snd.una.LessThan(c.recover) {
			c.loseHead()
		}
	case ev.dup:
		c.dupACKs = min(c.dupACKs+1, 200)
		if tx.reno+mss <= c.renoLimit() {
			tx.reno += mss
			ev.delivered = mss
		}
		// Duplicate ACKs for what a timeout or recovery has sent in vain show no loss (RFC 6582 3.2, 4).
		if c.dupACKs == 3 && !c.recovering() && c.recover.LessThan(c.snd.una) {
			c.loseHead()
		}
	}
}

// renoLimit bounds what duplicate ACKs are believed to stand for: what was in flight when recovery began.
func (c *Conn) renoLimit() uint32 {
	flight := c.flightSize()
	switch c.ca {
	case caOpen, caCWR:
		flight = min(flight, 4*uint32(c.smss))
	case caRecovery:
		flight = c.recover.Distance(c.snd.una)
	case caLoss:
		flight = 0
	}
	return flight - min(uint32(c.smss), flight)
}

// loseHead marks the first segment in flight as lost.
func (c *Conn) loseHead() {
	sb := &c.tx.sb
	if sb.len() == 0 {
		return
	}
	if r := &sb.recs[sb.head]; r.n > uint32(c.smss) && r.flags == 0 {
		sb.split(sb.head, uint32(c.smss))
	}
	if sb.recs[sb.head].flags&recRetrans == 0 {
		c.noteLoss(sb.head, lossByDuplicates)
	}
}

// enterRecovery begins fast recovery: one cut of the window for all that is lost in this flight.
func (c *Conn) enterRecovery(ev *ackEvent, now mono.Time) {
	tx := c.tx
	c.env.Counters.FastRecoveries++
	if c.ca != caCWR { // which has cut for this window already
		c.armUndo(false)
		c.ssthresh = c.cc.OnLoss(c.lossWindow(), c.flightAtLoss(max(ev.flight, c.flightSize())), now)
		c.tellCWR()
	}
	c.ca = caRecovery
	c.recover = c.snd.nxt
	tx.prrDelivered, tx.prrOut = 0, 0
	tx.recoverFS = max(ev.flight-min(ev.sacked, ev.flight), uint32(c.smss))
	tx.force = true
	c.cc.loss.reo.recovered()
	c.clear(flagTLPOut | flagTLPRetrans)
}

// flightAtLoss is the FlightSize that ssthresh is computed from. What was selectively acknowledged still counts
// in it, and goes on growing behind a hole that is lost again and again, while cwnd limits what the network
// holds: more than cwnd is no measure of the path.
func (c *Conn) flightAtLoss(flight uint32) uint32 { return min(flight, max(c.cwnd, uint32(c.smss))) }

// prr sets cwnd for this acknowledgment by proportional rate reduction (RFC 9937 6.2).
func (c *Conn) prr(delivered uint32, safe bool) {
	tx := c.tx
	if delivered == 0 && !tx.force {
		c.cwnd = max(c.pipe(), uint32(c.smss)) // with nothing in the network only the timer would go on
		return
	}
	tx.prrDelivered += delivered
	pipe, mss := c.pipe(), uint32(c.smss)
	var quota uint32
	if pipe > c.ssthresh {
		owed := (uint64(tx.prrDelivered)*uint64(c.ssthresh) + uint64(tx.recoverFS) - 1) / uint64(tx.recoverFS)
		quota = uint32(max(int64(owed)-int64(tx.prrOut), 0))
	} else {
		quota = uint32(max(int64(tx.prrDelivered)-int64(tx.prrOut), int64(delivered)))
		if safe {
			quota += mss
		}
		quota = min(quota, c.ssthresh-pipe)
	}
	// What the application or the peer's window has kept back does not leave in one burst, which would fill the queue
	// that the cut is to drain: no faster than in slow start, or by a first flight.
	quota = min(quota, max(2*delivered+mss, initialWindow(c.smss)))
	if tx.force {
		quota = max(quota, mss)
	}
	c.cwnd = max(pipe+quota, mss)
}

// exitRecovery ends fast recovery with cwnd at ssthresh (RFC 9937 6.2), or at half of it where the network is so empty
// that this would be a burst of more than three first flights: slow start makes up for the rest in a round trip.
func (c *Conn) exitRecovery() {
	c.ca = caOpen
	c.cwnd = max(min(c.ssthresh, max(c.ssthresh/2, c.pipe()+3*initialWindow(c.smss))), uint32(c.smss))
	c.tx.reno, c.dupACKs = 0, 0
	c.tx.force = false
	c.forgetUsage() // of a cwnd that prr kept close to what was in flight
}

// timeoutRecovery is what the retransmission timer does to the window (RFC 5681 3.1, RFC 6675 5.1).
func (c *Conn) timeoutRecovery(now mono.Time) {
	tx := c.tx
	w := c.lossWindow()
	// What a fast recovery in progress has cut for, and what was sent again before, is cut for already.
	first := !c.recovering() || c.recover.LessThanEq(c.snd.una) || c.ca == caLoss && tx.lossUna != c.snd.una
	switch {
	case !c.recovering():
		tx.frto = frtoHead
	case c.ca == caRecovery || first || tx.frto == frtoNew: // more than the first segment has been sent again
		tx.frto = frtoOff
	}
	c.armUndo(true)
	if first {
		w.Ssthresh = c.cc.OnLoss(w, c.flightAtLoss(c.flightSize()), now)
	}
	c.tellCWR()
	c.cc.OnTimeout(w, now)
	c.ssthresh = w.Ssthresh
	c.cwnd = uint32(c.smss)
	tx.lossUna = c.snd.una
	tx.reno, c.dupACKs = 0, 0
	tx.force = true
	tx.reoAt = 0
	c.loseExpired(now)
	c.ca = caLoss
	c.recover = c.snd.nxt
	c.clear(flagTLPOut | flagTLPRetrans)
}

// endTLP ends the episode of a tail loss probe that was a retransmission (RFC 8985 7.4). A loss that the probe
// itself repaired would go unnoticed but for this: an acknowledgment of later text, without a word of a duplicate
// before, says that there was one.
func (c *Conn) endTLP(seg *Segment, ev *ackEvent, now mono.Time) {
	if !c.has(flagTLPOut) || c.cc == nil || c.snd.una.LessThan(c.cc.loss.tlpEnd) {
		return
	}
	end := c.cc.loss.tlpEnd
	switch {
	case !c.has(flagTLPRetrans):
	case ev.dsackTLP: // both copies have arrived
	case end.LessThan(c.snd.una):
		if !c.recovering() && (c.tx == nil || c.tx.sb.lost == 0) {
			c.cc.loss.undo.armed = false
			w := c.lossWindow()
			c.ssthresh = c.cc.OnLoss(w, max(ev.flight, uint32(c.smss)), now)
			c.cwnd = min(c.cwnd, max(c.ssthresh, uint32(c.smss)))
			c.tellCWR()
		}
	case ev.acked == 0 && seg.TextLen == 0 && seg.NumSACK == 0: // a peer without D-SACK got both
	default:
		return // what was sent first may still arrive
	}
	c.clear(flagTLPOut | flagTLPRetrans)
}

// lossReason says by what a record was found to be lost.
type lossReason uint8

const (
	lossByTime       lossReason = iota // RACK: what was sent later has been delivered (RFC 8985 6.2)
	lossByDuplicates                   // three duplicate acknowledgments, or a partial one, without SACK (RFC 6582)
	lossByTimeout                      // the retransmission timer has expired (RFC 6298)
	lossByMTU                          // too large for the path, as an ICMP message has said
	lossOfSYNText                      // text on the SYN that the peer did not take (RFC 7413 4.2.2)
)

// noteLoss marks record i of the scoreboard as lost. It is the one place where that happens, and tells all that counts
// losses or reacts to them.
func (c *Conn) noteLoss(i int, _ lossReason) {
	c.tx.sb.lose(i)
}
