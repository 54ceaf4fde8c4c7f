package tcp

import (
	"syscall"
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
)

// Connect is the active OPEN (RFC 9293 3.10.1): it transmits a SYN and enters SYN-SENT. The
// initial sequence number stands after floor.
func (c *Conn) Connect(env *Env, out Sink, t Tuple, p Path, o *Options, floor ISSFloor, now mono.Time) {
	c.open(env, out, t, p, o, floor, now)
	c.stalledSince, c.rtoFrom = now, now
	c.sendSYN(now)
	c.armSYN()
}

// open enters SYN-SENT. The SYN is still to be sent.
func (c *Conn) open(env *Env, out Sink, t Tuple, p Path, o *Options, floor ISSFloor, now mono.Time) {
	c.init(env, out, p, o, now)
	c.set(flagActive)
	iss, offset := env.initial(t, floor, now)
	c.tsOffset = offset
	c.snd = sendVars{una: iss, nxt: iss.Add(1), iss: iss}
	c.setState(SynSent)
	c.advertised = p.advertisedMSS(o)
	c.rcvScale = scaleFor(receiveCap(env.Config, o))
}

// sendSYN transmits our SYN, with ACK where the peer's has arrived.
func (c *Conn) sendSYN(now mono.Time) {
	seg := c.env.segment()
	c.fillSYN(seg, now)
	c.transmit(seg)
}

// fillSYN makes seg our SYN, or SYN-ACK.
func (c *Conn) fillSYN(seg *Segment, now mono.Time) {
	seg.Seq, seg.Flags = c.snd.iss, SYN
	seg.Options, seg.MSS = OptMSS, c.advertised
	reply := c.state == SynReceived
	if reply {
		seg.Flags |= ACK
		seg.Ack = c.rcv.nxt
		c.rcv.acked = c.rcv.nxt
		c.clear(flagACKNow | flagACKSoon)
	}
	seg.Flags |= c.synECN()
	// The window of a SYN is never scaled (RFC 7323 2.2).
	seg.Window = uint16(min(max(int(c.rcvBuf)-c.unread(), 0), 65535))
	if reply {
		c.rcv.edge = maxSeq(c.rcv.edge, c.rcv.nxt.Add(uint32(seg.Window)))
	}
	if !reply || c.has(flagScaled) {
		seg.Options |= OptWindowScale
		seg.WindowScale = c.rcvScale
	}
	if (!reply && !c.env.Config.NoSACK) || c.has(flagSACK) {
		seg.Options |= OptSACKPermitted
	}
	if (!reply && !c.env.Config.NoTimestamps) || c.has(flagTimestamps) {
		seg.Options |= OptTimestamps
		seg.TSVal = c.env.stamp(now) + c.tsOffset
		if reply {
			seg.TSEcr = c.tsRecent
		}
	}
}

// armSYN starts the timer for a SYN: the backed-off RTO, cut short by the time that connect may take.
func (c *Conn) armSYN() {
	c.setRetransmit(min(c.rtoFrom.Add(c.backedOffRTO()), c.stalledSince.Add(c.connectLimit())))
}

// connectLimit is how long connect goes on: R2 for SYNs (RFC 9293 3.8.3).
func (c *Conn) connectLimit() time.Duration {
	limit := c.env.Config.SYNTimeout
	if n := c.opts.SYNRetries; n > 0 {
		limit = 0
		for i := range int(n) + 1 {
			limit += min(initialRTO<<min(i, 16), c.env.Config.MaxRTO)
		}
	}
	if c.opts.UserTimeout > 0 {
		userTimeout := time.Duration(c.opts.UserTimeout) * time.Millisecond
		if c.opts.SYNRetries == 0 {
			return userTimeout
		}
		limit = min(limit, userTimeout)
	}
	return limit
}

