package tcp

import "github.com/unet-go/unet/internal/mono"

// sendSegment transmits n octets of text from seq, with a FIN if fin. fresh says that they were never sent before.
func (c *Conn) sendSegment(seq Seq, n uint32, fin, fresh bool, now mono.Time) {
	seg := c.env.segment()
	seg.Seq, seg.Flags = seq, ACK
	if n > 0 {
		if fresh && c.has(flagECN) { // only what is new may be marked (RFC 3168 6.1.5)
			seg.ECT = true
			if c.has(flagCWR) {
				seg.Flags |= CWR
				c.clear(flagCWR)
			}
		}
		c.env.gather = c.tx.q.gather(c.env.gather[:0], seq, n)
		seg.Gather, seg.TextLen = c.env.gather, n
		if seq.Add(n) == c.tx.q.end {
			seg.Flags |= PSH
		}
	}
	if fin {
		seg.Flags |= FIN
	}
	mss := c.segmentSize() // before fill, which may use up a SACK block
	c.fill(seg, now)
	if n > mss {
		seg.GSOSize = uint16(mss)
	}
	c.transmit(seg)
	clear(c.env.gather)
}

// sendACK transmits <SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>.
func (c *Conn) sendACK(now mono.Time) { c.sendACKAt(c.acceptableSeq(), now) }

// acceptableSeq returns the sequence number for a segment without text: SND.NXT, or the right edge of the peer's window if that
// has shrunk to before SND.NXT. At SND.NXT the peer would drop the segment with its acknowledgment, and two ends whose windows
// are both closed would wait for each other for ever. The edge that we compute may differ from the peer's own by less than a
// unit of the window field; such a difference does not count.
func (c *Conn) acceptableSeq() Seq {
	una := c.snd.una
	if c.state == SynReceived {
		una = c.snd.iss.Add(1) // our SYN is not acknowledged yet, and does not count in the window
	}
	edge := una.Add(c.snd.wnd)
	if !edge.LessThan(c.snd.nxt) || c.snd.nxt.Distance(edge) < 1<<c.sndScale {
		return c.snd.nxt
	}
	return edge
}

func (c *Conn) sendACKAt(seq Seq, now mono.Time) {
	seg := c.env.segment()
	seg.Seq, seg.Flags = seq, ACK
	c.fill(seg, now)
	c.transmit(seg)
}

// sendProbe transmits a segment without text at seq, a number before the one that the peer expects: the peer must answer it
// (ledger Z-15; RFC 9293 3.8.4).
func (c *Conn) sendProbe(seq Seq, now mono.Time) {
	c.env.Counters.Probes++
	c.sendACKAt(seq, now)
}

// sendReset transmits a RST at seq, with an acknowledgment if the state is synchronized, and with the current timestamp (RFC
// 7323 3.2). Without an acknowledgment it echoes no timestamp.
func (c *Conn) sendReset(seq Seq, now mono.Time) {
	seg := c.env.segment()
	seg.Seq, seg.Flags = seq, RST
	if c.synchronized() {
		seg.Flags |= ACK
		seg.Ack = c.rcv.nxt
	}
	if c.has(flagTimestamps) {
		seg.Options |= OptTimestamps
		seg.TSVal = c.env.stamp(now) + c.tsOffset
		if seg.Has(ACK) {
			seg.TSEcr = c.tsRecent
		}
	}
	c.env.Counters.ResetsOut++
	c.transmit(seg)
}

// fill completes a segment that carries ACK: acknowledgment, window, timestamps and SACK blocks. After it no acknowledgment is
// due any more.
func (c *Conn) fill(seg *Segment, now mono.Time) {
	seg.Ack = c.rcv.nxt
	seg.Window = c.advertise()
	if c.has(flagTimestamps) {
		seg.Options |= OptTimestamps
		seg.TSVal, seg.TSEcr = c.env.stamp(now)+c.tsOffset, c.tsRecent
	}
	if c.has(flagEchoCE) {
		seg.Flags |= ECE
	}
	c.fillSACK(seg)
	c.fillUrgent(seg)
	c.rcv.acked = c.rcv.nxt
	c.clear(flagACKNow | flagACKSoon)
	c.timers[timerACK] = 0
}

