package fdtable

import (
	"net/netip"
	"syscall"
	"time"

	"github.com/unet-go/unet/internal/cmsg"
	"github.com/unet-go/unet/stack"
)

// bindDatagramLocked binds a datagram socket.
func (s *socket) bindDatagramLocked(local netip.AddrPort) error {
	if s.udp.Load() != nil {
		return syscall.EINVAL
	}
	_, err := s.openDatagramLocked(local)
	if err == nil {
		s.boundLocked(local.Addr())
	}
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
	if n := s.setup.readBuffer; n > 0 {
		err = u.SetReadBuffer(n)
	}
	if err == nil && s.ip != nil {
		err = s.putDatagramLocked(u)
	}
	if err == nil && s.ip != nil {
		err = s.putRecverrLocked(u)
	}
	if err == nil {
		err = s.putTrainsLocked(u)
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

// putDatagramLocked gives the stack's datagram socket the options of both levels.
func (s *socket) putDatagramLocked(u *stack.UDPSocket) error {
	if err := u.SetFamilyOptions(false, s.ip.v4.datagram()); err != nil {
		return err
	}
	return u.SetFamilyOptions(true, s.ip.v6.datagram())
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

// connectDatagram sets the peer. The zero AddrPort, AF_UNSPEC of connect(2), removes it.
func (s *socket) connectDatagram(a netip.AddrPort) error {
	if u := s.udp.Load(); !a.IsValid() {
		if u == nil {
			return nil
		}
		return u.Connect(a)
	}
	u, err := s.datagram() // which gets a port even if the address is refused
	if err != nil {
		return err
	}
	if a, err = s.inner(a, toConnect); err != nil {
		return err
	}
	return u.Connect(a)
}

// sendDatagram sends p to an address, or to the peer when to is not valid, as control messages say.
func (s *socket) sendDatagram(p []byte, to netip.AddrPort, control []byte) (int, error) {
	u, err := s.datagram()
	if err == nil && to.IsValid() {
		to, err = s.inner(to, toSend)
	}
	switch {
	case err != nil:
		return 0, err
	case s.setup.ended.Load()&endedWrite != 0:
		return 0, syscall.EPIPE
	case len(control) > 0:
		return s.sendControlled(u, p, to, control)
	case to.IsValid():
		return u.WriteTo(p, to)
	case !u.Remote().IsValid():
		return 0, syscall.EDESTADDRREQ
	}
	return u.Write(p)
}

// sendControlled is sendDatagram with control messages.
func (s *socket) sendControlled(u *stack.UDPSocket, p []byte, to netip.AddrPort, control []byte) (int, error) {
	if !to.IsValid() {
		if to = u.Remote(); !to.IsValid() {
			return 0, syscall.EDESTADDRREQ
		}
	}
	c, err := cmsg.Parse(control, to.Addr().Is6(), s.domain == AF_INET6)
	if err != nil {
		return 0, err
	}
	return u.WriteMsg(p, to, &c)
}

// receiveDatagram takes one datagram. After SHUT_RD it takes the datagrams that are queued, and then returns 0.
func (s *socket) receiveDatagram(m *Msghdr, flags int) (int, error) {
	l := s.timeouts.Load()
	never := s.nonblock.Load() || flags&MSG_DONTWAIT != 0 || l != nil && l.receive.never()
	if never && s.udp.Load() == nil {
		return 0, syscall.EAGAIN // to look for datagrams gives no port
	}
	u, err := s.datagram()
	if err != nil {
		return 0, err
	}
	mode := stack.ReadMode{Peek: flags&MSG_PEEK != 0}
	read := func(try bool) (int, error) {
		mode.Try = try || s.setup.ended.Load()&endedRead != 0
		n, d, err := u.ReadMsg(m.Iov, mode)
		if err != nil {
			return 0, err
		}
		m.Name = s.outer(d.From)
		if wants := cmsg.Wants(s.setup.wants.Load()); wants != 0 {
			m.Controllen, m.Flags = cmsg.Put(m.Control, wants, &d)
		}
		if n < d.Size {
			m.Flags |= MSG_TRUNC
		}
		if flags&MSG_TRUNC != 0 {
			n = d.Size
		}
		return n, nil
	}
	var n int
	switch {
	case never:
		n, err = read(true)
	case l == nil:
		n, err = read(false)
		if l = s.timeouts.Load(); err == syscall.EAGAIN && l != nil {
			n, err = l.receive.wait(u.SetReadDeadline, func() (int, error) { return read(false) })
		}
	default:
		n, err = l.receive.wait(u.SetReadDeadline, func() (int, error) { return read(false) })
	}
	if err == syscall.EAGAIN && s.setup.ended.Load()&endedRead != 0 {
		err = nil
	}
	return n, err
}

// receiveError takes the oldest error out of the queue. As on Linux it never waits, and MSG_PEEK makes no difference. A
// connection has none.
func (s *socket) receiveError(m *Msghdr) (n int, err error) {
	u := s.udp.Load()
	if u == nil {
		return 0, syscall.EAGAIN
	}
	e, err := u.NextError()
	if err != nil {
		return 0, err
	}
	m.Name = s.outer(e.To)
	m.Controllen, m.Flags = cmsg.PutError(m.Control, cmsg.Wants(s.setup.wants.Load()), s.domain == AF_INET6, &e)
	m.Flags |= MSG_ERRQUEUE
	for _, p := range m.Iov {
		n += copy(p, e.Data[n:])
	}
	if n < len(e.Data) {
		m.Flags |= MSG_TRUNC
	}
	return n, nil
}

// The directions of a datagram socket that shutdown has ended.
const (
	endedRead = 1 << iota
	endedWrite
)

// shutdownDatagram is shutdown(2) of a connected datagram socket: the peer is not told, but reads return 0, or writes
// EPIPE.
func (s *socket) shutdownDatagram(how int) error {
	u := s.udp.Load()
	if u == nil || !u.Remote().IsValid() {
		return syscall.ENOTCONN
	}
	if how != SHUT_RD {
		s.setup.ended.Or(endedWrite)
	}
	defer s.Wake(stack.ReadyAll)
	if how != SHUT_WR {
		s.setup.ended.Or(endedRead)
		return u.SetReadDeadline(time.Unix(1, 0)) // wakes the calls that wait
	}
	return nil
}

// setUDPLocked sets an option of level IPPROTO_UDP.
func (s *socket) setUDPLocked(opt, value int) error {
	switch opt {
	case UDP_SEGMENT:
		if value < 0 || value > 1<<16-1 {
			return syscall.EINVAL
		}
		s.setup.segment = uint16(value)
	case UDP_GRO:
		wants := cmsg.Wants(s.setup.wants.Load())
		s.setup.wants.Store(uint32(wants.Set(cmsg.Trains, value != 0)))
	default:
		return syscall.ENOPROTOOPT
	}
	if u := s.udp.Load(); u != nil {
		return s.putTrainsLocked(u)
	}
	return nil
}

// getUDPLocked returns an option of level IPPROTO_UDP.
func (s *socket) getUDPLocked(opt int) (int, error) {
	switch opt {
	case UDP_SEGMENT:
		return int(s.setup.segment), nil
	case UDP_GRO:
		return number(cmsg.Wants(s.setup.wants.Load())&cmsg.Trains != 0), nil
	}
	return 0, syscall.ENOPROTOOPT
}

// putTrainsLocked gives the stack's datagram socket the options of level IPPROTO_UDP.
func (s *socket) putTrainsLocked(u *stack.UDPSocket) error {
	if err := u.SetSegmentSize(s.setup.segment); err != nil {
		return err
	}
	return u.SetTrains(cmsg.Wants(s.setup.wants.Load())&cmsg.Trains != 0)
}
