package stack

import (
	"math"
	"net/netip"

	"github.com/unet-go/unet/stack/ip"
)

// SortDestinations puts the addresses of a name into the order in which a dial tries them (RFC 6724 6), by the source
// addresses that the host would send from. Addresses between which no rule decides keep their order. IPv4-mapped addresses
// become plain ones.
func (h *Host) SortDestinations(addrs []netip.Addr) {
	ranks := make([]uint32, len(addrs))
	for i, a := range addrs {
		a = plain(a)
		rank := h.rank(a)
		// Insertion sort is stable and fast enough, and slices.SortStableFunc would add 10 KB to every program.
		for ; i > 0 && ranks[i-1] > rank; i-- {
			addrs[i], ranks[i] = addrs[i-1], ranks[i-1]
		}
		addrs[i], ranks[i] = a, rank
	}
}

// rank returns a number that is less for an address to be tried earlier: RFC 6724's rules, in the order in which they decide,
// are its bits from the highest to the lowest. Rules 3 (deprecated sources) and 4 (home addresses) do not decide, and neither
// does rule 7: no interface of a host is a tunnel.
func (h *Host) rank(dst netip.Addr) (n uint32) {
	r, err := h.ip.HostRoute(netip.Addr{}, dst)
	if err != nil {
		return math.MaxUint32 // 1: avoid what cannot be reached
	}
	source, scope := r.Local(), ip.Scope(dst)
	if scope != ip.Scope(source) {
		n |= 1 << 25 // 2: a source of the same scope
	}
	precedence, label := ip.Policy(dst)
	if _, l := ip.Policy(source); l != label {
		n |= 1 << 24 // 5: a source of the same label
	}
	n |= uint32(math.MaxUint8-precedence) << 16 // 6: the higher precedence
	n |= uint32(scope) << 8                     // 8: the smaller scope
	if dst.Is6() {
		// 9: the source that has more leading bits in common, of the 64 that name the network (RFC 6724 2.2). Not for IPv4:
		// there it would undo the order by which a server spreads its clients.
		n |= 64 - uint32(min(ip.CommonPrefix(dst, source), 64))
	}
	return n
}
