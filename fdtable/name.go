package fdtable

import (
	"net/netip"
	"syscall"

	"github.com/unet-go/unet/stack/tcp"
)

// Getsockname returns the socket's local address, the unspecified one with port 0 before it has any.
func (t *Table) Getsockname(fd int) (netip.AddrPort, error) {
	s, err := t.acquire(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer s.release()
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.conn.Load(); c != nil {
		return s.outer(c.Local()), nil
	}
	if u := s.udp.Load(); u != nil {
		return s.outer(u.Local()), nil
	}
	if s.setup.bound.IsValid() {
		return s.outer(s.setup.bound), nil
	}
	return s.wildcard(), nil
}

// Getpeername returns the address of the socket's peer. ENOTCONN before the handshake is over and after the
// connection has ended.
func (t *Table) Getpeername(fd int) (netip.AddrPort, error) {
	s, err := t.acquire(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer s.release()
	if u := s.udp.Load(); u != nil && u.Remote().IsValid() {
		return s.outer(u.Remote()), nil
	}
	c := s.conn.Load()
	if c == nil {
		return netip.AddrPort{}, syscall.ENOTCONN
	}
	switch c.State() {
	case tcp.Closed, tcp.Listen, tcp.SynSent:
		return netip.AddrPort{}, syscall.ENOTCONN
	case tcp.SynReceived, tcp.Established, tcp.FinWait1, tcp.FinWait2, tcp.CloseWait, tcp.Closing, tcp.LastAck,
		tcp.TimeWaitState:
	}
	return s.outer(c.Remote()), nil
}
