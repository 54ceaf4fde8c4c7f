package stack

import (
	"net/netip"

	"github.com/unet-go/unet/stack/tcp"
)

// A link-local address of IPv6 means another host on each interface (RFC 4007 6). In package ip, and in everything that
// this package takes and returns, it carries the interface's name as its zone. The key of a flow has the interface's index
// instead.

// scope returns the scope of a flow between two addresses: the index of the interface that a zone names, 0 without a zone.
func (c *core) scope(local, remote netip.Addr) uint32 {
	if local.Is4() {
		return 0
	}
	zone := local.Zone()
	if zone == "" {
		zone = remote.Zone()
	}
	if zone == "" {
		return 0
	}
	index, _ := c.interfaceIndex(zone)
	return uint32(index)
}

// interfaceIndex returns the index of the interface with a name. It is false when there is none.
func (c *core) interfaceIndex(name string) (index int, ok bool) {
	for _, ifc := range c.ip.Interfaces() {
		if ifc.Name() == name {
			return ifc.Index(), true
		}
	}
	return 0, false
}

// flowKey returns the key of a flow between two addresses with their zones.
func (c *core) flowKey(local, remote netip.AddrPort) flowKey {
	return makeKey(local, remote, c.scope(local.Addr(), remote.Addr()))
}

// tuple returns the four-tuple of a key, with zones.
func (c *core) tuple(k *flowKey) tcp.Tuple {
	t := tcp.Tuple{Local: k.local(), Remote: k.remote()}
	if k.scope() != 0 {
		t.Local, t.Remote = c.zoned(t.Local, k.scope()), c.zoned(t.Remote, k.scope())
	}
	return t
}

// local returns the local address of a key, with its zone.
func (c *core) local(k *flowKey) netip.AddrPort {
	if k.scope() != 0 {
		return c.zoned(k.local(), k.scope())
	}
	return k.local()
}

// zoned gives a link-local address the zone that a scope stands for. Others stay as they are.
func (c *core) zoned(a netip.AddrPort, scope uint32) netip.AddrPort {
	list := c.ip.Interfaces()
	if !hasZone(a.Addr()) || int(scope) >= len(list) {
		return a
	}
	return netip.AddrPortFrom(a.Addr().WithZone(list[scope].Name()), a.Port())
}

// hasZone says whether an address means something else on each link, so that it needs a zone (RFC 4007 5).
func hasZone(a netip.Addr) bool {
	return a.Is6() && (a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast() || a.IsInterfaceLocalMulticast())
}

// plain returns an address as this package keeps it: an IPv4-mapped one as IPv4 (RFC 4291 2.5.5.2), and one that means the
// same on every link without a zone, as Linux takes no notice of that.
func plain(a netip.Addr) netip.Addr {
	if a = a.Unmap(); a.Zone() != "" && !hasZone(a) {
		a = a.WithZone("")
	}
	return a
}
