package ip

import "net/netip"

// sourceOf returns the one of an interface's addresses to send from to dst by way of nextHop.
func sourceOf(addrs []address, nextHop, dst netip.Addr) netip.Addr {
	if dst.Is4() {
		return source4(addrs, nextHop)
	}
	return source6(addrs, dst)
}

// source4 returns an address in the network of the next hop, else any of the family; one that is preferred, else a
// deprecated one. The first of several is chosen.
func source4(addrs []address, nextHop netip.Addr) (found netip.Addr) {
	best := 0
	for _, a := range addrs {
		if !a.addr.Is4() {
			continue
		}
		score := 1
		if a.prefix.Contains(nextHop) {
			score++
		}
		if a.state == AddrPreferred {
			score += 2
		}
		if score > best {
			best, found = score, a.addr
		}
		if best == 4 { // none is better; most often it is the first one
			break
		}
	}
	return found
}

// source6 returns the address to send from to an IPv6 address (RFC 6724 5). The rules that need mobile
// IP, or several prefixes with routers of their own, do not apply.
func source6(addrs []address, dst netip.Addr) (found netip.Addr) {
	var best *address
	for i := range addrs {
		if a := &addrs[i]; a.addr.Is6() && a.state != AddrTentative && (best == nil || a.betterSource(best, dst)) {
			best, found = a, a.addr
		}
	}
	return found
}
