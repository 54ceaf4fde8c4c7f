package fdtable

import (
	"net/netip"
	"syscall"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/tcp"
)

// Read reads into p and returns the number of octets, 0 at the end of the stream. It waits for the first
// octet unless the descriptor is non-blocking. Errors: EAGAIN (nothing there, or SO_RCVTIMEO passed),
// ENOTCONN, EBADF, and once what ended the connection: ECONNRESET, ETIMEDOUT and so on. What had arrived
// before is read first. With an empty p it returns 0 at once. From a datagram socket it takes one datagram.
func (t *Table) Read(fd int, p []byte) (int, error) {
	s, err := t.transfer(fd)
	if err != nil {
		return 0, err
	}
	defer s.release()
	if len(p) == 0 && s.typ == SOCK_STREAM {
		return 0, nil
	}
	if s.typ == SOCK_DGRAM {
		n, _, _, err := s.receiveDatagram(p, 0)
		return n, err
	}
	return s.receive(p, 0)
}

// Write writes p to the connection and returns how many octets were taken: all, unless the descriptor is
// non-blocking, SO_SNDTIMEO passed or the connection ended. An error comes only when none was; the next call
// then returns it. Errors: EAGAIN, EPIPE (also on a socket that was never connected), EBADF, and once
// what ended the connection: ECONNRESET, ETIMEDOUT and so on. To a datagram socket it writes one datagram.
func (t *Table) Write(fd int, p []byte) (int, error) {
	s, err := t.transfer(fd)
	if err != nil {
		return 0, err
	}
	defer s.release()
	if s.typ == SOCK_DGRAM {
		return s.sendDatagram(p, netip.AddrPort{})
	}
	return s.send(p, 0)
}

// transfer is acquire for read and write, to which an epoll instance is a file like any other, but one that
// cannot be read or written: EINVAL.
func (t *Table) transfer(fd int) (*socket, error) {
	s, err := t.acquire(fd)
	if err == syscall.ENOTSOCK {
		err = syscall.EINVAL
	}
	return s, err
}

// Sendto is Write with flags (MSG_DONTWAIT, MSG_NOSIGNAL; of a connection MSG_OOB, which makes p urgent, and
// MSG_FASTOPEN) and, for a datagram socket, an address; without a valid one the datagram goes to the connected
// peer. A connection ignores the address, but with MSG_FASTOPEN it is what Connect would connect to: p leaves
// with the SYN, if the host has a cookie of the peer's, and Connect's errors are to be expected (on a
// non-blocking descriptor EINPROGRESS, when the SYN carries nothing). Errors besides Write's: EOPNOTSUPP for
// other flags; of a datagram socket EDESTADDRREQ, EAFNOSUPPORT, EMSGSIZE, EACCES, ENETUNREACH, and once
// ECONNREFUSED for an earlier datagram.
func (t *Table) Sendto(fd int, p []byte, flags int, to netip.AddrPort) (int, error) {
	s, err := t.acquire(fd)
	if err != nil {
		return 0, err
	}
	defer s.release()
	const ofStreams = MSG_OOB | MSG_FASTOPEN
	if flags&^(MSG_DONTWAIT|MSG_NOSIGNAL|ofStreams) != 0 || s.typ == SOCK_DGRAM && flags&ofStreams != 0 {
		return 0, syscall.EOPNOTSUPP
	}
	switch {
	case s.typ == SOCK_DGRAM:
		return s.sendDatagram(p, to)
	case flags&MSG_FASTOPEN != 0:
		return s.sendFastOpen(p, flags, to)
	}
	return s.send(p, flags)
}

// Recvfrom is Read with flags (MSG_DONTWAIT, MSG_OOB) and the datagram's source address, which is not valid
// for a connection. With MSG_OOB it takes the urgent octet of a connection, or with MSG_PEEK too looks at it,
// and never waits: EAGAIN while it is on its way, EINVAL when there is none, it was taken before, or it is
// part of the stream (SO_OOBINLINE). EOPNOTSUPP for other flags.
func (t *Table) Recvfrom(fd int, p []byte, flags int) (int, netip.AddrPort, error) {
	n, from, _, err := t.Recvmsg(fd, p, flags)
	return n, from, err
}

// Recvmsg is Recvfrom that tells in its flags whether a datagram was cut to the buffer (MSG_TRUNC), and
// whether it took the urgent octet (MSG_OOB).
func (t *Table) Recvmsg(fd int, p []byte, flags int) (n int, from netip.AddrPort, msgFlags int, err error) {
	s, err := t.acquire(fd)
	if err != nil {
		return 0, netip.AddrPort{}, 0, err
	}
	defer s.release()
	if s.typ == SOCK_STREAM && flags&MSG_OOB != 0 {
		return s.receiveUrgent(p, flags)
	}
	if flags&^(MSG_DONTWAIT|MSG_NOSIGNAL|MSG_OOB) != 0 {
		return 0, netip.AddrPort{}, 0, syscall.EOPNOTSUPP
	}
	if s.typ == SOCK_DGRAM {
		return s.receiveDatagram(p, flags)
	}
	n, err = s.receive(p, flags)
	return n, netip.AddrPort{}, 0, err
}

