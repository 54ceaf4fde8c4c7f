package fdtable

import (
	"syscall"

	"github.com/unet-go/unet/stack/tcp"
)

// Requests of IoctlInt. SIOCINQ and SIOCOUTQ have the numbers of FIONREAD and TIOCOUTQ.
const (
	SIOCINQ     = 0x541b
	FIONREAD    = 0x541b
	SIOCOUTQ    = 0x5411
	FIONBIO     = 0x5421
	SIOCATMARK  = 0x8905
	SIOCOUTQNSD = 0x894b
)

// IoctlInt is ioctl(2) with an int. SIOCINQ returns the number of octets that can be read, for a datagram socket those of
// the next datagram; SIOCOUTQ the number that were written and not acknowledged; SIOCOUTQNSD the number of them that were
// never sent; SIOCATMARK 1 where Sockatmark is true. FIONBIO sets O_NONBLOCK if arg is not zero, and clears
// it otherwise. Errors: EINVAL (a listener, an epoll instance), ENOTTY (another request), EBADF.
func (t *Table) IoctlInt(fd, request, arg int) (int, error) {
	f, err := t.file(fd)
	if err != nil {
		return 0, err
	}
	defer f.release()
	if request == FIONBIO {
		f.nonblock.Store(arg != 0)
		return 0, nil
	}
	s, ok := f.body.(*socket)
	if !ok {
		return 0, syscall.EINVAL
	}
	if s.typ == SOCK_DGRAM {
		return s.ioctlDatagram(request)
	}
	return s.ioctlStream(request)
}

func (s *socket) ioctlStream(request int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.conn.Load()
	switch request {
	case SIOCATMARK:
		return number(c != nil && c.AtMark()), nil
	case SIOCINQ, SIOCOUTQ, SIOCOUTQNSD:
	default:
		return 0, syscall.ENOTTY
	}
	switch {
	case s.phase == listening:
		return 0, syscall.EINVAL
	case c == nil:
		return 0, nil
	case c.State() == tcp.SynSent, c.State() == tcp.SynReceived:
		return 0, nil
	case request == SIOCINQ:
		return c.Unread(), nil
	case request == SIOCOUTQ:
		return c.Unsent(), nil
	}
	return c.Info().NotSent, nil
}

func (s *socket) ioctlDatagram(request int) (int, error) {
	switch request {
	case SIOCINQ:
		if u := s.udp.Load(); u != nil {
			return u.Unread(), nil
		}
		return 0, nil
	case SIOCOUTQ: // datagrams that are sent wait in no queue of the socket
		return 0, nil
	}
	return 0, syscall.ENOTTY
}
