package tcp

import "time"

// recovery is the state of loss detection and recovery, which lives while something is in flight.
type recovery struct {
	// RACK (RFC 8985 5.2): the transmission time and end of the segment sent last among those delivered,
	// its round-trip time, and the highest number delivered.
	rackXmit Time
	rackEnd  Seq
	rackRTT  time.Duration
	fack     Seq
	reoAt    Time // when the reordering window of a suspected segment ends
	reoMult  uint8
	reoLeft  uint8 // recoveries until reoMult falls back
	reoSeen  bool
	reoRound Seq

	// PRR (RFC 9937 6): octets delivered and sent since recovery began, and RecoverFS.
	prrDelivered, prrOut, recoverFS uint32
	force                           bool // the fast retransmit leaves whatever cwnd says

	lossUna Seq // snd.una at the last timeout
	tlpEnd  Seq
	reno    uint32 // octets that duplicate ACKs say have left, without SACK
}

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

// noteDelivered updates RACK's view for a record that has just been delivered (RFC 8985 6.2 step 1 to 3).
func (c *Conn) noteDelivered(r *record, ev *ackEvent, seg *Segment, now Time) {
	tx := c.tx
	rtt := now.Sub(r.xmit)
	if r.flags&recRetrans != 0 {
		ev.retrans = true
		// The acknowledgment may be for the first transmission.
		if rtt < micros(c.minRTT) {
			return
		}
		if c.has(flagTimestamps) && seg.Options&OptTimestamps != 0 && seg.TSEcr != 0 &&
			int32(seg.TSEcr-(tsClock(r.xmit)+c.tsOffset)) < 0 {
			return
		}
	} else {
		if r.xmit >= ev.newest {
			ev.newest, ev.rtt = r.xmit, max(rtt, 1)
		}
		if r.end().LessThan(tx.fack) {
			tx.reoSeen = true
		}
	}
	tx.fack = maxSeq(maxSeq(tx.fack, c.snd.una), r.end())
	if sentAfter(r.xmit, r.end(), tx.rackXmit, tx.rackEnd) {
		tx.rackXmit, tx.rackEnd, tx.rackRTT = r.xmit, r.end(), rtt
	}
}

// sentAfter orders transmissions, those of one moment by their sequence numbers.
func sentAfter(t1 Time, s1 Seq, t2 Time, s2 Seq) bool {
	return t1 > t2 || t1 == t2 && s2.LessThan(s1)
}

// noteDSACK widens the reordering window, once a round, since something was sent again in vain (RFC 8985
// 6.2 step 4).
func (c *Conn) noteDSACK(b Block) {
	tx := c.tx
	if b.Right.LessThan(tx.reoRound) {
		return
	}
	tx.reoRound = c.snd.nxt
	tx.reoMult = min(tx.reoMult+1, 64)
	tx.reoLeft = 16
}

// reorderWindow is RACK.reo_wnd.
func (c *Conn) reorderWindow() time.Duration {
	tx := c.tx
	if !tx.reoSeen && (c.ca != caOpen || tx.sb.sacked >= 3*uint32(c.smss)) {
		return 0
	}
	return min(micros(c.minRTT)/4*time.Duration(tx.reoMult+1), micros(c.srtt))
}

// detect marks what RACK deems lost: sent so long before something that was delivered that reordering does
// not explain it (RFC 8985 6.2 step 5). It notes when the next suspect becomes lost.
func (c *Conn) detect(now Time) {
	tx := c.tx
	tx.reoAt = 0
	if tx.rackXmit == 0 || tx.sb.len() == 0 {
		return
	}
	wnd := c.reorderWindow()
	for i := tx.sb.head; i < len(tx.sb.recs); i++ {
		r := &tx.sb.recs[i]
		if r.flags&(recSacked|recLost) != 0 {
			continue
		}
		if !sentAfter(tx.rackXmit, tx.rackEnd, r.xmit, r.end()) {
			if r.flags&recRetrans == 0 {
				break // what stands behind it was sent later still, if only for the first time
			}
			continue
		}
		due := r.xmit.Add(tx.rackRTT + wnd)
		if due <= now {
			tx.sb.lose(i)
		} else {
			tx.reoAt = max(tx.reoAt, due)
		}
	}
}

