package unet

import (
	"net"
	"net/netip"
	"strings"
	"syscall"

	"github.com/unet-go/unet/stack"
)

// network is one of package net's network names, in one octet.
type network uint8

func (n network) String() string { return networkNames[n] }

// parseNetwork returns the network with the given name. Package net's names of other networks, "unix" and "ip:1" for
// instance, are unknown here.
func parseNetwork(name string) (network, error) {
	for i, s := range networkNames {
		if s == name {
			return network(i), nil
		}
	}
	return 0, net.UnknownNetworkError(name)
}

func parseTCP(name string) (network, error) {
	n, err := parseNetwork(name)
	if err == nil && n.udp() {
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

func (n network) udp() bool { return n >= netUDP }

// address makes a *net.TCPAddr or a *net.UDPAddr. A nil ip is the wildcard of either family.
func (n network) address(ip net.IP, port int, zone string) net.Addr {
	if n.udp() {
		return &net.UDPAddr{IP: ip, Port: port, Zone: zone}
	}
	return &net.TCPAddr{IP: ip, Port: port, Zone: zone}
}

// endpoint has the fields that *net.TCPAddr and *net.UDPAddr have in common.
type endpoint struct {
	ip   net.IP
	port int
	zone string
}

// endpointOf returns the fields of an address. A nil pointer is the wildcard with port zero, as in package net.
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
	}
	return endpoint{}, false
}

func (e endpoint) wildcard() bool { return len(e.ip) == 0 || e.ip.IsUnspecified() }

// errNoIPv6 is the error that package net returns on a kernel without IPv6: this stack has none.
var errNoIPv6 = syscallError("socket", syscall.EAFNOSUPPORT)

// supports returns the error for a socket of network n with these addresses, or nil. An address may be empty. An
// IPv6 wildcard is no error: it stands for 0.0.0.0. Only for "tcp4" and "udp4" package net refuses it, and that is the
// business of resolve.
func (n network) supports(addrs ...endpoint) error {
	if n.v6() {
		return errNoIPv6
	}
	for _, e := range addrs {
		if !n.v4() && e.family6() && !e.wildcard() {
			return errNoIPv6
		}
	}
	return nil
}

// addrPort returns e as an address of the stack. Without an IP it is 0.0.0.0, which means all addresses for a listener
// and the loopback address for a dial. Package net checks that a port has 16 bits only where it parses one; a larger
// number in a TCPAddr is cut to 16 bits by the kernel, and is refused here.
func (n network) addrPort(e endpoint) (netip.AddrPort, error) {
	a, err := n.addr(e)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if e.port < 0 || e.port > 65535 {
		return netip.AddrPort{}, &net.AddrError{Err: "invalid port", Addr: itoa(e.port)}
	}
	return netip.AddrPortFrom(a, uint16(e.port)), nil
}

// listen returns the address and the options with which a listener of network n on e is bound.
func (n network) listen(e endpoint) (netip.AddrPort, stack.BindOptions, error) {
	opt := stack.BindOptions{ReuseAddr: !n.udp()}
	if err := n.supports(e); err != nil {
		return netip.AddrPort{}, opt, err
	}
	at, err := n.addrPort(e)
	return at, opt, err
}

// ends returns the addresses of a dial of network n. It reports an error of the local address first, as the kernel does,
// which binds before it connects.
func (n network) ends(from, to endpoint) (local, remote netip.AddrPort, err error) {
	if err = n.supports(from, to); err == nil {
		local, err = n.addrPort(from)
	}
	if err == nil {
		remote, err = n.addrPort(to)
	}
	return local, remote, err
}

// tcpAddr returns ap in package net's form, where an IPv4 address has four octets. It makes one allocation.
func tcpAddr(ap netip.AddrPort) *net.TCPAddr {
	v := new(tcpAddress)
	return v.set(ap)
}

// tcpAddress is an address and the octets that it refers to.
type tcpAddress struct {
	net.TCPAddr
	octets [4]byte
}

func (v *tcpAddress) set(ap netip.AddrPort) *net.TCPAddr {
	v.IP, v.Port = octets(&v.octets, ap.Addr()), int(ap.Port())
	return &v.TCPAddr
}

// udpAddr is tcpAddr for UDP.
func udpAddr(ap netip.AddrPort) *net.UDPAddr {
	v := new(udpAddress)
	return v.set(ap)
}

// udpAddress is tcpAddress for UDP.
type udpAddress struct {
	net.UDPAddr
	octets [4]byte
}

func (v *udpAddress) set(ap netip.AddrPort) *net.UDPAddr {
	v.IP, v.Port = octets(&v.octets, ap.Addr()), int(ap.Port())
	return &v.UDPAddr
}

// isLocalhost reports whether host is the name that RFC 6761 6.3 reserves for the loopback addresses.
func isLocalhost(host string) bool {
	return strings.EqualFold(strings.TrimSuffix(host, "."), "localhost")
}
