package tcp

// Pressure says how short of memory a host is.
type Pressure uint8

const (
	// Ample memory: buffers grow as the paths ask for it.
	Ample Pressure = iota
	// Saving: no buffer grows, and a connection whose peer or reader does not keep up buffers only what it takes
	// to go on. What a window has already offered stays offered and is kept.
	Saving
	// Exhausted: what was offered beyond that is dropped too, and text out of order in any case; the peer will
	// have to send it again.
	Exhausted
	// Overdrawn: even those who move have used up what was kept for them. All that a connection may buffer is what
	// keeps it alive.
	Overdrawn
)

// What a connection may always buffer: leastSend octets to send, and text of leastSegments full segments to
// read. When memory is overdrawn that is one piece of storage and one segment.
const (
	leastSend     = 4608
	leastSegments = 4
)

// chargeSend brings Env.Buffered up to date with the send queue.
func (c *Conn) chargeSend() {
	if tx := c.tx; tx != nil {
		c.env.Buffered += int64(tx.q.storage - tx.charged)
		tx.charged = tx.q.storage
	}
}

// chargeReceive brings Env.Buffered up to date with what waits to be read or to be put in order.
func (c *Conn) chargeReceive() {
	rx := c.rx
	held := rx.storage + rx.ooo.charge
	c.env.Buffered += int64(held - rx.charged)
	rx.charged = held
}

// noRoom says whether text that arrives in order must be dropped for want of memory. A reader who keeps up loses
// his privilege when half a buffer waits for him, or more than his share of what is kept for those who move: many who
// have once kept up are many who may stop.
func (c *Conn) noRoom() bool {
	if c.env.Pressure < Exhausted || c.rx == nil {
		return false
	}
	if c.rx.bytes > int(min(int64(c.rcvBuf)/2, c.env.Share)) {
		c.clear(flagKeepsUp)
	}
	return c.rx.bytes >= c.receiveLimit()
}

// pruneExhausted gives up text out of order that a host without memory keeps for nobody: only the first few
// segments, which the next retransmission will bring into order. It returns how many octets that was.
func (c *Conn) pruneExhausted() (pruned int) {
	a := &c.rx.ooo
	for c.env.Pressure >= Exhausted && a.charge > c.leastReceive() && len(a.pieces) > 0 {
		pruned += a.prune()
	}
	return pruned
}

func (c *Conn) leastReceive() int {
	segments := leastSegments
	if c.env.Pressure == Overdrawn {
		segments = 1
	}
	return min(int(c.rcvBuf), segments*int(c.rmss))
}

// chunkSize returns the largest piece of storage that the send queue may ask for now.
func (c *Conn) chunkSize() int {
	if c.env.Pressure == Ample {
		return maxChunk
	}
	return leanChunk
}

// sendLimit is the size of the send buffer now. While memory is short a connection that moves may have its share
// of what is kept for such; one whose peer takes nothing, or does not answer, has the least.
func (c *Conn) sendLimit() int {
	if c.env == nil || c.env.Pressure == Ample {
		return int(c.sndBuf)
	}
	least := min(int(c.sndBuf), leastSend)
	if c.env.Pressure == Overdrawn {
		least = min(least, leanChunk)
	}
	if tx := c.tx; c.snd.wnd == 0 || c.retransmits > 0 || tx != nil && tx.kind == kindPersist {
		return least
	}
	return max(least, int(min(int64(c.sndBuf), c.env.Share)))
}

// receiveLimit is the size of the receive buffer now. Where the reader keeps up the window may be as large as
// ever while memory is short: what comes does not stay.
func (c *Conn) receiveLimit() int {
	if c.env.Pressure != Ample && !c.has(flagKeepsUp) {
		return c.leastReceive()
	}
	return int(c.rcvBuf)
}

// The smallest buffers, those of Linux: with less a connection would send a little in each round trip, or wait for the
// delayed acknowledgment of a peer that waits for more.
const (
	leastRecvBuffer = 2304
	leastSendBuffer = 4608
	mostBuffer      = 1 << 30
)

// recvBuffer returns the receive buffer that a connection opens with, or has fixed.
func (o *Options) recvBuffer(cfg *Config) int {
	n := cfg.RecvBuffer
	if o.RecvBuffer > 0 {
		n = min(max(int(o.RecvBuffer), leastRecvBuffer), cfg.MaxRecvBuffer)
	}
	return o.clamp(n)
}

// sendBuffer returns the send buffer that a connection has fixed.
func (o *Options) sendBuffer(cfg *Config) int32 {
	return int32(min(max(int(o.SendBuffer), leastSendBuffer), cfg.MaxSendBuffer))
}

// clamp bounds a receive buffer by WindowClamp.
func (o *Options) clamp(n int) int {
	if o.WindowClamp > 0 {
		n = min(n, int(o.WindowClamp))
	}
	return n
}
