package tcp

import (
	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
)

// mtuSearch is how a connection finds out what its path carries when no router says so: packetization layer path MTU
// discovery (RFC 4821), as Linux has it with tcp_mtu_probing=1. It begins when segments larger than a base size time out
// again and again. They leave smaller then, and once that has helped the search goes upward: single larger segments of new
// text, probes, show what gets through. Sizes are as Conn.maxSegment's.
type mtuSearch struct {
	path  uint16 // what the path carries as far as anybody has said
	low   uint16 // gets through
	high  uint16 // the largest that may
	probe uint16 // size of the probe in flight, 0 for none
	// unsure says that smaller segments have been tried and nothing has been acknowledged yet: the peer may be dead.
	unsure bool
	// tried says that a probe as large as the path is said to carry has been lost: this is no peer that was only away.
	tried    bool
	from, to Seq // the probe; while unsure, to is the end of the first segment that was sent smaller
}

const (
	// blackHoleTimeouts is how many timeouts of a large segment make a black hole likely, as in Linux.
	blackHoleTimeouts = r1
	// basePath is the MTU in octets that is tried first then (RFC 4821 7.2), or the least of the family if that is more.
	basePath = 1024
	// searchStep is how closely the MTU is found, as in Linux.
	searchStep = 8
	// behindProbe is how many segments are to follow a probe, whose acknowledgments show when it is lost.
	behindProbe = 3
)

// searching returns the connection's search, nil if there is none.
func (c *Conn) searching() *mtuSearch {
	if c.cc == nil {
		return nil
	}
	return c.cc.loss.search
}

// setMaxSegment changes how large segments are.
func (c *Conn) setMaxSegment(size uint16) {
	c.maxSegment = size
	c.setMSS()
}

// segmentFor returns the size of the segments on a path of mtu octets.
func (c *Conn) segmentFor(mtu int) uint16 {
	p := Path{MTU: mtu, V6: c.has(flagV6)}
	return uint16(p.MaxSegment())
}

// suspectBlackHole is called when the retransmission timer has expired. After several timeouts of a segment that is larger
// than the base size it makes segments smaller: first that base, then the least size of the family. If neither changes
// anything the peer is dead or its link is down, and it restores the size.
func (c *Conn) suspectBlackHole() {
	sb := &c.tx.sb
	n := int(c.retransmits) - blackHoleTimeouts
	if n < 0 || n > 2 || c.MayFragment() || sb.len() == 0 {
		return
	}
	if n == 2 {
		c.clearBlackHole()
		return
	}
	s := c.searching()
	size := c.segmentFor(c.leastPath())
	if n == 0 {
		size = max(size, c.segmentFor(basePath))
	}
	if size >= c.maxSegment || c.textOf(&sb.recs[sb.head]) <= uint32(c.payload(size)) {
		return
	}
	if s == nil {
		s = &mtuSearch{path: c.maxSegment}
		c.cc.loss.search = s
	}
	to := s.to
	if !s.unsure {
		to = c.snd.una.Add(uint32(c.payload(size)))
	}
	*s = mtuSearch{path: s.path, low: size, high: c.largestFor(s.path), to: to, unsure: true}
	c.setMaxSegment(size)
}

// clearBlackHole restores the size of segments if smaller ones have not helped so far: there is no black hole, because a
// segment has arrived that was sent before, or because smaller ones have not arrived either.
func (c *Conn) clearBlackHole() {
	if s := c.searching(); s != nil && s.unsure {
		c.cc.loss.search = nil
		c.setMaxSegment(s.path)
	}
}

// payload returns how much text a segment of the size has room for.
func (c *Conn) payload(size uint16) int {
	return int(size) - headerLen - c.stampLen() - int(c.sackLen())
}

// largestFor returns the size of the largest segment that the peer takes on a path that takes size octets.
func (c *Conn) largestFor(size uint16) uint16 {
	return uint16(min(int(size), max(int(c.askedMSS()), minMSS+c.stampLen())+headerLen))
}

