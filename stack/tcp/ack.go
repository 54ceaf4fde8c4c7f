package tcp

import (
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
)

// ackEvent is what one acknowledgment says.
type ackEvent struct {
	acked     uint32        // octets newly acknowledged by SEG.ACK
	delivered uint32        // octets newly known to be delivered, by SEG.ACK or SACK
	flight    uint32        // octets that were in flight before it
	sacked    uint32        // of those, how many were selectively acknowledged before it
	pipe      uint32        // octets that were in the network before it, if the controller wants delivery rates
	rtt       time.Duration // round-trip time of the last segment that it covers and that was sent once
	newest    mono.Time     // when that segment was sent
	retrans   bool          // it covers something that was sent more than once
	original  bool          // it newly covers something before recover that was sent once
	late      bool          // by its timestamp it answers the first transmission of what was sent again
	dup       bool          // a duplicate acknowledgment (RFC 5681 2)
	dsack     bool          // it reports a duplicate (RFC 2883)
	dsackTLP  bool          // and that of a tail loss probe
	echo      bool          // it echoes congestion (RFC 3168)
	safe      bool          // it makes progress in recovery and shows no further loss: SafeACK of RFC 9937
}

// acknowledge takes an acknowledgment in range: RFC 9293 3.10.7.4, fifth check, ESTABLISHED, with selective
// acknowledgment and congestion control.
func (c *Conn) acknowledge(seg *Segment, now mono.Time) {
	ev := ackEvent{flight: c.snd.nxt.Distance(c.snd.una)}
	if c.tx != nil {
		ev.sacked = c.tx.sb.sacked
		if c.tx.sb.sampler != nil {
			ev.pipe = c.pipe()
		}
	}
	oldWnd := c.snd.wnd
	if c.snd.una.LessThan(seg.Ack) {
		c.takeCumulative(seg, &ev, now)
	}
	// MUST: only the newest segment's window counts, however segments are reordered.
	if seg.Ack.LessThan(c.snd.una) {
		c.takeLateDSACK(seg, &ev, now)
		return
	}
	// A segment that acknowledges more than all before it is newer than they, even one that the peer sends again:
	// with the window that an older one offered, SND.UNA would carry the right edge on beyond what was ever offered.
	if ev.acked > 0 || c.snd.wl1.LessThan(seg.Seq) || c.snd.wl1 == seg.Seq && c.snd.wl2.LessThanEq(seg.Ack) {
		c.setWindow(uint32(seg.Window)<<c.sndScale, maxSeq(c.snd.wl1, seg.Seq), seg.Ack)
		if oldWnd == 0 && c.snd.wnd > 0 && c.tx != nil {
			c.windowOpened(now)
		}
	}
	if seg.Options&OptSACK != 0 && c.has(flagSACK) {
		c.takeSACK(seg, &ev, now)
	}
	if c.tx == nil {
		c.endTLP(seg, &ev, now)
		return
	}
	ev.dup = ev.acked == 0 && seg.TextLen == 0 && !seg.Has(FIN) && c.snd.wnd == oldWnd &&
		ev.flight > 0 && seg.Ack == c.snd.una
	c.takeRTT(seg, &ev, now)
	c.react(seg, &ev, now)
	c.reportDrained()
}

// takeCumulative frees what SEG.ACK covers.
func (c *Conn) takeCumulative(seg *Segment, ev *ackEvent, now mono.Time) {
	ev.acked = seg.Ack.Distance(c.snd.una)
	c.snd.una = seg.Ack
	c.rtoFrom = now
	c.stalled = now
	c.retransmits = 0
	c.set(flagTaken)
	c.events |= Progress
	tx := c.tx
	if tx == nil {
		return
	}
	tx.sb.ack(seg.Ack, func(r *record, st *cc.Stamp) {
		if r.flags&recSacked == 0 {
			ev.delivered += min(r.n, seg.Ack.Distance(r.seq))
			c.noteDelivered(r, st, ev, seg, now)
		}
	})
	tx.q.free(minSeq(seg.Ack, tx.q.end))
	tx.urgent = tx.urgent && c.snd.una.LessThan(tx.up)
	tx.partial = tx.partial && c.snd.una.LessThan(tx.small)
	c.chargeSend()
	if c.snd.una == c.snd.nxt && tx.q.len() == 0 {
		c.stalled = 0
	}
	c.tellWritable()
}

