package unet

import (
	"errors"
	"net"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/unet-go/unet/stack"
)

// TCPListener is a TCP listener with the methods of *net.TCPListener. All methods may be called by several
// goroutines at once.
type TCPListener struct {
	listener *stack.Listener
	handle   *listenerHandle
	addr     *net.TCPAddr
	kind     socketKind
}

var (
	_ net.Listener = (*TCPListener)(nil)
)

func (l *TCPListener) ok() bool { return l != nil && l.listener != nil }

func (l *TCPListener) opError(op, call string, err error) error {
	return &net.OpError{Op: op, Net: l.kind.String(), Addr: l.addr, Err: syscallError(call, err)}
}

// Accept takes the next connection from the accept queue. It waits until there is one. The connection's handshake is
// complete, and text of the peer may have arrived already. After Close the error wraps
// net.ErrClosed, after a deadline os.ErrDeadlineExceeded.
func (l *TCPListener) Accept() (net.Conn, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return c, nil
}

// AcceptTCP is Accept with the connection's own type.
func (l *TCPListener) AcceptTCP() (*TCPConn, error) {
	if !l.ok() {
		return nil, syscall.EINVAL
	}
	c, err := l.listener.Accept()
	if err == syscall.EINVAL { // the listener was shut down meanwhile
		err = net.ErrClosed
	}
	if err != nil {
		return nil, l.opError("accept", "accept", err)
	}
	return newTCPConn(c, l.kind), nil
}

// Close stops listening. Blocked Accepts return, connections that were not accepted are reset, accepted ones
// stay as they are.
func (l *TCPListener) Close() error {
	if !l.ok() {
		return syscall.EINVAL
	}
	runtime.SetFinalizer(l.handle, nil)
	if err := l.listener.Close(); err != nil {
		return l.opError("close", "close", err)
	}
	return nil
}

// Addr returns the listener's address, a *net.TCPAddr that all calls share: do not modify it. It stays valid
// after Close.
func (l *TCPListener) Addr() net.Addr { return l.addr }

// SetDeadline sets the time from which Accept fails with an error that wraps os.ErrDeadlineExceeded, instead
// of waiting. The zero time means never.
func (l *TCPListener) SetDeadline(t time.Time) error {
	if !l.ok() {
		return syscall.EINVAL
	}
	err := syscallError("", l.listener.SetDeadline(t)) // package net does not wrap this one in an os.SyscallError
	runtime.KeepAlive(l)
	return err
}

// File returns an error that wraps errors.ErrUnsupported: the listener has no descriptor, so it
// cannot be handed to another process.
func (l *TCPListener) File() (*os.File, error) {
	if !l.ok() {
		return nil, syscall.EINVAL
	}
	return nil, l.opError("file", "", errors.ErrUnsupported)
}
