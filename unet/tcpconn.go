package unet

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/tcp"
)

// TCPConn is a TCP connection with the methods of *net.TCPConn. All methods may be called by several
// goroutines at once. Except for io.EOF, errors are *net.OpError.
//
// It has no descriptor of the kernel: File returns errors.ErrUnsupported, and there is no SyscallConn, so
// that code which looks for a syscall.Conn does not find one. Buffered, Info, SetUserTimeout and Writev are additions.
type TCPConn struct {
	conn   *stack.TCPConn
	handle *tcpHandle
}

var (
	_ net.Conn      = (*TCPConn)(nil)
	_ io.ReaderFrom = (*TCPConn)(nil)
	_ io.WriterTo   = (*TCPConn)(nil)
)

func (c *TCPConn) ok() bool { return c != nil && c.conn != nil }

// opError returns the error of operation op for an error of the stack. Call is the system call that package net would name.
func (c *TCPConn) opError(op, call string, err error) error {
	h := c.handle
	return &net.OpError{Op: op, Net: h.kind.String(), Source: h.localAddr(), Addr: h.remoteAddr(), Err: syscallError(call, err)}
}

// Read reads at least one octet into b, waiting for it if there is none, and returns the number of octets. The end of
// the stream is io.EOF itself. With an empty b it returns at once.
func (c *TCPConn) Read(b []byte) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	n, err := c.conn.Read(b)
	if err != nil {
		if len(b) == 0 && err == syscall.EAGAIN {
			return 0, nil // package net does not check the deadline for an empty b
		}
		return n, c.opError("read", "read", err)
	}
	if n == 0 && len(b) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Write copies b into the send queue, waiting for room as long as necessary, and returns the number of octets that it
// copied: less than len(b) only with an error. The octets of one Write stay together.
func (c *TCPConn) Write(b []byte) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	n, err := c.conn.Write(b)
	if err != nil {
		return n, c.opError("write", "write", err)
	}
	return n, nil
}

// Close ends the connection. Octets that were written are still delivered, in the background, unless SetLinger says
// otherwise. If the program has not read all that the peer has sent, the peer gets a reset instead (RFC 9293 3.6.1).
// Calls that are blocked on the connection return net.ErrClosed, and so do all later ones, Close included.
func (c *TCPConn) Close() error {
	if !c.ok() {
		return syscall.EINVAL
	}
	runtime.SetFinalizer(c.handle, nil)
	if err := c.conn.Close(); err != nil {
		return c.opError("close", "close", err)
	}
	return nil
}

// CloseRead shuts down the reading side: Read returns io.EOF. Most callers should just use Close.
func (c *TCPConn) CloseRead() error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if err := c.conn.CloseRead(); err != nil {
		return c.opError("close", "shutdown", err)
	}
	return nil
}

// CloseWrite shuts down the writing side: the peer reads all that was written and then the end of the stream,
// and may continue to send. Most callers should just use Close.
func (c *TCPConn) CloseWrite() error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if err := c.conn.CloseWrite(); err != nil {
		return c.opError("close", "shutdown", err)
	}
	return nil
}

// LocalAddr returns the local address, a *net.TCPAddr that the first call makes and all calls share: do not modify
// it. It stays valid after Close.
func (c *TCPConn) LocalAddr() net.Addr {
	if !c.ok() {
		return nil
	}
	return c.handle.localAddr()
}

// RemoteAddr returns the peer's address, a *net.TCPAddr that the first call makes and all calls share: do not modify
// it. It stays valid after Close.
func (c *TCPConn) RemoteAddr() net.Addr {
	if !c.ok() {
		return nil
	}
	return c.handle.remoteAddr()
}

// SetDeadline is SetReadDeadline and SetWriteDeadline together.
func (c *TCPConn) SetDeadline(t time.Time) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if err := c.conn.SetReadDeadline(t); err != nil {
		return c.setError(err)
	}
	if err := c.conn.SetWriteDeadline(t); err != nil {
		return c.setError(err)
	}
	return nil
}

// SetReadDeadline sets the time from which Read and WriteTo fail with an error that wraps
// os.ErrDeadlineExceeded, instead of waiting; a blocked call returns then. A time in the past ends a blocked
// call at once. The zero time means never. After a deadline has passed, the connection can be used again with a
// later one.
func (c *TCPConn) SetReadDeadline(t time.Time) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if err := c.conn.SetReadDeadline(t); err != nil {
		return c.setError(err)
	}
	return nil
}

// SetWriteDeadline is SetReadDeadline for Write, Writev and ReadFrom. A Write whose time has run out returns the number of
// octets that it took, and those are sent.
func (c *TCPConn) SetWriteDeadline(t time.Time) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if err := c.conn.SetWriteDeadline(t); err != nil {
		return c.setError(err)
	}
	return nil
}

// setError is opError for deadlines and buffers. Package net's errors of these have the local address only.
func (c *TCPConn) setError(err error) error {
	return &net.OpError{Op: "set", Net: c.handle.kind.String(), Addr: c.handle.localAddr(), Err: syscallError("setsockopt", err)}
}

// Info returns the present state, timers, windows and counters of the connection, as TCP_INFO does on
// Linux. It works after Close too.
func (c *TCPConn) Info() tcp.Info {
	if !c.ok() {
		return tcp.Info{}
	}
	return c.conn.Info()
}

// File returns an error that wraps errors.ErrUnsupported: the connection has no descriptor.
func (c *TCPConn) File() (*os.File, error) {
	if !c.ok() {
		return nil, syscall.EINVAL
	}
	return nil, c.opError("file", "", errors.ErrUnsupported)
}

// MultipathTCP returns false: the connection is plain TCP.
func (c *TCPConn) MultipathTCP() (bool, error) {
	if !c.ok() {
		return false, syscall.EINVAL
	}
	return false, nil
}
