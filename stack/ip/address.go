package ip

import (
	"net/netip"
	"slices"
	"syscall"

	"github.com/unet-go/unet/internal/mono"
)

// addressState says what an address of an interface may be used for (RFC 4862 5.5.4).
type addressState uint8

const (
	preferred  addressState = iota // without bounds
	deprecated                     // for what has it already, and where there is no other
)

// address is one of the host's addresses on an interface. Times of 0 are never.
type address struct {
	prefix                     netip.Prefix // with the address, not masked
	state                      addressState
	preferredUntil, validUntil mono.Time // RFC 4862 5.5.4: then it is deprecated, and then gone
}

// newAddresses returns records of addresses that stay as they are for ever. EINVAL: an address that no host can have;
// EAFNOSUPPORT: one of IPv6, whose packets are dropped.
func newAddresses(prefixes []netip.Prefix) (addrs []address, err error) {
	for _, p := range prefixes {
		a := p.Addr().Unmap().WithZone("")
		if !p.IsValid() || a.Is4() != p.Addr().Is4() || !isUnicast(a) || a.IsLoopback() {
			return nil, syscall.EINVAL
		}
		if a.Is6() {
			return nil, syscall.EAFNOSUPPORT
		}
		addrs = append(addrs, address{prefix: netip.PrefixFrom(a, p.Bits())})
	}
	return addrs, nil
}

// isUnicast says whether a can be one host's address, by its own looks.
func isUnicast(a netip.Addr) bool {
	if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() {
		return false
	}
	return familyOf(a).isUnicast(a)
}

// source returns the address to send from to an address on or behind the interface's network: one in the same network,
// else any of the family; one that is preferred, else a deprecated one. The first of several is chosen.
func (t *topology) source(ifc *Interface, nextHop netip.Addr) (found netip.Addr) {
	best := 0
	for _, a := range t.addrs[ifc.index] {
		if a.prefix.Addr().Is4() != nextHop.Is4() {
			continue
		}
		score := 1
		if a.prefix.Contains(nextHop) {
			score++
		}
		if a.state == preferred {
			score += 2
		}
		if score > best {
			best, found = score, a.prefix.Addr()
		}
		if best == 4 { // none is better; most often it is the first one
			break
		}
	}
	return found
}

// hasAddr says whether a is an address of the interface.
func (t *topology) hasAddr(ifc *Interface, a netip.Addr) bool {
	return slices.ContainsFunc(t.addrs[ifc.index], func(own address) bool { return own.prefix.Addr() == a })
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
