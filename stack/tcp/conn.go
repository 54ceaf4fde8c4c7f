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
	flagTimestamps    connFlag = 1 << iota // both SYNs carried the timestamp option
	flagSACK                               // both SYNs carried SACK-permitted
	flagScaled                             // both SYNs carried the window scale option
	flagV6                                 // packets are IPv6's
	flagActive                             // opened by connect
	flagFINQueued                          // the user has ended the stream: FIN follows the queue
	flagFINSent                            // snd.nxt is past the FIN
	flagFINReceived                        // rcv.nxt is past the peer's FIN
	flagReadShut                           // the user reads no more: text is acknowledged and dropped
	flagClosed                             // the user has closed, and will not read any more (an orphan)
	flagACKNow                             // the next Output acknowledges
	flagACKSoon                            // an acknowledgment is wanted at once, but may wait for the burst's end
	flagWantWrite                          // Send came up short: tell when there is room
	flagTuning                             // a round trip has passed: the receive buffer may grow by what was read since
	flagHoldExpired                        // the override timer has released a held partial segment
	flagTLPOut                             // a tail loss probe is in flight
	flagTLPRetrans                         // that probe was a retransmission
	flagSYNText                            // the SYN carried text: ours, and the peer took all of it, or the peer's
	flagRecvFixed                          // the user fixed the receive buffer
	flagSendFixed                          // the user fixed the send buffer
	flagSYNRetrans                         // our SYN or SYN-ACK was sent again
	flagECN                                // both SYNs agreed on ECN (RFC 3168)
	flagEchoCE                             // text came with Congestion Experienced, and no CWR since
	flagCWR                                // the window was reduced, and the next new text must tell the peer
	flagInteractive                        // the application answers text by text: delay ACKs from the start
	flagMore                               // the user said that more follows the last write: MSG_MORE
	flagKeepsUp                            // the latest read emptied the receive queue
	flagTaken                              // the peer has acknowledged something after our SYN
	flagPathTooNarrow                      // Path.TooNarrow
	flagUnanswered                         // a delayed acknowledgment left without text to carry it, and no text was sent since
)

// The entries of a connection's deadline array.
const (
	timerRetransmit = iota // RTO, tail loss probe, reordering window or zero-window probe: one at a time
	timerACK               // delayed acknowledgment
	timerKeepalive
	timerClose // FIN-WAIT-2 and orphan time-outs
	timerHold  // when a partial segment that is held back is sent anyway
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

// Conn is one connection: the TCB. The stack's connection embeds it by value; the zero value is CLOSED. While nothing is
// queued it owns no buffer.
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
	backoff     uint8 // how often timeouts have doubled RTO; only a new round-trip sample resets it (RFC 6298 5.5, 3)
	quickLeft   uint8 // segments still to be acknowledged at once
	probes      uint8 // keepalive probes in a row without an answer
	dupACKs     uint8

	tsRecent, tsOffset        uint32
	srtt, rttvar, minRTT, rto int32 // microseconds
	cwnd, ssthresh            uint32
	recover                   Seq
	totalRetrans              uint32
	rcvBuf, sndBuf            int32
	drsCopied                 uint32 // octets read since drsSince, for receive buffer tuning
	recentUse                 uint32 // the most octets that were in the network lately: how much of cwnd counts (cc.Window.Used)

	drsSince     mono.Time
	tsRecentAt   mono.Time
	lastOOWACK   mono.Time // the last acknowledgment of an unacceptable segment
	lastReceive  mono.Time
	lastSend     mono.Time
	stalledSince mono.Time // since when there has been no progress with the data to be sent; zero if there is none
	rtoFrom      mono.Time // when the retransmission timer was last started
	timers       [numTimers]mono.Time

	cc   *controller // nil while it has nothing to remember
	tx   *sender
	rx   *receiver
	opts *Options // shared with others, never written to
}

