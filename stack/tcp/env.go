package tcp

import (
	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
)

// Sink transmits the segments of one connection. Transmit borrows seg and everything that it refers to until it returns; it
// must not call the connection.
type Sink interface {
	Transmit(seg *Segment)
}

// Env is the state that the connections of one shard share. The caller serialises all calls for connections of one Env; there
// are no locks here.
type Env struct {
	// Config is the host's configuration, with defaults applied.
	Config *Config
	// Secret keys the initial sequence numbers, the timestamp offsets, the SYN cookies and those of Fast Open.
	Secret *Secret
	// Numbers, if it is not nil, replaces Secret for initial sequence numbers and timestamps.
	Numbers *Numbers
	// Alloc returns storage of at least n octets with one reference, which the connection owns. Data is the whole storage.
	Alloc func(n int) Span
	// Rand returns a random number, for jitter and for limits that must not be predictable.
	Rand func() uint64
	// Counters counts what happened in this shard.
	Counters Counters
	// Buffered is how much storage the queues of the connections hold, in octets. The whole size of each buffer counts.
	Buffered int64
	// Pressure says how short of memory the host is; the caller sets it.
	Pressure Pressure
	// Trace, if it is not nil, is told of each event of each connection, in the midst of the call that caused it, whose
	// time the caller of that call knows. It must not call back into the connection, except for what only reads. Nothing
	// outside of this package sets it yet.
	Trace func(c *Conn, e TraceEvent)
	// Share is how many octets a connection may have in its send queue while Pressure is not Ample, as long as its peer
	// acknowledges, and in its receive queue while Pressure is Exhausted, as long as its reader keeps up.
	Share int64

	stamped   mono.Time // the latest time used in a timestamp
	challenge challengeLimit
	window    cc.Window // scratch for calls of a controller, with those below
	ack       cc.Ack
	loss      cc.Loss
	noFlight  cc.Flight
	scratch   Segment
	gather    []Span
	senders   []*sender
	receivers []*receiver
	options   [4]*Options // the latest options that connections were given; a ring, newOption is the oldest
	newOption int
}

// share returns a copy of o. Connections with the same options share a copy, unless too many different ones are used in
// between: most connections have the options of their listener.
func (e *Env) share(o *Options) *Options {
	for _, known := range e.options {
		if known != nil && *known == *o {
			return known
		}
	}
	fresh := *o
	e.options[e.newOption] = &fresh
	e.newOption = (e.newOption + 1) % len(e.options)
	return &fresh
}

// stamp returns the timestamp clock at now, but never an earlier value than before: a caller may use the time at which a burst
// began although a later time was used since, and the peer's PAWS drops segments with an older timestamp (RFC 7323 5.4).
func (e *Env) stamp(now mono.Time) uint32 {
	e.stamped = max(e.stamped, now)
	return tsClock(e.stamped)
}

// segment returns the Env's scratch segment, emptied.
func (e *Env) segment() *Segment {
	e.scratch = Segment{}
	return &e.scratch
}

// Counters count events since the stack began.
type Counters struct {
	SegmentsIn                   uint64 // segments received, counted by the caller of SegmentArrives; a super-segment is one
	SegmentsOut                  uint64 // segments sent, likewise
	OctetsIn, OctetsOut          uint64 // octets of text
	Retransmitted                uint64 // segments sent again, of any cause
	Timeouts                     uint64 // expiries of the retransmission timer
	FastRecoveries               uint64 // entries into loss recovery
	SpuriousTimeouts             uint64 // timeouts undone by F-RTO or D-SACK
	ECNReductions                uint64 // windows reduced because the peer echoed congestion (RFC 3168)
	SpuriousRecoveries           uint64 // fast recoveries undone by D-SACK
	Probes                       uint64 // zero-window, keepalive and tail loss probes
	ResetsIn, ResetsOut          uint64 // segments with RST accepted and sent
	ChallengeACKs                uint64 // challenge ACKs sent (RFC 5961)
	DroppedChallengeACKs         uint64 // challenge ACKs held back by a limit
	DroppedOutOfWindow           uint64 // segments that the acceptability test refused
	DroppedPAWS                  uint64 // segments older than TS.Recent
	DroppedBadACK                uint64 // segments whose acknowledgment was out of range
	DroppedNoACK                 uint64 // segments without ACK in a synchronized state
	DroppedPruned                uint64 // octets of out-of-order text given up for memory
	DroppedReceiveFull           uint64 // octets of text beyond the receive window
	DroppedMemory                uint64 // octets of text that a host without memory could not keep
	ActiveOpens, PassiveOpens    uint64 // connections that became ESTABLISHED by connect and by accept
	UserTimeouts, KeepaliveFails uint64 // connections ended by R2 and by unanswered keepalive probes
}
