package fdtable

import (
	"net/netip"
	"syscall"

	"github.com/unet-go/unet/stack"
)

// Bind gives the socket its local address; port 0 chooses a free one. An AF_INET6 socket that is bound to :: takes packets
// of both families unless it is IPV6_V6ONLY. Errors: EINVAL (bound already, or connected; an address of IPv4 for an AF_INET6
// socket, or a mapped one with IPV6_V6ONLY; a link-local address without a zone), EADDRINUSE, EADDRNOTAVAIL (not an address
// of the host), ENODEV (the zone is no interface's), EAFNOSUPPORT, EBADF.
func (t *Table) Bind(fd int, a netip.AddrPort) error {
	s, err := t.acquire(fd)
	if err != nil {
		return err
	}
	defer s.release()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dying() {
		return syscall.EBADF
	}
	local, err := s.innerLocked(a, toBind)
	switch {
	case err != nil:
		return err
	case s.typ == SOCK_DGRAM:
		return s.bindDatagramLocked(local)
	case s.phase != unconnected || s.setup == nil || s.setup.bound.IsValid():
		return syscall.EINVAL
	}
	return s.bindLocked(local)
}

// bindLocked reserves local, and remembers it as the socket's own.
func (s *socket) bindLocked(local netip.AddrPort) error {
	b, err := s.host.BindTCP(local, s.bindOptionsLocked())
	if err != nil {
		return err
	}
	s.setup.binding, s.setup.bound = b, b.Local()
	s.boundLocked(b.Local().Addr())
	return nil
}

// boundLocked notes that the socket is bound to an address. As on Linux one that is bound to an IPv6 address is
// IPV6_V6ONLY.
func (s *socket) boundLocked(a netip.Addr) {
	if a.Is6() && !a.IsUnspecified() {
		s.setReuseLocked(v6Only, true)
	}
}

func (s *socket) bindOptionsLocked() stack.BindOptions {
	return stack.BindOptions{
		ReuseAddr: s.reuse&reuseAddr != 0,
		ReusePort: s.reuse&reusePort != 0,
		V6Only:    s.reuse&v6Only != 0,
	}
}

// prepareLocked prepares an unconnected socket for another listen or connect: after shutdown the old listener or
// connection still has the port, and is dropped.
func (s *socket) prepareLocked() error {
	if l := s.setup.listener; l != nil {
		s.setup.listener = nil
		_ = l.Close() // fails only when the host has closed it
	}
	if c := s.conn.Swap(nil); c != nil {
		c.Abort()
	}
	return s.rebindLocked()
}

// rebindLocked reserves the bound address again after an earlier listen or connect has used its binding. Only this socket
// had the address, so remains of its connections, such as TIME-WAIT, do not prevent that.
func (s *socket) rebindLocked() error {
	if s.setup.binding != nil || !s.setup.bound.IsValid() {
		return nil
	}
	opt := s.bindOptionsLocked()
	opt.ReuseAddr = true
	b, err := s.host.BindTCP(s.setup.bound, opt)
	if err != nil {
		return err
	}
	s.setup.binding = b
	return nil
}

