package tcp

import (
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
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

	flight  cc.Flight
	force   bool // the next segment leaves whatever cwnd says
	frto    frtoStep
	cwrEnd  Seq    // SND.NXT when ECN has cut the window
	lossUna Seq    // snd.una at the last timeout
	reno    uint32 // octets that duplicate ACKs say have left, without SACK
}

// recovering says whether loss recovery is on.
func (c *Conn) recovering() bool { return c.phase == cc.Recovery || c.phase == cc.Timeout }

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
		c.countDuplicate(ev, now)
	}
	c.endTLP(seg, ev, now)
	if c.phase == cc.Reduced && tx.cwrEnd.LessThanEq(c.snd.una) {
		c.phase = cc.Open
	}
	if ev.echo = seg.Has(ECE) && c.has(flagECN); ev.echo {
		c.heedECE(ev, now)
	}
	c.recoverBy(seg, ev, lost, now)
}

// recoverBy moves loss recovery on by an acknowledgment and tells the controller. lost is what had been lost before it. A
// controller that wants delivery rates hears of all acknowledgments, others only of those that may change cwnd.
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
			tx.reno, c.dupACKs = 0, 0
		}
		grow = ev.acked > 0
	}
	if tell || grow {
		c.tellACK(ev, phase, grow, now)
	}
}

// countDuplicate does without SACK what the scoreboard does with it (RFC 5681 3.2, RFC 6582): each duplicate
// ACK stands for a segment that has left the network, the third for the loss of the first, and a partial
// acknowledgment for the loss of the next. What a peer can feign is bounded by what is in flight.
func (c *Conn) countDuplicate(ev *ackEvent, now mono.Time) {
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
			c.loseHead(now)
		}
	case ev.dup:
		c.dupACKs = min(c.dupACKs+1, 200)
		if tx.reno+mss <= c.renoLimit() {
			tx.reno += mss
			ev.delivered = mss
		}
		// Duplicate ACKs for what a timeout or recovery has sent in vain show no loss (RFC 6582 3.2, 4).
		if c.dupACKs == 3 && !c.recovering() && c.recover.LessThan(c.snd.una) {
			c.loseHead(now)
		}
	}
}

// renoLimit bounds what duplicate ACKs are believed to stand for: what was in flight when recovery began.
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

// enterRecovery begins fast recovery: one cut of the window for all that is lost in this flight.
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
	tx.force = true
	c.cc.loss.reo.recovered()
	c.clear(flagTLPOut | flagTLPRetrans)
}

// flightAtLoss is the FlightSize that ssthresh is computed from. What was selectively acknowledged still counts
// in it, and goes on growing behind a hole that is lost again and again, while cwnd limits what the network
// holds: more than cwnd is no measure of the path.
func (c *Conn) flightAtLoss(flight uint32) uint32 { return min(flight, max(c.cwnd, uint32(c.smss))) }

// exitRecovery ends fast recovery.
func (c *Conn) exitRecovery(now mono.Time) {
	c.phase = cc.Open
	w := c.window()
	c.cc.OnRecovered(w, now)
	c.takeWindow(w)
	c.tx.reno, c.dupACKs = 0, 0
	c.tx.force = false
	c.forgetUsage() // of a cwnd that prr kept close to what was in flight
}

// timeoutRecovery is what the retransmission timer does to the window (RFC 5681 3.1, RFC 6675 5.1).
func (c *Conn) timeoutRecovery(now mono.Time) {
	tx := c.tx
	// What a fast recovery in progress has cut for, and what was sent again before, is cut for already.
	first := !c.recovering() || c.recover.LessThanEq(c.snd.una) || c.phase == cc.Timeout && tx.lossUna != c.snd.una
	switch {
	case !c.recovering():
		tx.frto = frtoHead
	case c.phase == cc.Recovery || first || tx.frto == frtoNew: // more than the first segment has been sent again
		tx.frto = frtoOff
	}
	c.armUndo(true)
	w := c.window()
	c.cc.OnTimeout(w, cc.Reduction{Flight: c.flightAtLoss(c.flightSize()), InNetwork: c.flightSize() - tx.sb.sacked, Again: !first}, now)
	c.takeWindow(w)
	c.tellCWR()
	tx.lossUna = c.snd.una
	tx.reno, c.dupACKs = 0, 0
	tx.force = true
	tx.reoAt = 0
	c.loseExpired(now)
	c.phase = cc.Timeout
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
			c.signal(cc.Repaired, max(ev.flight, uint32(c.smss)), now)
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

var lossReasons = [...]string{"delivered later", "duplicate ACKs", "timeout", "too large for the path", "text on the SYN not taken"}

func (r lossReason) String() string { return lossReasons[r] }

// noteLoss marks record i of the scoreboard as lost. It is the one place where that happens, and tells all that counts
// losses or reacts to them.
func (c *Conn) noteLoss(i int, why lossReason, now mono.Time) {
	sb := &c.tx.sb
	if !sb.lose(i) {
		return // it was known before
	}
	r := &sb.recs[i]
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
