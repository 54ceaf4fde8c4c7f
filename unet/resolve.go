package unet

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
)

var (
	loopback4 = net.IP{127, 0, 0, 1}
	loopback6 = net.IPv6loopback
)

// resolve turns "host:port" into one or more addresses of network n, *net.TCPAddr or *net.UDPAddr. Literal
// addresses, "localhost" and decimal ports need no resolver. An empty host is the wildcard.
func (h *Host) resolve(ctx context.Context, r *net.Resolver, n network, address string) ([]net.Addr, error) {
	if address == "" {
		return []net.Addr{n.address(nil, 0, "")}, nil
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := cmp.Or(r, net.DefaultResolver).LookupPort(ctx, n.String(), service)
	if err != nil {
		return nil, err
	}
	if host == "" {
		return []net.Addr{n.address(nil, port, "")}, nil
	}
	ips, err := h.lookup(ctx, r, host)
	if err != nil {
		return nil, err
	}
	var near, far []net.Addr
	for _, ip := range ips {
		is4 := ip.IP.To4() != nil
		switch {
		case is4 && n.v6(), !is4 && n.v4():
		case h.reaches(ip.IP, is4):
			near = append(near, n.address(ip.IP, port, ip.Zone))
		default:
			far = append(far, n.address(ip.IP, port, ip.Zone))
		}
	}
	if addrs := append(near, far...); len(addrs) > 0 {
		return addrs, nil
	}
	return nil, &net.AddrError{Err: errNoAddress.Error(), Addr: host}
}

func (h *Host) lookup(ctx context.Context, r *net.Resolver, host string) ([]net.IPAddr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []net.IPAddr{{IP: a.AsSlice(), Zone: a.Zone()}}, nil
	}
	if isLocalhost(host) {
		return []net.IPAddr{{IP: loopback4}, {IP: loopback6}}, nil
	}
	if r == nil && len(h.dns) > 0 {
		return h.ask(ctx, host)
	}
	return cmp.Or(r, net.DefaultResolver).LookupIPAddr(ctx, host)
}

// ask asks the host's own servers, one after the other until one knows whether there is such a name. The
// questions are Go's resolver's: it repeats them, takes TCP for long answers, and minds the machine's hosts
// file and search list.
func (h *Host) ask(ctx context.Context, name string) (ips []net.IPAddr, err error) {
	d := Dialer{Host: h}
	for _, server := range h.dns {
		r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return d.DialContext(ctx, network, server.String())
		}}
		ips, err = r.LookupIPAddr(ctx, name)
		var failed *net.DNSError
		if !errors.As(err, &failed) {
			return ips, err
		}
		if failed.Server != "" {
			failed.Server = server.String() // and not the one of the machine, whose place it takes
		}
		if failed.IsNotFound || ctx.Err() != nil {
			return nil, err
		}
	}
	return nil, err
}

// reaches says whether the host has an address of ip's family. The resolver sorts by what the kernel can
// reach, which says nothing about this stack.
func (h *Host) reaches(ip net.IP, is4 bool) bool {
	if ip.IsLoopback() {
		return true
	}
	for _, p := range h.stack.Addrs() {
		if !p.Addr().IsLoopback() && p.Addr().Is4() == is4 {
			return true
		}
	}
	return false
}

// resolveDial is resolve for a dial from local, which may be nil: addresses of the other family are left out.
func (h *Host) resolveDial(ctx context.Context, r *net.Resolver, n network, address string, local net.Addr) ([]net.Addr, error) {
	if address == "" {
		return nil, errMissingAddress
	}
	addrs, err := h.resolve(ctx, r, n, address)
	if err != nil || local == nil {
		return addrs, err
	}
	from, ok := endpointOf(local)
	if _, udp := local.(*net.UDPAddr); !ok || udp != n.udp() {
		return nil, &net.AddrError{Err: "mismatched local address type", Addr: local.String()}
	}
	suitable := addrs[:0]
	for _, a := range addrs {
		to, _ := endpointOf(a)
		if from.wildcard() || to.wildcard() || from.addr().Is4() == to.addr().Is4() {
			suitable = append(suitable, a)
		}
	}
	if len(suitable) == 0 {
		return nil, &net.AddrError{Err: errNoAddress.Error(), Addr: local.String()}
	}
	return suitable, nil
}

func isIPv4(a net.Addr) bool {
	e, _ := endpointOf(a)
	return e.ip.To4() != nil
}

// firstIPv4 returns the address to listen on: the first IPv4 one, or else the first.
func firstIPv4(addrs []net.Addr) net.Addr {
	for _, a := range addrs {
		if isIPv4(a) {
			return a
		}
	}
	return addrs[0]
}

// partition splits addrs into those of the first one's family and the others.
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