// Listen makes the socket a listener whose accept queue holds backlog+1 connections; a backlog that is
// negative or greater than SOMAXCONN means SOMAXCONN. A socket without an address gets a free port of all
// addresses. On a listener it changes the backlog. Errors: EINVAL (connected), EADDRINUSE, EOPNOTSUPP (not
// SOCK_STREAM), EBADF.
func (t *Table) Listen(fd, backlog int) error {
	s, err := t.acquire(fd)
	if err != nil {
		return err
	}
	defer s.release()
	if err := s.stream(); err != nil {
		return err
	}
	if backlog < 0 || backlog > SOMAXCONN {
		backlog = SOMAXCONN
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.phase {
	case connecting, connected:
		return syscall.EINVAL
	case listening:
		s.setup.backlog = backlog
		s.setup.listener.SetBacklog(backlog)
		return nil
	case unconnected:
	}
	if s.dying() {
		return syscall.EBADF
	}
	return s.listenLocked(backlog)
}

func (s *socket) listenLocked(backlog int) error {
	o := s.setup
	if err := s.prepareLocked(); err != nil {
		return err
	}
	if o.binding == nil {
		if err := s.bindLocked(s.wildcard()); err != nil {
			return err
		}
	}
	l, err := s.host.ListenTCP(o.binding, backlog, s.optionsTowardLocked(o.bound.Addr()))
	if err != nil {
		return err
	}
	l.SetFastOpen(o.fast.pending)
	o.binding, o.listener, o.backlog, s.phase = nil, l, backlog, listening
	if s.watched {
		l.Watch(s)
	}
	return nil
}

// stopListeningLocked is shutdown(2) of a listener. The listener keeps the port.
func (s *socket) stopListeningLocked() error {
	s.phase = unconnected
	return s.setup.listener.Shutdown()
}

// Accept takes the oldest connection out of the listener's queue and returns a descriptor for it, the lowest
// that is free, and the peer's address. It waits until there is one unless the descriptor is non-blocking.
// The new descriptor blocks, and has the listener's options. Errors: EAGAIN (none there, or SO_RCVTIMEO
// passed), EINVAL (not listening, or no longer), EMFILE, EOPNOTSUPP (not SOCK_STREAM), EBADF.
func (t *Table) Accept(fd int) (int, netip.AddrPort, error) { return t.Accept4(fd, 0) }

// Accept4 is Accept with flags: SOCK_NONBLOCK makes the new descriptor non-blocking. EINVAL for other flags.
func (t *Table) Accept4(fd, flags int) (int, netip.AddrPort, error) {
	s, err := t.acquire(fd)
	if err != nil {
		return -1, netip.AddrPort{}, err
	}
	defer s.release()
	if err := s.stream(); err != nil {
		return -1, netip.AddrPort{}, err
	}
	if flags&^(SOCK_NONBLOCK|SOCK_CLOEXEC) != 0 {
		return -1, netip.AddrPort{}, syscall.EINVAL
	}
	s.mu.Lock()
	if s.phase != listening {
		s.mu.Unlock()
		return -1, netip.AddrPort{}, syscall.EINVAL
	}
	l, ip, inherit := s.setup.listener, s.ip, s.reuse&(reuseAddr|reusePort|v6Only)
	s.mu.Unlock()
	if err := t.reserve(); err != nil {
		return -1, netip.AddrPort{}, err
	}
	conn, err := s.accept(l)
	if err != nil {
		t.cancel()
		return -1, netip.AddrPort{}, err
	}
	child := &socket{host: s.host, domain: s.domain, typ: SOCK_STREAM, reuse: inherit, ip: ip, phase: connected}
	if ip != nil {
		_ = conn.Update(ip.toward(conn.Remote().Addr()).put) // fails only after close
	}
	child.body = child
	child.conn.Store(conn)
	child.nonblock.Store(flags&SOCK_NONBLOCK != 0)
	if limits := s.timeouts.Load(); limits != nil {
		child.limits().receive.limit.Store(limits.receive.limit.Load())
		child.limits().send.limit.Store(limits.send.limit.Load())
	}
	return t.install(&child.file, flags&SOCK_CLOEXEC != 0), s.outer(conn.Remote()), nil
}

// accept takes a connection from l's queue. Unless the socket is non-blocking it waits for one, at most for SO_RCVTIMEO.
func (s *socket) accept(l *stack.Listener) (*stack.TCPConn, error) {
	limits := s.timeouts.Load()
	if s.nonblock.Load() || limits != nil && limits.receive.never() {
		return l.TryAccept()
	}
	if limits == nil {
		conn, err := l.Accept()
		limits = s.timeouts.Load()
		if err != syscall.EAGAIN || limits == nil {
			return conn, err
		}
	}
	var conn *stack.TCPConn
	_, err := limits.receive.wait(l.SetDeadline, func() (n int, err error) {
		conn, err = l.Accept()
		return 0, err
	})
	return conn, err
}
