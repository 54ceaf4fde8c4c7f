package unet

import (
	"net/netip"
	"slices"
)

// unmapPrefixes returns a copy of list in which IPv4-mapped prefixes are IPv4.
func unmapPrefixes(list []netip.Prefix) []netip.Prefix {
	list = slices.Clone(list)
	for i, p := range list {
		list[i] = unmapPrefix(p)
	}
	return list
}

// unmapPrefix returns an IPv4-mapped prefix as one of IPv4, and any other as it is. One that is not valid stays as it is.
func unmapPrefix(p netip.Prefix) netip.Prefix {
	const mapped = 96 // bits in front of the IPv4 address
	if a := p.Addr(); a.Is4In6() && p.Bits() >= mapped {
		return netip.PrefixFrom(a.Unmap(), p.Bits()-mapped)
	}
	return p
}
