package ip

import (
	"math/bits"
	"net/netip"
)

// betterSource says whether a is to be preferred to b as the source of packets to dst.
func (a *address) betterSource(b *address, dst netip.Addr) bool {
	if a.addr == dst || b.addr == dst { // rule 1
		return a.addr == dst
	}
	if sa, sb := Scope(a.addr), Scope(b.addr); sa != sb { // rule 2
		if sa < sb {
			return sa >= Scope(dst)
		}
		return sb < Scope(dst)
	}
	if a.state != b.state { // rule 3
		return a.state == preferred
	}
	label := policyOf(dst).label
	if la, lb := policyOf(a.addr).label == label, policyOf(b.addr).label == label; la != lb { // rule 6
		return la
	}
	return a.commonPrefix(dst) > b.commonPrefix(dst) // rule 8
}

// commonPrefix returns how many bits dst has in common with the address, at most those of the address's network.
func (a *address) commonPrefix(dst netip.Addr) int {
	return min(CommonPrefix(a.addr, dst), a.prefix.Bits())
}

// CommonPrefix returns how many leading bits two IPv6 addresses have in common (RFC 6724 2.2).
func CommonPrefix(a, b netip.Addr) (n int) {
	x, y := a.As16(), b.As16()
	for i := range x {
		if d := x[i] ^ y[i]; d != 0 {
			return 8*i + bits.LeadingZeros8(d)
		}
	}
	return 128
}

// Scope returns the scope of an address as IPv6 numbers them, 2 for a link, 5 for a site, 14 for the world; that of an
// IPv4 address as RFC 6724 3.2 maps it.
func Scope(a netip.Addr) uint8 {
	switch {
	case a.Is6() && a.IsMulticast():
		return a.As16()[1] & 15
	case a.IsLoopback(), a.IsLinkLocalUnicast(), a.IsLinkLocalMulticast():
		return 2
	case a.Is6() && siteLocal.Contains(a):
		return 5
	}
	return 14
}

var siteLocal = netip.MustParsePrefix("fec0::/10")

// policy is an entry of the table by which addresses are compared.
type policy struct {
	prefix            netip.Prefix
	precedence, label uint8
}

// policies is the default table of RFC 6724 2.1, longest prefixes first.
var policies = [...]policy{
	{netip.MustParsePrefix("::1/128"), 50, 0},
	{netip.MustParsePrefix("::ffff:0:0/96"), 35, 4},
	{netip.MustParsePrefix("::/96"), 1, 3},
	{netip.MustParsePrefix("2001::/32"), 5, 5},
	{netip.MustParsePrefix("2002::/16"), 30, 2},
	{netip.MustParsePrefix("3ffe::/16"), 1, 12},
	{netip.MustParsePrefix("fec0::/10"), 1, 11},
	{netip.MustParsePrefix("fc00::/7"), 3, 13},
}

// policyOf returns the entry of an address.
func policyOf(a netip.Addr) policy {
	a = netip.AddrFrom16(a.As16()) // IPv4 addresses in their mapped form, and no zone
	for _, p := range policies {
		if p.prefix.Contains(a) || p.label == 4 && a.Is4In6() {
			return p
		}
	}
	return policy{precedence: 40, label: 1}
}

// Precedence and Label return what RFC 6724 2.1 says of an address, by which destinations are ordered.
func Precedence(a netip.Addr) uint8 { return policyOf(a).precedence }

// Label returns the label of an address: a source is preferred that has its destination's.
func Label(a netip.Addr) uint8 { return policyOf(a).label }