// errno is a syscall.Errno in half the space. The numbers of all systems fit.
type errno uint32

func (c *Conn) has(f connFlag) bool { return c.flags&f != 0 }
func (c *Conn) set(f connFlag)      { c.flags |= f }
func (c *Conn) clear(f connFlag)    { c.flags &^= f }

// State returns the connection's state.
func (c *Conn) State() State { return c.state }

// Err returns why the connection failed: ECONNREFUSED, ECONNRESET, EPIPE, ETIMEDOUT, EHOSTUNREACH or ENETUNREACH, and zero
// if it has not failed.
func (c *Conn) Err() syscall.Errno { return syscall.Errno(c.err) }

// setState enters state s. It is the one place where a connection's state changes.
func (c *Conn) setState(s State) {
	old := c.state
	c.state = s
	if c.env.Trace != nil {
		c.env.Trace(c, TraceEvent{Kind: TraceState, From: old, To: s})
	}
}

// TakeEvents returns the events since the last call.
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

// MayFragment says whether routers may cut the connection's packets into fragments. Over IPv6 none does (RFC 8200 5).
func (c *Conn) MayFragment() bool {
	return !c.has(flagV6) && (c.opts.Discover.Off() || c.PathTooNarrow() && c.opts.Discover == DiscoverWant)
}

// PathTooNarrow says whether the connection knows that Path.TooNarrow.
func (c *Conn) PathTooNarrow() bool { return c.has(flagPathTooNarrow) }

// Deadline returns the earliest moment at which Timeout must be called, zero for never.
func (c *Conn) Deadline() mono.Time {
	var first mono.Time
	for _, t := range c.timers {
		if t != 0 && (first == 0 || t < first) {
			first = t
		}
	}
	return first
}

// synchronized says whether both ends have agreed on sequence numbers, and the connection has not ended.
func (c *Conn) synchronized() bool {
	switch c.state {
	case Established, FinWait1, FinWait2, CloseWait, Closing, LastAck:
		return true
	case Closed, Listen, SynSent, SynReceived, TimeWaitState:
	}
	return false
}

// canSend says whether text and FIN may be sent in this state.
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

// init sets the fields that active and passive opens have in common.
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
	c.quickLeft = quickACKs
	c.lastReceive, c.lastSend, c.drsSince = now, now, now
}

// defaultMSS is the MSS of a peer whose SYN has no MSS option (RFC 9293 3.7.1).
func (c *Conn) defaultMSS() uint16 {
	if c.has(flagV6) {
		return 1220
	}
	return 536
}

// scaleFor returns the window scale that lets the 16-bit field express buf octets (RFC 7323 2.3).
func scaleFor(buf int) uint8 {
	scale := uint8(0)
	for scale < maxScale && 65535<<scale < buf {
		scale++
	}
	return scale
}

// receiveCap returns how large the receive buffer of a connection with these options may become.
func receiveCap(cfg *Config, o *Options) int {
	if o.RecvBuffer > 0 {
		return o.recvBuffer(cfg)
	}
	return o.clamp(cfg.MaxRecvBuffer)
}

// setMSS computes the payload of a full segment (RFC 9293 3.7.1): the peer's MSS or the path's, whichever is smaller, less
// the timestamp option (ledger Z-17). A smaller MSS of the peer or of the options counts as minMSS (Z-12), so that a peer
// cannot make us send tiny segments; but a segment is never larger than the path carries.
// It is called rarely, and would be large where it is called.
//
//go:noinline
func (c *Conn) setMSS() {
	c.smss = uint16(max(min(max(int(c.askedMSS())-c.stampLen(), minMSS), c.optionRoom()), 1))
}

// askedMSS returns the MSS that the peer or the options ask for, whichever is smaller.
func (c *Conn) askedMSS() uint16 {
	if c.opts.MaxSeg != 0 {
		return min(c.peerMSS, c.opts.MaxSeg)
	}
	return c.peerMSS
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
