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
		m := Msghdr{Iov: [][]byte{p}}
		return s.receiveDatagram(&m, 0)
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

// Readv is Read into several buffers, which it fills one after the other. EINVAL for more than 1024.
func (t *Table) Readv(fd int, iov [][]byte) (int, error) {
	s, err := t.transfer(fd)
	if err != nil {
		return 0, err
	}
	defer s.release()
	if len(iov) > maxIovecs {
		return 0, syscall.EINVAL
	}
	return s.receiveMessage(&Msghdr{Iov: iov}, 0)
}

// Writev is Write of several buffers as if they were one. EINVAL for more than 1024.
func (t *Table) Writev(fd int, iov [][]byte) (int, error) {
	s, err := t.transfer(fd)
	if err != nil {
		return 0, err
	}
	defer s.release()
	if len(iov) > maxIovecs {
		return 0, syscall.EINVAL
	}
	return s.sendMessage(&Msghdr{Iov: iov}, 0)
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
