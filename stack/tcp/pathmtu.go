package tcp

import "github.com/unet-go/unet/internal/mono"

// SetPath takes over a changed path, or what has become known of it. A segment that is too large for it is cut when it is
// sent again.
func (c *Conn) SetPath(p Path, now mono.Time) {
	if c.state == Closed {
		return
	}
	c.applyPath(p)
	if c.synchronized() {
		c.setMSS()
	}
}

// applyPath notes what the path carries. A connection that may not go by what is known of the path beyond the interface
// does not look at it.
func (c *Conn) applyPath(p Path) {
	if mtu := p.PathMTU; mtu > 0 && c.opts.Discover.heedsPath() {
		p.MTU = min(p.MTU, mtu)
	}
	c.maxSuper = uint16(min(max(p.MaxSuper, 0), 65535))
	c.clear(flagPathTooNarrow)
	if p.TooNarrow {
		c.set(flagPathTooNarrow)
		c.maxSuper = 0 // each packet that may be cut has an identification of its own
	}
	if p.V6 {
		c.set(flagV6)
	}
	size := uint16(min(p.MaxSegment(), maxSegmentLen))
	if s := c.searching(); s != nil {
		s.setPath(c, size)
		return
	}
	c.maxSegment = size
}

// maxSegmentLen is more than any path has room for.
const maxSegmentLen = 65535 - 40

// path returns the path as set by applyPath, or by a later packetTooBig. While a search goes on, it is what the search has
// come to.
func (c *Conn) path() Path {
	p := Path{MaxSuper: int(c.maxSuper), V6: c.has(flagV6), TooNarrow: c.PathTooNarrow()}
	p.MTU = int(c.maxSegment) + p.headerLen()
	return p
}

// PathMTU returns the largest packet in octets that the path carries, as far as SetPath, a router or a search that has
// ended has said.
func (c *Conn) PathMTU() int { return int(c.saidOfPath()) + c.path().headerLen() }

// saidOfPath returns PathMTU as the size of a segment.
func (c *Conn) saidOfPath() uint16 {
	if s := c.searching(); s != nil {
		return s.path
	}
	return c.maxSegment
}

// Fits says whether PathMTU is mtu. If not, SetPath is to be called.
func (c *Conn) Fits(mtu int) bool {
	if c.has(flagV6) {
		mtu -= 20
	}
	return min(mtu-20, maxSegmentLen) == int(c.saidOfPath())
}

// advertisedMSS returns the MSS for our SYN: the largest segment that a frame carries less the fixed TCP header, at most
// Options.MaxSeg. What the path carries does not count: the way back may be another.
func (p Path) advertisedMSS(o *Options) uint16 {
	return limitMSS(min(p.MaxSegment(), maxSegmentLen), o)
}

// limitMSS returns the payload of a segment without options, at most Options.MaxSeg.
func limitMSS(segment int, o *Options) uint16 {
	mss := uint16(segment - headerLen)
	if o.MaxSeg != 0 {
		mss = min(mss, o.MaxSeg)
	}
	return mss
}

// leastPath returns the least MTU of a path that a message is believed (RFC 8201 4; ledger B-PMT-2).
func (c *Conn) leastPath() int {
	if c.has(flagV6) {
		return 1280
	}
	return 552
}

// packetTooBig lowers the segment size (RFC 1191, RFC 8201), though not below the size that every path of the family
// carries, and never raises it. A path of IPv4 that is narrower still is locked: packets may be cut there. It sends the segments that were too big again at once, without reducing cwnd.
func (c *Conn) packetTooBig(e ICMPError, now mono.Time) {
	p := c.path()
	lock := !p.V6 && !p.TooNarrow && e.MTU < c.leastPath()
	p.MTU, p.TooNarrow = max(e.MTU, c.leastPath()), p.TooNarrow || lock
	size := p.MaxSegment()
	if size >= int(c.saidOfPath()) && !lock {
		return
	}
	p.MTU = min(p.MTU, c.PathMTU())
	s := c.searching()
	old, probing := uint32(c.smss), s != nil && s.probe != 0
	c.applyPath(p)
	c.events |= PathTooBig
	if !c.synchronized() {
		return
	}
	c.setMSS()
	if c.tx == nil || uint32(c.smss) >= old && !probing && !lock {
		return
	}
	fits := uint32(c.smss)
	if lock {
		fits = min(fits, uint32(max(e.MTU-p.headerLen()-headerLen, 0)))
	}
	sb := &c.tx.sb
	if i := sb.find(e.Seq); i < len(sb.recs) && sb.recs[i].n > fits {
		for k := sb.head; k < len(sb.recs); k++ {
			// What fits has got through, or was lost for another reason.
			if r := &sb.recs[k]; r.flags&recProbe != 0 || (uint32(c.smss) < old || lock) && r.n > fits {
				c.noteLoss(k, lossByMTU, now)
			}
		}
		c.tx.ignoreCwnd = true
		c.Output(now)
	}
}
