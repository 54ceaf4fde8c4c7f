package unet

import (
	"context"
	"net"
	"net/netip"
)

// LookupHost is net.LookupHost by this host's Resolver, or by the names that its device knows: see Config.Link.
func (h *Host) LookupHost(host string) ([]string, error) {
	if addrs, found, err := h.names.lookup(host); found {
		var texts []string
		for _, a := range addrs {
			texts = append(texts, a.String())
		}
		return texts, err
	}
	return ask(context.Background(), h, func(ctx context.Context, r *net.Resolver) ([]string, error) { return r.LookupHost(ctx, host) })
}

// LookupIP is net.LookupIP by this host's Resolver, or by the names that its device knows: addresses of both families.
func (h *Host) LookupIP(host string) ([]net.IP, error) {
	if addrs, found, err := h.names.lookup(host); found {
		var ips []net.IP
		for _, a := range addrs {
			ips = append(ips, a.AsSlice())
		}
		return ips, err
	}
	return ask(context.Background(), h, func(ctx context.Context, r *net.Resolver) ([]net.IP, error) { return r.LookupIP(ctx, "ip", host) })
}

// LookupIPAddr is (*net.Resolver).LookupIPAddr by this host's Resolver, or by the names that its device knows.
func (h *Host) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	if ips, found, err := h.names.ips(host); found {
		return ips, err
	}
	return ask(ctx, h, func(ctx context.Context, r *net.Resolver) ([]net.IPAddr, error) { return r.LookupIPAddr(ctx, host) })
}

// LookupNetIP is (*net.Resolver).LookupNetIP by this host's Resolver, or by the names that its device knows. The network is
// "ip", "ip4" or "ip6".
func (h *Host) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if addrs, found, err := h.names.family(network, host); found {
		return addrs, err
	}
	return ask(ctx, h, func(ctx context.Context, r *net.Resolver) ([]netip.Addr, error) {
		return r.LookupNetIP(ctx, network, host)
	})
}

// LookupAddr is net.LookupAddr by this host's Resolver.
func (h *Host) LookupAddr(addr string) (names []string, err error) {
	return ask(context.Background(), h, func(ctx context.Context, r *net.Resolver) ([]string, error) { return r.LookupAddr(ctx, addr) })
}

// LookupCNAME is net.LookupCNAME by this host's Resolver.
func (h *Host) LookupCNAME(host string) (cname string, err error) {
	return ask(context.Background(), h, func(ctx context.Context, r *net.Resolver) (string, error) { return r.LookupCNAME(ctx, host) })
}

// LookupMX is net.LookupMX by this host's Resolver.
func (h *Host) LookupMX(name string) ([]*net.MX, error) {
	return ask(context.Background(), h, func(ctx context.Context, r *net.Resolver) ([]*net.MX, error) { return r.LookupMX(ctx, name) })
}

// LookupNS is net.LookupNS by this host's Resolver.
func (h *Host) LookupNS(name string) ([]*net.NS, error) {
	return ask(context.Background(), h, func(ctx context.Context, r *net.Resolver) ([]*net.NS, error) { return r.LookupNS(ctx, name) })
}

// LookupPort is net.LookupPort. It asks no server: the numbers of services are in the machine's /etc/services.
func (h *Host) LookupPort(network, service string) (port int, err error) {
	return net.LookupPort(network, service)
}

// LookupSRV is net.LookupSRV by this host's Resolver.
func (h *Host) LookupSRV(service, proto, name string) (cname string, addrs []*net.SRV, err error) {
	addrs, err = ask(context.Background(), h, func(ctx context.Context, r *net.Resolver) (addrs []*net.SRV, err error) {
		cname, addrs, err = r.LookupSRV(ctx, service, proto, name)
		return addrs, err
	})
	return cname, addrs, err
}

// LookupTXT is net.LookupTXT by this host's Resolver.
func (h *Host) LookupTXT(name string) ([]string, error) {
	return ask(context.Background(), h, func(ctx context.Context, r *net.Resolver) ([]string, error) { return r.LookupTXT(ctx, name) })
}

// onDefault makes a lookup by the default host, which it makes if there is none; see Default.
func onDefault[T any](name string, lookup func(*Host) (T, error)) (T, error) {
	h, err := Default()
	if err != nil {
		var none T
		return none, &net.DNSError{UnwrapErr: err, Err: err.Error(), Name: name}
	}
	return lookup(h)
}

// LookupHost is net.LookupHost by the default host's Resolver. Errors are *net.DNSError.
func LookupHost(host string) (addrs []string, err error) {
	return onDefault(host, func(h *Host) ([]string, error) { return h.LookupHost(host) })
}

// LookupIP is net.LookupIP by the default host's Resolver.
func LookupIP(host string) ([]net.IP, error) {
	return onDefault(host, func(h *Host) ([]net.IP, error) { return h.LookupIP(host) })
}

// LookupIPAddr is (*net.Resolver).LookupIPAddr by the default host's Resolver.
func LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	return onDefault(host, func(h *Host) ([]net.IPAddr, error) { return h.LookupIPAddr(ctx, host) })
}

// LookupNetIP is (*net.Resolver).LookupNetIP by the default host's Resolver.
func LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return onDefault(host, func(h *Host) ([]netip.Addr, error) { return h.LookupNetIP(ctx, network, host) })
}

// LookupAddr is net.LookupAddr by the default host's Resolver.
func LookupAddr(addr string) (names []string, err error) {
	return onDefault(addr, func(h *Host) ([]string, error) { return h.LookupAddr(addr) })
}

// LookupCNAME is net.LookupCNAME by the default host's Resolver.
func LookupCNAME(host string) (cname string, err error) {
	return onDefault(host, func(h *Host) (string, error) { return h.LookupCNAME(host) })
}

// LookupMX is net.LookupMX by the default host's Resolver.
func LookupMX(name string) ([]*net.MX, error) {
	return onDefault(name, func(h *Host) ([]*net.MX, error) { return h.LookupMX(name) })
}

// LookupNS is net.LookupNS by the default host's Resolver.
func LookupNS(name string) ([]*net.NS, error) {
	return onDefault(name, func(h *Host) ([]*net.NS, error) { return h.LookupNS(name) })
}

// LookupPort is net.LookupPort, which needs no host.
func LookupPort(network, service string) (port int, err error) {
	return net.LookupPort(network, service)
}

// LookupSRV is net.LookupSRV by the default host's Resolver.
func LookupSRV(service, proto, name string) (cname string, addrs []*net.SRV, err error) {
	addrs, err = onDefault(name, func(h *Host) (addrs []*net.SRV, err error) {
		cname, addrs, err = h.LookupSRV(service, proto, name)
		return addrs, err
	})
	return cname, addrs, err
}

// LookupTXT is net.LookupTXT by the default host's Resolver.
func LookupTXT(name string) ([]string, error) {
	return onDefault(name, func(h *Host) ([]string, error) { return h.LookupTXT(name) })
}
