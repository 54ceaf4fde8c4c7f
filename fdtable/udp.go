package fdtable

import (
	"net/netip"
	"syscall"
	"time"

	"github.com/unet-go/unet/stack"
)

// bindDatagramLocked binds a datagram socket.
func (s *socket) bindDatagramLocked(local netip.AddrPort) error {
	if s.udp.Load() != nil {
		return syscall.EINVAL
	}
	_, err := s.openDatagramLocked(local)
	return err
}

func (s *socket) openDatagramLocked(local netip.AddrPort) (*stack.UDPSocket, error) {
	if s.dying() {
		return nil, syscall.EBADF
	}
	u, err := s.host.ListenUDP(local, s.bindOptionsLocked())
	if err != nil {
		return nil, err
	}
	if n := s.origin.readBuffer; n > 0 {
		err = u.SetReadBuffer(n)
	}
	if err == nil && s.reuse&broadcast != 0 {
		err = u.SetBroadcast(true)
	}
	if err != nil {
		_ = u.Close()
		return nil, err
	}
	s.udp.Store(u)
	if s.watched {
		u.Watch(s)
	}
	return u, nil
}

// datagram returns the datagram socket, bound to a free port of all addresses if it is not bound yet.
func (s *socket) datagram() (*stack.UDPSocket, error) {
	if u := s.udp.Load(); u != nil {
		return u, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.udp.Load(); u != nil {
		return u, nil
	}
	return s.openDatagramLocked(s.wildcard())
}

// connectDatagram sets the peer. The zero AddrPort, AF_UNSPEC of connect(2), takes it away.
func (s *socket) connectDatagram(a netip.AddrPort) error {
	if a.IsValid() {
		var err error
		if a, err = s.inner(a); err != nil {
			return err
		}
	}
	u, err := s.datagram()
	if err != nil {
		return err
	}
	return u.Connect(a)
}

// sendDatagram sends p to an address, or to the peer when to is not valid.
func (s *socket) sendDatagram(p []byte, to netip.AddrPort) (int, error) {
	if to.IsValid() {
		var err error
		if to, err = s.inner(to); err != nil {
			return 0, err
		}
	}
	u, err := s.datagram()
	switch {
	case err != nil:
		return 0, err
	case s.origin.ended.Load()&endedWrite != 0:
		return 0, syscall.EPIPE
	case to.IsValid():
		return u.WriteTo(p, to)
	case !u.Remote().IsValid():
		return 0, syscall.EDESTADDRREQ
	}
	return u.Write(p)
}

// receiveDatagram takes one datagram. After SHUT_RD it takes what is queued, then returns 0 for ever.
func (s *socket) receiveDatagram(p []byte, flags int) (n int, from netip.AddrPort, msgFlags int, err error) {
	u, err := s.datagram()
	if err != nil {
		return 0, netip.AddrPort{}, 0, err
	}
	var cut bool
	read := func() (int, error) {
		if s.origin.ended.Load()&endedRead != 0 {
			n, from, cut, err = u.TryReadFrom(p)
		} else {
			n, from, cut, err = u.ReadFrom(p)
		}
		return n, err
	}
	l := s.timeouts.Load()
	switch {
	case s.nonblock.Load() || flags&MSG_DONTWAIT != 0 || l != nil && l.receive.never():
		n, from, cut, err = u.TryReadFrom(p)
	case l == nil:
		n, err = read()
		if l = s.timeouts.Load(); err == syscall.EAGAIN && l != nil {
			n, err = l.receive.wait(u.SetReadDeadline, read)
		}
	default:
		n, err = l.receive.wait(u.SetReadDeadline, read)
	}
	if err == syscall.EAGAIN && s.origin.ended.Load()&endedRead != 0 {
		err = nil
	}
	if cut {
		msgFlags = MSG_TRUNC
	}
	if from.IsValid() {
		from = s.outer(from)
	}
	return n, from, msgFlags, err
}

// What shutdown has ended of a datagram socket.
const (
	endedRead = 1 << iota
	endedWrite
)

// shutdownDatagram is shutdown(2) of a connected datagram socket: nothing is told to the peer, but readers
// find the end, or writers EPIPE.
func (s *socket) shutdownDatagram(how int) error {
	u := s.udp.Load()
	if u == nil || !u.Remote().IsValid() {
		return syscall.ENOTCONN
	}
	if how != SHUT_RD {
		s.origin.ended.Or(endedWrite)
	}
	defer s.Wake(stack.ReadyAll)
	if how != SHUT_WR {
		s.origin.ended.Or(endedRead)
		return u.SetReadDeadline(time.Unix(1, 0)) // wakes those who wait
	}
	return nil
}
