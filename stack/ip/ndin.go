package ip

import (
	"net/netip"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// neighborDiscovery takes a message of neighbour discovery (RFC 4861), whose checksum is right. One that may have come
// from another link is dropped, and one that came in fragments, which nobody could filter (RFC 6980 5).
func (in *Input) neighborDiscovery(p *Packet, m *wire.ICMPv6, body []byte) Outcome {
	if p.TTL != ndHopLimit || m.Code != 0 || p.fragmented || in.iface.loopback {
		return in.drop(drop.NDMalformed)
	}
	switch m.Type {
	case wire.ICMPv6NeighborSolicitation:
		return in.solicitation(p, m, body)
	case wire.ICMPv6NeighborAdvertisement:
		return in.advertisement(p, m, body)
	case wire.ICMPv6RouterAdvertisement:
		return in.routerAdvertisement(p, m, body)
	case wire.ICMPv6Redirect:
		return in.redirect6(p, body)
	}
	return in.drop(drop.ICMPType) // a router solicitation, which is for routers
}

// routerAdvertisement takes a router advertisement (RFC 4861 6.1.2, 6.3.4), if the interface is to learn from routers.
func (in *Input) routerAdvertisement(p *Packet, m *wire.ICMPv6, body []byte) Outcome {
	var r wire.NDRouterAdvertisement
	rest, err := r.Parse(m, body)
	o, ok := readNDOptions(rest)
	c := in.iface.configured()
	switch {
	case err != nil || !ok || !p.Src.IsLinkLocalUnicast():
		return in.drop(drop.NDMalformed)
	case c == nil:
		return in.drop(drop.ICMPType)
	case p.ownSource, o.hasSource && in.impossible(o.source):
		return in.drop(drop.NDSender)
	}
	if o.hasSource && in.iface.linkLen > 0 {
		in.iface.neighbors[family6.index].heard(p.Src, o.source, false, true)
	}
	if !c.advertised(p.Src, &r, rest) {
		return in.drop(drop.RouterLimit)
	}
	return Taken
}

// impossible says whether no other host on the link can have an Ethernet address. On another link one may have that which
// this host has here.
func (in *Input) impossible(mac link.MAC) bool {
	return mac[0]&1 != 0 || mac == (link.MAC{}) || mac == in.iface.info.MAC
}

// solicitation takes a neighbour solicitation (RFC 4861 7.1.1, 7.2.3).
func (in *Input) solicitation(p *Packet, m *wire.ICMPv6, body []byte) Outcome {
	ifc := in.iface
	var n wire.NDNeighbor
	rest, err := n.Parse(m, body)
	o, ok := readNDOptions(rest)
	target := in.scoped(n.Target)
	probing := p.Src.IsUnspecified() // somebody asks whether target is free
	switch {
	case err != nil || !ok || target.IsMulticast(),
		probing && (o.hasSource || !solicitedNodes.Contains(p.Dst.WithZone(""))):
		return in.drop(drop.NDMalformed)
	case !in.layer.topology.Load().hasAddr(ifc, target): // as it is now: this burst may have had it withdrawn
		return in.drop(drop.NotForUs)
	case p.ownSource, o.hasSource && in.impossible(o.source), probing && in.topology.hasMAC(in.linkSource):
		return in.drop(drop.NDSender)
	case probing && ifc.detector.conflict(target):
		in.layer.withdraw(ifc, target, in.linkSource)
		return in.drop(drop.NDConflict)
	case in.topology.stateOf(ifc, target) == AddrTentative: // RFC 4862 5.4.3
		return in.drop(drop.NotForUs)
	}
	if o.hasSource && ifc.linkLen > 0 {
		ifc.neighbors[family6.index].heard(p.Src, o.source, false, in.topology.onLink(ifc, p.Src))
	}
	in.answer(p, target, &o)
	return Taken
}

// answer sends the advertisement that a solicitation asks for (RFC 4861 7.2.4). It replaces nothing in others' caches while
// the address is not known to be unique (RFC 4429 3.3).
func (in *Input) answer(p *Packet, target netip.Addr, o *ndOptions) {
	ifc := in.iface
	override := in.topology.stateOf(ifc, target) != AddrOptimistic
	switch {
	case p.Src.IsUnspecified():
		ifc.nd.advertise(allNodesMAC, target, allNodes, false, override)
	case o.hasSource || ifc.linkLen == 0:
		ifc.nd.advertise(o.source, target, p.Src, true, override)
	case !in.impossible(in.linkSource):
		// It has not said where it is, as hosts do not whose own address is not known to be unique yet (RFC 4429 3.2). To ask
		// for it would not end between two such hosts: each would wait for the other's answer.
		ifc.nd.advertise(in.linkSource, target, p.Src, true, override)
	}
}

// advertisement takes a neighbour advertisement (RFC 4861 7.1.2, 7.2.5).
func (in *Input) advertisement(p *Packet, m *wire.ICMPv6, body []byte) Outcome {
	ifc := in.iface
	var n wire.NDNeighbor
	rest, err := n.Parse(m, body)
	o, ok := readNDOptions(rest)
	target := in.scoped(n.Target)
	switch {
	case err != nil || !ok || target.IsMulticast(), p.Src.IsUnspecified(), n.Solicited && p.Dst.IsMulticast():
		return in.drop(drop.NDMalformed)
	case o.hasTarget && in.impossible(o.target), ifc.linkLen == 0:
		return in.drop(drop.NDSender)
	case in.topology.hasAddr(ifc, target):
		switch {
		case in.topology.hasMAC(in.linkSource):
			return in.drop(drop.NDSender)
		case !in.layer.topology.Load().hasAddr(ifc, target): // this burst has had it withdrawn
		case ifc.detector.conflict(target):
			in.layer.withdraw(ifc, target, in.linkSource)
		default:
			ifc.announcer.conflict(target, in.linkSource)
		}
		return in.drop(drop.NDConflict) // nothing of it is believed
	case p.ownSource, !isUnicast(target), target.IsLoopback(), in.topology.class(target) == own:
		return in.drop(drop.NDSender)
	}
	ifc.neighbors[family6.index].advertised(target, &neighborClaim{mac: o.target, hasMAC: o.hasTarget, router: n.Router,
		solicited: n.Solicited, override: n.Override})
	if c := ifc.configured(); c != nil && !n.Router {
		c.noRouter(target)
	}
	return Taken
}

// redirect6 takes an ICMPv6 redirect (RFC 4861 8.1, 8.3), if the host is to follow any.
func (in *Input) redirect6(p *Packet, body []byte) Outcome {
	var m wire.NDRedirect
	rest, err := m.Parse(body)
	o, ok := readNDOptions(rest)
	target, dst := in.scoped(m.Target), in.scoped(m.Dst)
	switch {
	case err != nil || !ok || !p.Src.IsLinkLocalUnicast() || dst.IsMulticast() || target != dst && !target.IsLinkLocalUnicast():
		return in.drop(drop.NDMalformed)
	case o.hasTarget && in.impossible(o.target):
		return in.drop(drop.NDSender)
	case !in.layer.AcceptRedirects || p.ownSource || !isUnicast(dst) || dst.IsLoopback() || needsZone(dst),
		!in.layer.redirect(in.iface, p.Src, dst, target):
		return in.drop(drop.Redirect)
	}
	if o.hasTarget && in.iface.linkLen > 0 {
		in.iface.neighbors[family6.index].heard(target, o.target, false, true)
	}
	return Taken
}
