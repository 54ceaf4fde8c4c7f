package stack

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/unet-go/unet/stack/ip"
)

// destination is an address of a name, and the address that the host would send from to it; not valid where it cannot.
type destination struct{ addr, source netip.Addr }

// SortDestinations puts the addresses of a name into the order in which a dial tries them (RFC 6724 6), by the source
// addresses that the host would send from. Addresses between which no rule decides keep their order. IPv4-mapped addresses
// become plain ones.
func (h *Host) SortDestinations(addrs []netip.Addr) {
	list := make([]destination, len(addrs))
	for i, a := range addrs {
		list[i].addr = plain(a)
		if r, err := h.ip.HostRoute(netip.Addr{}, list[i].addr); err == nil {
			list[i].source = r.Local()
		}
	}
	slices.SortStableFunc(list, compareDestinations)
	for i := range list {
		addrs[i] = list[i].addr
	}
}

// compareDestinations is negative where a goes before b. The numbers are those of the rules. Rules 3 (deprecated sources) and
// 4 (home addresses) do not decide, and neither does rule 7: no interface of a host is a tunnel.
func compareDestinations(a, b destination) int {
	if !a.source.IsValid() || !b.source.IsValid() { // 1: avoid what cannot be reached
		return first(a.source.IsValid(), b.source.IsValid())
	}
	scope := func(d destination) bool { return ip.Scope(d.addr) == ip.Scope(d.source) }
	label := func(d destination) bool { return ip.Label(d.addr) == ip.Label(d.source) }
	return cmp.Or(
		first(scope(a), scope(b)),                                 // 2: a source of the same scope
		first(label(a), label(b)),                                 // 5: a source of the same label
		cmp.Compare(ip.Precedence(b.addr), ip.Precedence(a.addr)), // 6: the higher precedence
		cmp.Compare(ip.Scope(a.addr), ip.Scope(b.addr)),           // 8: the smaller scope
		cmp.Compare(b.shared(), a.shared()),                       // 9: the source that is nearer
	)
}

// first is negative where only a is true, and positive where only b is.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// shared returns how many leading bits an IPv6 address has in common with its source, of the 64 that name the network
// (RFC 6724 2.2). It is the same for all of IPv4: there it would undo the order by which a server spreads its clients.
func (d destination) shared() int {
	if d.addr.Is4() {
		return 0
	}
	return min(ip.CommonPrefix(d.addr, d.source), 64)
}