// react is congestion control's answer to an acknowledgment.
func (c *Conn) react(ev *ackEvent, now Time) {
	tx := c.tx
	lost := tx.sb.lost
	if c.has(flagSACK) {
		if tx.sb.sacked > 0 || tx.sb.lost > 0 || c.ca != caOpen {
			c.detect(now)
		}
	} else {
		c.countDuplicate(ev)
	}
	c.endTLP(ev, now)
	switch c.ca {
	case caOpen:
		if tx.sb.lost > 0 {
			c.enterRecovery(ev, now)
			c.prr(ev.delivered, false)
		} else if ev.acked > 0 {
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
func (c *Conn) grow(ev *ackEvent, now Time) {
	w := c.window()
	c.cc.OnAck(w, ev.acked, c.has(flagCWNDLimited), ev.rtt, now)
	c.setCwnd(w)
	if !c.has(flagSendFixed) && c.env.Pressure == Ample {
		want := min(int64(w.Cwnd)*2, int64(c.env.Config.MaxSendBuffer))
		c.sndBuf = max(c.sndBuf, int32(want))
	}
}

// window returns the Env's scratch window with what the controller is to see: one on the stack would escape
// through the interface, an allocation for each ACK.
func (c *Conn) window() *Window {
	w := &c.env.window
	*w = Window{Cwnd: c.cwnd, Ssthresh: c.ssthresh, SMSS: uint32(c.smss), SRTT: micros(c.srtt), MinRTT: micros(c.minRTT)}
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
		if c.ca == caOpen {
			tx.reno, c.dupACKs = 0, 0
		} else if c.snd.una.LessThan(c.recover) {
			c.loseHead()
		}
	case ev.dup:
		c.dupACKs = min(c.dupACKs+1, 200)
		if tx.reno+mss <= c.renoLimit() {
			tx.reno += mss
			ev.delivered = mss
		}
		if c.dupACKs == 3 && c.ca == caOpen && c.recover.LessThanEq(c.snd.una) {
			c.loseHead()
		}
	}
}

// renoLimit bounds what duplicate ACKs are believed to stand for: what was in flight when recovery began.
func (c *Conn) renoLimit() uint32 {
	flight := c.flightSize()
	switch c.ca {
	case caOpen:
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
		sb.lose(sb.head)
	}
}

// enterRecovery begins fast recovery: one cut of the window for all that is lost in this flight.
func (c *Conn) enterRecovery(ev *ackEvent, now Time) {
	tx := c.tx
	c.env.Counters.FastRecoveries++
	c.ca = caRecovery
	c.recover = c.snd.nxt
	w := c.window()
	c.ssthresh = c.cc.OnLoss(w, c.flightAtLoss(max(ev.flight, c.flightSize())), now)
	tx.prrDelivered, tx.prrOut = 0, 0
	tx.recoverFS = max(ev.flight-min(ev.sacked, ev.flight), uint32(c.smss))
	tx.force = true
	if tx.reoLeft > 0 {
		if tx.reoLeft--; tx.reoLeft == 0 {
			tx.reoMult = 0
		}
	}
}

// flightAtLoss is the FlightSize that ssthresh is computed from. What was selectively acknowledged still counts
// in it, and goes on growing behind a hole that is lost again and again, while cwnd limits what the network
// holds: more than cwnd is no measure of the path.
func (c *Conn) flightAtLoss(flight uint32) uint32 { return min(flight, max(c.cwnd, uint32(c.smss))) }

// prr sets cwnd for this acknowledgment by proportional rate reduction (RFC 9937 6.2).
func (c *Conn) prr(delivered uint32, safe bool) {
	tx := c.tx
	if delivered == 0 && !tx.force {
		c.cwnd = c.pipe()
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
	if tx.force {
		quota = max(quota, mss)
	}
	c.cwnd = pipe + quota
}

func (c *Conn) exitRecovery() {
	c.ca = caOpen
	c.cwnd = max(c.ssthresh, uint32(c.smss))
	c.tx.reno, c.dupACKs = 0, 0
	c.tx.force = false
}

// timeoutRecovery is what the retransmission timer does to the window (RFC 5681 3.1, RFC 6675 5.1).
func (c *Conn) timeoutRecovery(now Time) {
	tx := c.tx
	w := c.window()
	// What a fast recovery in progress has cut for, and what was sent again before, is cut for already.
	if c.ca == caOpen || c.recover.LessThanEq(c.snd.una) || c.ca == caLoss && tx.lossUna != c.snd.una {
		w.Ssthresh = c.cc.OnLoss(w, c.flightAtLoss(c.flightSize()), now)
	}
	c.cc.OnTimeout(w, now)
	c.ssthresh = w.Ssthresh
	c.cwnd = uint32(c.smss)
	tx.lossUna = c.snd.una
	tx.reno, c.dupACKs = 0, 0
	tx.force = false
	tx.reoAt = 0
	tx.sb.loseAll()
	c.ca = caLoss
	c.recover = c.snd.nxt
	c.clear(flagTLPOut | flagTLPRetrans)
}

// endTLP ends the episode of a tail loss probe (RFC 8985 7.4). A loss that the probe itself repaired would
// go unnoticed but for this.
func (c *Conn) endTLP(ev *ackEvent, now Time) {
	if !c.has(flagTLPOut) || c.snd.una.LessThan(c.tx.tlpEnd) {
		return
	}
	if c.has(flagTLPRetrans) && !ev.dsack && c.ca == caOpen && ev.acked > 0 && c.tx.sb.lost == 0 {
		w := c.window()
		c.ssthresh = c.cc.OnLoss(w, max(ev.flight, uint32(c.smss)), now)
		c.cwnd = min(c.cwnd, max(c.ssthresh, uint32(c.smss)))
	}
	c.clear(flagTLPOut | flagTLPRetrans)
}
