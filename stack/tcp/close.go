package tcp

import (
	"syscall"
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
)

// CloseWrite is CLOSE of RFC 9293 3.10.4 for the sending side alone: the queued text is sent, then the FIN.
// It does nothing if the stream was ended before.
func (c *Conn) CloseWrite(now mono.Time) {
	if c.has(flagFINQueued) {
		return
	}
	switch c.state {
	case SynSent, SynReceived:
		c.set(flagFINQueued)
		if !c.handshaking() {
			c.sending()
			c.Output(now)
		}
		return
	case Established:
		c.setState(FinWait1)
	case CloseWait:
		c.setState(LastAck)
	case Closed, Listen, FinWait1, FinWait2, Closing, LastAck, TimeWaitState:
		return
	}
	c.set(flagFINQueued)
	c.events |= Writable
	if c.stalledSince == 0 {
		c.stalledSince = now
	}
	c.sending()
	c.Output(now)
}

// CloseRead ends reading: text that has arrived can still be read, later text is acknowledged and dropped.
func (c *Conn) CloseRead(now mono.Time) {
	c.set(flagReadShut)
	c.dropMark()
	c.events |= Readable
}

// Close is close(2): the application will neither read nor write any more. Unread text resets the connection (RFC 9293
// 3.6.1, RFC 2525 2.17), and so does Linger zero; otherwise the queued text and the FIN are sent in the background. In the
// end there is the event Gone or EnteredTimeWait, during this call or later.
func (c *Conn) Close(now mono.Time) {
	if c.has(flagClosed) {
		return
	}
	c.set(flagClosed)
	unread := c.unread() > 0 && !c.onlyTaken()
	c.discard()
	switch c.state {
	case Closed:
		c.events |= Gone
		return
	case TimeWaitState:
		c.events |= EnteredTimeWait
		return
	case SynSent:
		c.end(0)
		return
	case SynReceived, Established, FinWait1, FinWait2, CloseWait, Closing, LastAck, Listen:
	}
	if c.opts.Linger == 0 || unread {
		c.Abort(now)
		return
	}
	if c.state == FinWait2 {
		if c.armFINWait2(now); c.state == Closed {
			return
		}
	}
	c.timers[timerKeepalive] = 0
	c.CloseWrite(now)
	c.armRetransmit(now)
}

// armFINWait2 bounds how long a closed connection waits for the peer's FIN. If it must not wait it ends here.
func (c *Conn) armFINWait2(now mono.Time) {
	switch limit := c.opts.FINWait2; {
	case limit < 0:
		c.sendReset(c.acceptableSeq(), now)
		c.end(0)
	case limit > 0:
		c.timers[timerClose] = now.Add(time.Duration(limit) * time.Second)
	default:
		c.timers[timerClose] = now.Add(c.env.Config.FINWait2)
	}
}

// discard drops all text that was received.
func (c *Conn) discard() {
	rx := c.rx
	if rx == nil {
		return
	}
	for rx.spans.Len() > 0 {
		s := rx.spans.First()
		storage := s.Pinned()
		s.Release()
		rx.next(storage)
	}
	rx.bytes = 0
	c.dropMark()
	rx.ooo.reset()
	c.dropReceiver()
}

// Abort is ABORT of RFC 9293 3.10.5: the connection ends at once, with a RST if the peer may still consider it open. Queued
// text is sent before the RST as far as the windows allow: without the caller's delay of Output it would have been sent
// already. Calls on the connection fail with ECONNABORTED.
func (c *Conn) Abort(now mono.Time) {
	c.Push(now)
	switch c.state {
	case Established, FinWait1, FinWait2, CloseWait, SynReceived:
		c.sendReset(c.acceptableSeq(), now)
	case Closed, TimeWaitState:
		return
	case Closing, LastAck:
		if c.finPending() { // as Linux: the peer is waiting for the rest
			c.sendReset(c.acceptableSeq(), now)
		}
	case Listen, SynSent:
	}
	c.end(syscall.ECONNABORTED)
}

// Fail ends the connection at once without sending anything, because no network is left. Text that has arrived can be
// read; after it calls on the connection fail with why.
func (c *Conn) Fail(why syscall.Errno) {
	if c.state != TimeWaitState {
		c.end(why)
	}
}

// Abandon is Abort by a host that shuts down. In CLOSING and LAST-ACK, ABORT sends no RST, since TCP goes on to retransmit
// what the peer has not acknowledged. A host that shuts down does not, so it sends a RST at SND.UNA. A peer that has
// received nothing of the rest is told by it; a peer that has received all of it ignores it, because it is before its window.
func (c *Conn) Abandon(now mono.Time) {
	c.Push(now)
	if (c.state == Closing || c.state == LastAck) && !c.finPending() {
		c.sendReset(c.snd.una, now)
	}
	c.Abort(now)
}

// Release frees the buffers that the connection still holds. The caller must not use the connection any more; its state is
// CLOSED or TIME-WAIT.
func (c *Conn) Release() {
	c.discard()
	c.dropSender()
}

