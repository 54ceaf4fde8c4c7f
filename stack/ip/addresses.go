package ip

import (
	"net/netip"
	"slices"

	"github.com/unet-go/unet/internal/mono"
)

// source returns the address to send from over the interface to dst by way of nextHop.
func (t *topology) source(ifc *Interface, nextHop, dst netip.Addr) netip.Addr {
	return sourceOf(t.addrs[ifc.index], nextHop, dst)
}

// hasAddr says whether a is an address of the interface.
func (t *topology) hasAddr(ifc *Interface, a netip.Addr) bool {
	return indexOf(t.addrs[ifc.index], a) >= 0
}

// indexOf returns where an address stands, -1 if it does not.
func indexOf(addrs []address, a netip.Addr) int {
	for i := range addrs {
		if addrs[i].addr == a {
			return i
		}
	}
	return -1
}

// Addrs returns the addresses with the lengths of their networks, without loopback's.
func (c *core) Addrs() (addrs []netip.Prefix) {
	for _, list := range c.topology.Load().addrs {
		for _, a := range list {
			addrs = append(addrs, a.prefix)
		}
	}
	return addrs
}

// IsLocal says whether a is an address of this host.
func (c *core) IsLocal(a netip.Addr) bool {
	return a.IsLoopback() || c.topology.Load().class(a) == own
}

// IsBroadcast says whether a is a broadcast address, of a network of the host's or of any.
func (c *core) IsBroadcast(a netip.Addr) bool {
	return isLimitedBroadcast(a) || c.topology.Load().class(a) == broadcast
}

// lifetimes ends the lifetimes of addresses.
type lifetimes struct{ *core }

func (c lifetimes) nextDeadline() (at mono.Time, ok bool) {
	at = c.topology.Load().ends
	return at, at != 0
}

// note notes when the state of an address changes next.
func (t *topology) note(a address) {
	for _, end := range [...]mono.Time{a.preferredUntil, a.validUntil} {
		if end != 0 && (t.ends == 0 || end < t.ends) {
			t.ends = end
		}
	}
}

func (c lifetimes) advance(now mono.Time) []Report {
	_ = c.change(func(t *topology) error {
		t.age(now)
		return nil
	})
	return nil
}

// age deprecates addresses, and removes them with the routes to their networks.
func (t *topology) age(now mono.Time) {
	passed := func(at mono.Time) bool { return at != 0 && at <= now }
	t.ends = 0
	for i, addrs := range t.addrs {
		kept := make([]address, 0, len(addrs))
		for _, a := range addrs {
			if passed(a.validUntil) {
				t.removeNetwork(t.ifaces[i], a.prefix)
				continue
			}
			if passed(a.preferredUntil) {
				a.state, a.preferredUntil = deprecated, 0
			}
			kept = append(kept, a)
			t.note(a)
		}
		if len(addrs) > 0 {
			t.addrs[i] = kept
		}
	}
	t.reclassify()
}

// removeNetwork removes one route to the network of an address that goes.
func (t *topology) removeNetwork(ifc *Interface, p netip.Prefix) {
	at := slices.IndexFunc(t.routes, func(e hop) bool {
		return e.iface == ifc && e.dst == p.Masked() && !e.via.IsValid() && !e.onLink
	})
	if at >= 0 {
		t.routes = slices.Delete(t.routes, at, at+1)
	}
}