func (c *Conn) transmit(seg *Segment) {
	c.env.Counters.SegmentsOut++
	if c.env.Trace != nil {
		c.traceSegment(TraceSent, seg)
	}
	c.out.Transmit(seg)
}

// advertise moves the right edge of the window forward as far as the free buffer allows, in steps of at least a segment
// (MUST-39) and never back (SHLD-14), and returns the window field for it. The field is rounded up, so that an edge once
// offered stays offered, unless that would offer more than the buffer and one unit: otherwise each small segment would move the edge
// further. Text up to an edge offered before is accepted even if the field says less now (RFC 7323 2.4).
func (c *Conn) advertise() uint16 {
	want := c.desiredEdge()
	if c.rcv.edge.LessThan(want) {
		gain := want.Distance(c.rcv.edge)
		if gain >= min(uint32(c.rcvBuf)/2, uint32(c.rmss)) {
			c.rcv.edge = want
		}
	}
	largest := uint32(65535) << c.rcvScale
	wnd := min(c.rcv.wnd(), largest)
	field := wnd >> c.rcvScale
	unit := uint32(1) << c.rcvScale
	if up := c.rcv.nxt.Add((field + 1) * unit); wnd%unit != 0 && up.LessThan(want.Add(unit)) {
		field++
		c.rcv.edge = maxSeq(c.rcv.edge, up)
	}
	if wnd == largest {
		c.rcv.edge = c.rcv.nxt.Add(largest)
	}
	return uint16(field)
}

// sackRoom returns how many blocks fit into the options of a segment beside the timestamps (RFC 2018 4), and into the packets
// of the path. In a segment with text the blocks leave at least a quarter of the payload to the text.
func (c *Conn) sackRoom(text bool) uint8 {
	room := (40 - c.stampLen() - sackHeader) / sackBlock
	space := c.optionRoom()
	if text {
		space = int(c.smss) - int(c.smss)/4
	}
	return uint8(min(room, max(space-sackHeader, 0)/sackBlock))
}

// The length of the SACK option without blocks, with two NOPs before it, and that of each block.
const (
	sackHeader = 4
	sackBlock  = 8
)

// sackLen returns the length of the SACK option that the next segment of text carries.
func (c *Conn) sackLen() int {
	if c.rx == nil || !c.has(flagSACK) {
		return 0
	}
	n := c.rx.ooo.numRecent
	if c.rx.ooo.hasDup {
		n++
	}
	if n = min(n, c.sackRoom(true)); n == 0 {
		return 0
	}
	return sackHeader + sackBlock*int(n)
}

// fillSACK fills in the SACK blocks: first a duplicate, which is reported once (RFC 2883 4), then the blocks that are held (RFC
// 2018 4).
func (c *Conn) fillSACK(seg *Segment) {
	if c.rx == nil || !c.has(flagSACK) {
		return
	}
	a := &c.rx.ooo
	room := c.sackRoom(seg.TextLen > 0)
	if a.hasDup && room > 0 {
		seg.SACK[0] = a.dup
		seg.NumSACK = 1
		a.hasDup = false
	}
	for i := uint8(0); i < a.numRecent && seg.NumSACK < room; i++ {
		seg.SACK[seg.NumSACK] = a.recent[i]
		seg.NumSACK++
	}
	if seg.NumSACK > 0 {
		seg.Options |= OptSACK
	}
	c.dropReceiver()
}

// traceSegment traces a segment that leaves or has arrived. The caller has checked that there is a Trace.
func (c *Conn) traceSegment(kind TraceKind, seg *Segment) {
	c.env.Trace(c, TraceEvent{Kind: kind, Flags: seg.Flags, Seq: seg.Seq, Ack: seg.Ack, Len: seg.TextLen,
		Window: uint32(seg.Window)})
}
