package unet

import (
	"errors"
	"net/netip"
	"slices"
	"syscall"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/link"
)

// check refuses a configuration that contradicts itself or is not possible, and converts IPv4-mapped addresses to IPv4.
func (cfg *Config) check() error {
	cfg.unmap()
	switch {
	case cfg.Device != "" && cfg.Link != nil:
		return errors.New("unet: Config has both Device and Link")
	case cfg.Device == "" && len(cfg.PeerAddrs) > 0:
		return errors.New("unet: Config.PeerAddrs without Device")
	case cfg.Device == "" && cfg.MAC != (link.MAC{}):
		return errors.New("unet: Config.MAC without Device: a Link has an address of its own")
	case cfg.MAC[0]&1 != 0:
		return errorf("unet: Config.MAC is %v, the address of a group, which no host can have", cfg.MAC)
	case cfg.Announce > stack.AnnounceNever:
		return errorf("unet: Config.Announce is %d, which means nothing", cfg.Announce)
	case cfg.Device == "" && cfg.Link == nil && (len(cfg.Addrs) > 0 || len(cfg.Routes) > 0 || cfg.Gateway.IsValid() || cfg.Gateway6.IsValid()):
		return errors.New("unet: Config has addresses or routes, but neither Device nor Link")
	case cfg.MTU < 0 || cfg.MTU > 65535:
		return errorf("unet: Config.MTU is %d, outside of 0 to 65535", cfg.MTU)
	}
	for _, s := range cfg.DNS {
		if !s.Addr().IsValid() {
			return errors.New("unet: Config.DNS has a server without an address")
		}
	}
	return cfg.checkAddrs()
}

// unmap converts IPv4-mapped addresses to IPv4 (RFC 4291 2.5.5.2).
func (cfg *Config) unmap() {
	cfg.Addrs, cfg.PeerAddrs = unmapPrefixes(cfg.Addrs), unmapPrefixes(cfg.PeerAddrs)
	cfg.Gateway = cfg.Gateway.Unmap()
	cfg.Routes = slices.Clone(cfg.Routes)
	for i, r := range cfg.Routes {
		cfg.Routes[i].Dst, cfg.Routes[i].Via = unmapPrefix(r.Dst), r.Via.Unmap()
	}
	cfg.DNS = slices.Clone(cfg.DNS)
	for i, s := range cfg.DNS {
		cfg.DNS[i] = unmap(s)
	}
}

// checkAddrs refuses addresses that no host can have or that are given twice, and a gateway that cannot be one.
func (cfg *Config) checkAddrs() error {
	own := make(map[netip.Addr]bool)
	for _, p := range cfg.Addrs {
		switch a := p.Addr(); {
		case !p.IsValid() || !isStation(a) || a == limitedBroadcast:
			return errorf("unet: Config.Addrs has %v, which no host can have: %w", p, syscall.EINVAL)
		case own[a]:
			return errorf("unet: Config.Addrs has %v twice: %w", a, syscall.EADDRINUSE)
		default:
			own[a] = true
		}
	}
	for _, p := range cfg.PeerAddrs {
		if own[p.Addr()] {
			return errorf("unet: Config.PeerAddrs has %v, which is the host's own: %w", p.Addr(), syscall.EADDRINUSE)
		}
	}
	for i, gw := range cfg.gateways() {
		field := [...]string{"Gateway", "Gateway6"}[i]
		switch {
		case !gw.IsValid():
		case !isStation(gw) || own[gw]:
			return errorf("unet: Config.%s is %v, which is no other host's address", field, gw)
		case i == 1 && (!gw.Is6() || cfg.Gateway.Is6()):
			return errors.New("unet: Config.Gateway6 wants an address of IPv6, and one of IPv4 in Config.Gateway, if any")
		}
	}
	return nil
}

// gateways returns the two gateways, either of which may be none.
func (cfg *Config) gateways() [2]netip.Addr { return [...]netip.Addr{cfg.Gateway, cfg.Gateway6} }

// isStation reports whether a can be the address of one host on a network.
func isStation(a netip.Addr) bool { return !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() }
