package stack

import (
	"net/netip"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/ip"
	"github.com/unet-go/unet/stack/tcp"
)

// inbound is one segment of a receive burst.
type inbound struct {
	seg  tcp.Segment
	key  flowKey
	hash uint64
	next int32 // index of the next one for the same shard, -1 for none
}

// arrivals are the TCP segments of one receive burst, in a list for each shard. The next burst uses the same memory.
type arrivals struct {
	in         []inbound
	head, tail []int32  // for each shard the index of its first and last segment, -1 for none
	shards     []int32  // the shards that have segments, in the order of their first
	wakes      wakeList // goroutines and watchers to be told of the segments
}

func newArrivals(shards int) arrivals {
	a := arrivals{head: make([]int32, shards), tail: make([]int32, shards)}
	for i := range a.head {
		a.head[i] = -1
	}
	return a
}

// input processes the segments of a burst, those of a shard in the order in which they arrived. It takes each shard's
// lock once. It leaves nothing in a but wakes, which the caller runs and clears, and does not flush.
func (l *tcpLayer) input(a *arrivals, now mono.Time) {
	var earliest mono.Time
	for _, i := range a.shards {
		at := l.shards[i].arrive(a, a.head[i], now)
		if at != 0 && (earliest == 0 || at < earliest) {
			earliest = at
		}
		a.head[i] = -1
	}
	if earliest != 0 {
		l.core.clock.Armed(earliest)
	}
	a.clear()
}

// add parses a packet and sorts it in with its shard. What is not TCP is counted and dropped.
func (a *arrivals) add(l *tcpLayer, p *ip.Packet) {
	if p.Broadcast { // MUST-57
		l.invalid.dropped.Add(1)
		return
	}
	var header wire.TCP
	text, err := header.Parse(p.Payload)
	if err != nil {
		l.invalid.malformed.Add(1)
		return
	}
	if !p.ChecksumOK {
		pseudo := wire.PseudoHeader(p.Src, p.Dst, wire.ProtocolTCP, len(p.Payload))
		if wire.Checksum(p.Payload, pseudo) != 0 { // MUST-3
			l.invalid.badChecksum.Add(1)
			return
		}
	}
	if p.Src == p.Dst && header.SrcPort == header.DstPort && !p.Interface.Loopback() { // ledger D-LAND-1
		l.invalid.dropped.Add(1)
		return
	}
	n := len(a.in)
	if n == cap(a.in) {
		a.in = append(a.in, inbound{})
	} else {
		a.in = a.in[:n+1]
	}
	in := &a.in[n]
	in.fill(&header, p, text)
	in.key.set(p.Dst, p.Src, header.DstPort, header.SrcPort, l.core.scope(p.Dst, p.Src))
	in.hash = l.shards[0].flows.hash(&in.key)
	in.next = -1
	i := int32(in.hash >> l.shift)
	if a.head[i] < 0 {
		a.head[i] = int32(n)
		a.shards = append(a.shards, i)
	} else {
		a.in[a.tail[i]].next = int32(n)
	}
	a.tail[i] = int32(n)
}

// fill makes the segment of a parsed header.
func (in *inbound) fill(h *wire.TCP, p *ip.Packet, text []byte) {
	seg := &in.seg
	seg.Seq, seg.Ack, seg.Flags = tcp.Seq(h.Seq), tcp.Seq(h.Ack), tcp.Flags(h.Flags)
	seg.Window, seg.Urgent = h.Window, h.Urgent
	o := &h.Options
	seg.Options = tcp.OptionSet(o.Has)
	seg.MSS, seg.WindowScale = o.MSS, o.WScale
	seg.TSVal, seg.TSEcr = o.TSVal, o.TSEcr
	seg.NumSACK = o.NumSACK
	for i := range o.NumSACK {
		seg.SACK[i] = tcp.Block{Left: tcp.Seq(o.SACK[i].Left), Right: tcp.Seq(o.SACK[i].Right)}
	}
	seg.FastOpen = fastOpenCookieOf(o)
	seg.CE, seg.ECT = p.TOS&ip.ECNMask == ip.CE, p.TOS&ip.ECNMask != ip.NotECT
	seg.Text = tcp.Span{Data: text}
	if p.Buffer != nil {
		seg.Text.Owner = p.Buffer
	}
	seg.TextLen = uint32(len(text))
	seg.GSOSize = p.GSOSize
}

// clear removes the segments. It keeps the memory, and wakes.
func (a *arrivals) clear() {
	for i := range a.in {
		a.in[i].seg.Text = tcp.Span{}
	}
	a.in, a.shards = a.in[:0], a.shards[:0]
}

