package ip

import (
	"net/netip"

	"github.com/unet-go/unet/stack/link"
)

// inGroup6 says whether the host is in a group on the interface: that of all nodes, and the solicited-node group of each
// of its addresses there. A host without an address of IPv6 is in none.
func (t *topology) inGroup6(ifc *Interface, group netip.Addr) bool {
	group = group.WithZone("")
	all := group == allNodes || group == interfaceAllNodes
	if ifc.loopback {
		return all
	}
	for _, a := range t.addrs[ifc.index] {
		if a.addr.Is6() && (all || solicitedNode(a.addr) == group) {
			return true
		}
	}
	return false
}

// inGroupMAC6 says whether an Ethernet address is that of a group that the host is in on the interface.
func (t *topology) inGroupMAC6(ifc *Interface, mac link.MAC) bool {
	for _, a := range t.addrs[ifc.index] {
		if a.addr.Is6() && (mac == allNodesMAC || mac == groupMAC6(solicitedNode(a.addr))) {
			return true
		}
	}
	return false
}
