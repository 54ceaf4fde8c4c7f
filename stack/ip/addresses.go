package ip

import (
	"net/netip"
	"slices"
	"syscall"

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

// stateOf returns the state of an address of the interface.
func (t *topology) stateOf(ifc *Interface, a netip.Addr) AddrState {
	for _, own := range t.addrs[ifc.index] {
		if own.addr == a {
			return own.state
		}
	}
	return AddrPreferred
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
// It is called in many places, none of them hot, and is not copied to them.
//
//go:noinline
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

// note notes when the state of an address changes next. A tentative one is deprecated when it is known to be unique.
func (t *topology) note(a address) {
	if a.state == AddrTentative {
		a.preferredUntil = 0
	}
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
				t.dropNetwork(t.ifaces[i], &a)
				continue
			}
			if passed(a.preferredUntil) && a.state != AddrTentative {
				a.state, a.preferredUntil = AddrDeprecated, 0
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
	found := false
	t.dropRoutes(func(e *hop) bool {
		if found || e.iface != ifc || e.dst != p.Masked() || e.via.IsValid() || e.onLink {
			return false
		}
		found = true
		return true
	})
}

// give gives the interface an address, or changes the one that it has. It returns what is new, a link-local address with
// the first one of IPv6 among it.
func (t *topology) give(ifc *Interface, a Address, now mono.Time, replace bool) (added []address, err error) {
	p := a.Prefix
	if !p.IsValid() || p.Addr().Is4In6() || !isUnicast(p.Addr()) || p.Addr().IsLoopback() || p.Addr().Zone() != "" ||
		p.Addr().Is6() && ifc.currentMTU() < leastMTU6 {
		return nil, syscall.EINVAL
	}
	own := newAddress(p, ifc.info.Name)
	own.temporary, own.noRoute = a.Temporary, a.NoRoute
	own.live(a, now)
	if at := indexOf(t.addrs[ifc.index], own.addr); at >= 0 {
		old := t.addrs[ifc.index][at]
		if !replace {
			return nil, syscall.EEXIST
		}
		if old.prefix != p || old.noRoute != a.NoRoute {
			return nil, syscall.EINVAL
		}
		if !old.state.detected() {
			own.state = old.state
		}
		t.addrs[ifc.index] = slices.Clone(t.addrs[ifc.index])
		t.addrs[ifc.index][at] = own
		t.renote()
		return nil, nil
	}
	added = []address{own}
	if !anyIPv6(t.addrs[ifc.index]) {
		added = withLinkLocal(added, &ifc.info)
	}
	ifc.optimistically(added)
	for _, n := range added {
		if err := t.addAddress(ifc, n); err != nil {
			return nil, err
		}
	}
	return added, nil
}

// live sets the times of an address from how long they are away.
func (a *address) live(times Address, now mono.Time) {
	if times.ValidFor > 0 {
		a.validUntil = now.Add(times.ValidFor)
	}
	switch {
	case times.PreferredFor < 0:
		a.state = AddrDeprecated
	case times.PreferredFor > 0:
		a.preferredUntil = now.Add(times.PreferredFor)
	}
}

// take takes an address away from an interface: with the route to its network and, when no other address of its family is
// left there, with the routes of the family over the interface.
func (t *topology) take(ifc *Interface, a netip.Addr) {
	at := indexOf(t.addrs[ifc.index], a)
	own := t.addrs[ifc.index][at]
	kept := make([]address, 0, len(t.addrs[ifc.index])-1)
	kept = append(kept, t.addrs[ifc.index][:at]...)
	t.addrs[ifc.index] = append(kept, t.addrs[ifc.index][at+1:]...)
	t.dropNetwork(ifc, &own)
	if left := t.addrs[ifc.index]; len(left) == 0 || a.Is6() && !anyIPv6(left) || a.Is4() && !anyIPv4(left) {
		t.dropRoutes(func(e *hop) bool { return e.iface == ifc && e.dst.Addr().Is4() == a.Is4() })
	}
	t.reclassify()
	t.renote()
}

// dropNetwork removes the route to the network of an address that goes, if the address has brought one.
func (t *topology) dropNetwork(ifc *Interface, own *address) {
	if !own.noRoute {
		t.removeNetwork(ifc, own.prefix)
	}
}

// renote works out again when the state of an address changes next.
//
//go:noinline
func (t *topology) renote() {
	t.ends = 0
	for _, addrs := range t.addrs {
		for _, a := range addrs {
			t.note(a)
		}
	}
}

// optimistically gives the IPv6 addresses of an interface that finds out whether they are its own the state of those that
// are not known to be.
func (ifc *Interface) optimistically(addrs []address) {
	for i := range addrs {
		if ifc.detector != nil && addrs[i].addr.Is6() {
			addrs[i].state = ifc.undetected
		}
	}
}
