package stack

// Ready returns what the connection is ready for. Where ReadyOut is missing, the watcher is told when it comes.
func (c *TCPConn) Ready() Readiness {
	// Nothing is sent and no goroutine woken, so unlock would have nothing to do.
	c.shard.mu.Lock()
	defer c.shard.mu.Unlock()
	return c.readyLocked()
}

func (c *TCPConn) readyLocked() Readiness {
	if c.bits&closed != 0 {
		return ReadyIn | ReadyOut | ReadyRdHup | ReadyHup
	}
	var r Readiness
	if c.err != 0 {
		r |= ReadyErr
	}
	if c.bits&inTable == 0 {
		return r | ReadyIn | ReadyOut | ReadyRdHup | ReadyHup
	}
	ended := c.tcp.EOF() || c.bits&readShut != 0
	if ended {
		r |= ReadyIn | ReadyRdHup
		if c.bits&writeShut != 0 {
			r |= ReadyHup
		}
	}
	if c.tcp.ReadyToRead() {
		r |= ReadyIn
	}
	if c.tcp.UrgentAhead() {
		r |= ReadyPri
	}
	if c.bits&(writeShut|synWaits) != 0 || c.bits&connected != 0 && c.tcp.AwaitWritable() {
		r |= ReadyOut
	}
	return r
}

// Watch makes w the connection's watcher, in place of any other; nil for none.
func (c *TCPConn) Watch(w Watcher) {
	c.shard.mu.Lock()
	defer c.shard.mu.Unlock()
	if c.bits&closed != 0 {
		return
	}
	if c.rare == nil {
		c.rare = new(rareFields)
	}
	c.rare.watcher = w
	c.dropRareLocked()
}
