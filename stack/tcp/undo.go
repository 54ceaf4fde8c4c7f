package tcp

import (
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
)

// undo is what a cut of cwnd has taken, to be given back when all that it made us send again turns out to have been
// sent in vain.
type undo struct {
	armed   bool
	timeout bool     // the retransmission timer had a part in it
	prior   cc.Prior // cwnd and ssthresh before the cut
	mark    Seq      // SND.UNA at the cut
	resent  uint32   // octets sent again since, without those reported as duplicates
}

// frtoStep says how far F-RTO has come since a retransmission timeout (RFC 5682).
type frtoStep uint8

const (
	frtoOff  frtoStep = iota
	frtoHead          // step 2: the first segment was sent again
	frtoNew           // step 3: text that was never sent before is out
)

// armUndo notes what a cut is about to take. A timeout amid recovery adds to that cut: both are undone or none.
func (c *Conn) armUndo(timeout bool) {
	u := &c.cc.loss.undo
	if c.recovering() {
		u.timeout = u.armed && (u.timeout || timeout)
		return
	}
	*u = undo{armed: true, timeout: timeout, prior: cc.Prior{Cwnd: c.cwnd, Ssthresh: c.ssthresh}, mark: c.snd.una}
}

// expireUndo makes a cut final when no report of a duplicate can undo it any more: takeDSACK believes none about what
// stands a whole window behind SND.UNA. Left in place, the mark would come to stand ahead of SND.UNA half the ring later.
func (c *Conn) expireUndo() {
	if u := &c.cc.loss.undo; u.armed && !c.recovering() && c.recover.LessThan(c.snd.una.Sub(c.snd.maxWnd)) {
		*u = undo{}
	}
}

// undoCut gives back what the latest cut has taken, and ends the recovery that it began: what was deemed lost only
// came late (RFC 9438 4.9, RFC 4015).
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
		tx.frto, tx.reno, tx.force = frtoOff, 0, false
		c.forgetUsage()
	}
}

// takeDSACK takes a report of a duplicate (RFC 2883 5). More reports than retransmissions are the network's own
// duplicates and say nothing about us.
func (c *Conn) takeDSACK(b Block, ev *ackEvent, now mono.Time) {
	if c.cc == nil || b.Left.LessThan(c.snd.una.Sub(c.snd.maxWnd)) {
		return
	}
	m := &c.cc.loss
	if m.dsacks++; m.dsacks > c.totalRetrans {
		return
	}
	if c.has(flagTLPRetrans) && b.Right == m.tlpEnd {
		ev.dsackTLP = true // a probe is no guess that reordering could have misled
	} else {
		m.reo.widen(c.snd.una, c.snd.nxt)
	}
	u := &m.undo
	if !u.armed || u.resent == 0 || b.Left.LessThan(u.mark) {
		return
	}
	if !u.timeout && !ev.dsackTLP {
		m.reo.seen = true // what RACK took for lost was overtaken
	}
	u.resent -= min(b.Right.Distance(b.Left), u.resent)
	if u.resent == 0 {
		c.undoCut(now)
	}
}

// forwardRTO is F-RTO (RFC 5682 2.1 and, with SACK, 3.1): after a timeout has sent the first segment again, the
// next two acknowledgments tell whether the rest was lost or only late. It says whether it has dealt with this one.
func (c *Conn) forwardRTO(seg *Segment, ev *ackEvent, now mono.Time) bool {
	tx := c.tx
	switch tx.frto {
	case frtoOff:
	case frtoHead:
		if ev.acked == 0 {
			return false // it adjusts the scoreboard only
		}
		tx.frto = frtoOff
		if c.recover.LessThanEq(c.snd.una) {
			return false // step 2a: the retransmission filled the only gap, or all was late
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

// mayForward says whether there is text that was never sent before, and a window for it.
func (c *Conn) mayForward() bool {
	return !c.has(flagFINSent) && c.snd.nxt.LessThan(c.tx.q.end) && c.snd.nxt.LessThan(c.snd.una.Add(c.snd.wnd))
}

// spuriousTimeout is the answer to a timeout that came too early: the window comes back, and RTO learns how long
// the path may take (RFC 5682 4, RFC 4015 3.2). It learns only from what is late for certain: where acknowledgments
// are lost, one that reports a duplicate or covers what was sent once may be the retransmission's, and the time that
// passed was the timer's own.
func (c *Conn) spuriousTimeout(seg *Segment, ev *ackEvent, now mono.Time) {
	c.undoCut(now)
	c.tx.rackXmit = 0 // it may be that of the first segment, which both transmissions might have delivered
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
