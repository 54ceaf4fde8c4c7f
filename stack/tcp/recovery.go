package tcp

import (
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
)

// recovery is the state of loss detection and recovery. It exists only while something is queued or in flight.
type recovery struct {
	// RACK (RFC 8985 5.2): the transmission time and end of the segment sent last among those delivered,
	// its round-trip time, and the highest number delivered.
	rackXmit mono.Time
	rackEnd  Seq
	rackRTT  time.Duration
	fack     Seq
	reoAt    mono.Time // when the reordering windows of all segments that may be lost have ended

	flight       cc.Flight
	ignoreCwnd   bool // the next segment is sent even if cwnd does not allow it
	frto         frtoStep
	cwrEnd       Seq    // SND.NXT when the window was reduced because of ECN
	lossUna      Seq    // snd.una at the last timeout
	dupDelivered uint32 // octets that have left the network according to duplicate ACKs, without SACK
}

// recovering says whether the connection is in loss recovery, fast or after a timeout.
func (c *Conn) recovering() bool { return c.phase == cc.Recovery || c.phase == cc.Timeout }

// flightSize is FlightSize of RFC 5681 2.
func (c *Conn) flightSize() uint32 { return c.snd.nxt.Distance(c.snd.una) }

// pipe estimates the octets that are in the network (RFC 6675 4).
func (c *Conn) pipe() uint32 {
	tx := c.tx
	if tx == nil {
		return 0
	}
	gone := tx.sb.sacked + tx.sb.lost + tx.dupDelivered
	return c.flightSize() - min(gone, c.flightSize())
}

// react detects losses after an acknowledgment and lets congestion control react to it.
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
		c.countDuplicate(ev, now)
	}
	c.endTLP(seg, ev, now)
	if s := c.cc.loss.search; s != nil && s.probe != 0 {
		c.judgeProbe(s, now)
	}
	if c.phase == cc.Reduced && tx.cwrEnd.LessThanEq(c.snd.una) {
		c.phase = cc.Open
	}
	if ev.echo = seg.Has(ECE) && c.has(flagECN); ev.echo {
		c.heedECE(ev, now)
	}
	c.recoverBy(seg, ev, lost, now)
}

// recoverBy continues loss recovery after an acknowledgment and tells the controller. lost is the number of octets that were
// lost before it. A controller that wants delivery rates is told of all acknowledgments, others only of those that may
// change cwnd.
func (c *Conn) recoverBy(seg *Segment, ev *ackEvent, lost uint32, now mono.Time) {
	tx, phase := c.tx, c.phase
	tell, grow := tx.sb.sampler != nil, false
	switch c.phase {
	case cc.Open, cc.Reduced:
		if tx.sb.lost > 0 {
			c.enterRecovery(ev, now)
			phase, tell = cc.Recovery, true
		} else {
			grow = ev.acked > 0 && c.phase == cc.Open && !ev.echo
		}
	case cc.Recovery:
		if c.recover.LessThanEq(c.snd.una) {
			c.exitRecovery(now)
			phase = cc.Open
		} else {
			ev.safe, tell = ev.acked > 0 && tx.sb.lost <= lost, true
		}
	case cc.Timeout:
		if c.forwardRTO(seg, ev, now) {
			break
		}
		if c.recover.LessThanEq(c.snd.una) {
			c.phase = cc.Open
			tx.dupDelivered, c.dupACKs = 0, 0
		}
		grow = ev.acked > 0
	}
	if tell || grow {
		c.tellACK(ev, phase, grow, now)
	}
}

// countDuplicate replaces the scoreboard on a connection without SACK (RFC 5681 3.2, RFC 6582): each duplicate ACK means that
// a segment has left the network, the third one that the first segment is lost, and a partial acknowledgment that the next
// one is. However many duplicates a peer sends, they count for no more than is in flight.
func (c *Conn) countDuplicate(ev *ackEvent, now mono.Time) {
	tx := c.tx
	mss := uint32(c.smss)
	switch {
	case ev.acked > 0:
		tx.dupDelivered -= min(tx.dupDelivered, ev.acked)
		if !c.recovering() {
			tx.dupDelivered, c.dupACKs = 0, 0
			// RFC 6582's recover must stay close behind SND.UNA: 2^31 further on it would seem to be ahead.
			c.recover = maxSeq(c.recover, c.snd.una.Sub(1))
		} else if c.snd.una.LessThan(c.recover) {
			c.loseHead(now)
		}
	case ev.dup:
		c.dupACKs = min(c.dupACKs+1, 200)
		if tx.dupDelivered+mss <= c.renoLimit() {
			tx.dupDelivered += mss
			ev.delivered = mss
		}
		// Retransmissions that were not needed cause duplicate ACKs too, which show no loss (RFC 6582 3.2, 4).
		if c.dupACKs == 3 && !c.recovering() && c.recover.LessThan(c.snd.una) {
			c.loseHead(now)
		}
	}
}

// renoLimit bounds how many octets duplicate ACKs may count for: those in flight when recovery began.
func (c *Conn) renoLimit() uint32 {
	flight := c.flightSize()
	switch c.phase {
	case cc.Open, cc.Reduced:
		flight = min(flight, 4*uint32(c.smss))
	case cc.Recovery:
		flight = c.recover.Distance(c.snd.una)
	case cc.Timeout:
		flight = 0
	}
	return flight - min(uint32(c.smss), flight)
}

