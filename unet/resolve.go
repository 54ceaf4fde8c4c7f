package unet

import (
	"cmp"
	"context"
	"net"
	"net/netip"
)

// split divides an address of network n into host and port; one of IP has no port.
func (n network) split(ctx context.Context, r *net.Resolver, address string) (host string, port int, err error) {
	if n.ip() {
		return address, 0, nil
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	port, err = cmp.Or(r, net.DefaultResolver).LookupPort(ctx, n.String(), service)
	return host, port, err
}

// resolve turns "host:port" into one or more addresses of network n, *net.TCPAddr or *net.UDPAddr. Literal
// addresses, "localhost" and decimal ports need no resolver. An empty host is the wildcard.
func (h *Host) resolve(ctx context.Context, r *net.Resolver, n network, address string) ([]net.Addr, error) {
	if address == "" {
		return []net.Addr{n.address(nil, 0, "")}, nil
	}
	host, port, err := n.split(ctx, r, address)
	if err != nil {
		return nil, err
	}
	if host == "" {
		return []net.Addr{n.address(nil, port, "")}, nil
	}
	ips, err := h.addressesOf(ctx, r, n, host)
	if err != nil {
		return nil, err
	}
	var addrs []net.Addr
	for _, ip := range ips {
		if n.allows(ip.IP) {
			addrs = append(addrs, n.address(ip.IP, port, ip.Zone))
		}
	}
	if len(addrs) == 0 {
		return nil, &net.AddrError{Err: errNoAddress.Error(), Addr: host}
	}
	return addrs, nil
}

// addressesOf returns the addresses of host that network n may have, in the order in which a dial tries them (RFC 6724). It
// returns a literal address as it is.
func (h *Host) addressesOf(ctx context.Context, r *net.Resolver, n network, host string) ([]net.IPAddr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		ips := []net.IPAddr{{IP: a.AsSlice(), Zone: a.Zone()}}
		if a == netip.IPv6Unspecified() { // as in package net, for hosts that support IPv6 in part
			ips = append(ips, net.IPAddr{IP: net.IPv4zero})
		}
		return ips, nil
	}
	if isLocalhost(host) {
		return n.loopbacks(), nil
	}
	if r == nil {
		if ips, found, err := h.names.ips(host); found {
			return ips, err
		}
	}
	lookup := func(ctx context.Context, r *net.Resolver) ([]netip.Addr, error) {
		return r.LookupNetIP(ctx, n.lookupFamily(h.Addrs()), host)
	}
	var found []netip.Addr
	var err error
	if r != nil {
		found, err = lookup(ctx, r)
	} else {
		found, err = ask(ctx, h, lookup)
	}
	h.stack.SortDestinations(found)
	return ipAddrs(found), err
}

// resolveDial is resolve for a dial from local, which may be nil. It leaves out addresses of another family than local's.
func (h *Host) resolveDial(ctx context.Context, r *net.Resolver, n network, address string, local net.Addr) ([]net.Addr, error) {
	if address == "" {
		return nil, errMissingAddress
	}
	addrs, err := h.resolve(ctx, r, n, address)
	if err != nil || local == nil {
		return addrs, err
	}
	from, ok := endpointOf(local)
	if !ok || local.Network() != addrs[0].Network() {
		return nil, &net.AddrError{Err: "mismatched local address type", Addr: local.String()}
	}
	suitable := addrs[:0]
	for _, a := range addrs {
		to, _ := endpointOf(a)
		if from.wildcard() || to.wildcard() || from.sameFamily(to) {
			suitable = append(suitable, a)
		}
	}
	if len(suitable) == 0 {
		return nil, &net.AddrError{Err: errNoAddress.Error(), Addr: local.String()}
	}
	return suitable, nil
}
