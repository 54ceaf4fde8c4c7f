package tcp

// Pressure says how short of memory a host is.
type Pressure uint8

const (
	// Ample: there is enough memory. Buffers grow as large as their paths need.
	Ample Pressure = iota
	// Saving: no buffer grows, and a connection whose peer or reader does not keep up may buffer only the minimum that it
	// needs to go on. A window that was offered stays offered, and the text that arrives in it is kept.
	Saving
	// Exhausted: text beyond that minimum is dropped even if the window offered room for it, and so is text out of order;
	// the peer must send it again.
	Exhausted
	// Overdrawn: even the memory reserved for connections that make progress is used up. Every connection may buffer only
	// what keeps it alive.
	Overdrawn
)

// A connection may always buffer leastSend octets to send, and leastSegments full segments to read. When memory is
// overdrawn it is one piece of storage and one segment.
const (
	leastSend     = 4608
	leastSegments = 4
)

// chargeSend updates Env.Buffered after a change of the send queue.
func (c *Conn) chargeSend() {
	if tx := c.tx; tx != nil {
		c.env.Buffered += int64(tx.q.storage - tx.charged)
		tx.charged = tx.q.storage
	}
}

// chargeReceive updates Env.Buffered after a change of the receive queue or of the text out of order.
func (c *Conn) chargeReceive() {
	rx := c.rx
	held := rx.storage + rx.ooo.charge
	c.env.Buffered += int64(held - rx.charged)
	rx.charged = held
}

// noRoom says whether text that arrives in order must be dropped because the host has no memory. A reader that keeps up may
// buffer more than one that does not. It loses this privilege when half a buffer is unread, or more than Env.Share: many
// readers that have kept up so far may all stop reading.
func (c *Conn) noRoom() bool {
	if c.env.Pressure < Exhausted || c.rx == nil {
		return false
	}
	if c.rx.bytes > int(min(int64(c.rcvBuf)/2, c.env.Share)) {
		c.clear(flagKeepsUp)
	}
	return c.rx.bytes >= c.receiveLimit()
}

// pruneExhausted drops text out of order if the host has no memory, all but the first few segments, which the next
// retransmission will bring into order. It returns the number of octets dropped.
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

// chunkSize returns how large a piece of storage the send queue may allocate now.
func (c *Conn) chunkSize() int {
	if c.env.Pressure == Ample {
		return maxChunk
	}
	return leanChunk
}

// sendLimit returns the size of the send buffer now. While memory is short a connection that makes progress may use
// Env.Share; one whose peer offers no window, or does not answer, may use only the minimum.
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

// receiveLimit returns the size of the receive buffer now. If the reader keeps up, the window may stay large even while
// memory is short, since the text does not stay in the buffer.
func (c *Conn) receiveLimit() int {
	if c.env.Pressure != Ample && !c.has(flagKeepsUp) {
		return c.leastReceive()
	}
	return int(c.rcvBuf)
}

// The smallest buffers are those of Linux. With less, a connection would send a little in each round trip, or wait for the
// delayed acknowledgment of a peer that itself waits for more text.
const (
	leastRecvBuffer = 2304
	leastSendBuffer = 4608
	mostBuffer      = 1 << 30
)

// recvBuffer returns the initial size of the receive buffer, which stays if the user has fixed it.
func (o *Options) recvBuffer(cfg *Config) int {
	n := cfg.RecvBuffer
	if o.RecvBuffer > 0 {
		n = min(max(int(o.RecvBuffer), leastRecvBuffer), cfg.MaxRecvBuffer)
	}
	return o.clamp(n)
}

// sendBuffer returns the size of a send buffer that the user has fixed.
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