// loseHead marks the first segment in flight as lost.
func (c *Conn) loseHead(now mono.Time) {
	sb := &c.tx.sb
	if sb.len() == 0 {
		return
	}
	if r := &sb.recs[sb.head]; r.n > uint32(c.smss) && r.flags == 0 {
		sb.split(sb.head, uint32(c.smss))
	}
	if sb.recs[sb.head].flags&recRetrans == 0 {
		c.noteLoss(sb.head, lossByDuplicates, now)
	}
}

// enterRecovery begins fast recovery. The window is reduced once for all losses of this flight.
func (c *Conn) enterRecovery(ev *ackEvent, now mono.Time) {
	tx := c.tx
	c.env.Counters.FastRecoveries++
	again := c.phase == cc.Reduced // the window was cut for this flight already
	if !again {
		c.armUndo(false)
		c.tellCWR()
	}
	w := c.window()
	c.cc.OnRecovery(w, cc.Reduction{Flight: c.flightAtLoss(max(ev.flight, c.flightSize())),
		InNetwork: ev.flight - min(ev.sacked, ev.flight), Again: again}, now)
	c.takeWindow(w)
	c.phase = cc.Recovery
	c.recover = c.snd.nxt
	tx.ignoreCwnd = true
	c.cc.loss.reo.recovered()
	c.clear(flagTLPOut | flagTLPRetrans)
}

// flightAtLoss returns the FlightSize from which ssthresh is computed, at most cwnd. FlightSize includes selectively
// acknowledged text. Behind a hole that is lost again and again that text keeps growing, while cwnd limits how much is
// really in the network: more than cwnd says nothing about the path.
func (c *Conn) flightAtLoss(flight uint32) uint32 { return min(flight, max(c.cwnd, uint32(c.smss))) }

// exitRecovery ends fast recovery.
func (c *Conn) exitRecovery(now mono.Time) {
	c.phase = cc.Open
	w := c.window()
	c.cc.OnRecovered(w, now)
	c.takeWindow(w)
	c.tx.dupDelivered, c.dupACKs = 0, 0
	c.tx.ignoreCwnd = false
	c.forgetUsage() // it was measured with the cwnd of recovery, which stays close to what is in flight
}

// timeoutRecovery begins recovery after an expiry of the retransmission timer (RFC 5681 3.1, RFC 6675 5.1).
func (c *Conn) timeoutRecovery(now mono.Time) {
	tx := c.tx
	// The window is not reduced again for a fast recovery in progress, nor for a segment that was sent again before.
	first := !c.recovering() || c.recover.LessThanEq(c.snd.una) || c.phase == cc.Timeout && tx.lossUna != c.snd.una
	switch {
	case !c.recovering():
		tx.frto = frtoHead
	case c.phase == cc.Recovery || first || tx.frto == frtoNew: // more than the first segment has been sent again
		tx.frto = frtoOff
	}
	c.armUndo(true)
	w := c.window()
	r := cc.Reduction{Flight: c.flightAtLoss(c.flightSize()), InNetwork: c.flightSize() - tx.sb.sacked, Again: !first}
	c.cc.OnTimeout(w, r, now)
	c.takeWindow(w)
	c.tellCWR()
	tx.lossUna = c.snd.una
	tx.dupDelivered, c.dupACKs = 0, 0
	tx.ignoreCwnd = true
	tx.reoAt = 0
	c.loseExpired(now)
	c.phase = cc.Timeout
	c.recover = c.snd.nxt
	c.clear(flagTLPOut | flagTLPRetrans)
}

// endTLP ends the episode of a tail loss probe (RFC 8985 7.4). A probe that was a retransmission may itself have repaired a
// loss, which no other rule would notice: if later text is acknowledged and no D-SACK has reported the probe as a
// duplicate, the original was lost, and the window is reduced.
func (c *Conn) endTLP(seg *Segment, ev *ackEvent, now mono.Time) {
	if !c.has(flagTLPOut) || c.cc == nil || c.snd.una.LessThan(c.cc.loss.tlpEnd) {
		return
	}
	end := c.cc.loss.tlpEnd
	switch {
	case !c.has(flagTLPRetrans):
	case ev.dsackTLP: // both copies have arrived: nothing was lost
	case end.LessThan(c.snd.una):
		if !c.recovering() && (c.tx == nil || c.tx.sb.lost == 0) {
			c.signal(cc.Repaired, max(ev.flight, uint32(c.smss)), now)
		}
	case ev.acked == 0 && seg.TextLen == 0 && seg.NumSACK == 0: // of a peer without D-SACK that got both copies
	default:
		return // the original may still arrive
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

var lossReasons = [...]string{"delivered later", "duplicate ACKs", "timeout", "too large for the path",
	"text on the SYN not taken"}

func (r lossReason) String() string { return lossReasons[r] }

// noteLoss marks record i of the scoreboard as lost. It is the one place where that happens, and tells all that counts
// losses or reacts to them.
func (c *Conn) noteLoss(i int, why lossReason, now mono.Time) {
	sb := &c.tx.sb
	if !sb.lose(i) {
		return // it was known before
	}
	r := &sb.recs[i]
	if r.flags&recProbe != 0 {
		why = lossByMTU
	}
	if c.env.Trace != nil {
		c.env.Trace(c, TraceEvent{Kind: TraceLoss, Seq: r.seq, Len: r.n, Detail: why.String()})
	}
	if sb.sampler == nil || why > lossByTimeout {
		return // the controller need not know, or it is no sign of congestion
	}
	sb.sampler.Lost(r.n)
	w, l := c.window(), &c.env.loss
	*l = cc.Loss{Octets: r.n, SentAt: r.xmit, Sent: sb.stamps[i]}
	_, l.Lost = sb.sampler.Totals()
	c.cc.OnLost(w, l, now)
	c.takeWindow(w)
}
