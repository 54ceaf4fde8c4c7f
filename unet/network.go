package unet

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/unet-go/unet/stack"
)

// network is one of package net's network names, in one octet.
type network uint8

func (n network) String() string { return networkNames[n] }

// parseNetwork returns the network with the given name, where that of IP has a protocol behind a colon; see parseProtocol.
// Package net's names of other networks, "unix" for instance, are unknown here.
func parseNetwork(name string) (network, error) {
	version, _, raw := cutLast(name)
	for i, s := range networkNames {
		if n := network(i); s == version && n.ip() == raw {
			return n, nil
		}
	}
	return 0, net.UnknownNetworkError(name)
}

// cutLast is strings.Cut at the last colon.
func cutLast(s string) (before, after string, found bool) {
	at := strings.LastIndexByte(s, ':')
	if at < 0 {
		return s, "", false
	}
	return s[:at], s[at+1:], true
}

func parseTCP(name string) (network, error) {
	n, err := parseNetwork(name)
	if err == nil && n >= netUDP {
		err = net.UnknownNetworkError(name)
	}
	return n, err
}

func parseUDP(name string) (network, error) {
	n, err := parseNetwork(name)
	if err == nil && !n.udp() {
		err = net.UnknownNetworkError(name)
	}
	return n, err
}

func (n network) udp() bool { return n >= netUDP && n < netIP }
func (n network) ip() bool  { return n >= netIP }

// address makes a *net.TCPAddr, a *net.UDPAddr or a *net.IPAddr. A nil ip is the wildcard of either family.
func (n network) address(ip net.IP, port int, zone string) net.Addr {
	if n.ip() {
		return &net.IPAddr{IP: ip, Zone: zone}
	}
	if n.udp() {
		return &net.UDPAddr{IP: ip, Port: port, Zone: zone}
	}
	return &net.TCPAddr{IP: ip, Port: port, Zone: zone}
}

// endpoint has the fields that *net.TCPAddr and *net.UDPAddr have in common; the port of a *net.IPAddr is 0.
type endpoint struct {
	ip   net.IP
	port int
	zone string
}

// endpointOf returns the fields of an address. A nil pointer is the wildcard with port zero, as in package net.
// It is called in many places, none of them hot, and is not copied to them.
//
//go:noinline
func endpointOf(a net.Addr) (endpoint, bool) {
	switch a := a.(type) {
	case *net.TCPAddr:
		if a != nil {
			return endpoint{a.IP, a.Port, a.Zone}, true
		}
		return endpoint{}, true
	case *net.UDPAddr:
		if a != nil {
			return endpoint{a.IP, a.Port, a.Zone}, true
		}
		return endpoint{}, true
	case *net.IPAddr:
		if a != nil {
			return endpoint{ip: a.IP, zone: a.Zone}, true
		}
		return endpoint{}, true
	}
	return endpoint{}, false
}

func (e endpoint) wildcard() bool { return len(e.ip) == 0 || e.ip.IsUnspecified() }

// zoned gives an address of a socket call the name of an interface as its zone, as the stack knows it. Like package net it
// takes the number of an interface too, which Linux begins to count with 1 for lo; a zone that is neither is none.
func zoned(on *stack.Host, a netip.Addr) netip.Addr {
	zone := a.Zone()
	if zone == "" {
		return a
	}
	names := on.InterfaceNames()
	if slices.Contains(names, zone) {
		return a
	}
	n, err := strconv.Atoi(zone)
	switch {
	case err != nil || n <= 0:
		return a.WithZone("")
	case n <= len(names):
		return a.WithZone(names[n-1])
	}
	return a // the stack knows no such interface, and says so
}

// addrPort returns e as an address of a host's stack. Without an IP it is the wildcard, which means all addresses for a listener
// and the loopback address for a dial. Package net checks that a port has 16 bits only where it parses one; a larger
// number in a TCPAddr is cut to 16 bits by the kernel, and is refused here.
func (k socketKind) addrPort(on *stack.Host, e endpoint) (netip.AddrPort, error) {
	a, err := k.sockaddr(e)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if e.port < 0 || e.port > 65535 {
		return netip.AddrPort{}, &net.AddrError{Err: "invalid port", Addr: itoa(e.port)}
	}
	return netip.AddrPortFrom(zoned(on, a), uint16(e.port)), nil
}

// bindOptions returns the options of a bind to local, and the error of the system call where the kernel would refuse the
// address: an IPv4-mapped one with IPV6_V6ONLY.
func (k socketKind) bindOptions(local netip.AddrPort) (stack.BindOptions, error) {
	if k.v6Only() && local.Addr().Is4In6() {
		return stack.BindOptions{}, syscallError("bind", syscall.EINVAL)
	}
	return stack.BindOptions{V6Only: k.v6Only()}, nil
}

// tcpAddr returns ap in package net's form for a kind of socket. It makes one allocation.
func (k socketKind) tcpAddr(ap netip.AddrPort) *net.TCPAddr {
	v := new(tcpAddress)
	return v.set(k, ap)
}

// tcpAddress is an address and the octets that it refers to.
type tcpAddress struct {
	net.TCPAddr
	octets [16]byte
}

func (v *tcpAddress) set(k socketKind, ap netip.AddrPort) *net.TCPAddr {
	v.IP, v.Port, v.Zone = k.octets(&v.octets, ap.Addr()), int(ap.Port()), ap.Addr().Zone()
	return &v.TCPAddr
}

// udpAddr is tcpAddr for UDP.
func (k socketKind) udpAddr(ap netip.AddrPort) *net.UDPAddr {
	v := new(udpAddress)
	return v.set(k, ap)
}

// udpAddress is tcpAddress for UDP.
type udpAddress struct {
	net.UDPAddr
	octets [16]byte
}

func (v *udpAddress) set(k socketKind, ap netip.AddrPort) *net.UDPAddr {
	v.IP, v.Port, v.Zone = k.octets(&v.octets, ap.Addr()), int(ap.Port()), ap.Addr().Zone()
	return &v.UDPAddr
}

// isLocalhost reports whether host is the name that RFC 6761 6.3 reserves for the loopback addresses.
func isLocalhost(host string) bool {
	return strings.EqualFold(strings.TrimSuffix(host, "."), "localhost")
}
