package stack

import (
	"net/netip"
	"syscall"
	"time"

	"github.com/unet-go/unet/stack/tcp"
)

// Listener is a passive open: it holds the connections whose handshake is complete until Accept takes them.
type Listener struct{}

// ListenTCP listens on b, which it takes over when it succeeds. At most backlog+1 connections wait for
// Accept; backlog is at least 1 and at most 65535. Accepted connections inherit o. EADDRINUSE when somebody
// listens there already.
func (h *Host) ListenTCP(b *Binding, backlog int, o tcp.Options) (*Listener, error) {
	return nil, syscall.EADDRINUSE
}

// Accept waits for a connection and dequeues it, the oldest first. EAGAIN when the deadline has passed, EINVAL
// after Shutdown, EBADF after Close.
func (l *Listener) Accept() (*TCPConn, error) { return nil, syscall.EBADF }

// TryAccept is Accept that returns EAGAIN instead of waiting.
func (l *Listener) TryAccept() (*TCPConn, error) { return nil, syscall.EBADF }

// SetDeadline sets when Accept gives up; the zero time means never. EBADF after Close.
func (l *Listener) SetDeadline(t time.Time) error { return syscall.EBADF }

// Addr returns the address that the listener is bound to, after Close too.
func (l *Listener) Addr() netip.AddrPort { return netip.AddrPort{} }

// Close ends the listener. Connections that nobody has accepted are reset; blocked Accepts return EBADF.
// EBADF the second time.
func (l *Listener) Close() error { return syscall.EBADF }

// Shutdown stops listening as shutdown(2) does: unaccepted connections are reset, Accept returns EINVAL, and
// the address stays bound until Close.
func (l *Listener) Shutdown() error { return syscall.EBADF }

// Options returns what accepted connections inherit.
func (l *Listener) Options() tcp.Options { return tcp.Options{} }

// SetOptions sets what connections inherit whose handshake begins from now on.
func (l *Listener) SetOptions(o tcp.Options) {}

// SetBacklog changes the backlog as a second listen(2) does.
func (l *Listener) SetBacklog(backlog int) {}

// Ready returns ReadyIn when a connection waits for Accept.
func (l *Listener) Ready() Readiness { return 0 }

// Watch makes fn be called with what may have become ready, never under a lock of the stack; nil ends it.
// There is one watcher.
func (l *Listener) Watch(fn func(Readiness)) {}
