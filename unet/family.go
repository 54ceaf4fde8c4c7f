package unet

import (
	"net"
	"net/netip"
	"slices"
)

// This file has what differs by family: package net's networks, which sockets it makes for them, and the forms of its
// addresses.

const (
	netTCP network = iota
	netTCP4
	netTCP6
	netUDP
	netUDP4
	netUDP6
	netIP
	netIP4
	netIP6
)

var networkNames = [...]string{"tcp", "tcp4", "tcp6", "udp", "udp4", "udp6", "ip", "ip4", "ip6"}

func (n network) v4() bool { return n == netTCP4 || n == netUDP4 || n == netIP4 }
func (n network) v6() bool { return n == netTCP6 || n == netUDP6 || n == netIP6 }

// allows reports whether an address of this family can be one of network n.
func (n network) allows(ip net.IP) bool {
	is4 := ip.To4() != nil
	return (!is4 || !n.v6()) && (is4 || !n.v4())
}

// loopbacks returns the addresses of "localhost", in the order in which they are dialled.
func (n network) loopbacks() []net.IPAddr {
	four, six := net.IPAddr{IP: net.IP{127, 0, 0, 1}}, net.IPAddr{IP: net.IPv6loopback}
	switch {
	case n.v4():
		return []net.IPAddr{four}
	case n.v6():
		return []net.IPAddr{six}
	}
	return []net.IPAddr{four, six}
}

// lookupFamily returns the family of addresses to look up for network n on a host with these addresses, as a network of
// net.Resolver.LookupNetIP. A host of IPv4 alone asks for no other addresses: it could not dial them, and some servers do not
// answer such questions.
func (n network) lookupFamily(own []netip.Prefix) string {
	is4 := func(p netip.Prefix) bool { return p.Addr().Is4() }
	is6 := func(p netip.Prefix) bool { return p.Addr().Is6() }
	switch {
	case n.v6():
		return "ip6"
	case n.v4(), slices.ContainsFunc(own, is4) && !slices.ContainsFunc(own, is6):
		return "ip4"
	}
	return "ip"
}

// socketKind is the kind of socket that package net would make.
type socketKind struct {
	net network
	// six says that the socket would be of AF_INET6: its addresses have sixteen octets, and IPv4 ones are mapped. The
	// networks with a 6 at the end have IPV6_V6ONLY set, the others not.
	six bool
}

func (k socketKind) String() string { return k.net.String() }

// v6Only reports whether the socket would have IPV6_V6ONLY.
func (k socketKind) v6Only() bool { return k.net.v6() }

// listens returns the kind of socket that listens on an address. "tcp" and "udp" listen on a wildcard, whether it is 0.0.0.0
// or ::, for both families.
func (n network) listens(at endpoint) socketKind {
	return socketKind{n, n.v6() || !n.v4() && (at.wildcard() || at.family6())}
}

// dials returns the kind of socket that dials from one address to another.
func (n network) dials(from, to endpoint) socketKind {
	return socketKind{n, n.v6() || !n.v4() && (from.family6() || to.family6())}
}

// family6 reports whether e is an address of IPv6 to package net: of more than four octets, and not IPv4-mapped.
func (e endpoint) family6() bool { return len(e.ip) > net.IPv4len && e.ip.To4() == nil }

// sameFamily reports whether both are addresses of the same family. An invalid address has no family.
func (e endpoint) sameFamily(other endpoint) bool {
	if e.ip.To4() != nil || other.ip.To4() != nil {
		return e.ip.To4() != nil && other.ip.To4() != nil
	}
	return len(e.ip) == net.IPv6len && len(other.ip) == net.IPv6len
}

// sockaddr returns e as the address that package net would pass to a system call, IPv4-mapped for an AF_INET6 socket. An
// address without octets is the wildcard, and for AF_INET6 so is 0.0.0.0.
func (k socketKind) sockaddr(e endpoint) (netip.Addr, error) {
	if k.six {
		if len(e.ip) == 0 || e.ip.Equal(net.IPv4zero) {
			return netip.IPv6Unspecified(), nil
		}
		if ip := e.ip.To16(); ip != nil {
			return netip.AddrFrom16([16]byte(ip)).WithZone(e.zone), nil
		}
		return netip.Addr{}, &net.AddrError{Err: "non-IPv6 address", Addr: e.ip.String()}
	}
	if len(e.ip) == 0 {
		return netip.IPv4Unspecified(), nil
	}
	if ip := e.ip.To4(); ip != nil {
		return netip.AddrFrom4([4]byte(ip)), nil
	}
	return netip.Addr{}, &net.AddrError{Err: "non-IPv4 address", Addr: e.ip.String()}
}

// shown returns an address of the stack as package net shows it for this kind of socket in a netip.AddrPort: IPv4-mapped
// for AF_INET6.
func (k socketKind) shown(ap netip.AddrPort) netip.AddrPort {
	if k.six && ap.Addr().Is4() {
		return netip.AddrPortFrom(netip.AddrFrom16(ap.Addr().As16()), ap.Port())
	}
	return ap
}

// octets puts a into p and returns the slice that holds it, as long as an address of this kind of socket is; nil for the
// zero Addr.
func (k socketKind) octets(p *[16]byte, a netip.Addr) net.IP {
	switch {
	case !a.IsValid():
		return nil
	case k.six || a.Is6():
		*p = a.As16()
		return p[:]
	}
	four := a.As4()
	return p[:copy(p[:], four[:])]
}

func isIPv4(a net.Addr) bool {
	e, _ := endpointOf(a)
	return e.ip.To4() != nil
}

// preferred returns the address to listen on: the first IPv4 one, or the first one if there is none of IPv4.
func preferred(addrs []net.Addr) net.Addr {
	for _, a := range addrs {
		if isIPv4(a) {
			return a
		}
	}
	return addrs[0]
}

// partition divides addresses into those of the first one's family and the others (RFC 8305).
func partition(addrs []net.Addr) (primaries, fallbacks []net.Addr) {
	for _, a := range addrs {
		if isIPv4(a) == isIPv4(addrs[0]) {
			primaries = append(primaries, a)
		} else {
			fallbacks = append(fallbacks, a)
		}
	}
	return primaries, fallbacks
}

// limitedBroadcast is the address of all hosts on a link (RFC 919 7).
var limitedBroadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// wildcardOf returns the unspecified address of the family of a.
func wildcardOf(a netip.Addr) netip.Addr {
	p, _ := a.WithZone("").Prefix(0) // which fails for no valid address
	return p.Addr()
}
