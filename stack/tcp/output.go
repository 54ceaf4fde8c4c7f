package tcp

import (
	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
)

// Output transmits what may leave: what is lost, new text and the FIN as far as the windows allow, and an
// acknowledgment that is due and found nothing to ride on. The caller calls it once for each connection
// that a burst has touched.
func (c *Conn) Output(now mono.Time) { c.output(now, false) }

// OutputEarly is Output in the midst of a burst: an acknowledgment that is wanted at once, but that no loss
// asks for, is held back for the answer of the application, which is about to run. It says whether one is
// held; the caller then calls Output when the burst is over.
func (c *Conn) OutputEarly(now mono.Time) (held bool) {
	c.output(now, true)
	return c.has(flagACKSoon)
}

// Push transmits the text and the FIN that may leave now, and nothing else: for a caller that has put Output off and
// is about to do what would keep them from leaving.
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

// ackDue says whether an acknowledgment must leave now: one is asked for, or two full segments' worth of
// text is unacknowledged (RFC 9293 3.8.6.3, RFC 5681 4.2). One that is wanted soon waits for a burst's end.
func (c *Conn) ackDue(early bool) bool {
	if c.has(flagACKNow) || !early && c.has(flagACKSoon) {
		return true
	}
	return c.rcv.nxt.Distance(c.rcv.acked) >= 2*uint32(c.rmss) && c.rcv.nxt != c.rcv.acked
}

func (c *Conn) sendText(now mono.Time) {
	c.tx.sb.compact(max(micros(c.minRTT)/64, minSpan))
	forward := c.tx.frto == frtoNew // what looks lost waits for the proof that it is
	for c.tx.sb.lost > 0 && !forward && c.retransmit(now) {
	}
	sent := false
	for (c.tx.sb.lost == 0 || forward) && c.sendNew(now) {
		sent = true
	}
	if c.flightSize() > 0 {
		c.noteUsage(sent, now)
	}
	if c.tx.sb.sampler != nil {
		c.noteAppLimited()
	}
}

// budget returns how many of want octets cwnd allows now. While anything is in the network, less than a segment is
// worth sending only if it is all.
func (c *Conn) budget(want uint32) uint32 {
	pipe := c.pipe()
	if c.tx.force {
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

// segmentSize returns the payload of a full segment that carries the SACK blocks of this moment. To fill in a segment
// may use up a block: whoever cuts text asks before.
func (c *Conn) segmentSize() uint32 { return uint32(c.smss) - uint32(c.sackLen()) }

// superSize returns the largest payload that one trip to the device may carry, a multiple of mss. An urgent
// pointer counts from its own segment, so that it cannot be in one that the device cuts.
func (c *Conn) superSize(mss uint32) uint32 {
	overhead := uint32(40 + headerLen + 40) // of either family, with all options
	if uint32(c.maxSuper) < overhead+2*mss || c.urgentMode() {
		return mss
	}
	return (uint32(c.maxSuper) - overhead) / mss * mss
}

// retransmit sends the first lost record again, or as much of it as the windows allow, and says whether
// more may follow.
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
		n = r.n // the FIN leaves with the text before it, as it did
	}
	if n < r.n {
		tx.sb.split(i, n)
	}
	c.resend(i, now)
	if i == tx.sb.head {
		c.rtoFrom = now // its answer has as long as that of any other (RFC 6675 6)
	}
	tx.force = false
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

// sendNew sends the next run of text that was not sent before, with the FIN when it follows and fits, and
// says whether it sent anything. A FIN of its own is no load, and does not wait for cwnd: the peer's reader would learn
// of the end of the stream a round trip late.
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
		super = mss // so that CWR is said once
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

// holdPartial decides about the octets of n past the last full segment: sender's silly window avoidance
// (RFC 9293 3.8.6.2.1) and Nagle's algorithm (3.7.4) in Minshall's form, where only a partial segment that is not
// acknowledged holds the next one back (ledger SHLD-7): the end of a large write waits for nothing. It returns how much
// may leave.
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
		// cwnd is in the way, not the peer: an ACK will open it, unless nothing is out.
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

// SetMore says whether more follows what is written next: if so, a partial segment at its end is held back as
// by Options.Cork, until something is written of which that is not true. It transmits nothing.
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
		if c.stalled == 0 {
			c.stalled = now
		}
	}
	c.snd.nxt = c.snd.nxt.Add(length)
	behindFull := n == 0 && !(tx.partial && tx.small == seq) // a FIN that no segment has room for but its own
	tx.sb.sent(seq, length, behindFull, now)
	if tx.sb.sampler != nil {
		c.stampSent(len(tx.sb.recs)-1, length, now)
	}
	if c.phase == cc.Recovery {
		tx.flight.PRR.Sent(length)
	}
	tx.force = false
	if n%c.segmentSize() != 0 {
		tx.small, tx.partial = c.snd.nxt, true
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
	c.used = min(c.used, c.cwnd)
	c.lastSend = now
}
