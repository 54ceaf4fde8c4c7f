package ip

import (
	"net/netip"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/wire"
)

// nextHeaderAt is the octet of the IPv6 header that names what follows it.
const nextHeaderAt = 6

// ipv6 takes an IPv6 packet and what may follow it in the frame (RFC 8200). in.Packet holds what the link layer knows.
func (in *Input) ipv6(b []byte) Outcome {
	p := &in.Packet
	var ip wire.IPv6
	payload, err := ip.Parse(b)
	if err != nil {
		return in.drop(headerDrop(err))
	}
	p.family = family6
	in.flowLabel = ip.FlowLabel
	p.Src, p.Dst = in.scoped(ip.Src), in.scoped(ip.Dst)
	p.TOS, p.TTL = ip.TrafficClass, ip.HopLimit
	p.header, p.Payload = b[:wire.IPv6Len], payload
	p.Protocol, p.nextAt = ip.NextHeader, nextHeaderAt
	if !in.destination6(p) {
		return in.elsewhere6(p)
	}
	if !in.source6(p) {
		return Taken
	}
	switch p.Protocol {
	case wire.ProtocolTCP, wire.ProtocolUDP, wire.ProtocolICMPv6:
		return in.forUs6()
	}
	return in.extensions(b[:wire.IPv6Len+ip.PayloadLen])
}

// extensions takes a packet with extension headers, or of a protocol of which little is known here.
func (in *Input) extensions(packet []byte) Outcome {
	p := &in.Packet
	chain, problem, ok := wire.WalkIPv6(packet)
	if !ok {
		in.drop(drop.ExtensionHeader)
		if !problem.Silent {
			in.reportProblem(p, &problem)
		}
		return Taken
	}
	p.Protocol, p.nextAt = chain.Protocol, chain.NextAt
	p.header, p.Payload = packet[:chain.At], packet[chain.At:]
	p.routerAlert = chain.Alert
	switch {
	case chain.Protocol == wire.IPv6NoNext: // RFC 8200 4.7: nothing follows
		return in.drop(drop.NoNextHeader)
	case chain.Protocol != wire.IPv6Fragments:
		p.fragmented = p.fragmented || chain.Atomic
		return in.forUs6()
	case p.fragmented: // within fragments
		return in.drop(drop.ExtensionHeader)
	}
	return in.fragment6(packet)
}

// fragment6 takes a fragment, whose header is the first of in.Packet.Payload. The packet may be whole by it.
func (in *Input) fragment6(packet []byte) Outcome {
	p := &in.Packet
	var f wire.IPv6Fragment
	data, err := f.Parse(p.Payload)
	if err != nil {
		return in.drop(drop.ExtensionHeader)
	}
	p.header, p.Payload = packet[:len(packet)-len(data)], data
	p.Protocol = f.NextHeader // of the first fragment it is the packet's
	p.laterFragment = f.Offset != 0
	if !in.layer.reassembly.add(fragmentIn{id: f.ID, offset: f.Offset, more: f.More}, p) {
		return Taken
	}
	in.owned = append(in.owned, p.Buffer)
	whole := p.Buffer.Bytes()[:len(p.header)+len(p.Payload)]
	return in.extensions(whole)
}

// reportProblem tells the source of p what is wrong with its extension headers.
func (in *Input) reportProblem(p *Packet, problem *wire.IPv6Problem) {
	reason := HeaderProblem
	switch problem.Code {
	case wire.ICMPv6UnknownNextHeader:
		reason = ProtocolUnreachable
	case wire.ICMPv6UnknownOption:
		reason = UnknownOption
	case wire.ICMPv6IncompleteChain:
		reason = IncompleteChain
	}
	if p.Broadcast && !problem.Multicast {
		return
	}
	p.nextAt = problem.Pointer
	in.layer.SendError(p, reason, uint32(problem.Pointer))
}

// forUs6 is forUs for a packet of IPv6.
func (in *Input) forUs6() Outcome {
	p := &in.Packet
	// These are questions of hosts that have no address yet, and what others say of our addresses.
	if (p.ownSource || p.Src.IsUnspecified()) && p.Protocol != wire.ProtocolICMPv6 {
		return in.drop(drop.BadSource)
	}
	return in.forUs()
}

// destination6 says whether p is for us, and notes when it is for others as well.
func (in *Input) destination6(p *Packet) bool {
	if p.Dst == in.lastDst {
		return true
	}
	switch {
	case in.topology.class(p.Dst) == own:
		in.lastDst = p.Dst
		return true
	case p.Dst.IsMulticast():
		p.Broadcast = true
		if in.topology.inGroup6(in.iface, p.Dst) {
			return true
		}
	}
	return p.Dst.IsLoopback() && in.iface.loopback
}

// elsewhere6 is elsewhere for a packet of IPv6.
func (in *Input) elsewhere6(p *Packet) Outcome {
	if p.Dst.IsLoopback() || p.Dst.Is4In6() || p.Dst.IsUnspecified() {
		return in.drop(drop.BadDestination)
	}
	return in.elsewhere(p)
}

// source6 says whether p's source may be one host on the network it came from. An unspecified one may be, if the packet
// is for a group: a host that has no address yet asks whether it may have one.
func (in *Input) source6(p *Packet) bool {
	switch {
	case p.Src == in.lastSrc:
		return true
	case in.iface.loopback:
		if p.Src.IsLoopback() || in.topology.class(p.Src) == own {
			return true
		}
	case p.Src.IsUnspecified():
		if p.Broadcast {
			return true
		}
	case !isUnicast(p.Src) || p.Src.IsLoopback():
	case in.topology.class(p.Src) == own:
		p.ownSource = true
		return true
	default:
		in.lastSrc = p.Src
		return true
	}
	in.drop(drop.BadSource)
	return false
}

// scoped is the function of that name for an address of a packet that came over the interface. On loopback's a link-local
// address has the zone of an interface that it was given to. Two may have it: the flow label says which of them the sender
// has meant (Route.flowLabel).
func (in *Input) scoped(b [16]byte) netip.Addr {
	a := netip.AddrFrom16(b)
	if b[0]&0xfe != 0xfe || !needsZone(a) {
		return a
	}
	zone := in.iface.info.Name
	if in.iface.loopback {
		if n := int(in.flowLabel); n > 0 && n < len(in.topology.ifaces) {
			zone = in.topology.ifaces[n].info.Name
		}
	}
	return a.WithZone(zone)
}
