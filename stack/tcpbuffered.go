package stack

import "syscall"

// Buffered returns how many octets can be read now, and how the stream ends behind them if that is known: eof says
// that Read would then return 0, nil, and err is the error that it would return, for instance the pending one. Buffered
// does not wait, takes neither the text nor the error, and ignores the read deadline. EBADF after Close.
func (c *TCPConn) Buffered() (n int, eof bool, err error) {
	s := c.shard
	s.mu.Lock() // nothing is sent and no goroutine woken, so unlock would have nothing to do
	defer s.mu.Unlock()
	if c.bits&closed != 0 {
		return 0, false, syscall.EBADF
	}
	n = c.tcp.Readable()
	switch {
	case c.tcp.EOF() || c.bits&readShut != 0:
		return n, true, nil
	case c.err != 0:
		return n, false, syscall.Errno(c.err)
	}
	return n, c.bits&inTable == 0, nil
}
