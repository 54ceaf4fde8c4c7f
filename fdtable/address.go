package fdtable

import (
	"net/netip"
	"slices"
	"strconv"
	"syscall"

	"github.com/unet-go/unet/stack"
)

// An address of a call is a netip.AddrPort. To an AF_INET6 socket the addresses of IPv4 are mapped ones, ::ffff:a.b.c.d,
// and a link-local address has the name of an interface as its zone, which is what sin6_scope_id says in C; the number in
// decimal does as well.

// needsScope says whether an address means something else on each link (RFC 4007 5).
func needsScope(a netip.Addr) bool {
	return a.Is6() && (a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast() || a.IsInterfaceLocalMulticast())
}

// purpose is what a call wants with an address. Linux has other errors for each.
type purpose uint8

const (
	toBind purpose = iota
	toConnect
	toSend
)

// addressing is what of a socket decides which addresses it takes.
type addressing struct {
	host        *stack.Host
	domain, typ uint8
	v6Only      bool
}

// inner converts an IPv4-mapped address to IPv4, and a zone to a name. An AF_INET socket refuses an address of IPv6
// by EAFNOSUPPORT. To an AF_INET6 one an address of IPv4 is too short (EINVAL), but a datagram socket may connect and send
// to it as to a mapped one. IPV6_V6ONLY refuses both.
func (s *addressing) inner(a netip.AddrPort, p purpose) (netip.AddrPort, error) {
	addr := a.Addr()
	switch {
	case !a.IsValid(), s.domain == AF_INET && !addr.Is4():
		return netip.AddrPort{}, syscall.EAFNOSUPPORT
	case s.domain == AF_INET:
		return a, nil
	case addr.Is4() && (p == toBind || s.typ == SOCK_STREAM):
		return netip.AddrPort{}, syscall.EINVAL
	case addr.Is4() || addr.Is4In6():
		return netip.AddrPortFrom(addr.Unmap(), a.Port()), s.refuseMapped(addr, p)
	case addr.IsMulticast() && s.typ == SOCK_STREAM && p == toBind:
		return netip.AddrPort{}, syscall.EINVAL
	case addr.IsMulticast() && s.typ == SOCK_STREAM:
		return netip.AddrPort{}, syscall.ENETUNREACH
	case addr.Zone() != "":
		return netip.AddrPortFrom(s.zoned(addr), a.Port()), nil
	}
	return a, nil
}

// refuseMapped returns the error of a mapped address, or one of IPv4, where the socket is IPV6_V6ONLY.
func (s *addressing) refuseMapped(a netip.Addr, p purpose) error {
	switch {
	case !s.v6Only:
		return nil
	case p == toBind:
		return syscall.EINVAL
	case p == toConnect && a.Is4():
		return syscall.EAFNOSUPPORT
	}
	return syscall.ENETUNREACH
}

// zoned gives an address with a zone the name of the interface, where that is a number. What needs no zone loses it.
func (s *addressing) zoned(a netip.Addr) netip.Addr {
	if !needsScope(a) {
		return a.WithZone("")
	}
	names := s.host.InterfaceNames()
	if n, err := strconv.Atoi(a.Zone()); err == nil && n > 0 && n <= len(names) && !slices.Contains(names, a.Zone()) {
		return a.WithZone(names[n-1])
	}
	return a
}
