package ip

import (
	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/wire"
)

// icmp6 takes an ICMPv6 message (RFC 4443).
func (in *Input) icmp6(p *Packet) Outcome {
	m, body, err := wire.ParseICMPv6(p.Payload, p.Src.As16(), p.Dst.As16())
	if err != nil {
		return in.drop(drop.ICMPMalformed)
	}
	wanted := in.layer.tapped(p)
	switch m.Type {
	case wire.ICMPv6RouterSolicitation, wire.ICMPv6RouterAdvertisement, wire.ICMPv6NeighborSolicitation,
		wire.ICMPv6NeighborAdvertisement, wire.ICMPv6Redirect:
		return in.neighborDiscovery(p, &m, body)
	}
	if p.ownSource { // only what neighbours say of our addresses may come from one
		return in.drop(drop.BadSource)
	}
	switch m.Type {
	case wire.ICMPv6EchoRequest:
		in.layer.echo6(p, body)
		return Taken
	case wire.ICMPv6MLDQuery, wire.ICMPv6MLDv1Report, wire.ICMPv6MLDv1Done, wire.ICMPv6MLDv2Report:
		return in.mld(p, &m, body)
	}
	if m.Type < wire.ICMPv6EchoRequest {
		return in.icmpError6(p, &m, body)
	}
	if wanted {
		return Taken
	}
	return in.drop(drop.ICMPType)
}

// icmpError6 makes a Report of an ICMPv6 error. The quote must be of a packet of ours.
func (in *Input) icmpError6(p *Packet, m *wire.ICMPv6, body []byte) Outcome {
	r := &in.Report
	ok := r.quote6(body, in.iface.info.Name)
	if in.iface.loopback && ok { // where an address of ours has the zone of its own interface
		r.Local, r.Remote = in.scoped(r.Local.As16()), in.scoped(r.Remote.As16())
	}
	if !ok || r.Local != p.Dst || p.Broadcast {
		return in.drop(drop.ICMPQuote)
	}
	in.Report.Reason, in.Report.MTU = meaning6(m)
	in.Report.Neighbor = false
	return AboutOurs
}

// meaning6 returns the reason that a type and a code of ICMPv6 stand for, and the MTU that goes with PacketTooBig. Errors
// that are not known are for the transport as well (RFC 4443 2.4 (a)).
func meaning6(m *wire.ICMPv6) (reason Reason, mtu int) {
	switch m.Type {
	case wire.ICMPv6PacketTooBig:
		return PacketTooBig, int(min(m.MTU(), maxPacket))
	case wire.ICMPv6TimeExceeded:
		if m.Code == wire.ICMPv6ReassemblyExceeded {
			return ReassemblyTimeout, 0
		}
		return TimeExceeded, 0
	case wire.ICMPv6ParameterProblem:
		return problems6[min(int(m.Code), len(problems6)-1)], 0
	case wire.ICMPv6DestinationUnreachable:
		if int(m.Code) < len(unreachables6) {
			return unreachables6[m.Code], 0
		}
	}
	return HeaderProblem, 0
}

// What the codes of ICMPv6DestinationUnreachable and ICMPv6ParameterProblem stand for; later ones of the latter as the last.
var (
	unreachables6 = [...]Reason{wire.ICMPv6NoRoute: NetUnreachable, wire.ICMPv6AdminProhibited: Prohibited,
		wire.ICMPv6BeyondScope: BeyondScope, wire.ICMPv6AddrUnreachable: HostUnreachable,
		wire.ICMPv6PortUnreachable: PortUnreachable, wire.ICMPv6SourcePolicy: Prohibited, wire.ICMPv6RejectRoute: Prohibited}
	problems6 = [...]Reason{wire.ICMPv6ErroneousHeader: HeaderProblem, wire.ICMPv6UnknownNextHeader: ProtocolUnreachable,
		wire.ICMPv6UnknownOption: UnknownOption, wire.ICMPv6IncompleteChain: IncompleteChain, 4: HeaderProblem}
)

// info6 is the info of ICMPError for a message of IPv6.
func info6(message []byte) uint32 {
	m := wire.ICMPv6{Rest: [4]byte(message[4:])}
	return m.MTU()
}
