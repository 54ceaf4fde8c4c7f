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
	if !a.IsMulticast() {
		return wire.BroadcastMAC
	}
	b := a.As4()
	return link.MAC{0x01, 0x00, 0x5e, b[1] & 0x7f, b[2], b[3]}
}
