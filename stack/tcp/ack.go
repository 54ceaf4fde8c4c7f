package tcp

import (
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
)

// ackEvent is the information that one acknowledgment contains.
type ackEvent struct {
	acked     uint32        // octets newly acknowledged by SEG.ACK
	delivered uint32        // octets newly known to be delivered, by SEG.ACK or SACK
	flight    uint32        // octets that were in flight before it
	sacked    uint32        // of those, how many were selectively acknowledged before it
	pipe      uint32        // octets that were in the network before it, if the controller wants delivery rates
	rtt       time.Duration // round-trip time of the latest segment that it covers, among those sent only once
	newest    mono.Time     // when that segment was sent
	retrans   bool          // it covers something that was sent more than once
	original  bool          // it newly covers something before recover that was sent only once
	late      bool          // by its timestamp it answers the first transmission of a segment that was sent again
	dup       bool          // a duplicate acknowledgment (RFC 5681 2)
	dsack     bool          // it reports a duplicate (RFC 2883)
	dsackTLP  bool          // the duplicate is a tail loss probe
	echo      bool          // it echoes congestion (RFC 3168)
	safe      bool          // it makes progress in recovery and shows no further loss: SafeACK of RFC 9937
}

// acknowledge processes an acknowledgment in range: RFC 9293 3.10.7.4, fifth check, ESTABLISHED, with selective
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
	// An older acknowledgment that was overtaken changes nothing: its window does not count.
	if seg.Ack.LessThan(c.snd.una) {
		c.takeLateDSACK(seg, &ev, now)
		return
	}
	// A segment that acknowledges more than all before it is newer than they are, even if it is a retransmission. If its
	// window were ignored, the older window together with the new SND.UNA would reach beyond what was ever offered.
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

// takeCumulative drops the text that SEG.ACK covers.
func (c *Conn) takeCumulative(seg *Segment, ev *ackEvent, now mono.Time) {
	ev.acked = seg.Ack.Distance(c.snd.una)
	c.snd.una = seg.Ack
	c.rtoFrom = now
	c.stalledSince = now
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
	tx.partial = tx.partial && c.snd.una.LessThan(tx.partialEnd)
	c.chargeSend()
	if c.snd.una == c.snd.nxt && tx.q.len() == 0 {
		c.stalledSince = 0
	}
	c.tellWritable()
}

// takeLateDSACK processes the report of a duplicate in an acknowledgment that others have overtaken: the retransmission that
// it reports was unnecessary all the same.
func (c *Conn) takeLateDSACK(seg *Segment, ev *ackEvent, now mono.Time) {
	b := seg.SACK[0]
	if c.has(flagSACK) && seg.NumSACK > 0 && b.Left.LessThan(b.Right) && b.Right.LessThanEq(seg.Ack) {
		c.takeDSACK(b, ev, now)
	}
}

// takeSACK marks the records that the SACK blocks of a segment cover. It goes from left to right: otherwise two blocks that
// are reported late, in one segment, would look like reordering. A block outside of the data in flight is ignored, except
// for a first block that reports a duplicate (RFC 2883 5).
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

// takeRTT takes a round-trip sample if the acknowledgment gives an unambiguous one (Karn's rule, RFC 6298 3; RFC 7323 4.1).
// Such a sample also ends the timer's backoff.
func (c *Conn) takeRTT(seg *Segment, ev *ackEvent, now mono.Time) {
	switch {
	case ev.rtt > 0 && !ev.retrans:
		// rtt is of the latest segment: an earlier one may have waited behind a hole at the peer, which would count.
		c.sampleRTT(ev.rtt)
	case ev.dsack:
		// It answers a duplicate, but echoes the timestamp of an earlier segment, whose own acknowledgment was lost (RFC
		// 7323 4.3 step 2 keeps TS.Recent). So it gives no sample, but it is progress, and ends the backoff. Otherwise, on a
		// path that loses a third of the packets each way, RTO would grow to the time that the stream has waited so far.
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

// windowOpened restarts transmission after the peer's window was closed. For a connection that the user has closed this is
// no progress: a peer that opens and closes its window and takes nothing could keep it for ever (CVE-2008-4609).
func (c *Conn) windowOpened(now mono.Time) {
	if !c.has(flagClosed) {
		c.stalledSince = now
	}
	if c.tx.kind == kindPersist {
		c.tx.kind = kindRTO
		c.retransmits, c.backoff = 0, 0
		c.rtoFrom = now
	}
}

// reportDrained raises the event Drained if everything is acknowledged.
func (c *Conn) reportDrained() {
	if c.tx.q.len() == 0 && c.snd.una == c.snd.nxt {
		c.events |= Drained
	}
}