// Shutdown ends reading (SHUT_RD), writing (SHUT_WR) or both. A listener that is shut down for reading stops
// listening: its queue is reset, blocked Accepts get EINVAL, and its port stays its own until Close. A
// connection that is not yet established is given up. Errors: EINVAL (how), ENOTCONN, EBADF.
func (t *Table) Shutdown(fd, how int) error {
	s, err := t.acquire(fd)
	if err != nil {
		return err
	}
	defer s.release()
	if how < SHUT_RD || how > SHUT_RDWR {
		return syscall.EINVAL
	}
	if s.typ == SOCK_DGRAM {
		return s.shutdownDatagram(how)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.phase {
	case unconnected:
		return syscall.ENOTCONN
	case listening:
		if how != SHUT_WR {
			return s.stopListeningLocked()
		}
		return nil
	case connecting:
		if c := s.conn.Load(); c.State() == tcp.SynSent || c.State() == tcp.SynReceived {
			s.phase = unconnected
			return c.CloseWrite() // gives it up, with ECONNRESET for those who wait and SO_ERROR
		}
	case connected:
	}
	return shutdown(s.conn.Load(), how)
}

func shutdown(c *stack.TCPConn, how int) error {
	var err error
	if how != SHUT_RD {
		err = c.CloseWrite()
	}
	if how != SHUT_WR {
		if e := c.CloseRead(); err == nil {
			err = e
		}
	}
	return err
}

// receive reads from a connection.
func (s *socket) receive(p []byte, flags int) (int, error) {
	c := s.conn.Load()
	if c == nil {
		if kept := s.takeKept(); kept != nil {
			return 0, kept
		}
		return 0, syscall.ENOTCONN
	}
	n, err := s.receiveFrom(c, p, flags)
	if n == 0 && err == nil && len(p) > 0 {
		if kept := s.takeKept(); kept != nil {
			return 0, kept
		}
	}
	return n, err
}

func (s *socket) receiveFrom(c *stack.TCPConn, p []byte, flags int) (int, error) {
	l := s.timeouts.Load()
	if s.nonblock.Load() || flags&MSG_DONTWAIT != 0 || l != nil && l.receive.never() {
		return c.TryRead(p)
	}
	if l == nil {
		n, err := c.Read(p)
		l = s.timeouts.Load()
		if err != syscall.EAGAIN || l == nil {
			return n, err
		}
		// SO_RCVTIMEO was set meanwhile, and the deadline that ended this read is another call's.
	}
	return l.receive.wait(c.SetReadDeadline, func() (int, error) { return c.Read(p) })
}

// send writes to a connection. Where some octets were taken the count is the result, and an error
// waits for the next call, as in Linux.
func (s *socket) send(p []byte, flags int) (int, error) {
	if kept := s.takeKept(); kept != nil {
		return 0, kept
	}
	c := s.conn.Load()
	if c == nil {
		return 0, syscall.EPIPE
	}
	n, err := s.sendTo(c, p, flags)
	if n == 0 || err == nil {
		return n, err
	}
	switch errno := err.(syscall.Errno); errno {
	case syscall.EAGAIN, syscall.EPIPE, syscall.EBADF: // the next call finds these by itself
	default:
		s.kept.Store(uint32(errno))
	}
	return n, nil
}

func (s *socket) sendTo(c *stack.TCPConn, p []byte, flags int) (int, error) {
	if flags&MSG_OOB != 0 {
		return s.sendUrgent(c, p, flags)
	}
	l := s.timeouts.Load()
	if s.nonblock.Load() || flags&MSG_DONTWAIT != 0 || l != nil && l.send.never() {
		return c.TryWrite(p)
	}
	sent := 0
	if l == nil {
		n, err := c.Write(p)
		l = s.timeouts.Load()
		if err != syscall.EAGAIN || l == nil {
			return n, err
		}
		sent = n // as in receiveFrom; the rest follows in its turn
	}
	n, err := l.send.wait(c.SetWriteDeadline, func() (int, error) { return c.Write(p[sent:]) })
	return sent + n, err
}

// takeKept returns the error that a Write left behind, once.
func (s *socket) takeKept() error {
	if s.kept.Load() == 0 {
		return nil
	}
	if errno := syscall.Errno(s.kept.Swap(0)); errno != 0 {
		return errno
	}
	return nil
}