// takeLateDSACK takes the report of a duplicate from an acknowledgment that others have overtaken: what it says was
// sent in vain still was.
func (c *Conn) takeLateDSACK(seg *Segment, ev *ackEvent, now mono.Time) {
	b := seg.SACK[0]
	if c.has(flagSACK) && seg.NumSACK > 0 && b.Left.LessThan(b.Right) && b.Right.LessThanEq(seg.Ack) {
		c.takeDSACK(b, ev, now)
	}
}

// takeSACK marks what the blocks of a segment cover, from left to right, so that a late word of two blocks does not
// look like reordering. A block that is not inside what is in flight is ignored, but for a first one that reports a
// duplicate (RFC 2883 5).
func (c *Conn) takeSACK(seg *Segment, ev *ackEvent, now mono.Time) {
	blocks, n := seg.SACK, 0
	for i := range int(min(seg.NumSACK, uint8(len(seg.SACK)))) {
		b := seg.SACK[i]
		if !b.Left.LessThan(b.Right) || c.snd.nxt.LessThan(b.Right) {
			continue
		}
		inside := i == 0 && seg.NumSACK > 1 && seg.SACK[1].Left.LessThanEq(b.Left) && b.Right.LessThanEq(seg.SACK[1].Right)
		if i == 0 && (b.Right.LessThanEq(seg.Ack) || inside) {
			ev.dsack = true
			c.takeDSACK(b, ev, now)
			continue
		}
		if b.Left.LessThan(c.snd.una) || c.tx == nil {
			continue
		}
		at := n
		for ; at > 0 && b.Left.LessThan(blocks[at-1].Left); at-- {
			blocks[at] = blocks[at-1]
		}
		blocks[at] = b
		n++
	}
	for _, b := range blocks[:n] {
		ev.delivered += c.tx.sb.mark(b, func(r *record, st *cc.Stamp) { c.noteDelivered(r, st, ev, seg, now) })
	}
}

// takeRTT takes a round-trip sample where the acknowledgment gives one that is not ambiguous (Karn's rule,
// RFC 6298 3; RFC 7323 4.1). Such a sample also ends the timer's backoff.
func (c *Conn) takeRTT(seg *Segment, ev *ackEvent, now mono.Time) {
	switch {
	case ev.rtt > 0 && !ev.retrans:
		// Text that waited behind a hole at the peer would count the wait.
		c.sampleRTT(ev.rtt)
	case ev.dsack:
		// It answers a duplicate, and echoes what came before that, the acknowledgment of which was lost: no
		// sample (RFC 7323 4.3 step 2 keeps TS.Recent), but the progress ends the backoff all the same. Against
		// a path that loses a third each way RTO would else grow to what the stream has waited so far.
	case ev.acked > 0 && c.has(flagTimestamps) && seg.Options&OptTimestamps != 0 && seg.TSEcr != 0:
		d := c.echoRTT(seg.TSEcr, now)
		if d == 0 {
			return
		}
		c.sampleRTT(d)
	default:
		return
	}
	if ev.acked > 0 {
		c.backoff = 0
	}
}

// windowOpened restarts transmission after the peer's window was closed. That alone is no progress: an orphan
// would wait for ever for a peer that opens and closes its window and takes nothing (CVE-2008-4609).
func (c *Conn) windowOpened(now mono.Time) {
	if !c.has(flagClosed) {
		c.stalled = now
	}
	if c.tx.kind == kindPersist {
		c.tx.kind = kindRTO
		c.retransmits, c.backoff = 0, 0
		c.rtoFrom = now
	}
}

// reportDrained tells when nothing is left to be acknowledged.
func (c *Conn) reportDrained() {
	if c.tx.q.len() == 0 && c.snd.una == c.snd.nxt {
		c.events |= Drained
	}
}
