package tcp

import (
	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
)

// Output transmits lost segments, new text and the FIN, as far as the windows allow, and then an acknowledgment if one is
// due that none of these segments carried. The caller calls it once for each connection that got segments in a burst.
func (c *Conn) Output(now mono.Time) { c.output(now, false) }

// OutputEarly is Output before the end of a burst. The application is about to run, and its answer can carry an
// acknowledgment. So one that is wanted early, but not because of a loss, is held back. It returns whether one is held; the
// caller then calls Output when the burst is over.
func (c *Conn) OutputEarly(now mono.Time) (held bool) {
	c.output(now, true)
	return c.has(flagACKSoon)
}

// Push transmits the text and the FIN as far as the windows allow, and nothing else. A caller that has delayed Output calls it
// before an action after which these could not be sent any more.
func (c *Conn) Push(now mono.Time) {
	if c.tx != nil && !c.handshaking() && c.canSend() {
		c.sendText(now)
	}
}

func (c *Conn) output(now mono.Time, early bool) {
	if c.handshaking() {
		return
	}
	switch c.state {
	case Closed, Listen:
		return
	case SynSent, SynReceived, Established, FinWait1, FinWait2, CloseWait, Closing, LastAck, TimeWaitState:
	}
	if c.tx != nil && c.canSend() {
		c.sendText(now)
	}
	if c.ackDue(early) {
		c.sendACK(now)
	}
	c.armRetransmit(now)
	if c.opts.NotSentLowat > 0 {
		c.tellWritable()
	}
	if c.tx != nil && c.phase == cc.Open && c.snd.una == c.snd.nxt && c.tx.q.len() == 0 && !c.finPending() {
		c.dropSender()
	}
}

// finPending says whether the user has ended the stream and the FIN has not been sent.
func (c *Conn) finPending() bool { return c.has(flagFINQueued) && !c.has(flagFINSent) }

// ackDue says whether an acknowledgment must be sent now: it was requested, or two full segments of text are
// unacknowledged (RFC 9293 3.8.6.3, RFC 5681 4.2). With early, one that is only wanted soon waits for the end of the burst.
func (c *Conn) ackDue(early bool) bool {
	if c.has(flagACKNow) || !early && c.has(flagACKSoon) {
		return true
	}
	return c.rcv.nxt.Distance(c.rcv.acked) >= 2*uint32(c.rmss) && c.rcv.nxt != c.rcv.acked
}

func (c *Conn) sendText(now mono.Time) {
	c.tx.sb.compact(max(micros(c.minRTT)/64, minSpan))
	forward := c.tx.frto == frtoNew // F-RTO first finds out whether the segments are really lost
	for c.tx.sb.lost > 0 && !forward && c.retransmit(now) {
	}
	sent, hold := false, false
	if s := c.searching(); s != nil {
		hold = c.probeMTU(s, now)
	}
	for !hold && (c.tx.sb.lost == 0 || forward) && c.sendNew(now) {
		sent = true
	}
	if c.flightSize() > 0 {
		c.noteUsage(sent, now)
	}
	if c.tx.sb.sampler != nil {
		c.noteAppLimited()
	}
}

// budget returns how many of want octets cwnd allows now. While something is in the network it allows less than a segment
// only if that is all of want.
func (c *Conn) budget(want uint32) uint32 {
	pipe := c.pipe()
	if c.tx.ignoreCwnd {
		return max(c.cwnd-min(pipe, c.cwnd), uint32(c.smss))
	}
	if pipe >= c.cwnd {
		return 0
	}
	room := c.cwnd - pipe
	if room < min(want, uint32(c.smss)) && pipe > 0 {
		return 0
	}
	return max(room, min(want, uint32(c.smss)))
}

// segmentSize returns the payload of a full segment with the SACK blocks that it would carry now. fill may use up one of
// them, so code that cuts text into segments calls segmentSize before fill.
func (c *Conn) segmentSize() uint32 { return uint32(c.smss) - uint32(c.sackLen()) }