// SetOptions replaces the options and acts on those that have changed.
func (c *Conn) SetOptions(o *Options, now mono.Time) {
	old := c.Options()
	if c.env == nil {
		return
	}
	c.opts = c.env.share(o)
	if c.state == Closed || c.state == TimeWaitState {
		return
	}
	if o.RecvBuffer > 0 || o.WindowClamp > 0 {
		// A smaller buffer does not take back a window that was offered: its right edge stays (SHLD-14).
		c.rcvBuf = int32(o.clamp(int(c.rcvBuf)))
		if o.RecvBuffer > 0 {
			c.rcvBuf = int32(o.recvBuffer(c.env.Config))
			c.set(flagRecvFixed)
		}
	}
	if o.SendBuffer > 0 {
		c.sndBuf = o.sendBuffer(c.env.Config)
		c.set(flagSendFixed)
	}
	if o.RecvLowat != old.RecvLowat {
		c.events |= Readable // it may be now; the reader looks
	}
	if o.KeepAlive != old.KeepAlive || o.KeepIdle != old.KeepIdle || o.KeepInterval != old.KeepInterval {
		c.armKeepalive(max(c.lastReceive, c.lastSend))
		if t := &c.timers[timerKeepalive]; *t != 0 {
			*t = max(*t, now+1)
		}
	}
	c.changeController()
	if o.QuickACK && c.rcv.nxt != c.rcv.acked {
		c.set(flagACKNow)
	}
	if o.NoDelay && !old.NoDelay || old.Cork && !o.Cork {
		c.Flush(now)
		return
	}
	c.Output(now)
	c.tellWritable()
}

// Flush sends, now or as soon as the windows allow, everything written so far that Nagle's algorithm, Options.Cork or
// SetMore holds back.
func (c *Conn) Flush(now mono.Time) {
	if c.tx != nil {
		c.tx.pushed = true
	}
	c.Output(now)
	c.tellWritable()
}

// ICMPError handles an ICMP message about the connection (RFC 9293 3.9.2.2). The message is ignored unless the segment that
// it quotes is in flight (RFC 5927 4.1), and it ends no connection that is already open (5.2, ledger Z-2).
func (c *Conn) ICMPError(e ICMPError, now mono.Time) {
	if e.Seq.LessThan(c.snd.una) || !e.Seq.LessThan(c.snd.nxt) {
		return
	}
	if e.MTU > 0 {
		if c.opts.Discover.Believes(c.has(flagV6)) {
			c.packetTooBig(e, now)
		}
		return
	}
	switch c.state {
	case SynSent, SynReceived:
		if e.Hard {
			c.end(e.Errno)
			return
		}
		c.soft = errno(e.Errno)
	case Established, FinWait1, FinWait2, CloseWait, Closing, LastAck:
		c.soft = errno(e.Errno)
	case Closed, Listen, TimeWaitState:
	}
}

// Unreachable notes that there is no route to the peer, which is the error of the connection if it ends for want of an answer.
func (c *Conn) Unreachable(why syscall.Errno) { c.soft = errno(why) }

// disorder says whether acknowledgments suggest a loss or reordering while the connection is not in recovery: Linux's state
// of that name. A tail loss probe that has not been answered does not count as such a sign.
func (c *Conn) disorder() bool {
	if c.tx == nil || c.phase != cc.Open {
		return false
	}
	sb := &c.tx.sb
	if sb.sacked > 0 || sb.lost > 0 || c.tx.dupDelivered > 0 {
		return true
	}
	for i := sb.head; i < len(sb.recs) && !c.has(flagTLPOut); i++ {
		if sb.recs[i].flags&recRetrans != 0 {
			return true
		}
	}
	return false
}

// Info returns the connection's state for people and tools.
func (c *Conn) Info() Info {
	info := Info{
		State: c.state, Retransmits: int(c.retransmits), Backoff: int(c.backoff),
		RTT: micros(c.srtt), RTTVar: micros(c.rttvar), MinRTT: micros(c.minRTT),
		SndMSS: int(c.smss), RcvMSS: int(c.rmss), SndCwnd: c.cwnd, SndSsthresh: c.ssthresh,
		SndWnd: c.snd.wnd, RcvWnd: c.rcv.wnd(), Unread: c.Readable(), Queued: c.SendQueued(),
		TotalRetrans: c.totalRetrans, WindowScale: c.sndScale, RcvScale: c.rcvScale,
		Probes: int(c.probes), AdvMSS: int(c.advertised), Recovering: c.phase == cc.Recovery, TimedOut: c.phase == cc.Timeout,
		Disorder: c.disorder(), Reduced: c.phase == cc.Reduced,
		Timestamps: c.has(flagTimestamps), SACK: c.has(flagSACK), ECN: c.has(flagECN), SYNData: c.has(flagSYNText),
		SoftError: syscall.Errno(c.soft),
	}
	info.PathMTU = c.path().MTU
	if c.env != nil {
		info.RTO = c.backedOffRTO()
		info.CongestionControl = c.congestionControl()
	}
	if c.tx != nil {
		info.Unacked, info.Sacked, info.Lost = c.flightSize(), c.tx.sb.sacked, c.tx.sb.lost
		if c.snd.nxt.LessThan(c.tx.q.end) {
			info.NotSent = int(c.tx.q.end.Distance(c.snd.nxt))
		}
	}
	return info
}
