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
		return a.state == AddrPreferred
	}
	_, label := Policy(dst)
	_, la := Policy(a.addr)
	_, lb := Policy(b.addr)
	if (la == label) != (lb == label) { // rule 6
		return la == label
	}
	if a.temporary != b.temporary { // rule 7
		return a.temporary
	}
	return a.commonPrefix(dst) > b.commonPrefix(dst) // rule 8
}

// commonPrefix returns how many bits dst has in common with the address, at most those of the address's network.
func (a *address) commonPrefix(dst netip.Addr) int {
	return min(CommonPrefix(a.addr, dst), a.prefix.Bits())
}

// CommonPrefix returns how many leading bits two IPv6 addresses have in common (RFC 6724 2.2).
func CommonPrefix(a, b netip.Addr) int { return commonPrefix(a.As16(), b.As16()) }

func commonPrefix(x, y [16]byte) int {
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
	}
	if b := a.As16(); b[0] == 0xfe && b[1] >= 0xc0 { // fec0::/10
		return 5
	}
	return 14
}

// policies is the default table of RFC 6724 2.1, longest prefixes first.
var policies = [...]struct {
	network           [16]byte
	bits              int // of the network, which count
	precedence, label uint8
}{
	{[16]byte{15: 1}, 128, 50, 0},             // ::1
	{[16]byte{10: 0xff, 11: 0xff}, 96, 35, 4}, // ::ffff:0:0/96, IPv4
	{[16]byte{}, 96, 1, 3},                    // ::/96
	{[16]byte{0: 0x20, 1: 0x01}, 32, 5, 5},    // 2001::/32
	{[16]byte{0: 0x20, 1: 0x02}, 16, 30, 2},   // 2002::/16
	{[16]byte{0: 0x3f, 1: 0xfe}, 16, 1, 12},   // 3ffe::/16
	{[16]byte{0: 0xfe, 1: 0xc0}, 10, 1, 11},   // fec0::/10
	{[16]byte{0: 0xfc}, 7, 3, 13},             // fc00::/7
}

// Policy returns what RFC 6724 2.1 says of an address: its precedence, by which destinations are ordered, and its label. A
// source is preferred that has its destination's label.
func Policy(a netip.Addr) (precedence, label uint8) {
	b := a.As16() // IPv4 addresses in their mapped form
	for i := range policies {
		if p := &policies[i]; commonPrefix(p.network, b) >= p.bits {
			return p.precedence, p.label
		}
	}
	return 40, 1
}
