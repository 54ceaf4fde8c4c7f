package ip

import (
	"net/netip"

	"github.com/unet-go/unet/stack/link"
)

// solicit asks for the link address of a neighbour, as its family does.
func (ifc *Interface) solicit(target netip.Addr, unicast *link.MAC) {
	if target.Is4() {
		ifc.solicitARP(target, unicast)
	} else {
		ifc.solicitND(target, unicast)
	}
}

// solicitND is the solicitor of IPv6.
func (ifc *Interface) solicitND(target netip.Addr, unicast *link.MAC) {}
