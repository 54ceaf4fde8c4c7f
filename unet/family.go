package unet

import (
	"net"
	"net/netip"
)

// This file has what differs by family: package net's networks, and the forms of its addresses.

const (
	netTCP network = iota
	netTCP4
	netTCP6
	netUDP
	netUDP4
	netUDP6
)

var networkNames = [...]string{"tcp", "tcp4", "tcp6", "udp", "udp4", "udp6"}

func (n network) v4() bool { return n == netTCP4 || n == netUDP4 }
func (n network) v6() bool { return n == netTCP6 || n == netUDP6 }

// allows reports whether an address of this family can be one of network n.
func (n network) allows(ip net.IP) bool {
	is4 := ip.To4() != nil
	return (!is4 || !n.v6()) && (is4 || !n.v4())
}

var (
	loopback4 = net.IP{127, 0, 0, 1}
	loopback6 = net.IPv6loopback
)

// lookupFamily returns the family of addresses to look up for network n, as a network of net.Resolver.LookupIP, and its
// loopback address.
func (n network) lookupFamily() (family string, loopback net.IP) {
	if n.v6() {
		return "ip6", loopback6
	}
	return "ip4", loopback4
}

// family6 reports whether package net makes an IPv6 socket for e: an address of more than four octets that is not
// IPv4-mapped.
func (e endpoint) family6() bool { return len(e.ip) > net.IPv4len && e.ip.To4() == nil }

// sameFamily reports whether both are addresses of the same family. An invalid address has no family.
func (e endpoint) sameFamily(other endpoint) bool {
	if e.ip.To4() != nil || other.ip.To4() != nil {
		return e.ip.To4() != nil && other.ip.To4() != nil
	}
	return len(e.ip) == net.IPv6len && len(other.ip) == net.IPv6len
}

// addr returns the address of e in the stack's form. An address that is empty, or for networks of both families the
// wildcard of IPv6, is 0.0.0.0.
func (n network) addr(e endpoint) (netip.Addr, error) {
	if ip := e.ip.To4(); ip != nil {
		return netip.AddrFrom4([4]byte(ip)), nil
	}
	if len(e.ip) != 0 && (n.v4() || !e.wildcard()) {
		return netip.Addr{}, &net.AddrError{Err: "non-IPv4 address", Addr: e.ip.String()}
	}
	return netip.IPv4Unspecified(), nil
}

// octets puts a into p and returns the slice that holds it; nil for the zero Addr.
func octets(p *[4]byte, a netip.Addr) net.IP {
	if !a.IsValid() {
		return nil
	}
	*p = a.As4()
	return p[:]
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

// limitedBroadcast is the address of all hosts on a link (RFC 919 7).
var limitedBroadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// wildcardOf returns the unspecified address of the family of a.
func wildcardOf(a netip.Addr) netip.Addr {
	p, _ := a.Prefix(0) // which fails for no valid address
	return p.Addr()
}
