package tcp

import (
	"syscall"
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
)

// connFlag is one yes-or-no fact about a connection.
type connFlag uint32

const (
	flagTimestamps  connFlag = 1 << iota // both SYNs carried the timestamp option
	flagSACK                             // both SYNs carried SACK-permitted
	flagScaled                           // both SYNs carried the window scale option
	flagV6                               // packets are IPv6's
	flagActive                           // opened by connect
	flagFINQueued                        // the user has ended the stream: FIN follows the queue
	flagFINSent                          // snd.nxt is past the FIN
	flagFINReceived                      // rcv.nxt is past the peer's FIN
	flagReadShut                         // the user reads no more: text is acknowledged and dropped
	flagClosed                           // the user has closed: nobody is there to read (an orphan)
	flagACKNow                           // the next Output acknowledges
	flagACKSoon                          // an acknowledgment is wanted at once, but may wait for the burst's end
	flagWantWrite                        // Send came up short: tell when there is room
	flagTuning                           // a round trip has passed, and what is read tells how large the receive buffer should be
	flagHoldExpired                      // the override timer has released a held partial segment
	flagTLPOut                           // a tail loss probe is out
	flagTLPRetrans                       // and it was a retransmission
	flagSYNText                          // text went on the SYN: what we sent, if all was taken, or received
	flagRecvFixed                        // the user fixed the receive buffer
	flagSendFixed                        // the user fixed the send buffer
	flagSYNRetrans                       // our SYN or SYN-ACK was sent again
	flagECN                              // both SYNs agreed on ECN (RFC 3168)
	flagEchoCE                           // text came with Congestion Experienced, and no CWR since
	flagCWR                              // the window was reduced, and the peer has yet to be told
	flagInteractive                      // text is answered by text: hold ACKs back from the start
	flagMore                             // the user said that more follows what he wrote last: MSG_MORE
	flagKeepsUp                          // the reader has lately taken all that there was
	flagTaken                            // the peer has acknowledged something after our SYN
	flagUnanswered                       // a delayed acknowledgment has waited in vain for text to ride on, and none was sent since
)

// The entries of a connection's deadline array.
const (
	timerRetransmit = iota // RTO, tail loss probe, reordering window or zero-window probe: one at a time
	timerACK               // delayed acknowledgment
	timerKeepalive
	timerClose // FIN-WAIT-2 and orphan time-outs
	timerHold  // override of a held partial segment
	numTimers
)

// sendVars are the send sequence variables (RFC 9293 3.3.1).
type sendVars struct {
	una, nxt, wl1, wl2, iss Seq
	wnd, maxWnd             uint32
}

// recvVars are the receive sequence variables. edge is the right edge of the window, RCV.NXT+RCV.WND, which
// never retreats (RFC 9293 3.8.6); acked is Last.ACK.sent (RFC 7323 4.3).
type recvVars struct {
	nxt, edge, acked, irs Seq
}

func (r *recvVars) wnd() uint32 { return r.edge.Distance(r.nxt) }

// Conn is one connection: the TCB. It is embedded by value in the stack's connection; the zero value is
// CLOSED. It owns no buffer while nothing is queued.
type Conn struct {
	env *Env
	out Sink

	state  State
	phase  cc.Phase // of loss recovery
	events Event
	err    errno
	soft   errno
	flags  connFlag

	snd sendVars
	rcv recvVars

	smss        uint16 // payload of a full segment without SACK blocks
	rmss        uint16 // the largest segment the peer has sent, our estimate of its SMSS
	advertised  uint16 // the MSS that our SYN announced
	peerMSS     uint16
	maxSegment  uint16 // of the path
	maxSuper    uint16 // of the path
	sndScale    uint8
	rcvScale    uint8
	retransmits uint8 // timeouts since SND.UNA last moved on
	backoff     uint8 // how often they have doubled RTO; what ends it is a round-trip time (RFC 6298 5.5, 3)
	quick       uint8 // segments still to be acknowledged at once
	probes      uint8 // keepalive probes in a row without an answer
	dupACKs     uint8

	tsRecent, tsOffset        uint32
	srtt, rttvar, minRTT, rto int32 // microseconds
	cwnd, ssthresh            uint32
	recover                   Seq
	totalRetrans              uint32
	rcvBuf, sndBuf            int32
	drsCopied                 uint32 // octets read since drsSince, for receive buffer tuning
	used                      uint32 // the most octets that were lately in the network, which validates cwnd

	drsSince    mono.Time
	tsRecentAt  mono.Time
	lastOOWACK  mono.Time // the last acknowledgment of an unacceptable segment
	lastReceive mono.Time
	lastSend    mono.Time
	stalled     mono.Time // since when what is outstanding has made no progress
	rtoFrom     mono.Time // when the retransmission timer was last started
	timers      [numTimers]mono.Time

	cc   *controller // nil while it would know nothing
	tx   *sender
	rx   *receiver
	opts *Options // shared with others, never written to
}

// errno is a syscall.Errno in half the space. All systems' numbers fit.
type errno uint32

func (c *Conn) has(f connFlag) bool { return c.flags&f != 0 }
func (c *Conn) set(f connFlag)      { c.flags |= f }
func (c *Conn) clear(f connFlag)    { c.flags &^= f }

// State returns the connection's state.
func (c *Conn) State() State { return c.state }

// Err returns why the connection ended before its time, and zero while it has not: ECONNREFUSED,
// ECONNRESET, EPIPE, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH.
func (c *Conn) Err() syscall.Errno { return syscall.Errno(c.err) }

