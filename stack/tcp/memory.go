package tcp

// Pressure says how short of memory a host is.
type Pressure uint8

const (
	// Ample memory: buffers grow as the paths ask for it.
	Ample Pressure = iota
	// Saving: no buffer grows, and each connection buffers only what it takes to go on. What a window has
	// already offered stays offered and is kept.
	Saving
	// Exhausted: what was offered beyond that is dropped too, and the peer will have to send it again.
	Exhausted
)

// What a connection may always buffer: leastSend octets to send, and text of leastSegments full segments to
// read.
const (
	leastSend     = 4608
	leastSegments = 4
)

// storage returns the octets that a span pins.
func (s *Span) storage() int {
	if s.Owner == nil {
		return 0
	}
	return s.Owner.Cap()
}

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

// noRoom says whether text that arrives in order must be dropped for want of memory.
func (c *Conn) noRoom() bool {
	return c.env.Pressure == Exhausted && c.rx != nil && c.rx.bytes >= c.receiveLimit()
}

// sendLimit is the size of the send buffer now.
func (c *Conn) sendLimit() int {
	if c.env != nil && c.env.Pressure != Ample {
		return min(int(c.sndBuf), leastSend)
	}
	return int(c.sndBuf)
}

// receiveLimit is the size of the receive buffer now.
func (c *Conn) receiveLimit() int {
	if c.env.Pressure != Ample {
		return min(int(c.rcvBuf), leastSegments*int(c.rmss))
	}
	return int(c.rcvBuf)
}

// recvBuffer returns the receive buffer that a connection opens with.
func (o *Options) recvBuffer(cfg *Config) int {
	n := cfg.RecvBuffer
	if o.RecvBuffer > 0 {
		n = int(o.RecvBuffer)
	}
	return o.clamp(n)
}

// clamp bounds a receive buffer by WindowClamp.
func (o *Options) clamp(n int) int {
	if o.WindowClamp > 0 {
		n = min(n, int(o.WindowClamp))
	}
	return n
}