// superSize returns the largest payload of a super-segment, a multiple of mss. In urgent mode it is one segment: an urgent
// pointer is an offset from its own segment, so a super-segment that the device cuts cannot have one.
func (c *Conn) superSize(mss uint32) uint32 {
	overhead := uint32(40 + headerLen + 40) // of either family, with all options
	if uint32(c.maxSuper) < overhead+2*mss || c.urgentMode() {
		return mss
	}
	return (uint32(c.maxSuper) - overhead) / mss * mss
}

// retransmit sends the first lost record again, or as much of it as the windows allow, and returns whether it sent
// anything.
func (c *Conn) retransmit(now mono.Time) bool {
	tx := c.tx
	i := tx.sb.nextLost()
	if i < 0 {
		return false
	}
	r := &tx.sb.recs[i]
	room := c.budget(r.n)
	if room == 0 {
		return false
	}
	edge := c.snd.una.Add(c.snd.wnd)
	if !r.seq.LessThan(edge) {
		return false // beyond a window that shrank (SHLD-16)
	}
	mss, text := c.segmentSize(), c.textOf(r)
	n := min(text, room, c.superSize(mss), max(edge.Distance(r.seq), 1))
	switch {
	case n < text:
		if n > mss {
			n -= n % mss
		}
	case n < r.n && (n == 0 || n < edge.Distance(r.seq)):
		n = r.n // the FIN is sent with the text before it, as the first time
	}
	if n < r.n {
		tx.sb.split(i, n)
	}
	c.resend(i, now)
	if i == tx.sb.head {
		c.rtoFrom = now // a whole RTO for the answer to the first segment (RFC 6675 6)
	}
	tx.ignoreCwnd = false
	return true
}

// textOf returns how many octets of a record are text: all but the FIN.
func (c *Conn) textOf(r *record) uint32 {
	if end := c.tx.q.end; end.LessThan(r.end()) {
		return r.n - 1
	}
	return r.n
}

// resend transmits record i again.
func (c *Conn) resend(i int, now mono.Time) {
	tx := c.tx
	r := tx.sb.recs[i]
	text := c.textOf(&r)
	segments := max((text+uint32(c.smss)-1)/uint32(c.smss), 1)
	c.env.Counters.Retransmitted += uint64(segments)
	c.totalRetrans += segments
	if c.phase == cc.Recovery {
		tx.flight.PRR.Sent(r.n)
	}
	if u := &c.cc.loss.undo; u.armed {
		u.resent += r.n
	}
	tx.sb.resent(i, now)
	if tx.sb.sampler != nil {
		c.stampSent(i, r.n, now)
	}
	c.lastSend = now
	c.sendSegment(r.seq, text, text < r.n, false, now)
}

// sendNew sends the next run of text that was not sent before, with the FIN if it follows and fits, and returns whether it
// sent anything. A FIN without text is no load for the network and does not wait for cwnd, which would delay the end of the
// stream for the peer's reader by a round trip.
func (c *Conn) sendNew(now mono.Time) bool {
	tx := c.tx
	if c.has(flagFINSent) {
		return false
	}
	unsent := tx.q.end.Distance(c.snd.nxt)
	fin := c.has(flagFINQueued)
	if unsent == 0 && !fin {
		return false
	}
	c.restartAfterIdle(now)
	room := c.budget(unsent)
	edge := c.snd.una.Add(c.snd.wnd)
	if room == 0 && unsent > 0 || !c.snd.nxt.LessThan(edge) {
		return false
	}
	usable := edge.Distance(c.snd.nxt)
	mss := c.segmentSize()
	super := c.superSize(mss)
	if c.has(flagCWR) {
		super = mss // the device would repeat CWR in each segment of a super-segment
	}
	n := min(unsent, usable, room, super)
	if n%mss != 0 {
		n = c.holdPartial(n, unsent, usable, room, mss, now)
		if n == 0 && unsent > 0 {
			return false
		}
	}
	fin = fin && n == unsent && n < usable
	if n == 0 && !fin {
		return false
	}
	c.sentNew(n, fin, now)
	return true
}