// arrive runs the protocol for the list of segments that begins at index first, then Output once for each connection
// that got one. It returns the shard's next deadline.
func (s *shard) arrive(a *arrivals, first int32, now mono.Time) mono.Time {
	s.mu.Lock()
	if s.layer.core.ended.Load() { // Close has emptied the table, and nothing may be added
		s.mu.Unlock()
		return 0
	}
	s.wakes = &a.wakes
	for i := first; i >= 0; i = a.in[i].next {
		s.segmentLocked(&a.in[i], now)
	}
	for i, c := range s.touched {
		c.bits &^= touched
		if s.layer.bursts.Load() == 0 {
			c.tcp.Output(now)
		} else if c.tcp.OutputEarly(now) {
			c.holdLocked()
		}
		c.afterLocked(now)
		s.touched[i] = nil
	}
	s.touched = s.touched[:0]
	s.wakes, s.unflushed = nil, false
	s.accountLocked()
	at := s.deadlineLocked()
	s.mu.Unlock()
	return at
}

// segmentLocked passes a segment to the connection or the record that it belongs to.
func (s *shard) segmentLocked(in *inbound, now mono.Time) {
	s.env.Counters.SegmentsIn++
	f := s.flows.find(&in.key, in.hash)
	if f == nil {
		s.unknownLocked(in, now)
		return
	}
	switch f.kind {
	case connFlow:
		c := f.conn()
		if c.bits&(held|touched|fastOpenAsked) == 0 {
			c.tcp.SegmentArrives(&in.seg, now)
		} else {
			c.arriveAmidLocked(&in.seg, now)
		}
		c.touchLocked(now)
	case halfOpenFlow:
		s.halfOpenLocked(f.halfOpen(), in, now)
	case timeWaitFlow:
		s.timeWaitLocked(f.timeWait(), in, now)
	}
}

// arriveAmidLocked passes a segment to a connection whose Output waits for the end of the burst, or whose SYN has asked
// for Fast Open. In the first case what c may send already leaves before a segment that may end the connection: a RST,
// or text for a connection that is closed.
func (c *TCPConn) arriveAmidLocked(seg *tcp.Segment, now mono.Time) {
	if c.bits&(held|touched) != 0 && (seg.Flags&tcp.RST != 0 || c.bits&closed != 0 && seg.TextLen > 0) {
		c.tcp.Push(now)
	}
	c.tcp.SegmentArrives(seg, now)
	if c.bits&fastOpenAsked != 0 {
		c.learnFastOpenLocked(seg, now)
	}
}

// touchLocked notes that c has had a segment. A connection that the segment has ended leaves the table at once, since
// the next segment may open a new one with the same four-tuple.
func (c *TCPConn) touchLocked(now mono.Time) {
	s := c.shard
	if c.bits&touched == 0 {
		c.bits |= touched
		s.touched = append(s.touched, c)
	}
	c.eventsLocked(now)
}

// unknownLocked passes a segment that belongs to no connection and no record to a listener, or refuses it.
func (s *shard) unknownLocked(in *inbound, now mono.Time) {
	g := s.layer.listen.find(s.layer.core.local(&in.key))
	if g == nil {
		s.refuseLocked(in)
		return
	}
	switch tcp.ListenArrives(&in.seg) {
	case tcp.ListenDrop:
	case tcp.ListenSYN:
		s.synLocked(in, g, tcp.ISSFloor{}, now)
	case tcp.ListenACK:
		s.synCookieACKLocked(in, g, now)
	}
}

// transportError is an ICMP error, or a neighbour that does not answer, about a TCP segment of ours.
type transportError struct {
	// local and remote are the quoted segment's source and destination.
	local, remote netip.AddrPort
	// err is what the message says; err.Seq is the quoted sequence number.
	err tcp.ICMPError
}

// errorArrives processes an ICMP error about a segment of ours, or the news that its neighbour does not answer.
func (l *tcpLayer) errorArrives(e transportError) {
	k := l.core.flowKey(e.local, e.remote)
	hash := l.shards[0].flows.hash(&k)
	s := l.shard(hash)
	s.lock()
	defer s.unlock()
	f := s.flows.find(&k, hash)
	if f == nil {
		return
	}
	now := l.core.clock.Now()
	switch f.kind {
	case connFlow:
		c := f.conn()
		c.pushLocked(now)
		c.tcp.ICMPError(e.err, now)
		c.afterLocked(now)
	case halfOpenFlow:
		// The quoted sequence number must be our SYN-ACK's (RFC 5927 4.1).
		half := f.halfOpen()
		var synAck tcp.Segment
		half.tcp.SynAck(&s.env, &synAck, now)
		if e.err.Hard && e.err.Seq == synAck.Seq {
			s.removeHalfOpenLocked(half)
		}
	case timeWaitFlow: // an error changes nothing for it
	}
}
