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

const (
	netTCP network = iota
	netTCP4
	netTCP6
	netUDP
	netUDP4
	netUDP6
)

var networkNames = [...]string{"tcp", "tcp4", "tcp6", "udp", "udp4", "udp6"}

func (n network) String() string { return networkNames[n] }

// parseNetwork returns the network of that name. Names that package net knows and a TCP/IP stack has no use
// for, "unix" and "ip:1" for instance, are unknown here.
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
func (n network) v4() bool  { return n == netTCP4 || n == netUDP4 }
func (n network) v6() bool  { return n == netTCP6 || n == netUDP6 }

// address makes a *net.TCPAddr or a *net.UDPAddr. A nil ip is the wildcard of either family.
func (n network) address(ip net.IP, port int, zone string) net.Addr {
	if n.udp() {
		return &net.UDPAddr{IP: ip, Port: port, Zone: zone}
	}
	return &net.TCPAddr{IP: ip, Port: port, Zone: zone}
}

// endpoint is what *net.TCPAddr and *net.UDPAddr have in common.
type endpoint struct {
	ip   net.IP
	port int
	zone string
}

// endpointOf takes an address apart. A nil pointer is the wildcard with port zero, as in package net.
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

// addr returns the address, an IPv4-mapped one as IPv4, and the zero Addr where there is none.
func (e endpoint) addr() netip.Addr {
	a, _ := netip.AddrFromSlice(e.ip)
	a = a.Unmap()
	if a.Is6() {
		a = a.WithZone(e.zone)
	}
	return a
}

// invalid returns package net's error for an IP that is of neither family's length.
func (e endpoint) invalid() error {
	if len(e.ip) == 0 || e.addr().IsValid() {
		return nil
	}
	family := "non-IPv6 address"
	if len(e.ip) < net.IPv4len {
		family = "non-IPv4 address"
	}
	return &net.AddrError{Err: family, Addr: e.ip.String()}
}

// with returns a with e's port. Package net has 16-bit ports only where it parses them; a larger number in
// a TCPAddr wraps in the kernel, and is refused here.
func (e endpoint) with(a netip.Addr) (netip.AddrPort, error) {
	if err := e.invalid(); err != nil {
		return netip.AddrPort{}, err
	}
	if e.port < 0 || e.port > 65535 {
		return netip.AddrPort{}, &net.AddrError{Err: "invalid port", Addr: itoa(e.port)}
	}
	return netip.AddrPortFrom(a, uint16(e.port)), nil
}

// listen returns where a listener of network n on e is bound. As package net has it, the wildcard of "tcp"
// and "udp" is "::" and takes both families.
func (n network) listen(e endpoint) (netip.AddrPort, stack.BindOptions, error) {
	opt := stack.BindOptions{ReuseAddr: !n.udp()}
	a := e.addr()
	switch {
	case n.v4():
		if e.wildcard() {
			a = netip.IPv4Unspecified()
		}
		if !a.Is4() {
			return netip.AddrPort{}, opt, &net.AddrError{Err: "non-IPv4 address", Addr: a.String()}
		}
	case n.v6():
		opt.V6Only = true
		if e.wildcard() {
			a = netip.IPv6Unspecified()
		}
		if a.Is4() {
			return netip.AddrPort{}, opt, syscallError("bind", syscall.EINVAL)
		}
	case e.wildcard():
		a = netip.IPv6Unspecified()
	}
	ap, err := e.with(a)
	return ap, opt, err
}

// remote returns the address that a dial of network n to e goes to. A wildcard stays one: the stack takes
// it for the loopback address of its family.
func (n network) remote(e endpoint) (netip.AddrPort, error) {
	a := e.addr()
	switch {
	case len(e.ip) == 0 && n.v6():
		a = netip.IPv6Unspecified()
	case len(e.ip) == 0:
		a = netip.IPv4Unspecified()
	case n.v4() && !a.Is4():
		return netip.AddrPort{}, &net.AddrError{Err: "non-IPv4 address", Addr: a.String()}
	case n.v6() && a.Is4() && a.IsUnspecified():
		a = netip.IPv6Unspecified()
	case n.v6() && a.Is4():
		return netip.AddrPort{}, syscallError("connect", syscall.ENETUNREACH)
	}
	return e.with(a)
}

// local returns the address that a dial of network n from e to remote is bound to.
func (n network) local(e endpoint, remote netip.Addr) (netip.AddrPort, error) {
	if err := e.invalid(); err != nil {
		return netip.AddrPort{}, err
	}
	a := e.addr()
	switch {
	case e.wildcard() && remote.Is4():
		a = netip.IPv4Unspecified()
	case e.wildcard():
		a = netip.IPv6Unspecified()
	case n.v4() && !a.Is4():
		return netip.AddrPort{}, &net.AddrError{Err: "non-IPv4 address", Addr: a.String()}
	case a.Is4() != remote.Is4():
		return netip.AddrPort{}, syscallError("bind", syscall.EADDRNOTAVAIL)
	}
	return e.with(a)
}

// tcpAddr returns ap as package net has it, in one allocation. An IPv4 address has four octets, or is an
// IPv4-mapped one of sixteen where mapped says so: on a socket for both families.
func tcpAddr(ap netip.AddrPort, mapped bool) *net.TCPAddr {
	v := new(tcpAddress)
	return v.set(ap, mapped)
}

// tcpAddress is an address and the octets that it refers to.
type tcpAddress struct {
	net.TCPAddr
	octets [16]byte
}

func (v *tcpAddress) set(ap netip.AddrPort, mapped bool) *net.TCPAddr {
	v.IP, v.Port, v.Zone = octets(&v.octets, ap.Addr(), mapped), int(ap.Port()), ap.Addr().Zone()
	return &v.TCPAddr
}

// udpAddr is tcpAddr for UDP.
func udpAddr(ap netip.AddrPort, mapped bool) *net.UDPAddr {
	v := &struct {
		net.UDPAddr
		octets [16]byte
	}{}
	v.IP, v.Port, v.Zone = octets(&v.octets, ap.Addr(), mapped), int(ap.Port()), ap.Addr().Zone()
	return &v.UDPAddr
}

// octets puts a into p and returns the slice that holds it; nil for the zero Addr.
func octets(p *[16]byte, a netip.Addr, mapped bool) net.IP {
	a = a.Unmap()
	switch {
	case a.Is4() && !mapped:
		b := a.As4()
		return p[:copy(p[:4], b[:]):4]
	case a.IsValid():
		*p = a.As16()
		return p[:]
	}
	return nil
}

// isLocalhost says whether host is the name that RFC 6761 6.3 keeps for the loopback addresses.
func isLocalhost(host string) bool {
	return strings.EqualFold(strings.TrimSuffix(host, "."), "localhost")
}
