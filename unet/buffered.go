package unet

import (
	"io"
	"syscall"
)

// Buffered returns the number of octets that Read can return without waiting, and the way the stream ends after them: nil
// if no end is known yet, io.EOF if the peer has closed its side (or CloseRead was called), and otherwise the error
// that Read will return, ECONNRESET for instance. There may be octets and an end at the same time.
//
// Buffered does not wait, consumes neither the octets nor the error, and ignores deadlines. A client that
// keeps connections for later calls it before the next request: such a connection can be used if Buffered returns 0 and
// nil. Programs over package net use SyscallConn and recv with MSG_PEEK for that. docs/pools.md has a recipe for drivers
// of database/sql.
func (c *TCPConn) Buffered() (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	n, eof, err := c.conn.Buffered()
	switch {
	case err != nil:
		return n, c.opError("read", "read", err)
	case eof:
		return n, io.EOF
	}
	return n, nil
}
