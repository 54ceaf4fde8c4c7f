package tcp

import (
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
)

// undo remembers cwnd and ssthresh from before a reduction. They are restored if it turns out that none of the
// retransmissions since was necessary.
type undo struct {
	armed   bool
	timeout bool     // the retransmission timer caused the reduction or extended it
	prior   cc.Prior // cwnd and ssthresh before the reduction
	mark    Seq      // SND.UNA at the reduction
	resent  uint32   // octets sent again since, without those reported as duplicates
}

// frtoStep is the progress of F-RTO since a retransmission timeout (RFC 5682).
type frtoStep uint8

const (
	frtoOff  frtoStep = iota
	frtoHead          // step 2: the first segment was sent again
	frtoNew           // step 3: text that was never sent before is in flight
)

// armUndo notes cwnd and ssthresh before a reduction. A timeout during recovery extends the earlier reduction: both are
// undone together or not at all.
func (c *Conn) armUndo(timeout bool) {
	u := &c.cc.loss.undo
	if c.recovering() {
		u.timeout = u.armed && (u.timeout || timeout)
		return
	}
	*u = undo{armed: true, timeout: timeout, prior: cc.Prior{Cwnd: c.cwnd, Ssthresh: c.ssthresh}, mark: c.snd.una}
}

// expireUndo makes a reduction final when no report of a duplicate can undo it any more: takeDSACK ignores reports about text
// more than a window behind SND.UNA. The mark must not stay: 2^31 octets later it would seem to be ahead of SND.UNA.
func (c *Conn) expireUndo() {
	if u := &c.cc.loss.undo; u.armed && !c.recovering() && c.recover.LessThan(c.snd.una.Sub(c.snd.maxWnd)) {
		*u = undo{}
	}
}

// undoCut undoes the latest reduction and ends the recovery that began with it: the segments considered lost were only late
// (RFC 9438 4.9, RFC 4015).
func (c *Conn) undoCut(now mono.Time) {
	u := &c.cc.loss.undo
	if u.timeout {
		c.env.Counters.SpuriousTimeouts++
	} else {
		c.env.Counters.SpuriousRecoveries++
	}
	w := c.window()
	c.cc.OnUndo(w, u.prior, now)
	c.takeWindow(w)
	*u = undo{}
	if c.recovering() {
		c.phase = cc.Open
	}
	c.clear(flagCWR)
	c.dupACKs = 0
	if tx := c.tx; tx != nil {
		tx.sb.unlose()
		tx.frto, tx.dupDelivered, tx.ignoreCwnd = frtoOff, 0, false
		c.forgetUsage()
	}
}

// takeDSACK processes a report of a duplicate (RFC 2883 5). If there are more reports than retransmissions, the network
// duplicates packets, and the reports mean nothing.
func (c *Conn) takeDSACK(b Block, ev *ackEvent, now mono.Time) {
	if c.cc == nil || b.Left.LessThan(c.snd.una.Sub(c.snd.maxWnd)) {
		return
	}
	m := &c.cc.loss
	if m.dsacks++; m.dsacks > c.totalRetrans {
		return
	}
	if c.has(flagTLPRetrans) && b.Right == m.tlpEnd {
		ev.dsackTLP = true // the probe was not sent because of reordering, so the window of RACK stays
	} else {
		m.reo.widen(c.snd.una, c.snd.nxt)
	}
	u := &m.undo
	if !u.armed || u.resent == 0 || b.Left.LessThan(u.mark) {
		return
	}
	if !u.timeout && !ev.dsackTLP {
		m.reo.seen = true // RACK took a segment for lost that was only overtaken
	}
	u.resent -= min(b.Right.Distance(b.Left), u.resent)
	if u.resent == 0 {
		c.undoCut(now)
	}
}

// forwardRTO is F-RTO (RFC 5682 2.1 and, with SACK, 3.1): when the first segment was retransmitted after a timeout, the next
// two acknowledgments show whether the other segments were lost or only late. It returns true if the acknowledgment needs no
// other processing.
func (c *Conn) forwardRTO(seg *Segment, ev *ackEvent, now mono.Time) bool {
	tx := c.tx
	switch tx.frto {
	case frtoOff:
	case frtoHead:
		if s := c.searching(); s != nil && s.to.LessThan(c.snd.una) {
			c.clearBlackHole() // more has arrived than was sent again
		}
		if ev.acked == 0 {
			return false // it only updates the scoreboard
		}
		tx.frto = frtoOff
		if c.recover.LessThanEq(c.snd.una) {
			return false // step 2a: the retransmission filled the only gap, or everything was late
		}
		if ev.original && c.has(flagSACK) {
			c.spuriousTimeout(seg, ev, now)
			return true
		}
		if c.mayForward() { // step 2b
			tx.frto = frtoNew
			c.setCwnd(c.pipe()+2*uint32(c.smss), c.ssthresh)
			return true
		}
	case frtoNew:
		beyond := c.recover.LessThan(c.snd.una) || c.recover.LessThan(tx.fack)
		if !beyond && (ev.acked > 0 && !c.has(flagSACK) || ev.original) {
			c.spuriousTimeout(seg, ev, now) // step 3b
			return true
		}
		if beyond || ev.dup {
			tx.frto = frtoOff // step 3a
			c.setCwnd(3*uint32(c.smss), c.ssthresh)
		}
	}
	return false
}

// mayForward says whether there is text that was never sent before, and whether the peer's window has room for it.
func (c *Conn) mayForward() bool {
	return !c.has(flagFINSent) && c.snd.nxt.LessThan(c.tx.q.end) && c.snd.nxt.LessThan(c.snd.una.Add(c.snd.wnd))
}

// spuriousTimeout reacts to a timeout that was too early: the window is restored, and RTO is adapted to how long the path
// really takes (RFC 5682 4, RFC 4015 3.2). It adapts only to an answer that certainly belongs to an original transmission:
// if acknowledgments were lost, one that reports a duplicate, or that covers a segment sent twice, may answer the
// retransmission, and then the measured time would include that of the timer.
func (c *Conn) spuriousTimeout(seg *Segment, ev *ackEvent, now mono.Time) {
	c.undoCut(now)
	c.tx.rackXmit = 0 // it may be that of the first segment, of which either transmission may have arrived
	var sample time.Duration
	switch {
	case ev.dsack:
	case ev.late:
		sample = c.echoRTT(seg.TSEcr, now)
	case !ev.retrans:
		sample = ev.rtt
	}
	if us := int32(min(sample/time.Microsecond, 1<<30)); us > 0 {
		c.srtt, c.rttvar = max(c.srtt, us), max(c.rttvar, us/2)
		c.setRTO()
	}
}
