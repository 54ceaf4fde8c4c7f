package tcp

import (
	"time"

	"github.com/unet-go/unet/internal/mono"
)

// AnswerClosed is SEGMENT ARRIVES where there is no connection (RFC 9293 3.10.7.1). It fills reply with the
// RST to be sent and says whether there is one.
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

// ListenVerdict is what a listener does about a segment.
type ListenVerdict uint8

const (
	// ListenDrop drops the segment.
	ListenDrop ListenVerdict = iota
	// ListenSYN makes a HalfOpen record of it.
	ListenSYN
	// ListenACK gives it to HalfOpen.FromSYNCookie, and where that refuses it, to AnswerClosed.
	ListenACK
)

// ListenArrives is SEGMENT ARRIVES in LISTEN (RFC 9293 3.10.7.2). A SYN that carries FIN is dropped, as in Linux: nobody
// opens a connection that way but those who look for a filter to slip through.
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

// challengeLimit caps the challenge ACKs of a shard. The cap is drawn anew each period, so that counting
// the answers on one connection tells nothing about another (CVE-2016-5696).
type challengeLimit struct {
	since mono.Time
	left  int
}

func (l *challengeLimit) allow(env *Env, now mono.Time) bool {
	if l.since == 0 || now.Sub(l.since) >= challengeEvery {
		l.since = now
		l.left = challengeBase + int(env.Rand()%challengeBase)
	}
	if l.left == 0 {
		return false
	}
	l.left--
	return true
}

// challengeACK answers a segment that only a confused or a blind sender sends (RFC 5961).
func (c *Conn) challengeACK(now mono.Time) {
	if !oowAllowed(&c.lastOOWACK, now) || !c.env.challenge.allow(c.env, now) {
		c.env.Counters.DroppedChallengeACKs++
		return
	}
	c.env.Counters.ChallengeACKs++
	c.sendACK(now)
}

// ackUnacceptable answers a segment that the acceptability test has refused. Only dataless segments can go
// back and forth for ever, so only they are held to a rate; a probe of a window that is closed, which is
// one octet behind, is always answered.
func (c *Conn) ackUnacceptable(seg *Segment, now mono.Time) {
	probe := seg.Seq == c.rcv.nxt.Sub(1) && c.rcv.wnd() == 0
	if seg.TextLen == 0 && !seg.Has(FIN) && !probe && !oowAllowed(&c.lastOOWACK, now) {
		c.env.Counters.DroppedChallengeACKs++
		return
	}
	// The peer that probes or repeats itself is there.
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
