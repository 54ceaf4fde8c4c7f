package tcp

import "github.com/unet-go/unet/internal/mono"

// segmentText is the seventh and eighth check of RFC 9293 3.10.7.4: the text in order goes to the receive
// queue, the text ahead of a gap is kept apart, and the FIN counts once all before it is there.
func (c *Conn) segmentText(seg *Segment, now mono.Time) {
	if seg.TextLen == 0 && !seg.Has(FIN) {
		return
	}
	if !c.canReceive() {
		// The peer has sent its FIN before: text or a FIN past it is ignored, and acknowledged again.
		c.set(flagACKNow)
		return
	}
	if c.has(flagClosed) && seg.TextLen > 0 && c.rcv.nxt.LessThan(seg.Seq.Add(seg.TextLen)) {
		// Nobody is left to read it (RFC 9293 3.6.1, SHLD-3).
		c.sendReset(c.acceptableSeq(), now)
		c.end(0)
		return
	}
	fin := c.trim(seg)
	if seg.TextLen > 0 && c.noRoom() {
		c.env.Counters.DroppedMemory += uint64(seg.TextLen)
		c.set(flagACKNow)
		return
	}
	switch {
	case seg.Seq != c.rcv.nxt:
		c.keepOutOfOrder(seg, fin)
		return
	case seg.TextLen > 0:
		c.takeText(seg, now)
	}
	if fin && c.rcv.nxt == seg.Seq.Add(seg.TextLen) {
		c.checkFIN()
		return
	}
	if c.rx != nil && c.rx.ooo.fin && c.rx.ooo.finSeq == c.rcv.nxt {
		c.checkFIN()
	}
}

// trim cuts the segment to the window on both sides and says whether its FIN lies within. It notes the first part that
// has come before (RFC 2883 4): there is one block for it, however many such parts there are.
func (c *Conn) trim(seg *Segment) (fin bool) {
	fin = seg.Has(FIN)
	if seg.Seq.LessThan(c.rcv.nxt) {
		old := min(c.rcv.nxt.Distance(seg.Seq), seg.TextLen)
		if old > 0 {
			c.noteDuplicate(seg)
			c.set(flagACKNow)
			seg.Text.Data = seg.Text.Data[old:]
			seg.TextLen -= old
			seg.Seq = seg.Seq.Add(old)
		}
	} else if c.rx != nil && c.has(flagSACK) {
		c.rx.ooo.noteOverlap(seg.Seq, seg.Seq.Add(seg.TextLen))
	}
	if c.rcv.edge.LessThan(seg.Seq.Add(seg.TextLen)) {
		over := min(seg.Seq.Add(seg.TextLen).Distance(c.rcv.edge), seg.TextLen)
		c.env.Counters.DroppedReceiveFull += uint64(over)
		seg.Text.Data = seg.Text.Data[:seg.TextLen-over]
		seg.TextLen -= over
		c.set(flagACKNow)
		return false
	}
	// The FIN has a number of its own, which must lie in the window as well.
	return fin && (seg.Seq.Add(seg.TextLen).LessThan(c.rcv.edge) || c.rcv.wnd() == 0)
}

// takeText takes text that stands at RCV.NXT, and what it brings into order.
func (c *Conn) takeText(seg *Segment, now mono.Time) {
	c.env.Counters.OctetsIn += uint64(seg.TextLen)
	if n := min(seg.TextLen, c.largestSegment()); n > uint32(c.rmss) {
		c.rmss = uint16(n)
	}
	keep := !c.has(flagReadShut)
	c.rcv.nxt = c.rcv.nxt.Add(seg.TextLen)
	if keep {
		c.receiving().push(seg.Text, c.env.Pressure != Ample, c.env.Alloc)
		c.events |= Readable
	}
	if c.rx != nil && len(c.rx.ooo.pieces) > 0 {
		c.rcv.nxt = c.rx.ooo.take(c.rcv.nxt, c.rx, keep)
		c.set(flagACKNow) // RFC 5681 4.2: a gap is filled
	}
	if c.rx != nil && c.rx.ooo.fin && c.rx.ooo.finSeq.LessThan(c.rcv.nxt) {
		c.rx.ooo.fin = false // text has come from behind it: it was none, and its number will come round again
	}
	if c.rcv.nxt.Distance(c.rcv.acked) > uint32(c.rmss) {
		// More than a segment: its sender has a tail loss probe for what is not acknowledged soon (RFC 8985 7.2).
		c.set(flagACKSoon)
	}
	if c.quick > 0 && !c.has(flagInteractive) {
		c.quick--
		c.set(flagACKSoon)
	}
	if c.opts.QuickACK {
		c.set(flagACKNow)
	}
	if c.timers[timerACK] == 0 {
		c.timers[timerACK] = now.Add(c.env.Config.DelayedACK)
	}
	c.dropReceiver()
}

// largestSegment returns the most text that one segment of the peer's may carry. What is longer is several that a device
// has put together.
func (c *Conn) largestSegment() uint32 {
	if c.has(flagTimestamps) {
		return uint32(max(c.advertised, timestampLen) - timestampLen)
	}
	return uint32(c.advertised)
}

// keepOutOfOrder keeps text ahead of a gap and asks for an acknowledgment at once (RFC 5681 4.2).
func (c *Conn) keepOutOfOrder(seg *Segment, fin bool) {
	c.set(flagACKNow)
	if seg.Seq.LessThan(c.rcv.nxt) {
		return // a FIN in front of the window
	}
	rx := c.receiving()
	if seg.TextLen > 0 {
		pruned := rx.ooo.insert(seg.Seq, seg.Text, c.receiveLimit(), c.env.Alloc)
		pruned += c.pruneExhausted()
		c.env.Counters.DroppedPruned += uint64(pruned)
		if c.has(flagSACK) {
			rx.ooo.report(seg.Seq)
		}
	}
	if fin {
		rx.ooo.fin, rx.ooo.finSeq = true, seg.Seq.Add(seg.TextLen)
	}
	c.dropReceiver()
}

// checkFIN is the eighth check, for a FIN at RCV.NXT.
func (c *Conn) checkFIN() {
	if c.has(flagFINReceived) {
		return
	}
	c.set(flagFINReceived)
	if c.rx != nil && c.rx.urgent.state == urgentAhead {
		c.dropMark() // it pointed beyond the end
	}
	if c.state == Established {
		// The user may be about to close, and our FIN to carry the acknowledgment.
		c.set(flagACKSoon)
	} else {
		c.set(flagACKNow)
	}
	c.rcv.nxt = c.rcv.nxt.Add(1)
	c.rcv.edge = maxSeq(c.rcv.edge, c.rcv.nxt)
	c.events |= Readable
	if c.rx != nil {
		a := &c.rx.ooo
		dup, hasDup := a.dup, a.hasDup
		a.reset()
		a.dup, a.hasDup = dup, hasDup // the acknowledgment of the FIN reports it
		c.dropReceiver()
	}
	switch c.state {
	case Established:
		c.setState(CloseWait)
	case FinWait1:
		// afterACK has moved on already where our FIN is acknowledged.
		c.setState(Closing)
	case FinWait2:
		c.enterTimeWait()
	case Closed, Listen, SynSent, SynReceived, CloseWait, Closing, LastAck, TimeWaitState:
	}
}
