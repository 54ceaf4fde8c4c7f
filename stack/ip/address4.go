package ip

import (
	"net/netip"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

var (
	limitedBroadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	allHosts         = netip.AddrFrom4([4]byte{224, 0, 0, 1}) // every host is in this group (RFC 1112 4)
	allHostsMAC      = link.MAC{0x01, 0x00, 0x5e, 0, 0, 1}
)

// groupMAC returns the Ethernet address of a broadcast or multicast address (RFC 1112 6.4).
func groupMAC(a netip.Addr) link.MAC {
	if a.Is6() {
		return groupMAC6(a)
	}
	if !a.IsMulticast() {
		return wire.BroadcastMAC
	}
	b := a.As4()
	return link.MAC{0x01, 0x00, 0x5e, b[1] & 0x7f, b[2], b[3]}
}

// directedBroadcast returns the address of all hosts of an IPv4 network, where it has one (RFC 3021: a
// network of two addresses has none).
func directedBroadcast(p netip.Prefix) (netip.Addr, bool) {
	if !p.Addr().Is4() || p.Bits() > 30 {
		return netip.Addr{}, false
	}
	a := p.Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		a[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(a), true
}

// loopbackSource returns the source address for packets to an address of our own: the same address, but one
// address for all of 127/8.
func loopbackSource(remote netip.Addr) netip.Addr {
	if remote.IsLoopback() && remote.Is4() {
		return Loopback4
	}
	return remote
}

// Loopback4 is the address of every host to itself (RFC 1122 3.2.1.3).
var Loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// isLimitedBroadcast says whether a is the address of all hosts on the link, whatever their network.
func isLimitedBroadcast(a netip.Addr) bool { return a == limitedBroadcast }

// inGroup says whether an Ethernet address is that of a group of IPv4 that every host is in.
func inGroup(mac link.MAC) bool { return mac == wire.BroadcastMAC || mac == allHostsMAC }

// specified returns the address that a remote one means: an unspecified one of IPv4 is local if that is given, as in Linux,
// and one of either family otherwise its loopback address (ledger E-CON-9).
func specified(local, remote netip.Addr) netip.Addr {
	switch {
	case !remote.IsUnspecified():
		return remote
	case remote.Is6():
		return netip.IPv6Loopback()
	case local.Is4():
		return local
	}
	return Loopback4
}

// anyIPv4 says whether one of the addresses is of IPv4.
func anyIPv4(addrs []address) bool {
	for i := range addrs {
		if addrs[i].addr.Is4() {
			return true
		}
	}
	return false
}
