package tcp

import (
	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
)

// ECN says what a connection does about Explicit Congestion Notification (RFC 3168).
type ECN uint8

const (
	// ECNDefault leaves it to Config.ECN, and there means ECNPassive.
	ECNDefault ECN = iota
	// ECNPassive agrees to ECN where the peer asks for it, but does not ask.
	ECNPassive
	// ECNActive asks for it too when it connects.
	ECNActive
	// ECNOff does neither.
	ECNOff
)

// plainSYNs is how many SYNs that ask for ECN go unanswered before the next does not ask (RFC 3168 6.1.1.1).
const plainSYNs = 2

// ecn returns what holds for a connection with options o.
func (o *Options) ecn(cfg *Config) ECN {
	if o.ECN != ECNDefault {
		return o.ECN
	}
	return cfg.ECN
}

// asksECN says whether a segment is an ECN-setup SYN (RFC 3168 6.1.1): one that is marked in the IP header as well
// comes from something else.
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

// agreeECN takes the answer to our SYN, or the SYN that crossed it. A SYN-ACK that carries both bits comes from a
// host that reflects what it does not know.
func (c *Conn) agreeECN(seg *Segment) {
	if c.opts.ecn(c.env.Config) != ECNActive {
		return
	}
	if seg.Has(ACK) && seg.Flags&(ECE|CWR) == ECE || asksECN(seg) && c.synECN() != 0 {
		c.set(flagECN)
	}
}

// noteCE is the receiver's half of RFC 3168 6.1.3: congestion that a router has marked on text is echoed in every
// acknowledgment until the peer says that it has reduced its window. Text that repeats what we have is never marked
// by an honest peer; it has been dropped before.
func (c *Conn) noteCE(seg *Segment) {
	if !c.has(flagECN) || seg.TextLen == 0 {
		return
	}
	if seg.Has(CWR) {
		c.clear(flagEchoCE)
		c.set(flagACKNow) // its window is small now, and it waits
	}
	if seg.CE && !c.has(flagEchoCE) {
		c.set(flagEchoCE | flagACKNow)
	}
}

// heedECE is the sender's half (RFC 3168 6.1.2): an echo of congestion cuts the window as a loss does, once for what
// is in flight, and the next new text says so. Nothing is sent again, and nothing undone.
func (c *Conn) heedECE(ev *ackEvent, now mono.Time) {
	if c.phase != cc.Open || ev.flight == 0 {
		return // cut for what is in flight already
	}
	c.env.Counters.ECNReductions++
	c.signal(cc.Echoed, c.flightAtLoss(ev.flight), now)
	if c.flightSize() > 0 {
		c.phase = cc.Reduced
		c.tx.cwrEnd = c.snd.nxt
	}
}

// tellCWR makes the next new text say that the window was reduced, for whatever reason.
func (c *Conn) tellCWR() {
	if c.has(flagECN) {
		c.set(flagCWR)
	}
}
