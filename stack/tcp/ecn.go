package tcp

import (
	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
)

// ECN says how a connection uses Explicit Congestion Notification (RFC 3168).
type ECN uint8

const (
	// ECNDefault means the value of Config.ECN, and in Config it means ECNPassive.
	ECNDefault ECN = iota
	// ECNPassive uses ECN if the peer asks for it, but does not ask itself.
	ECNPassive
	// ECNActive also asks for it when it connects.
	ECNActive
	// ECNOff does neither.
	ECNOff
)

// plainSYNs is how many SYNs ask for ECN without an answer before the next one does not ask (RFC 3168 6.1.1.1).
const plainSYNs = 2

// ecn returns how a connection with options o uses ECN.
func (o *Options) ecn(cfg *Config) ECN {
	if o.ECN != ECNDefault {
		return o.ECN
	}
	return cfg.ECN
}

// asksECN says whether a segment is an ECN-setup SYN (RFC 3168 6.1.1). A SYN whose IP header is marked too was not sent by a
// host that follows this RFC.
func asksECN(seg *Segment) bool { return seg.Has(SYN|ECE|CWR) && !seg.Has(ACK) && !seg.ECT }

// synECN returns the ECN flags of our next SYN or SYN-ACK.
func (c *Conn) synECN() Flags {
	switch {
	case c.state == SynReceived && c.has(flagECN):
		return ECE
	case c.state == SynSent && c.opts.ecn(c.env.Config) == ECNActive && c.retransmits < plainSYNs:
		return ECE | CWR
	}
	return 0
}

// agreeECN decides about ECN when the answer to our SYN arrives, or a SYN that crossed it. A SYN-ACK with both bits comes
// from a host that reflects bits that it does not know.
func (c *Conn) agreeECN(seg *Segment) {
	if c.opts.ecn(c.env.Config) != ECNActive {
		return
	}
	if seg.Has(ACK) && seg.Flags&(ECE|CWR) == ECE || asksECN(seg) && c.synECN() != 0 {
		c.set(flagECN)
	}
}

// noteCE is the receiver's half of RFC 3168 6.1.3: if a router has marked a segment of text, every acknowledgment echoes that
// until the peer says that it has reduced its window. A correct peer never lets retransmissions be marked; text that we have
// already was dropped before this check.
func (c *Conn) noteCE(seg *Segment) {
	if !c.has(flagECN) || seg.TextLen == 0 {
		return
	}
	if seg.Has(CWR) {
		c.clear(flagEchoCE)
		c.set(flagACKNow) // the peer's window is small now, and it waits for the acknowledgment
	}
	if seg.CE && !c.has(flagEchoCE) {
		c.set(flagEchoCE | flagACKNow)
	}
}

// heedECE is the sender's half (RFC 3168 6.1.2): an echo of congestion reduces the window as a loss does, once for the data
// in flight, and the next new text carries CWR. Nothing is retransmitted, and the reduction is never undone.
func (c *Conn) heedECE(ev *ackEvent, now mono.Time) {
	if c.phase != cc.Open || ev.flight == 0 {
		return // the window was reduced for this flight already
	}
	c.env.Counters.ECNReductions++
	c.signal(cc.Echoed, c.flightAtLoss(ev.flight), now)
	if c.flightSize() > 0 {
		c.phase = cc.Reduced
		c.tx.cwrEnd = c.snd.nxt
	}
}

// tellCWR makes the next new text carry CWR, which tells the peer that the window was reduced, for whatever reason.
func (c *Conn) tellCWR() {
	if c.has(flagECN) {
		c.set(flagCWR)
	}
}
