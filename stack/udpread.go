package stack

import (
	"net/netip"
	"syscall"

	"github.com/unet-go/unet/internal/fifo"
)

// ReadFrom waits for a datagram and copies it to p. truncated says that p was too short and the rest is lost.
// An error that a connected peer's host or a router reported is returned once.
func (s *UDPSocket) ReadFrom(p []byte) (n int, from netip.AddrPort, truncated bool, err error) {
	return s.receive(p, true)
}

// TryReadFrom is ReadFrom, but EAGAIN where it would wait. The read deadline is for those who wait.
func (s *UDPSocket) TryReadFrom(p []byte) (n int, from netip.AddrPort, truncated bool, err error) {
	return s.receive(p, false)
}

// Read is ReadFrom without the address.
func (s *UDPSocket) Read(p []byte) (int, error) {
	n, _, _, err := s.receive(p, true)
	return n, err
}

func (s *UDPSocket) receive(p []byte, wait bool) (n int, from netip.AddrPort, truncated bool, err error) {
	d, err := s.next(wait, false)
	if err != nil {
		return 0, from, false, err
	}
	defer d.release()
	n = copy(p, d.data)
	return n, d.from, n < len(d.data), nil
}

// next returns the oldest datagram with a reference, and takes it out of the queue unless peek says not to.
func (s *UDPSocket) next(wait, peek bool) (datagramIn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.closed:
			return datagramIn{}, syscall.EBADF
		case wait && s.readDeadline.passed(&s.layer.core.clock):
			return datagramIn{}, syscall.EAGAIN
		case s.errno != 0:
			err := s.errno
			s.errno = 0
			return datagramIn{}, err
		case s.queue.Len() == 0 && s.layer.core.severed(s.Local().Addr()):
			return datagramIn{}, syscall.ENETDOWN
		case s.queue.Len() == 0 && !wait:
			return datagramIn{}, syscall.EAGAIN
		case s.queue.Len() == 0:
			s.arrived.Wait()
		case peek:
			d := *s.queue.First()
			if d.buf != nil {
				d.buf.Retain()
			}
			s.arrived.Signal() // it stays in the queue for other readers
			return d, nil
		default:
			return s.popLocked(), nil
		}
	}
}

// Unread returns the length in octets of the next datagram, 0 where there is none: SIOCINQ.
func (s *UDPSocket) Unread() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queue.Len() == 0 {
		return 0
	}
	return len(s.queue.First().data)
}

func (s *UDPSocket) popLocked() datagramIn {
	d := *s.queue.First()
	s.queue.Pop()
	if s.queue.Len() == 0 && s.queue.Cap() > 64 {
		s.queue = fifo.Queue[datagramIn]{} // a flood is over
	}
	s.charge -= d.charge
	s.accountLocked(udpStep)
	return d
}

// Ready returns what the socket is ready for. Writing never waits.
func (s *UDPSocket) Ready() Readiness {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := ReadyOut
	switch {
	case s.closed:
		return r | ReadyIn | ReadyRdHup | ReadyHup
	case s.layer.core.severed(s.Local().Addr()):
		return r | ReadyIn | ReadyErr | ReadyHup
	case s.errno != 0 || s.queuedErrors:
		r |= ReadyErr
	}
	if s.queue.Len() > 0 {
		r |= ReadyIn
	}
	return r
}

// Watch makes w the socket's watcher, in place of any other; nil for none.
func (s *UDPSocket) Watch(w Watcher) {
	if w == nil {
		s.watcher.Store(nil)
		return
	}
	s.watcher.Store(&w)
}
