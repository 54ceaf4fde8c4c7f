package stack

import (
	"net/netip"
	"syscall"
	"time"

	"github.com/unet-go/unet/stack/tcp"
)

// TCPConn is one TCP connection. Its methods may be called from any goroutine.
type TCPConn struct{}

// Readiness says what a connection or listener is ready for, as poll(2) does.
type Readiness uint8

const (
	// ReadyIn: a read returns at once, or Accept does.
	ReadyIn Readiness = 1 << iota
	// ReadyOut: a write takes at least one octet or fails at once.
	ReadyOut
	// ReadyRdHup: the peer sends no more, or the read side is shut down.
	ReadyRdHup
	// ReadyHup: both directions have ended.
	ReadyHup
	// ReadyErr: TakeError would return an error.
	ReadyErr
	// ReadyPri: urgent data is there.
	ReadyPri
)

// ConnectTCP begins an active open to remote: it sends the SYN and returns a connection in SYN-SENT. A nil b
// chooses the source address and an ephemeral port that is unique for the four-tuple; otherwise the
// connection takes b over when it succeeds. An unspecified remote address means loopback. Errors:
// ENETUNREACH without a route, EADDRNOTAVAIL when no port is free or the four-tuple is in use, EADDRINUSE
// when it is and b was given.
func (h *Host) ConnectTCP(b *Binding, remote netip.AddrPort, o tcp.Options) (*TCPConn, error) {
	return nil, syscall.ENETUNREACH
}

// Connected returns how the active open stands: nil when the connection is established, EINPROGRESS while it
// is not, otherwise why it failed, which clears the pending error as TakeError does; ECONNABORTED after that.
func (c *TCPConn) Connected() error { return syscall.EBADF }

// WaitConnect waits until the connection is established or has failed. EAGAIN when the write deadline has
// passed, EBADF after Close.
func (c *TCPConn) WaitConnect() error { return syscall.EBADF }

// Read waits for text and copies it to p. It returns 0, nil at the end of the stream, or when p is empty.
// EAGAIN when the read deadline has passed, even when text is there; EBADF after Close; once the reason for
// which the connection ended, ECONNRESET or ETIMEDOUT for instance, after all text that came before.
func (c *TCPConn) Read(p []byte) (int, error) { return 0, syscall.EBADF }

// TryRead is Read that returns EAGAIN instead of waiting and ignores the deadline.
func (c *TCPConn) TryRead(p []byte) (int, error) { return 0, syscall.EBADF }

// ReadSpan is Read without the copy: it waits for a run of text and passes its reference to the caller, who
// calls Owner.Release. An empty Data with a nil error is the end of the stream.
func (c *TCPConn) ReadSpan() (tcp.Span, error) { return tcp.Span{}, syscall.EBADF }

// Peek copies what can be read without taking it; EAGAIN when there is nothing yet.
func (c *TCPConn) Peek(p []byte) (int, error) { return 0, syscall.EBADF }

// Write waits until all of p is in the send queue, and returns how much of it is. The octets of one Write are
// contiguous in the stream. EPIPE after CloseWrite or when the connection has ended, after the reason for
// that has been returned once; EAGAIN when the write deadline has passed; EBADF after Close.
func (c *TCPConn) Write(p []byte) (int, error) { return 0, syscall.EBADF }

// TryWrite is Write that takes what there is room for, and returns EAGAIN when there is none.
func (c *TCPConn) TryWrite(p []byte) (int, error) { return 0, syscall.EBADF }

// SetReadDeadline sets when reads give up; the zero time means never. Blocked reads notice. EBADF after Close.
func (c *TCPConn) SetReadDeadline(t time.Time) error { return syscall.EBADF }

// SetWriteDeadline sets when writes and WaitConnect give up; the zero time means never. EBADF after Close.
func (c *TCPConn) SetWriteDeadline(t time.Time) error { return syscall.EBADF }

// CloseRead ends the receive side as shutdown(SHUT_RD) does: what is queued stays readable, then reads return
// the end of the stream. ENOTCONN when the connection is not established.
func (c *TCPConn) CloseRead() error { return syscall.EBADF }

// CloseWrite sends a FIN behind all that was written. ENOTCONN when the connection is not established.
func (c *TCPConn) CloseWrite() error { return syscall.EBADF }

// Close ends the connection for its user and wakes all blocked calls, which return EBADF. What was written is
// sent in the background, unless text is unread or Options.Linger is 0: then the peer is reset. With a
// positive Linger Close waits so long for the peer to acknowledge everything. EBADF the second time.
func (c *TCPConn) Close() error { return syscall.EBADF }

// Abort resets the connection, and is Close otherwise (RFC 9293 3.10.5).
func (c *TCPConn) Abort() {}

// Local returns the connection's local address.
func (c *TCPConn) Local() netip.AddrPort { return netip.AddrPort{} }

// Remote returns the peer's address.
func (c *TCPConn) Remote() netip.AddrPort { return netip.AddrPort{} }

// Options returns the options in force.
func (c *TCPConn) Options() tcp.Options { return tcp.Options{} }

// Update changes options. change is called under a lock and must not call the stack. EBADF after Close.
func (c *TCPConn) Update(change func(o *tcp.Options)) error { return syscall.EBADF }

// TakeError returns the pending error and clears it: SO_ERROR.
func (c *TCPConn) TakeError() error { return nil }

// Info describes the connection at this moment.
func (c *TCPConn) Info() tcp.Info { return tcp.Info{} }

// State returns the connection's state; CLOSED once it has left the stack, TIME-WAIT included.
func (c *TCPConn) State() tcp.State { return tcp.Closed }

// Unread returns the octets that can be read now: SIOCINQ.
func (c *TCPConn) Unread() int { return 0 }

// Unsent returns the octets that were written and not acknowledged: SIOCOUTQ.
func (c *TCPConn) Unsent() int { return 0 }

// Ready returns what the connection is ready for.
func (c *TCPConn) Ready() Readiness { return 0 }

// Watch makes fn be called with what may have become ready, never under a lock of the stack; nil ends it.
// There is one watcher.
func (c *TCPConn) Watch(fn func(Readiness)) {}