// probeMTU sends a probe if the search has not come to its end and there is enough text for it. hold says that one will be
// sent as soon as cwnd and the peer's window allow, and that nothing else is to be sent until then.
func (c *Conn) probeMTU(s *mtuSearch, now mono.Time) (hold bool) {
	tx := c.tx
	if c.phase != cc.Open || c.retransmits > 0 || tx.sb.lost+tx.sb.sacked > 0 {
		return false
	}
	s.unsure = false
	if s.probe != 0 || s.done() || c.has(flagFINSent) || c.urgentMode() {
		return false
	}
	size, mss := s.next(), uint32(c.smss)
	n := uint32(c.payload(size))
	need := n + behindProbe*mss
	if tx.q.end.Distance(c.snd.nxt) < need {
		return false
	}
	if c.restartAfterIdle(now); c.snd.wnd < need+mss || c.cwnd < need+mss {
		return false
	}
	if c.pipe()+n > c.cwnd || c.snd.una.Add(c.snd.wnd).Distance(c.snd.nxt) < need {
		return true
	}
	c.setMaxSegment(size)
	s.probe, s.from = size, c.snd.nxt
	tx.larger = true
	c.sentNew(min(n, c.segmentSize()), false, now)
	tx.larger = false
	s.to = c.snd.nxt
	c.setMaxSegment(s.low)
	return false
}

// done says whether no more probes are to be sent.
func (s *mtuSearch) done() bool { return s.low >= s.high || s.tried && s.high-s.low < searchStep }

// next returns the size of the next probe: all that the path is said to carry, since the peer may only have been away, and
// then the middle of what is left.
func (s *mtuSearch) next() uint16 {
	if s.tried {
		return s.high - (s.high-s.low)/2
	}
	return s.high
}

// judgeProbe finds out from an acknowledgment what has become of the probe in flight. If the probe alone is lost it was too
// large: its text is sent again at once, which is no recovery and leaves cwnd as it is (RFC 4821 7.5). If other segments are
// lost as well it says nothing, and another one is sent later.
func (c *Conn) judgeProbe(s *mtuSearch, now mono.Time) {
	sb := &c.tx.sb
	i := sb.find(maxSeq(s.from, c.snd.una))
	if s.to.LessThanEq(c.snd.una) || i < len(sb.recs) && sb.recs[i].flags&recSacked != 0 {
		s.low, s.probe = s.probe, 0
		c.setMaxSegment(s.low)
		c.concludeSearch(s)
		return
	}
	if i >= len(sb.recs) || sb.recs[i].flags&recLost == 0 {
		return
	}
	if recovering := c.recovering(); recovering || sb.recs[i].flags&recProbe == 0 || sb.lost > sb.recs[i].n {
		s.probe = 0
		return
	}
	c.probeFailed(s)
	for sb.lost > 0 {
		c.tx.ignoreCwnd = true
		if !c.retransmit(now) {
			break
		}
	}
	c.tx.ignoreCwnd = false
}

// probeFailed notes that the probe in flight was too large.
func (c *Conn) probeFailed(s *mtuSearch) {
	s.high, s.probe, s.tried = s.probe-1, 0, true
	c.concludeSearch(s)
}

// probeTimedOut ends the probe in flight when the retransmission timer has expired.
func (c *Conn) probeTimedOut(s *mtuSearch) {
	switch {
	case s.probe == 0:
	case s.from == c.snd.una:
		c.probeFailed(s)
	default:
		s.probe = 0
	}
}

// concludeSearch ends the search if the size is known well enough. What was found holds until SetPath says that more may
// get through. If it is the size from before the timeouts there was no black hole.
func (c *Conn) concludeSearch(s *mtuSearch) {
	switch {
	case !s.done():
	case s.low >= c.largestFor(s.path):
		c.cc.loss.search = nil
		c.setMaxSegment(s.path)
	default:
		s.path, s.high = s.low, s.low
		c.events |= PathFound
	}
}

// setPath takes over what a path is said to carry now. What was found stays the size of segments; what is said to get
// through beyond it is probed.
func (s *mtuSearch) setPath(c *Conn, size uint16) {
	largest := c.largestFor(size)
	if s.path < size {
		s.high, s.tried = largest, false
	}
	s.path, s.high, s.low = size, min(s.high, largest), min(s.low, size)
	if s.probe > size {
		s.probe = 0 // it is found lost like any other segment
	}
	c.maxSegment = min(c.maxSegment, size)
}
