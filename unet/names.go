package unet

import (
	"net"
	"net/netip"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/link"
)

// names are the names that the network of a host's device knows.
type names struct {
	device link.Namer              // nil where the device knows none
	others func() []netip.AddrPort // the servers to ask for other names
	sorter *stack.Host
}

// lookup returns the addresses of a name, in the order of RFC 6724. found says that the answer is that, with an error if nobody
// has the name; otherwise a resolver has to be asked.
func (n *names) lookup(name string) (addrs []netip.Addr, found bool, err error) {
	if n.device == nil || isLocalhost(name) {
		return nil, false, nil
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return nil, false, nil
	}
	addrs, known := n.device.LookupHost(name)
	if len(addrs) == 0 {
		if !known || len(n.others()) > 0 {
			return nil, false, nil
		}
		return nil, true, noSuchHost(name)
	}
	n.sorter.SortDestinations(addrs)
	return addrs, true, nil
}

// noSuchHost is the error of package net for a name that does not exist.
func noSuchHost(name string) error {
	return &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

// ips is lookup in the form of package net.
func (n *names) ips(name string) (ips []net.IPAddr, found bool, err error) {
	addrs, found, err := n.lookup(name)
	return ipAddrs(addrs), found, err
}

// ipAddrs returns addresses in the form of package net.
func ipAddrs(addrs []netip.Addr) []net.IPAddr {
	ips := make([]net.IPAddr, len(addrs))
	for i, a := range addrs {
		ips[i] = net.IPAddr{IP: a.Unmap().AsSlice(), Zone: a.Zone()}
	}
	return ips
}

// family is lookup for the addresses of the network "ip", "ip4" or "ip6".
func (n *names) family(network, name string) (addrs []netip.Addr, found bool, err error) {
	all, found, err := n.lookup(name)
	for _, a := range all {
		if network == "ip" || a.Is4() == (network == "ip4") {
			addrs = append(addrs, a)
		}
	}
	if found && err == nil && len(addrs) == 0 {
		err = noSuchHost(name)
	}
	return addrs, found, err
}
