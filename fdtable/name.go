package fdtable

import (
	"net/netip"
	"slices"
	"strconv"
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
// connection has ended, and for a datagram socket whose peer has port 0.
func (t *Table) Getpeername(fd int) (netip.AddrPort, error) {
	s, err := t.acquire(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer s.release()
	if u := s.udp.Load(); u != nil && u.Remote().Port() != 0 {
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

// SockaddrInet6 is an address as struct sockaddr_in6 of C has it, for programs that bring one.
type SockaddrInet6 struct {
	Port uint16 // as a number, in no byte order
	// Flowinfo has no effect and is always 0 in an answer, as on Linux without IPV6_FLOWINFO_SEND, which there is not.
	Flowinfo uint32
	Addr     [16]byte
	// ScopeID is the number of the interface of a link-local address, see IfNametoindex; 0 for none. For other addresses
	// it has no effect.
	ScopeID uint32
}

// AddrPort returns the address that the calls of a Table take. A ScopeID that is no interface's stays as a number, and calls
// refuse it.
func (t *Table) AddrPort(sa *SockaddrInet6) netip.AddrPort {
	a := netip.AddrFrom16(sa.Addr)
	if sa.ScopeID != 0 && needsScope(a) {
		zone := strconv.FormatUint(uint64(sa.ScopeID), 10)
		if name, err := t.IfIndextoname(int(sa.ScopeID)); err == nil {
			zone = name
		}
		a = a.WithZone(zone)
	}
	return netip.AddrPortFrom(a, sa.Port)
}

// SockaddrInet6 returns an address that a call has returned, one of IPv4 in its mapped form.
func (t *Table) SockaddrInet6(a netip.AddrPort) *SockaddrInet6 {
	sa := &SockaddrInet6{Port: a.Port(), Addr: a.Addr().As16()}
	if zone := a.Addr().Zone(); zone != "" {
		n, _ := t.IfNametoindex(zone)
		sa.ScopeID = uint32(n)
	}
	return sa
}

// IfNametoindex returns the number of the host's interface with a name: 1 for lo, 2 for the one that was attached first,
// and so on. An interface keeps its number. ENODEV: there is none.
func (t *Table) IfNametoindex(name string) (int, error) {
	i := slices.Index(t.host.InterfaceNames(), name)
	if i < 0 {
		return 0, syscall.ENODEV
	}
	return i + 1, nil
}

// IfIndextoname returns the name of the interface with a number. ENXIO: there is none.
func (t *Table) IfIndextoname(index int) (string, error) {
	names := t.host.InterfaceNames()
	if index < 1 || index > len(names) {
		return "", syscall.ENXIO
	}
	return names[index-1], nil
}
