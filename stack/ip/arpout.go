package ip

import (
	"net/netip"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// startARP gives the interface its cache of IPv4 neighbours.
func (ifc *Interface) startARP(b *base) {
	c := newNeighborCache(b, &ifc.info, ifc.solicitARP)
	c.gateway = ifc.gatewayAnswers
	ifc.neighbors[family4.index] = c
}

// solicitARP is the solicitor of IPv4: it sends a request for target to all, or to the host that had the address last
// (RFC 1122 2.3.2.1's unicast poll).
func (ifc *Interface) solicitARP(target netip.Addr, unicast *link.MAC, _ bool) (soon bool) {
	src := ifc.core.topology.Load().source(ifc, target, target)
	if !src.Is4() || !target.Is4() {
		return false
	}
	dst := wire.BroadcastMAC
	if unicast != nil {
		dst = *unicast
	}
	sendARP(ifc.workingQueue(), ifc.info.MAC, dst, wire.ARP{Op: wire.ARPRequest, SenderMAC: ifc.info.MAC, SenderIP: src.As4(),
		TargetIP: target.As4()})
	return false
}

// sendARP queues an ARP packet from the interface with the address src.
func sendARP(q *Queue, src, dst link.MAC, p wire.ARP) {
	const n = wire.EthernetLen + wire.ARPLen
	buf := link.NewBuffer(link.Headroom + n)
	b := buf.Bytes()[link.Headroom:]
	eth := wire.Ethernet{Dst: dst, Src: src, Type: wire.EtherTypeARP}
	eth.Marshal(b)
	p.Marshal(b[wire.EthernetLen:])
	var f link.Frame
	f.Set(buf, link.Headroom, link.Headroom+n)
	q.put(&f, nil)
}

// announceARP sends an announcement of an address (RFC 5227 3): a request, since more hosts learn from these than from
// replies.
func announceARP(q *Queue, mac link.MAC, addr netip.Addr) {
	ip := addr.As4()
	sendARP(q, mac, wire.BroadcastMAC, wire.ARP{Op: wire.ARPRequest, SenderMAC: mac, SenderIP: ip, TargetIP: ip})
}
