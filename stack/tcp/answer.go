package tcp

import (
	"time"

	"github.com/unet-go/unet/internal/mono"
)

// AnswerClosed is SEGMENT ARRIVES if there is no connection (RFC 9293 3.10.7.1). It fills reply with the RST to be sent and
// returns whether there is one.
func AnswerClosed(seg, reply *Segment) bool {
	if seg.Has(RST) {
		return false
	}
	*reply = Segment{Flags: RST}
	if seg.Has(ACK) {
		reply.Seq = seg.Ack
		return true
	}
	reply.Flags |= ACK
	reply.Ack = seg.End()
	return true
}

// ListenVerdict is how a listener handles a segment.
type ListenVerdict uint8

const (
	// ListenDrop drops the segment.
	ListenDrop ListenVerdict = iota
	// ListenSYN makes a HalfOpen record from it.
	ListenSYN
	// ListenACK passes it to HalfOpen.FromSYNCookie, and if that refuses it, to AnswerClosed.
	ListenACK
)

// ListenArrives is SEGMENT ARRIVES in LISTEN (RFC 9293 3.10.7.2). A SYN that carries FIN is dropped, as in Linux: only attempts
// to get past a packet filter begin that way.
func ListenArrives(seg *Segment) ListenVerdict {
	switch {
	case seg.Has(RST):
		return ListenDrop
	case seg.Has(ACK):
		return ListenACK
	case seg.Has(SYN) && !seg.Has(FIN):
		return ListenSYN
	}
	return ListenDrop
}

// The limits of acknowledgments that an attacker can provoke (RFC 5961 7, erratum 4772).
const (
	oowInterval    = 500 * time.Millisecond // per connection, for segments without text
	challengeEvery = time.Second
	challengeBase  = 500 // per shard and challengeEvery, plus a random number up to as many again
)

// challengeLimit caps the challenge ACKs of a shard. Each period has a new random cap, so that the number of answers on one
// connection reveals nothing about another (CVE-2016-5696).
type challengeLimit struct {
	since     mono.Time
	remaining int
}

func (l *challengeLimit) allow(env *Env, now mono.Time) bool {
	if l.since == 0 || now.Sub(l.since) >= challengeEvery {
		l.since = now
		l.remaining = challengeBase + int(env.Rand()%challengeBase)
	}
	if l.remaining == 0 {
		return false
	}
	l.remaining--
	return true
}

// challengeACK answers a segment that comes from a confused peer or a blind attacker (RFC 5961).
func (c *Conn) challengeACK(now mono.Time) {
	if !oowAllowed(&c.lastOOWACK, now) || !c.env.challenge.allow(c.env, now) {
		c.env.Counters.DroppedChallengeACKs++
		return
	}
	c.env.Counters.ChallengeACKs++
	c.sendACK(now)
}

// ackUnacceptable answers a segment that the acceptability test has refused. Only segments without text can cause endless
// exchanges of answers, so only these are limited in rate. A probe of a closed window, which is one octet before RCV.NXT, is
// always answered.
func (c *Conn) ackUnacceptable(seg *Segment, now mono.Time) {
	probe := seg.Seq == c.rcv.nxt.Sub(1) && c.rcv.wnd() == 0
	if seg.TextLen == 0 && !seg.Has(FIN) && !probe && !oowAllowed(&c.lastOOWACK, now) {
		c.env.Counters.DroppedChallengeACKs++
		return
	}
	// A peer that probes or retransmits is alive.
	if c.ackInRange(seg) {
		c.lastReceive = now
		c.probes = 0
	}
	c.set(flagACKNow)
}

func oowAllowed(last *mono.Time, now mono.Time) bool {
	if *last != 0 && now.Sub(*last) < oowInterval {
		return false
	}
	*last = now
	return true
}
