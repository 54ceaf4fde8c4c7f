package tcp

import (
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
)

// lendSegments is the number of full segments below which Lend takes nothing.
const lendSegments = 2

// promptRTT is the largest round-trip time for which it may pay to wait for an acknowledgment.
const promptRTT = time.Millisecond

// Lend puts the beginning of s into the send queue without a copy, as much as the next Output transmits, and returns how many
// octets that is: 0 if fewer than lendSegments full segments may be sent now, or if more than a partial segment must be sent
// before. The queue takes its own references to s.Owner; the caller calls Output, and soon Keep.
func (c *Conn) Lend(s Span, now mono.Time) int {
	switch c.state {
	case Established, CloseWait:
	case Closed, Listen, SynSent, SynReceived, FinWait1, FinWait2, Closing, LastAck, TimeWaitState:
		return 0
	}
	// A partial segment that Nagle's algorithm holds back is sent together with s; more unsent text must be sent first.
	held := uint32(c.notSent())
	if c.handshaking() || held >= uint32(c.smss) || c.urgentMode() {
		return 0
	}
	room := c.admit(len(s.Data), now)
	if room == 0 {
		return 0
	}
	tx := c.sending()
	if s := c.searching(); tx.sb.lost > 0 || s != nil && !s.done() { // a probe needs more text than just leaves
		return 0
	}
	c.restartAfterIdle(now)
	edge := c.snd.una.Add(c.snd.wnd)
	if !c.snd.nxt.LessThan(edge) {
		return 0
	}
	n := min(held+uint32(room), edge.Distance(c.snd.nxt), c.budget(held+uint32(room)))
	mss := c.segmentSize()
	if n < held+lendSegments*mss {
		return 0
	}
	if n < held+uint32(len(s.Data)) {
		n -= n % mss
	}
	n -= held
	s.Owner.Retain()
	s.Data = s.Data[:n]
	tx.q.append(s)
	c.chargeSend()
	return int(n)
}

// Keep copies the part of a lent span that the send queue still holds, so that its owner can have it back. Segments that the
// device has not sent yet have their own references.
func (c *Conn) Keep(owner Storage) {
	if c.tx != nil {
		c.tx.q.keep(owner, c.chunkSize(), c.env.Alloc)
		c.chargeSend()
	}
}

// Lent returns how many octets of a span that was lent the peer has not acknowledged.
func (c *Conn) Lent(owner Storage) int {
	if c.tx == nil {
		return 0
	}
	return c.tx.q.lent(owner)
}

// Prompt says whether the peer is so near that it acknowledges within microseconds.
func (c *Conn) Prompt() bool {
	return c.minRTT > 0 && micros(c.minRTT) <= promptRTT && c.phase == cc.Open
}

// lent returns how many octets of the last chunk are unacknowledged, if it refers to owner.
func (q *sendQueue) lent(owner Storage) int {
	if q.chunks.Len() == 0 || q.chunks.Last().span.Owner != owner {
		return 0
	}
	return int(q.end.Distance(maxSeq(q.first, q.chunks.Last().seq)))
}

// keep replaces the last chunk by a copy in pieces of most octets, if it refers to owner.
func (q *sendQueue) keep(owner Storage, most int, alloc func(int) Span) {
	left := q.lent(owner)
	if left == 0 {
		return // everything is acknowledged, and the chunk was dropped
	}
	lent := q.chunks.Last().span
	q.chunks.DropLast()
	q.storage -= lent.Pinned()
	q.end = q.end.Sub(uint32(left))
	q.write(lent.Data[len(lent.Data)-left:], most, alloc)
	lent.Release()
}
