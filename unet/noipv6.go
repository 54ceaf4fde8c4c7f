package unet

import (
	"fmt"
	"net/netip"
	"slices"
	"syscall"
)

// noIPv6 returns the error for a configuration with an IPv6 address: the stack drops packets of IPv6. It wraps
// EAFNOSUPPORT.
func noIPv6(where string, a any) error {
	return fmt.Errorf("unet: %s has %v, and there is no IPv6 yet: %w", where, a, syscall.EAFNOSUPPORT)
}

// checkFamilies refuses IPv6 addresses and converts IPv4-mapped ones to IPv4 (RFC 4291 2.5.5.2).
func (cfg *Config) checkFamilies() (err error) {
	if cfg.Addrs, err = unmapPrefixes("Config.Addrs", cfg.Addrs); err != nil {
		return err
	}
	if cfg.PeerAddrs, err = unmapPrefixes("Config.PeerAddrs", cfg.PeerAddrs); err != nil {
		return err
	}
	if cfg.Gateway = cfg.Gateway.Unmap(); cfg.Gateway.Is6() {
		return noIPv6("Config.Gateway", cfg.Gateway)
	}
	cfg.Routes = slices.Clone(cfg.Routes)
	for i, r := range cfg.Routes {
		dst, via := unmapPrefix(r.Dst), r.Via.Unmap()
		if dst.Addr().Is6() || via.Is6() {
			return noIPv6("Config.Routes", routeText(r))
		}
		cfg.Routes[i].Dst, cfg.Routes[i].Via = dst, via
	}
	cfg.DNS = slices.Clone(cfg.DNS)
	for i, s := range cfg.DNS {
		if cfg.DNS[i] = unmap(s); cfg.DNS[i].Addr().Is6() {
			return noIPv6("Config.DNS", s)
		}
	}
	return nil
}

// unmapPrefixes returns a copy of list in which IPv4-mapped prefixes are IPv4. It refuses those of IPv6. Prefixes that are
// not valid stay as they are.
func unmapPrefixes(where string, list []netip.Prefix) ([]netip.Prefix, error) {
	list = slices.Clone(list)
	for i, p := range list {
		if list[i] = unmapPrefix(p); list[i].Addr().Is6() {
			return nil, noIPv6(where, p)
		}
	}
	return list, nil
}

// unmapPrefix returns an IPv4-mapped prefix as one of IPv4, and any other as it is.
func unmapPrefix(p netip.Prefix) netip.Prefix {
	const mapped = 96 // bits in front of the IPv4 address
	if a := p.Addr(); a.Is4In6() && p.Bits() >= mapped {
		return netip.PrefixFrom(a.Unmap(), p.Bits()-mapped)
	}
	return p
}