// holdPartial returns how many of n octets may be sent: all, or only the full segments among them. It is the sender's silly
// window avoidance (RFC 9293 3.8.6.2.1) and Nagle's algorithm (3.7.4) in Minshall's form, in which only an earlier partial
// segment that is not acknowledged holds back the next one (ledger SHLD-7): the end of a large write is not delayed.
func (c *Conn) holdPartial(n, unsent, usable, room, mss uint32, now mono.Time) uint32 {
	whole := n - n%mss
	if whole > 0 && n < unsent {
		return whole // more full segments follow
	}
	switch {
	case n == unsent:
		tx := c.tx
		if c.has(flagFINQueued|flagHoldExpired) || c.urgentMode() || tx.pushed || tx.probing ||
			!c.corked() && (c.opts.NoDelay || !tx.partial) {
			return n
		}
		if c.corked() {
			c.hold(now)
		}
	case room <= usable:
		// cwnd is the limit, not the peer's window: the next ACK raises it, unless nothing is in flight.
		if c.flightSize() == 0 {
			return n
		}
	case n >= c.snd.maxWnd/2 || c.has(flagHoldExpired):
		return n
	default:
		c.hold(now)
	}
	return whole
}

// corked says whether the user wants partial segments held back.
func (c *Conn) corked() bool { return c.opts.Cork || c.has(flagMore) }

// SetMore says whether the application will write more after its next write. If so, a partial segment at the end is held back
// as with Options.Cork, until SetMore(false) and another write. SetMore transmits nothing.
func (c *Conn) SetMore(more bool) {
	if c.clear(flagMore); more {
		c.set(flagMore)
	}
}

// hold arms the override timer for a partial segment that is held back.
func (c *Conn) hold(now mono.Time) {
	if c.timers[timerHold] == 0 {
		c.timers[timerHold] = now.Add(holdTime)
	}
}

// sentNew transmits n octets of new text and the FIN.
func (c *Conn) sentNew(n uint32, fin bool, now mono.Time) {
	tx := c.tx
	seq, length := c.snd.nxt, n
	if fin {
		length++
		c.set(flagFINSent)
	}
	if c.snd.una == c.snd.nxt {
		c.rtoFrom = now
		if c.stalledSince == 0 {
			c.stalledSince = now
		}
	}
	c.snd.nxt = c.snd.nxt.Add(length)
	behindFull := n == 0 && !(tx.partial && tx.partialEnd == seq) // a FIN for which the last segment of text has no room
	tx.sb.sent(seq, length, behindFull || tx.larger, now)
	if tx.larger {
		tx.sb.recs[len(tx.sb.recs)-1].flags |= recProbe
	}
	if tx.sb.sampler != nil {
		c.stampSent(len(tx.sb.recs)-1, length, now)
	}
	if c.phase == cc.Recovery {
		tx.flight.PRR.Sent(length)
	}
	tx.ignoreCwnd = false
	if n%c.segmentSize() != 0 {
		tx.partialEnd, tx.partial = c.snd.nxt, true
	}
	c.lastSend = now
	c.env.Counters.OctetsOut += uint64(n)
	if n > 0 {
		c.clear(flagUnanswered)
		if c.rcv.nxt != c.rcv.acked {
			c.set(flagInteractive)
		}
	}
	c.timers[timerHold] = 0
	c.clear(flagHoldExpired)
	c.sendSegment(seq, n, fin, true, now)
}

// restartAfterIdle tells the controller when something is about to be sent after an idle RTO (RFC 5681 4.1).
func (c *Conn) restartAfterIdle(now mono.Time) {
	if c.snd.nxt != c.snd.una {
		return
	}
	idle := now.Sub(c.lastSend)
	if idle <= micros(c.rto) {
		return
	}
	w := c.window()
	c.cc.OnIdle(w, idle, now)
	c.takeWindow(w)
	c.recentUse = min(c.recentUse, c.cwnd)
	c.lastSend = now
}
