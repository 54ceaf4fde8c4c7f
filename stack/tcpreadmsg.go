package stack

import "syscall"

// ReadMsg is Read into several buffers, one after the other.
func (c *TCPConn) ReadMsg(bufs [][]byte, m ReadMode) (int, error) {
	total := 0
	for _, b := range bufs {
		total += len(b)
	}
	c.lock()
	defer c.unlock()
	if total == 0 {
		return 0, c.readErrorLocked(m.Try, c.now())
	}
	return c.readMsgLocked(bufs, total, m)
}

// readMsgLocked reads into bufs, whose lengths add up to total, until it has as many octets as m asks for. Where it waits,
// other reads may take text between that which it takes, as in Linux.
func (c *TCPConn) readMsgLocked(bufs [][]byte, total int, m ReadMode) (n int, err error) {
	least := total
	if !m.All {
		least = min(total, c.tcp.RecvLowat())
	}
	if m.Peek {
		if now, err := c.awaitTextLocked(m.Try, least); now == 0 && c.tcp.Readable() == 0 {
			return 0, err
		}
		return c.peekLocked(bufs, m), nil
	}
	p, bufs := bufs[0], bufs[1:]
	for n < least {
		now, err := c.awaitTextLocked(m.Try, 1)
		switch {
		case now != 0:
		case n > 0:
			if errno, _ := err.(syscall.Errno); errno != 0 && errno != syscall.EAGAIN && errno != syscall.EBADF {
				c.setErrorLocked(errno) // for the next call
			}
			return n, nil
		default:
			return 0, err
		}
		for k := 1; k > 0; n += k {
			if p, bufs = advance(p, bufs, 0); m.Discard {
				k = c.tcp.Discard(len(p), now)
			} else {
				k = c.tcp.Receive(p, now)
			}
			if p = p[k:]; k > 0 && c.tcp.AtMark() { // a read stops at the mark of urgent data
				least = 0
				n += k
				break
			}
		}
		c.afterLocked(now)
	}
	return n, nil
}

// peekLocked copies what can be read to bufs, or with m.Discard only counts it.
func (c *TCPConn) peekLocked(bufs [][]byte, m ReadMode) (n int) {
	for _, p := range bufs {
		if m.Discard {
			n += min(len(p), c.tcp.Readable()-n)
		} else {
			n += c.tcp.PeekAt(p, n)
		}
	}
	return n
}

// readEndsLocked says whether a reader has to do with the text that is there: it does not wait, no more will come, or the
// peer may not send more before something is read.
func (c *TCPConn) readEndsLocked(try bool) bool {
	return try || c.tcp.EOF() || c.bits&readShut != 0 || c.bits&inTable == 0 || c.tcp.WindowFull()
}