// setState enters state s. It is the one place where a connection's state changes.
func (c *Conn) setState(s State) {
	old := c.state
	c.state = s
	if c.env.Trace != nil {
		c.env.Trace(c, TraceEvent{Kind: TraceState, From: old, To: s})
	}
}

// TakeEvents returns what has changed since it was last called.
func (c *Conn) TakeEvents() Event {
	e := c.events
	c.events = 0
	return e
}

// Options returns the connection's options.
func (c *Conn) Options() Options {
	if c.opts == nil {
		return Options{}
	}
	return *c.opts
}

// TTL returns the TTL and the traffic class of Options.
func (c *Conn) TTL() (ttl, tos uint8) { return c.opts.TTL, c.opts.TOS }

// MayFragment says whether segments may be cut on their way.
func (c *Conn) MayFragment() bool { return c.opts.Discover.Off() }

// Deadline returns the earliest moment at which Timeout has something to do, zero for never.
func (c *Conn) Deadline() mono.Time {
	var first mono.Time
	for _, t := range c.timers {
		if t != 0 && (first == 0 || t < first) {
			first = t
		}
	}
	return first
}

// synchronized says whether both ends have agreed on sequence numbers and the connection still lives.
func (c *Conn) synchronized() bool {
	switch c.state {
	case Established, FinWait1, FinWait2, CloseWait, Closing, LastAck:
		return true
	case Closed, Listen, SynSent, SynReceived, TimeWaitState:
	}
	return false
}

// canSend says whether the state allows text and FIN to leave.
func (c *Conn) canSend() bool {
	switch c.state {
	case Established, CloseWait, FinWait1, Closing, LastAck:
		return true
	case SynReceived:
		return !c.handshaking()
	case Closed, Listen, SynSent, FinWait2, TimeWaitState:
	}
	return false
}

// canReceive says whether the state takes text from the peer (RFC 9293 3.10.7.4, seventh check).
func (c *Conn) canReceive() bool {
	switch c.state {
	case Established, FinWait1, FinWait2:
		return true
	case Closed, Listen, SynSent, SynReceived, CloseWait, Closing, LastAck, TimeWaitState:
	}
	return false
}

// init fills in what connections of either origin have in common.
func (c *Conn) init(env *Env, out Sink, p Path, o *Options, now mono.Time) {
	*c = Conn{env: env, out: out, opts: env.share(o)}
	c.applyPath(p)
	c.rto = int32(initialRTO / time.Microsecond)
	c.rcvBuf, c.sndBuf = int32(o.recvBuffer(env.Config)), int32(env.Config.SendBuffer)
	if o.RecvBuffer > 0 {
		c.set(flagRecvFixed)
	}
	if o.SendBuffer > 0 {
		c.sndBuf = o.sendBuffer(env.Config)
		c.set(flagSendFixed)
	}
	c.quick = quickACKs
	c.lastReceive, c.lastSend, c.drsSince = now, now, now
}

func (c *Conn) applyPath(p Path) {
	c.maxSegment = uint16(min(p.MaxSegment(), 65535-40))
	c.maxSuper = uint16(min(max(p.MaxSuper, 0), 65535))
	if p.V6 {
		c.set(flagV6)
	}
}

// path returns what applyPath has noted, or packetTooBig since.
func (c *Conn) path() Path {
	p := Path{MTU: int(c.maxSegment) + 20, MaxSuper: int(c.maxSuper), V6: c.has(flagV6)}
	if p.V6 {
		p.MTU += 20
	}
	return p
}

// defaultMSS is what a peer that names no MSS takes (RFC 9293 3.7.1).
func (c *Conn) defaultMSS() uint16 {
	if c.has(flagV6) {
		return 1220
	}
	return 536
}

// advertisedMSS returns the MSS for our SYN: what the path carries less the fixed TCP header.
func advertisedMSS(maxSegment, maxSeg uint16) uint16 {
	mss := maxSegment - headerLen
	if maxSeg != 0 {
		mss = min(mss, maxSeg)
	}
	return mss
}

// scaleFor returns the window scale that lets the 16-bit field express buf octets (RFC 7323 2.3).
func scaleFor(buf int) uint8 {
	scale := uint8(0)
	for scale < maxScale && 65535<<scale < buf {
		scale++
	}
	return scale
}

// receiveCap is the largest receive buffer that a connection with these options may come to have.
func receiveCap(cfg *Config, o *Options) int {
	if o.RecvBuffer > 0 {
		return o.recvBuffer(cfg)
	}
	return o.clamp(cfg.MaxRecvBuffer)
}

// setMSS computes the payload of a full segment (RFC 9293 3.7.1): the smaller of what the peer takes and
// what the path carries, less the timestamp option (ledger Z-17). What is asked for is taken as minMSS at least
// (Z-12), so that a peer cannot make us cut the stream to dust; what the path cannot carry is never sent.
func (c *Conn) setMSS() {
	asked := c.peerMSS
	if c.opts.MaxSeg != 0 {
		asked = min(asked, c.opts.MaxSeg)
	}
	c.smss = uint16(max(min(max(int(asked)-c.stampLen(), minMSS), c.optionRoom()), 1))
}

// stampLen returns the length of the timestamp option in each segment.
func (c *Conn) stampLen() int {
	if c.has(flagTimestamps) {
		return timestampLen
	}
	return 0
}

// optionRoom returns how many octets the path carries behind the fixed header and the timestamp option.
func (c *Conn) optionRoom() int { return int(c.maxSegment) - headerLen - c.stampLen() }

const (
	headerLen    = 20
	timestampLen = 12
	minMSS       = 64
	maxScale     = 14
	quickACKs    = 16
)
