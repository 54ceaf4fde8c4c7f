package ip

import (
	"net/netip"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/wire"
)

// arp takes an ARP packet (RFC 826, in the order of its "packet reception").
func (in *Input) arp(b []byte) {
	ifc, t := in.iface, in.topology
	var p wire.ARP
	if p.Parse(b) != nil || ifc.linkLen == 0 {
		in.drop(drop.ARPMalformed)
		return
	}
	sender, target := netip.AddrFrom4(p.SenderIP), netip.AddrFrom4(p.TargetIP)
	forUs := t.hasAddr(ifc, target)
	probing := sender.IsUnspecified() // RFC 5227 1.1: somebody asks whether target is free
	impossible := in.impossible(p.SenderMAC)
	if !probing && t.hasAddr(ifc, sender) && !impossible && !t.hasMAC(p.SenderMAC) {
		in.drop(drop.ARPConflict)
		ifc.announcer.conflict(sender, p.SenderMAC)
		return // nothing of it is believed
	}
	if impossible || !probing && (!isUnicast(sender) || sender.IsLoopback() || t.class(sender) != foreign) {
		in.drop(drop.ARPSender)
		return
	}
	if !probing {
		answer := p.Op == wire.ARPReply && forUs
		create := p.Op == wire.ARPRequest && forUs && t.onLink(ifc, sender)
		ifc.neighbors[family4.index].heard(sender, p.SenderMAC, answer, create)
	}
	if p.Op == wire.ARPRequest && forUs {
		sendARP(ifc.workingQueue(), ifc.info.MAC, p.SenderMAC, wire.ARP{Op: wire.ARPReply, SenderMAC: ifc.info.MAC, SenderIP: p.TargetIP,
			TargetMAC: p.SenderMAC, TargetIP: p.SenderIP})
	}
}
