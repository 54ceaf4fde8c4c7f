package stack

import (
	"net/netip"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// arp takes an ARP packet (RFC 826, in the order of its "packet reception").
func (rc *receiver) arp(b []byte) {
	h, ifc := rc.host, rc.iface
	var p wire.ARP
	if p.Parse(b) != nil || ifc.neighbors == nil {
		h.drop(DropARPMalformed)
		return
	}
	sender, target := netip.AddrFrom4(p.SenderIP), netip.AddrFrom4(p.TargetIP)
	forUs := ifc.hasAddr(target)
	probing := sender.IsUnspecified() // RFC 5227 1.1: somebody asks whether target is free
	impossible := p.SenderMAC[0]&1 != 0 || p.SenderMAC == (link.MAC{}) || rc.topology.hasMAC(p.SenderMAC)
	if !impossible && !probing && ifc.hasAddr(sender) {
		h.drop(DropARPConflict)
		ifc.announcer.conflict(sender, p.SenderMAC)
		return // nothing of it is believed
	}
	if impossible || !probing && (!isUnicast(sender) || sender.IsLoopback() || rc.topology.class(sender) != foreign) {
		h.drop(DropARPSender)
		return
	}
	if !probing {
		answer := p.Op == wire.ARPReply && forUs
		create := p.Op == wire.ARPRequest && forUs && rc.topology.onLink(ifc, sender)
		ifc.neighbors.heard(sender, p.SenderMAC, answer, create)
	}
	if p.Op == wire.ARPRequest && forUs {
		ifc.sendARP(p.SenderMAC, wire.ARP{Op: wire.ARPReply, SenderMAC: ifc.info.MAC, SenderIP: p.TargetIP,
			TargetMAC: p.SenderMAC, TargetIP: p.SenderIP})
	}
}

// sendARPRequest asks for target: everybody, or the one who had the address last (RFC 1122 2.3.2.1's
// unicast poll).
func (ifc *iface) sendARPRequest(target netip.Addr, unicast *link.MAC) {
	src := ifc.source(target)
	if !src.Is4() || !target.Is4() {
		return
	}
	dst := wire.BroadcastMAC
	if unicast != nil {
		dst = *unicast
	}
	ifc.sendARP(dst, wire.ARP{Op: wire.ARPRequest, SenderMAC: ifc.info.MAC, SenderIP: src.As4(),
		TargetIP: target.As4()})
}

func (ifc *iface) sendARP(dst link.MAC, p wire.ARP) {
	const n = wire.EthernetLen + wire.ARPLen
	buf := link.NewBuffer(link.Headroom + n)
	b := buf.Bytes()[link.Headroom:]
	eth := wire.Ethernet{Dst: dst, Src: ifc.info.MAC, Type: wire.EtherTypeARP}
	eth.Marshal(b)
	p.Marshal(b[wire.EthernetLen:])
	var f link.Frame
	f.Set(buf, link.Headroom, link.Headroom+n)
	ifc.queues[0].put(&f, nil)
}
