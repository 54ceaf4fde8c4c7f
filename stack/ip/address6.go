package ip

import (
	"crypto/rand"
	"net/netip"
	"slices"

	"github.com/unet-go/unet/stack/link"
)

// leastMTU6 is the least MTU of a link that carries IPv6 (RFC 8200 5).
const leastMTU6 = 1280

var (
	allNodes          = netip.MustParseAddr("ff02::1") // every host is in this group (RFC 4291 2.7.1)
	interfaceAllNodes = netip.MustParseAddr("ff01::1")
	linkLocalPrefix   = netip.MustParsePrefix("fe80::/64")
)

// withLinkLocal adds a link-local address to those of an interface that has IPv6, if none is among them (RFC 4291 2.8).
func withLinkLocal(addrs []address, info *link.Info) []address {
	if !anyIPv6(addrs) || slices.ContainsFunc(addrs, func(a address) bool { return a.addr.Is6() && a.addr.IsLinkLocalUnicast() }) {
		return addrs
	}
	b := linkLocalPrefix.Addr().As16()
	id := interfaceID(info)
	copy(b[8:], id[:])
	return append(addrs, newAddress(netip.PrefixFrom(netip.AddrFrom16(b), 64), info.Name))
}

// anyIPv6 says whether one of the addresses is of IPv6.
func anyIPv6(addrs []address) bool {
	for i := range addrs {
		if addrs[i].addr.Is6() {
			return true
		}
	}
	return false
}

// interfaceID returns the lower half of an interface's link-local address: its Ethernet address in the form of RFC 4291
// appendix A, or a random number where frames have none.
func interfaceID(info *link.Info) (id [8]byte) {
	if info.Kind == link.Ethernet {
		m := info.MAC
		return [8]byte{m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]}
	}
	_, _ = rand.Read(id[:]) // never fails
	id[0] &^= 2             // not one that is unique in the world
	return id
}

// solicitedNode returns the group in which the owner of an address hears questions for it (RFC 4291 2.7.1), without a zone.
// It is called in many places, none of them hot, and is not copied to them.
//
//go:noinline
func solicitedNode(a netip.Addr) netip.Addr {
	b := a.As16()
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
}

// groupMAC6 returns the Ethernet address of a group (RFC 2464 7).
func groupMAC6(a netip.Addr) link.MAC {
	b := a.As16()
	return link.MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// isGroupMAC6 says whether an Ethernet address is that of a group of IPv6.
func isGroupMAC6(mac link.MAC) bool { return mac[0] == 0x33 && mac[1] == 0x33 }
