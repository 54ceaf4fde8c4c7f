package fdtable

import (
	"net/netip"
	"syscall"

	"github.com/unet-go/unet/stack"
)

// Connect connects the socket to a and waits until the handshake is over. On a non-blocking descriptor it
// returns EINPROGRESS at once, and EALREADY while the handshake is in progress. After that the next Connect returns
// the result, 0 or an error, once. If SO_ERROR was read before, and returned the error, it returns ECONNABORTED.
// SO_SNDTIMEO limits the wait (EINPROGRESS). After an error the socket may try again. The unspecified address means
// loopback. With TCP_FASTOPEN_CONNECT, and if the host has a cookie of the peer's, it returns at once and the first Write
// sends the SYN. A datagram socket only notes its peer, and forgets it if a is the zero AddrPort.
//
// Errors: EISCONN (connected, or a listener, which continues to listen), ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH,
// ENETUNREACH (also a mapped address with IPV6_V6ONLY, or from an IPv6 address), ECONNRESET, EADDRNOTAVAIL (no local port
// is left, or the four-tuple is taken), EADDRINUSE, EINVAL (a link-local address without a zone, an address of IPv4 for an
// AF_INET6 stream), EAFNOSUPPORT, EBADF.
func (t *Table) Connect(fd int, a netip.AddrPort) error {
	s, err := t.acquire(fd)
	if err != nil {
		return err
	}
	defer s.release()
	if s.typ == SOCK_DGRAM {
		return s.connectDatagram(a)
	}
	c, inProgress, err := s.beginConnect(a, false)
	if c == nil {
		return err
	}
	if c.Waits() { // the SYN leaves with the first Write: connect succeeds without it
		if inProgress == syscall.EALREADY {
			return syscall.EISCONN
		}
		return nil
	}
	if inProgress == syscall.EINPROGRESS && s.neverWaits() {
		return inProgress // even if the answer has come already: the next call returns the result
	}
	err = s.awaitConnect(c)
	if pending(err) {
		return inProgress
	}
	return s.finishConnect(c, err)
}

// beginConnect sends the SYN unless an earlier call has sent it; with Fast Open the SYN may wait for text. It returns the
// connection to wait for, and the error for a caller that does not wait.
func (s *socket) beginConnect(a netip.AddrPort, fast bool) (*stack.TCPConn, error, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.phase {
	case listening, connected:
		return nil, nil, syscall.EISCONN
	case connecting:
		return s.conn.Load(), syscall.EALREADY, nil
	case unconnected:
	}
	if s.dying() {
		return nil, nil, syscall.EBADF
	}
	remote, err := s.innerLocked(a, toConnect)
	if err != nil {
		return nil, nil, err
	}
	o := s.setup
	if err := s.prepareLocked(); err != nil {
		return nil, nil, err
	}
	c, err := s.openLocked(remote, fast)
	if err != nil {
		return nil, nil, err
	}
	o.binding = nil
	s.deferred.Store(0)
	s.conn.Store(c)
	s.phase = connecting
	if s.watched {
		c.Watch(s)
	}
	return c, syscall.EINPROGRESS, nil
}

// pending reports whether err, a result of Connected or WaitConnect, means that the handshake is still in progress.
func pending(err error) bool {
	return err == syscall.EINPROGRESS || err == syscall.EALREADY || err == syscall.EAGAIN
}

// neverWaits reports whether a call on the socket that sends or connects returns without waiting.
func (s *socket) neverWaits() bool {
	limits := s.timeouts.Load()
	return s.nonblock.Load() || limits != nil && limits.send.never()
}

// awaitConnect waits for the handshake, at most for SO_SNDTIMEO.
func (s *socket) awaitConnect(c *stack.TCPConn) error {
	if s.neverWaits() {
		return c.Connected()
	}
	limits := s.timeouts.Load()
	if limits == nil {
		err := c.WaitConnect()
		limits = s.timeouts.Load()
		if !pending(err) || limits == nil {
			return err
		}
	}
	_, err := limits.send.wait(c.SetWriteDeadline, func() (int, error) { return 0, c.WaitConnect() })
	return err
}

// finishConnect returns the result of a handshake that is over. After a failure the socket is unconnected
// again, and keeps the address that bind gave it.
func (s *socket) finishConnect(c *stack.TCPConn, result error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.dying():
		return syscall.EBADF
	case s.conn.Load() != c: // another call has returned the reason of the failure
		return syscall.ECONNABORTED
	case s.phase != connecting: // another call has seen it succeed, or shutdown has given it up
		return result
	case result == nil:
		s.phase = connected
		return nil
	}
	s.abandonLocked(c)
	return result
}

// abandonLocked gives up a connection that never was established.
func (s *socket) abandonLocked(c *stack.TCPConn) {
	s.phase = unconnected
	s.conn.Store(nil)
	c.Abort()
	// The connection had taken the binding over. If another socket takes the port before this one has it again, the next
	// connect returns the error.
	_ = s.rebindLocked()
}
