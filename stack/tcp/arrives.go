package tcp

import (
	"syscall"

	"github.com/unet-go/unet/internal/mono"
)

// verdict is what one step of SEGMENT ARRIVES says of a segment.
type verdict bool

const (
	drop   verdict = false
	accept verdict = true
)

// SegmentArrives is SEGMENT ARRIVES of RFC 9293 3.10.7 for a connection of its own. It may change seg. What
// it decides to send, but for resets and challenge ACKs, leaves with the next Output.
func (c *Conn) SegmentArrives(seg *Segment, now mono.Time) {
	c.env.Counters.SegmentsIn++
	if c.env.Trace != nil {
		c.traceSegment(TraceReceived, seg)
	}
	switch c.state {
	case SynSent:
		c.arrivesSynSent(seg, now)
	case SynReceived, Established, FinWait1, FinWait2, CloseWait, Closing, LastAck, TimeWaitState:
		c.arrivesSynchronized(seg, now)
	case Closed, Listen:
	}
}

// arrivesSynchronized is RFC 9293 3.10.7.4.
func (c *Conn) arrivesSynchronized(seg *Segment, now mono.Time) {
	if c.state == SynReceived && seg.Has(SYN) && seg.Seq == c.rcv.irs {
		// The peer's SYN-ACK of a simultaneous open repeats the SYN that we hold already.
		if !seg.Has(ACK) {
			c.sendSYN(now)
			return
		}
		seg.Seq = seg.Seq.Add(1)
		seg.Flags &^= SYN
	}
	if c.checkSequence(seg, now) == drop ||
		c.checkReset(seg, now) == drop ||
		c.checkSYN(seg, now) == drop {
		return
	}
	if seg.TextLen > 0 && now.Sub(c.lastReceive) > micros(c.rto) {
		c.quick = quickACKs // a burst begins: its sender may be in slow start
		c.clear(flagInteractive)
	}
	c.lastReceive = now
	c.probes = 0
	if c.checkACK(seg, now) == drop {
		return
	}
	c.noteCE(seg)
	c.checkURG(seg)
	c.segmentText(seg, now)
}

// checkSequence is the first check of RFC 9293 3.10.7.4, with PAWS in front (RFC 7323 5.3 R1). A RST is
// left to checkReset, which has a stricter rule of its own, and which PAWS must not hide (RFC 7323 5.2).
func (c *Conn) checkSequence(seg *Segment, now mono.Time) verdict {
	if seg.Has(RST) {
		return accept
	}
	stamped := c.has(flagTimestamps) && seg.Options&OptTimestamps != 0
	older := stamped && int32(seg.TSVal-c.tsRecent) < 0 && now.Sub(c.tsRecentAt) < pawsIdle
	if older && !c.overtaken(seg) {
		c.env.Counters.DroppedPAWS++
		c.noteDuplicate(seg)
		c.ackUnacceptable(seg, now)
		return drop
	}
	if c.acceptable(seg) {
		// RFC 7323 4.3: TS.Recent follows the segment that the next ACK covers first.
		if stamped && !older && seg.Seq.LessThanEq(c.rcv.acked) && c.ackInRange(seg) {
			c.tsRecent, c.tsRecentAt = seg.TSVal, now
		}
		return accept
	}
	if c.rcv.wnd() == 0 && seg.Seq == c.rcv.nxt {
		// A closed window still takes the ACK and the urgent pointer of the next segment, not its text.
		seg.Text, seg.TextLen = Span{}, 0
		seg.Flags &^= FIN | SYN
		c.set(flagACKNow)
		return accept
	}
	c.env.Counters.DroppedOutOfWindow++
	c.noteDuplicate(seg)
	c.ackUnacceptable(seg, now)
	return drop
}

// overtakenTicks is how much older than TS.Recent the timestamp of a segment that was overtaken may be: a twentieth of
// a second of a clock of milliseconds, in which no path carries 2 GiB.
const overtakenTicks = 50

// overtaken says whether a segment that looks old to PAWS is one of this window that a retransmission has overtaken: it
// fills a gap in front of text that is here already. Dropped, it would have to be sent again, and that retransmission
// would overtake others in its turn: on a fast path that reorders recovery would never end.
func (c *Conn) overtaken(seg *Segment) bool {
	return seg.TextLen > 0 && c.rcv.nxt.LessThanEq(seg.Seq) && c.rx != nil && c.rx.ooo.ahead(seg.Seq) &&
		c.tsRecent-seg.TSVal <= overtakenTicks
}

// acceptable is the four-case test of RFC 9293 3.4.
func (c *Conn) acceptable(seg *Segment) bool { return seg.acceptable(c.rcv.nxt, c.rcv.wnd()) }

// noteDuplicate remembers text that has been received before, for one D-SACK (RFC 2883 4).
func (c *Conn) noteDuplicate(seg *Segment) {
	if !c.has(flagSACK) || seg.TextLen == 0 || !seg.Seq.LessThan(c.rcv.nxt) {
		return
	}
	c.receiving().ooo.noteDup(seg.Seq, minSeq(seg.Seq.Add(seg.TextLen), c.rcv.nxt))
}

// checkReset is the second check of RFC 9293 3.10.7.4 as RFC 5961 3.2 hardens it (MUST-66 holds: the window
// may be zero). Only a RST at exactly RCV.NXT ends the connection; one elsewhere in the window earns a
// challenge ACK, so a blind attacker has one chance in 2^32, not one in the window's size.
func (c *Conn) checkReset(seg *Segment, now mono.Time) verdict {
	switch {
	case !seg.Has(RST):
		return accept
	case seg.Seq == c.rcv.nxt:
		c.endByReset()
	case seg.Seq.InWindow(c.rcv.nxt, c.rcv.wnd()):
		c.challengeACK(now)
	default:
		c.env.Counters.DroppedOutOfWindow++
	}
	return drop
}

