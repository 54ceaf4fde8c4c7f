package tcp

import (
	"syscall"

	"github.com/unet-go/unet/internal/mono"
)

// verdict is the result of one check of SEGMENT ARRIVES.
type verdict bool

const (
	drop   verdict = false
	accept verdict = true
)

// SegmentArrives is SEGMENT ARRIVES of RFC 9293 3.10.7 for a connection that has a TCB. It may change seg. It sends resets and
// challenge ACKs itself; everything else is sent by the next Output.
func (c *Conn) SegmentArrives(seg *Segment, now mono.Time) {
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
		// In a simultaneous open the peer's SYN-ACK repeats the SYN that has arrived before.
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
		c.quickLeft = quickACKs // text after a pause: the peer may be in slow start, which early ACKs make faster
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

// checkSequence is the first check of RFC 9293 3.10.7.4, with PAWS before it (RFC 7323 5.3 R1). A RST passes: checkReset has a
// stricter rule for it, and PAWS must not drop it (RFC 7323 5.2).
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
		// With a closed window the ACK and the urgent pointer of the next segment still count, not its text.
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

// overtakenTicks is how much older than TS.Recent the timestamp of an overtaken segment may be. At a tick of a millisecond it
// is a twentieth of a second, in which no path carries 2 GiB.
const overtakenTicks = 50

// overtaken says whether a segment that looks old to PAWS belongs to this window and was overtaken by a retransmission: it
// fills a gap before text that has arrived. If it were dropped it would be retransmitted, and that retransmission would in turn
// overtake other segments: on a fast path with reordering recovery would never end.
func (c *Conn) overtaken(seg *Segment) bool {
	return seg.TextLen > 0 && c.rcv.nxt.LessThanEq(seg.Seq) && c.rx != nil && c.rx.ooo.ahead(seg.Seq) &&
		c.tsRecent-seg.TSVal <= overtakenTicks
}

// acceptable is the four-case test of RFC 9293 3.4.
func (c *Conn) acceptable(seg *Segment) bool { return seg.acceptable(c.rcv.nxt, c.rcv.wnd()) }

// noteDuplicate remembers text that was received before, to report it in a D-SACK (RFC 2883 4).
func (c *Conn) noteDuplicate(seg *Segment) {
	if !c.has(flagSACK) || seg.TextLen == 0 || !seg.Seq.LessThan(c.rcv.nxt) {
		return
	}
	c.receiving().ooo.noteDup(seg.Seq, minSeq(seg.Seq.Add(seg.TextLen), c.rcv.nxt))
}

// checkReset is the second check of RFC 9293 3.10.7.4 as hardened by RFC 5961 3.2. It applies to a zero window too (MUST-66).
// Only a RST at exactly RCV.NXT ends the connection; one elsewhere in the window is answered by a challenge ACK. So a blind
// attacker must guess one of 2^32 numbers, not one of the many in the window.
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

// endByReset ends the connection as its state requires. After the peer's FIN its stream is complete, so only writing fails,
// with EPIPE as in POSIX. If both streams have ended, unacknowledged text is lost, and a user that still has the connection
// gets the error (ledger A-SM-38).
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

// checkSYN is the fourth check, according to RFC 5961 4.2: in a synchronized state a SYN is answered by a challenge ACK,
// whatever its sequence number.
func (c *Conn) checkSYN(seg *Segment, now mono.Time) verdict {
	if !seg.Has(SYN) {
		return accept
	}
	c.challengeACK(now)
	return drop
}

// ackInRange says whether an acknowledgment is in the range that RFC 5961 5.2 allows: not for text that was never sent, and
// not older than the largest window that the peer has ever offered. It is computed as a distance before SND.NXT, so that the
// number 2^31 away is out of range too (ledger D-ACK-4); flight and window together are smaller.
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

// handshakeDone processes the acknowledgment of our SYN in SYN-RECEIVED.
func (c *Conn) handshakeDone(seg *Segment, now mono.Time) {
	c.snd.una = c.snd.iss.Add(1)
	c.synAcked(seg, now)
	c.setWindow(uint32(seg.Window)<<c.sndScale, seg.Seq, seg.Ack)
	c.establish(now)
	c.synTextAcked(seg.Ack, now)
	if c.has(flagActive) {
		c.set(flagACKNow)
	} else if c.snd.una.LessThan(seg.Ack) {
		c.acknowledge(seg, now) // Fast Open: it acknowledges text too
	}
}

// afterACK changes the state when our FIN has been acknowledged.
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

// enterTimeWait enters TIME-WAIT. The caller then replaces the connection by the record that TimeWait returns.
func (c *Conn) enterTimeWait() {
	c.setState(TimeWaitState)
	c.timers = [numTimers]mono.Time{}
	c.dropSender()
	c.events |= EnteredTimeWait | Readable | Writable | Drained
}

// end enters CLOSED. why is the error that the user gets; zero for none. Text that arrived before can still be read (ledger
// Z-5).
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
