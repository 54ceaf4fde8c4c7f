package fdtable

import (
	"net/netip"
	"syscall"

	"github.com/unet-go/unet/stack"
)

// sendUrgent is send with MSG_OOB: the last octet of p is the one that the peer may take out of band.
func (s *socket) sendUrgent(c *stack.TCPConn, p []byte, flags int) (int, error) {
	l := s.timeouts.Load()
	switch {
	case s.nonblock.Load() || flags&MSG_DONTWAIT != 0 || l != nil && l.send.never():
		return c.TryWriteUrgent(p)
	case l == nil:
		return c.WriteUrgent(p)
	}
	return l.send.wait(c.SetWriteDeadline, func() (int, error) { return c.WriteUrgent(p) })
}

// receiveUrgent is receive with MSG_OOB, which never waits. With an empty p the octet is taken and lost, and
// the flags say MSG_TRUNC.
func (s *socket) receiveUrgent(p []byte, flags int) (n int, from netip.AddrPort, msgFlags int, err error) {
	c := s.conn.Load()
	if c == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.phase == listening {
			return 0, netip.AddrPort{}, 0, syscall.ENOTCONN
		}
		return 0, netip.AddrPort{}, 0, syscall.EINVAL
	}
	octet, err := c.ReadUrgent(flags&MSG_PEEK != 0)
	switch {
	case err != nil:
		return 0, netip.AddrPort{}, 0, err
	case len(p) == 0:
		return 0, netip.AddrPort{}, MSG_OOB | MSG_TRUNC, nil
	}
	p[0] = octet
	return 1, netip.AddrPort{}, MSG_OOB, nil
}

// Sockatmark says whether the reader of a connection stands at the mark of urgent data: the next octet of the
// stream is the urgent one, or, without SO_OOBINLINE, the one behind it. Reads stop at the mark. ENOTTY for a
// datagram socket, EBADF.
func (t *Table) Sockatmark(fd int) (bool, error) {
	s, err := t.acquire(fd)
	if err != nil {
		return false, err
	}
	defer s.release()
	if s.typ != SOCK_STREAM {
		return false, syscall.ENOTTY
	}
	c := s.conn.Load()
	return c != nil && c.AtMark(), nil
}
