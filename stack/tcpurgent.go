package stack

import "syscall"

// WriteUrgent is Write of urgent data: the peer's mark moves behind p (RFC 9293 3.8.5), and its user may take
// the last octet out of band. New programs should not use it (RFC 6093 5, SHLD-13).
func (c *TCPConn) WriteUrgent(p []byte) (int, error) { return c.write(p, nil, WriteMode{Urgent: true}) }

// TryWriteUrgent is WriteUrgent that takes what there is room for, and returns EAGAIN when there is none.
func (c *TCPConn) TryWriteUrgent(p []byte) (int, error) {
	return c.write(p, nil, WriteMode{Try: true, Urgent: true})
}

// ReadUrgent takes the urgent octet out of band, or with peek only looks at it. It never waits. Errors: EAGAIN when the peer
// has announced urgent data that has not arrived; EINVAL when there is none, when it was taken before, or when it stays in
// the stream because tcp.Options.OutOfBand is off; EBADF after Close.
func (c *TCPConn) ReadUrgent(peek bool) (byte, error) {
	c.lock()
	defer c.unlock()
	if c.bits&closed != 0 {
		return 0, syscall.EBADF
	}
	octet, errno := c.tcp.ReceiveUrgent(peek)
	if errno != 0 {
		return 0, errno
	}
	return octet, nil
}

// AtMark says whether the program has read all octets before the urgent mark and none after it: SIOCATMARK. Reads stop at
// the mark, so that a program can call AtMark between two reads.
func (c *TCPConn) AtMark() bool {
	c.lock()
	defer c.unlock()
	return c.bits&released == 0 && c.tcp.AtMark()
}
