package unet

import (
	"io"
	"syscall"
)

// Buffered returns how many octets Read finds without waiting, and how the stream ends behind them: nil where it goes
// on as far as is known, io.EOF where the peer has closed its side (or CloseRead was called), and otherwise the error
// that Read will return, ECONNRESET for instance. Both can be there at once: text, and then the end.
//
// Buffered waits for nothing and takes nothing, neither the text nor the error, and ignores deadlines. A client that
// keeps connections for later asks it before the next request: such a connection is good while Buffered returns 0 and
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