// endByReset ends the connection as each state asks for it. After the peer's FIN the stream it sent is
// whole, so that only writing fails: EPIPE, as POSIX has it. Where both streams have ended, what was not acknowledged is
// lost, and who still has the connection is told (ledger A-SM-38).
func (c *Conn) endByReset() {
	c.env.Counters.ResetsIn++
	switch c.state {
	case SynReceived:
		if c.handshaking() {
			c.end(syscall.ECONNREFUSED)
		} else {
			c.end(syscall.ECONNRESET)
		}
	case Established, FinWait1, FinWait2, Closing, LastAck:
		c.end(syscall.ECONNRESET)
	case CloseWait:
		c.end(syscall.EPIPE)
	case TimeWaitState:
		if c.env.Config.TimeWaitObeysReset {
			c.end(0)
		}
	case Closed, Listen, SynSent:
	}
}

// checkSYN is the fourth check as RFC 5961 4.2 has it: a SYN in a synchronized state is answered by a
// challenge ACK wherever it stands.
func (c *Conn) checkSYN(seg *Segment, now mono.Time) verdict {
	if !seg.Has(SYN) {
		return accept
	}
	c.challengeACK(now)
	return drop
}

// ackInRange is the range that RFC 5961 5.2 allows an acknowledgment: not for what was never sent, and not
// older than the largest window that the peer has ever offered. Measured back from SND.NXT, so that the number
// 2^31 away is out of range too (ledger D-ACK-4); flight and window together stay below that.
func (c *Conn) ackInRange(seg *Segment) bool {
	return seg.Has(ACK) && c.snd.nxt.Distance(seg.Ack) <= c.flightSize()+c.snd.maxWnd
}

// checkACK is the fifth check of RFC 9293 3.10.7.4.
func (c *Conn) checkACK(seg *Segment, now mono.Time) verdict {
	if !seg.Has(ACK) {
		c.env.Counters.DroppedNoACK++
		return drop
	}
	if c.state == SynReceived {
		if seg.Ack.LessThanEq(c.snd.una) || c.snd.nxt.LessThan(seg.Ack) {
			c.env.Counters.DroppedBadACK++
			c.sendReset(seg.Ack, now)
			return drop
		}
		c.handshakeDone(seg, now)
		return c.afterACK(now)
	}
	if !c.ackInRange(seg) {
		c.env.Counters.DroppedBadACK++
		if c.snd.nxt.LessThan(seg.Ack) {
			c.ackUnacceptable(seg, now)
		} else {
			c.challengeACK(now)
		}
		return drop
	}
	c.acknowledge(seg, now)
	return c.afterACK(now)
}

// handshakeDone takes the acknowledgment of our SYN in SYN-RECEIVED.
func (c *Conn) handshakeDone(seg *Segment, now mono.Time) {
	c.snd.una = c.snd.iss.Add(1)
	c.synAcked(seg, now)
	c.setWindow(uint32(seg.Window)<<c.sndScale, seg.Seq, seg.Ack)
	c.establish(now)
	c.synTextAcked(seg.Ack, now)
	if c.has(flagActive) {
		c.set(flagACKNow)
	} else if c.snd.una.LessThan(seg.Ack) {
		c.acknowledge(seg, now) // the peer has had our answer already
	}
}

// afterACK moves the state when our FIN has been acknowledged.
func (c *Conn) afterACK(now mono.Time) verdict {
	if !c.has(flagFINSent) || c.snd.una != c.snd.nxt {
		return accept
	}
	switch c.state {
	case FinWait1:
		c.setState(FinWait2)
		if c.has(flagClosed) {
			if c.armFINWait2(now); c.state == Closed {
				return drop
			}
		}
		c.events |= Drained
	case Closing:
		c.enterTimeWait()
		return drop
	case LastAck:
		c.end(0)
		return drop
	case Closed, Listen, SynSent, SynReceived, Established, FinWait2, CloseWait, TimeWaitState:
	}
	return accept
}

// setWindow takes over the window of wnd octets that the peer offers in the segment with sequence number seq and
// acknowledgment number ack. It is the one place that sets SND.WND, SND.WL1 and SND.WL2.
func (c *Conn) setWindow(wnd uint32, seq, ack Seq) {
	if wnd != c.snd.wnd && c.env.Trace != nil {
		c.traceWindow(wnd)
	}
	c.snd.wnd, c.snd.wl1, c.snd.wl2 = wnd, seq, ack
	c.snd.maxWnd = max(c.snd.maxWnd, wnd)
}

func (c *Conn) traceWindow(wnd uint32) { c.env.Trace(c, TraceEvent{Kind: TraceWindow, Window: wnd}) }

// enterTimeWait hands the connection over to the record that stands for it from here on.
func (c *Conn) enterTimeWait() {
	c.setState(TimeWaitState)
	c.timers = [numTimers]mono.Time{}
	c.dropSender()
	c.events |= EnteredTimeWait | Readable | Writable | Drained
}

// end closes the connection for good, with the reason that the user will be told. Text that arrived before
// stays readable (ledger Z-5).
func (c *Conn) end(why syscall.Errno) {
	if c.state == Closed {
		return
	}
	c.setState(Closed)
	c.err = errno(why)
	c.timers = [numTimers]mono.Time{}
	c.flags &^= flagACKNow | flagACKSoon
	c.dropSender()
	if c.rx != nil {
		c.rx.ooo.reset()
		c.dropReceiver()
	}
	c.events |= Gone | Readable | Writable
}
