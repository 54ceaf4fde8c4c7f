package tcp

import "github.com/unet-go/unet/internal/mono"

// segmentText is the seventh and eighth check of RFC 9293 3.10.7.4: text in order goes to the receive queue, text after a gap
// is kept separately, and a FIN takes effect when all text before it has arrived.
func (c *Conn) segmentText(seg *Segment, now mono.Time) {
	if seg.TextLen == 0 && !seg.Has(FIN) {
		return
	}
	if !c.canReceive() {
		// The peer's FIN has arrived before: later text or a later FIN is ignored, and acknowledged again.
		c.set(flagACKNow)
		return
	}
	if c.has(flagClosed) && seg.TextLen > 0 && c.rcv.nxt.LessThan(seg.Seq.Add(seg.TextLen)) {
		// The user has closed and will not read it (RFC 9293 3.6.1, SHLD-3).
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

// trim cuts the segment to the window on both sides and returns whether it has a FIN inside the window. It notes the first part
// that was received before (RFC 2883 4): a D-SACK reports one such part, even if there are more.
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
	// The sequence number of the FIN must be in the window too.
	return fin && (seg.Seq.Add(seg.TextLen).LessThan(c.rcv.edge) || c.rcv.wnd() == 0)
}

// takeText takes text at RCV.NXT, and text after a gap that is in order now.
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
		c.rx.ooo.fin = false // text after that number proves that there was no FIN
	}
	if c.rcv.nxt.Distance(c.rcv.acked) > uint32(c.rmss) {
		// More than a segment: if it is not acknowledged soon the peer sends a tail loss probe (RFC 8985 7.2).
		c.set(flagACKSoon)
	}
	if c.quickLeft > 0 && !c.has(flagInteractive) {
		c.quickLeft--
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

// largestSegment returns how much text one segment of the peer may carry. A longer one was put together from several by a
// device.
func (c *Conn) largestSegment() uint32 {
	if c.has(flagTimestamps) {
		return uint32(max(c.advertised, timestampLen) - timestampLen)
	}
	return uint32(c.advertised)
}

// keepOutOfOrder keeps text after a gap and requests an acknowledgment at once (RFC 5681 4.2).
func (c *Conn) keepOutOfOrder(seg *Segment, fin bool) {
	c.set(flagACKNow)
	if seg.Seq.LessThan(c.rcv.nxt) {
		return // a FIN before the window
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
		c.dropMark() // the urgent pointer was beyond the end of the stream
	}
	if c.state == Established {
		// The user may close soon, and then our FIN carries the acknowledgment.
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
		a.dup, a.hasDup = dup, hasDup // for the acknowledgment of the FIN
		c.dropReceiver()
	}
	switch c.state {
	case Established:
		c.setState(CloseWait)
	case FinWait1:
		// If our FIN is acknowledged, afterACK has already changed the state to FIN-WAIT-2.
		c.setState(Closing)
	case FinWait2:
		c.enterTimeWait()
	case Closed, Listen, SynSent, SynReceived, CloseWait, Closing, LastAck, TimeWaitState:
	}
}
