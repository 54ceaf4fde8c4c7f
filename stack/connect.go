package stack

import (
	"net/netip"
	"syscall"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp"
)

// ConnectTCP begins an active open to remote: it sends the SYN and returns a connection in SYN-SENT. A nil b
// chooses the source address and an ephemeral port that is unique for the four-tuple; otherwise the
// connection takes b over when it succeeds. The remote address 0.0.0.0 means the one that b is bound to; without such
// a one, and where it is ::, it means loopback. Errors: ENETUNREACH without a route, ENETDOWN when all devices have
// failed, EADDRNOTAVAIL when no port is free, EADDRINUSE when b was given and the four-tuple is in use, EAFNOSUPPORT
// when b is bound to the other address family, EBADF when b is closed or taken over already, ECONNREFUSED for port 0.
func (h *Host) ConnectTCP(b *Binding, remote netip.AddrPort, o tcp.Options) (*TCPConn, error) {
	return h.connectTCP(b, remote, o, false)
}

func (h *Host) connectTCP(b *Binding, remote netip.AddrPort, o tcp.Options, fast bool) (*TCPConn, error) {
	l := &h.tcp
	switch {
	case l.closed.Load():
		return nil, syscall.ENETDOWN
	case remote.Port() == 0:
		return nil, syscall.ECONNREFUSED
	}
	r, err := h.routeFrom(b, remote.Addr().Unmap())
	if err != nil {
		return nil, err
	}
	remote = netip.AddrPortFrom(r.remote, remote.Port())
	if b == nil {
		return l.connectEphemeral(r, remote, &o, fast)
	}
	if !b.take() {
		return nil, syscall.EBADF
	}
	if b.local.Port() == 0 {
		c, err := l.connectEphemeral(r, remote, &o, fast)
		if err != nil {
			b.giveBack()
		}
		return c, err
	}
	key := makeKey(netip.AddrPortFrom(r.local, b.local.Port()), remote)
	c, err := l.connect(r, &key, b, &o, fast)
	if err != nil {
		b.giveBack()
		return nil, err
	}
	return c, nil
}

// routeFrom finds the way from a binding, or from anywhere, to an address.
func (h *Host) routeFrom(b *Binding, remote netip.Addr) (*route, error) {
	if !remote.IsValid() {
		return nil, syscall.EAFNOSUPPORT
	}
	var local netip.Addr
	v6 := true // may the source be an IPv6 address, and
	v4 := true // may it be IPv4
	if b != nil {
		a := b.local.Addr()
		v6, v4 = a.Is6(), a.Is4() || a.IsUnspecified() && !b.options.V6Only
		if !a.IsUnspecified() {
			local = a
		}
	}
	if remote == netip.IPv6Unspecified() { // ledger E-CON-9; routeTo knows what 0.0.0.0 means
		if v6 {
			if r, err := h.routeTo(local, netip.IPv6Loopback()); err == nil || !v4 {
				return r, err
			}
		}
		remote = loopback4
	}
	if remote.Is4() && !v4 || remote.Is6() && !v6 {
		return nil, syscall.EAFNOSUPPORT
	}
	return h.routeTo(local, remote)
}

// connectEphemeral connects from the first free port in an order that differs for each destination (RFC 6056
// 3.3.4). A port may be in use towards others: only the four-tuple must be free. It looks at no port twice.
func (l *tcpLayer) connectEphemeral(r *route, remote netip.AddrPort, o *tcp.Options, fast bool) (*TCPConn, error) {
	key := makeKey(netip.AddrPortFrom(r.local, 0), remote)
	scan := l.ports.scan(&key)
	for {
		port, ok := scan.next()
		if !ok {
			return nil, syscall.EADDRNOTAVAIL
		}
		if l.ports.isBound(port) {
			continue
		}
		key.setLocalPort(port)
		c, err := l.connect(r, &key, nil, o, fast)
		switch err {
		case nil:
			scan.found()
			return c, nil
		case syscall.EADDRINUSE:
			continue
		}
		return nil, err
	}
}

// connect opens a connection with the four-tuple key. EADDRINUSE: it is in use. EADDRNOTAVAIL: the host has
// had too many local addresses. ENETDOWN: it is closed.
func (l *tcpLayer) connect(r *route, key *flowKey, b *Binding, o *tcp.Options, fast bool) (*TCPConn, error) {
	hash := l.shards[0].flows.hash(key)
	s := l.shard(hash)
	s.mu.Lock()
	now := l.host.clock.Now()
	floor, err := s.vacateLocked(key, hash, fast, now)
	if err != nil {
		s.mu.Unlock()
		return nil, err
	}
	defer s.unlock()
	if l.closed.Load() || l.host.severed(r.local) {
		return nil, syscall.ENETDOWN
	}
	c := newConn(s, r)
	if !s.insertLocked(&c.flow, key, hash) {
		return nil, syscall.EADDRNOTAVAIL
	}
	if b != nil {
		c.extra = &extra{binding: b}
	}
	c.bits |= inTable
	c.recountLocked(false)
	s.states[tcp.SynSent]++
	c.state = tcp.SynSent
	if fast {
		c.beginFastLocked(o, now)
	} else {
		c.tcp.Connect(&s.env, (*connSink)(c), s.tuple(&c.flow), r.path, o, floor, now)
	}
	c.afterLocked(now)
	return c, nil
}

// vacateLocked makes room for an active open with the four-tuple key. A TIME-WAIT record that may be reused gives way
// (ledger C-TW-4), and says what the new initial sequence number must stand after. Not so for Fast
// Open, whose SYN carries text. EADDRINUSE: the tuple is taken.
func (s *shard) vacateLocked(key *flowKey, hash uint64, fast bool, now mono.Time) (tcp.ISSFloor, error) {
	f := s.flows.find(key, hash)
	if f == nil {
		return tcp.ISSFloor{}, nil
	}
	if f.kind != timeWaitFlow || fast || !f.timeWait().tcp.Reusable(&s.env, now) {
		return tcp.ISSFloor{}, syscall.EADDRINUSE
	}
	w := f.timeWait()
	floor := w.tcp.ISSFloor()
	s.removeTimeWaitLocked(w)
	return floor, nil
}

// Connected returns how the active open stands: nil when the connection is established, EINPROGRESS while it
// is not, otherwise why it failed, which clears the pending error as TakeError does; ECONNABORTED after that.
// EBADF after Close.
func (c *TCPConn) Connected() error {
	c.lock()
	defer c.unlock()
	return c.connectedLocked()
}

func (c *TCPConn) connectedLocked() error {
	switch {
	case c.bits&closed != 0:
		return syscall.EBADF
	case c.bits&connected != 0:
		return nil
	case c.err != 0:
		return c.takeErrorLocked()
	case c.bits&inTable == 0:
		return c.endErrorLocked(syscall.ECONNABORTED)
	}
	return syscall.EINPROGRESS
}

// WaitConnect waits until the connection is established or has failed, and returns what Connected would.
// EAGAIN when the write deadline has passed before, EBADF after Close.
func (c *TCPConn) WaitConnect() error {
	c.lock()
	defer c.unlock()
	for {
		if err := c.connectedLocked(); err != syscall.EINPROGRESS {
			return err
		}
		now := c.now()
		if passed(c.writeDeadline, now) {
			return syscall.EAGAIN
		}
		c.waitWriteLocked(now)
	}
}