func (c *Conn) synTimeout(now mono.Time) {
	tired := !c.has(flagActive) && int(c.retransmits) >= c.env.Config.SYNACKRetries
	if tired || now.Sub(c.stalledSince) >= c.connectLimit() {
		c.env.Counters.UserTimeouts++
		c.end(c.timeoutErrno())
		return
	}
	c.env.Counters.Timeouts++
	c.env.Counters.Retransmitted++
	c.totalRetrans++
	c.countTimeout()
	c.doubt()
	c.set(flagSYNRetrans)
	c.rtoFrom = now
	c.sendSYN(now)
	c.armSYN()
}

// arrivesSynSent is SEGMENT ARRIVES in SYN-SENT (RFC 9293 3.10.7.3).
func (c *Conn) arrivesSynSent(seg *Segment, now mono.Time) {
	ackOK := false
	if seg.Has(ACK) {
		if seg.Ack.LessThanEq(c.snd.iss) || c.snd.nxt.LessThan(seg.Ack) {
			c.env.Counters.DroppedBadACK++
			if !seg.Has(RST) {
				c.sendReset(seg.Ack, now)
			}
			return
		}
		ackOK = true
	}
	if seg.Has(RST) {
		// Only a RST that acknowledges our SYN is the peer's answer to it.
		if ackOK {
			c.env.Counters.ResetsIn++
			c.end(syscall.ECONNREFUSED)
		}
		return
	}
	if !seg.Has(SYN) {
		return
	}
	c.takeSYN(seg, now)
	if ackOK {
		c.snd.una = c.snd.iss.Add(1)
		c.synAcked(seg, now)
		c.establish(now)
		c.synTextAcked(seg.Ack, now)
		c.set(flagACKNow)
		c.afterSYN(seg, now)
		return
	}
	// Simultaneous open (RFC 9293 3.5, figure 8).
	c.setState(SynReceived)
	c.retransmits, c.backoff = 0, 0
	c.rtoFrom = now
	if c.stalledSince == 0 {
		c.stalledSince = now // OpenWith has not been called: this is our first SYN
	}
	c.sendSYN(now)
	c.armSYN()
}

// takeSYN notes the peer's SYN: its sequence number, window and options.
func (c *Conn) takeSYN(seg *Segment, now mono.Time) {
	c.rcv.irs = seg.Seq
	c.rcv.nxt = seg.Seq.Add(1)
	c.rcv.acked = c.rcv.nxt
	c.rcv.edge = c.rcv.nxt.Add(uint32(min(c.rcvBuf, 65535)))
	c.setWindow(uint32(seg.Window), seg.Seq, seg.Ack) // never scaled in a SYN
	c.lastReceive = now
	c.peerMSS = c.defaultMSS()
	if seg.Options&OptMSS != 0 {
		c.peerMSS = seg.MSS
	}
	if seg.Options&OptWindowScale != 0 {
		c.set(flagScaled)
		c.sndScale = min(seg.WindowScale, maxScale)
	} else {
		c.rcvScale = 0
	}
	if seg.Options&OptSACKPermitted != 0 && !c.env.Config.NoSACK {
		c.set(flagSACK)
	}
	if seg.Options&OptTimestamps != 0 && !c.env.Config.NoTimestamps {
		c.set(flagTimestamps)
		c.tsRecent, c.tsRecentAt = seg.TSVal, now
	}
	c.agreeECN(seg)
	c.setMSS()
	c.rmss = min(c.defaultMSS(), c.advertised)
}

// synAcked takes the round-trip time of the handshake, unless Karn's rule forbids it.
func (c *Conn) synAcked(seg *Segment, now mono.Time) {
	if !c.has(flagSYNRetrans) {
		c.sampleRTT(now.Sub(c.rtoFrom))
	} else if c.has(flagTimestamps) && seg.Options&OptTimestamps != 0 && seg.TSEcr != 0 {
		c.sampleRTT(c.echoRTT(seg.TSEcr, now))
	} else {
		c.rto = int32(retransmittedSYNRTO / time.Microsecond)
	}
}

