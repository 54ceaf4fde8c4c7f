package stack

import (
	"net/netip"
	"syscall"

	"github.com/unet-go/unet/stack/ip"
	"github.com/unet-go/unet/stack/tcp"
)

// lockNewConn makes the connection of an active open from b to remote, puts it into the table and returns it with the
// lock of its shard held, for the caller to open it. Its initial sequence number must stand after floor. With reuse it
// may take over the four-tuple of a TIME-WAIT record.
func (l *tcpLayer) lockNewConn(b *Binding, remote netip.AddrPort, reuse bool) (c *TCPConn, floor tcp.ISSFloor, err error) {
	switch {
	case l.core.ended.Load():
		return nil, floor, syscall.ENETDOWN
	case remote.Port() == 0:
		return nil, floor, syscall.ECONNREFUSED
	}
	r, err := l.routeFrom(b, remote.Addr())
	if err != nil {
		return nil, floor, err
	}
	remote = netip.AddrPortFrom(r.Remote(), remote.Port())
	if b == nil {
		return l.lockEphemeral(r, remote, reuse)
	}
	if !b.take() {
		return nil, floor, syscall.EBADF
	}
	if b.local.Port() == 0 {
		c, floor, err = l.lockEphemeral(r, remote, reuse)
	} else {
		key := l.core.flowKey(netip.AddrPortFrom(r.Local(), b.local.Port()), remote)
		if c, floor, err = l.lockTuple(r, &key, reuse); err == nil {
			c.rare = &rareFields{binding: b}
		}
	}
	if err != nil {
		b.giveBack()
	}
	return c, floor, err
}

// routeFrom returns the route from the address of b to remote; with a nil b from any address.
func (l *tcpLayer) routeFrom(b *Binding, remote netip.Addr) (*ip.Route, error) {
	bound, v6only := netip.IPv6Unspecified(), false
	if b != nil {
		bound, v6only = b.local.Addr(), b.options.V6Only
	}
	remote, err := l.core.routable(bound, v6only, remote)
	if err != nil {
		return nil, err
	}
	return l.core.ip.HostRoute(bound, remote)
}

// lockEphemeral is lockTuple with the first free port in an order that differs for each destination (RFC 6056
// 3.3.4). A port may be in use towards others: only the four-tuple must be free. It looks at no port twice.
func (l *tcpLayer) lockEphemeral(r *ip.Route, remote netip.AddrPort, reuse bool) (*TCPConn, tcp.ISSFloor, error) {
	key := l.core.flowKey(netip.AddrPortFrom(r.Local(), 0), remote)
	scan := l.ports.scan(&key)
	family := familiesOf(r.Local(), true)
	for {
		port, ok := scan.next()
		if !ok {
			return nil, tcp.ISSFloor{}, syscall.EADDRNOTAVAIL
		}
		if l.ports.isBound(port, family) {
			continue
		}
		key.setLocalPort(port)
		c, floor, err := l.lockTuple(r, &key, reuse)
		if err == syscall.EADDRINUSE {
			continue
		}
		if err == nil {
			scan.found()
		}
		return c, floor, err
	}
}

// lockTuple puts a new connection with the four-tuple key into the table, and returns it with the lock of its shard
// held. EADDRINUSE: the tuple is in use. EADDRNOTAVAIL: the host has had too many local addresses. ENETDOWN: it is
// closed.
func (l *tcpLayer) lockTuple(r *ip.Route, key *flowKey, reuse bool) (*TCPConn, tcp.ISSFloor, error) {
	hash := l.shards[0].flows.hash(key)
	s := l.shard(hash)
	s.lock()
	floor, err := s.vacateLocked(key, hash, reuse)
	if err != nil {
		s.mu.Unlock() // nothing has happened that unlock would follow up, and a search of a port may come here often
		return nil, floor, err
	}
	if l.core.ended.Load() || l.core.severed(r.Local()) {
		s.unlock()
		return nil, floor, syscall.ENETDOWN
	}
	c := newConnLocked(s, r, l.core.clock.Now())
	if !s.insertLocked(&c.flow, key, hash) {
		s.unlock()
		return nil, floor, syscall.EADDRNOTAVAIL
	}
	c.bits |= inTable
	c.recountLocked(false)
	s.states[tcp.SynSent]++
	c.state = tcp.SynSent
	return c, floor, nil
}

// vacateLocked makes room for an active open with the four-tuple key. With reuse a TIME-WAIT record that allows it
// gives way (ledger C-TW-4), and says what the new initial sequence number must stand after. EADDRINUSE: the tuple is
// taken.
func (s *shard) vacateLocked(key *flowKey, hash uint64, reuse bool) (tcp.ISSFloor, error) {
	f := s.flows.find(key, hash)
	if f == nil {
		return tcp.ISSFloor{}, nil
	}
	if !reuse || f.kind != timeWaitFlow || !f.timeWait().tcp.Reusable(&s.env, s.layer.core.clock.Now()) {
		return tcp.ISSFloor{}, syscall.EADDRINUSE
	}
	w := f.timeWait()
	floor := w.tcp.ISSFloor()
	s.removeTimeWaitLocked(w)
	return floor, nil
}

// Connected returns the state of the active open: nil when the connection is established, EINPROGRESS while the handshake
// goes on, and otherwise the reason why it failed, which it takes as TakeError does, so that later calls return
// ECONNABORTED. EBADF after Close.
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
