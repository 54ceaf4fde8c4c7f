package tcp

// Under Env.Pressure a connection buffers only what it takes to go on: leastSend octets to send, and text of
// leastSegments full segments to read. What a window has already offered stays offered.
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

// sendLimit is the size of the send buffer now.
func (c *Conn) sendLimit() int {
	if c.env != nil && c.env.Pressure {
		return min(int(c.sndBuf), leastSend)
	}
	return int(c.sndBuf)
}

// receiveLimit is the size of the receive buffer now.
func (c *Conn) receiveLimit() int {
	if c.env.Pressure {
		return min(int(c.rcvBuf), leastSegments*int(c.rmss))
	}
	return int(c.rcvBuf)
}