// establish enters ESTABLISHED.
func (c *Conn) establish(now mono.Time) {
	c.setState(Established)
	c.setMSS() // the path may have changed since the SYN
	c.retransmits, c.backoff = 0, 0
	c.setRetransmit(0)
	c.stalledSince = 0
	c.soft = 0
	c.openCwnd()
	c.armKeepalive(now)
	if c.has(flagActive) {
		c.env.Counters.ActiveOpens++
		c.events |= Connected
	} else {
		c.env.Counters.PassiveOpens++
	}
	c.events |= Writable
	if c.has(flagFINQueued) {
		c.setState(FinWait1)
	}
}

// openCwnd begins congestion control.
func (c *Conn) openCwnd() {
	cwnd := cc.InitialWindow(uint32(c.smss))
	// RFC 5681 3.1 and RFC 6928 2: one segment only when the SYN was lost more than once.
	if c.has(flagSYNRetrans) && c.totalRetrans > 1 {
		cwnd = uint32(c.smss)
	}
	c.setCwnd(cwnd, cc.MaxCwnd)
	c.recover = c.snd.iss
}

// afterSYN handles the text and the FIN that a SYN segment may bring along.
func (c *Conn) afterSYN(seg *Segment, now mono.Time) {
	if seg.TextLen == 0 && !seg.Has(FIN) {
		return
	}
	seg.Seq = seg.Seq.Add(1)
	seg.Flags &^= SYN
	c.segmentText(seg, now)
}

// Accept makes c the ESTABLISHED connection that record h has become. The caller then passes the segment
// that completed h to SegmentArrives.
func (c *Conn) Accept(env *Env, out Sink, h *HalfOpen, t Tuple, p Path, o *Options, now mono.Time) {
	c.adopt(env, out, h, p, o, now)
	switch {
	case h.flags&halfSYNCookie != 0:
		c.rto = int32(initialRTO / time.Microsecond)
	case h.retries == 0:
		c.sampleRTT(now.Sub(h.sent))
	default:
		c.rto = int32(retransmittedSYNRTO / time.Microsecond)
	}
	c.establish(now)
}

// adopt takes over what a record knows.
func (c *Conn) adopt(env *Env, out Sink, h *HalfOpen, p Path, o *Options, now mono.Time) {
	c.init(env, out, p, o, now)
	c.tsOffset = h.tsOffset
	c.advertised = p.advertisedMSS(o)
	c.snd = sendVars{una: h.iss.Add(1), nxt: h.iss.Add(1), iss: h.iss}
	c.setWindow(uint32(h.wnd), h.irs, h.iss.Add(1))
	c.rcv.irs = h.irs
	c.rcv.nxt = h.irs.Add(1)
	c.rcv.acked = c.rcv.nxt
	c.rcv.edge = c.rcv.nxt.Add(uint32(h.rcvWnd))
	c.peerMSS = h.mss
	c.rcvScale, c.sndScale = h.rcvScale, h.sndScale
	if h.flags&halfScaled != 0 {
		c.set(flagScaled)
	}
	if h.flags&halfSACK != 0 {
		c.set(flagSACK)
	}
	if h.flags&halfECN != 0 {
		c.set(flagECN)
	}
	if h.flags&halfTimestamps != 0 {
		c.set(flagTimestamps)
		c.tsRecent, c.tsRecentAt = h.tsRecent, now
	}
	c.setMSS()
	c.rmss = min(c.defaultMSS(), c.advertised)
	c.totalRetrans = uint32(h.retries)
	if h.retries > 0 {
		c.set(flagSYNRetrans)
	}
}

// SYNRetries returns how often connect sends its SYN again without Options.SYNRetries.
func SYNRetries(cfg Config) int {
	n := 0
	for at, step := initialRTO, 2*initialRTO; at < cfg.SYNTimeout; n++ {
		at += min(step, cfg.MaxRTO)
		step *= 2
	}
	return n
}
