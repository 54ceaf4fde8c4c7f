package fdtable

import (
	"net/netip"
	"syscall"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/tcp"
)

// Read reads into p and returns the number of octets, 0 at the end of the stream. It waits for the first
// octet unless the descriptor is non-blocking. Errors: EAGAIN (nothing there, or SO_RCVTIMEO passed),
// ENOTCONN, EBADF, and once the error that ended the connection: ECONNRESET, ETIMEDOUT and so on. Octets that had
// arrived before are read first. With an empty p it returns 0 at once. From a datagram socket it takes one datagram.
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

// Write writes p to the connection and returns the number of octets that were taken: all, unless the descriptor is
// non-blocking, SO_SNDTIMEO passed or the connection ended. It returns an error only if none were taken; otherwise the
// next call returns the error. Errors: EAGAIN, EPIPE (also on a socket that was never connected), EBADF, and once the
// error that ended the connection: ECONNRESET, ETIMEDOUT and so on. To a datagram socket it writes one datagram.
func (t *Table) Write(fd int, p []byte) (int, error) {
	s, err := t.transfer(fd)
	if err != nil {
		return 0, err
	}
	defer s.release()
	if s.typ == SOCK_DGRAM {
		return s.sendDatagram(p, netip.AddrPort{}, nil)
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

// transfer is acquire for read and write. For them an epoll instance is a file that cannot be read or written: EINVAL, and
// not ENOTSOCK.
func (t *Table) transfer(fd int) (*socket, error) {
	s, err := t.acquire(fd)
	if err == syscall.ENOTSOCK {
		err = syscall.EINVAL
	}
	return s, err
}

// Shutdown ends reading (SHUT_RD), writing (SHUT_WR) or both. A listener that is shut down for reading stops
// listening: the connections in its queue are reset, blocked Accepts return EINVAL, and it keeps its port until Close. A
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
			return c.CloseWrite() // gives it up: calls that wait, and SO_ERROR, get ECONNRESET
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

// takeDeferred returns the error of an earlier Write that returned a count instead, once.
func (s *socket) takeDeferred() error {
	if s.deferred.Load() == 0 {
		return nil
	}
	if errno := syscall.Errno(s.deferred.Swap(0)); errno != 0 {
		return errno
	}
	return nil
}
