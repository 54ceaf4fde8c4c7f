package ip

import (
	"net/netip"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/wire"
)

// icmp4 takes an ICMP message (RFC 792, RFC 1122 3.2.2).
func (in *Input) icmp4(p *Packet) Outcome {
	var m wire.ICMPv4
	body, err := m.Parse(p.Payload)
	if err != nil {
		return in.drop(drop.ICMPMalformed)
	}
	wanted := in.layer.tapped(p)
	switch m.Type {
	case wire.ICMPv4EchoRequest:
		in.layer.echo4(p, body)
		return Taken
	case wire.ICMPv4DestinationUnreachable, wire.ICMPv4TimeExceeded, wire.ICMPv4ParameterProblem:
		return in.icmpError4(p, &m, body)
	case wire.ICMPv4Redirect:
		return in.redirect4(p, &m, body)
	}
	if wanted {
		return Taken
	}
	// Source quench (RFC 6633), timestamps and the like (RFC 6918) among them.
	return in.drop(drop.ICMPType)
}

// icmpError4 makes a Report of an ICMP error. The quote must be of a packet of ours.
func (in *Input) icmpError4(p *Packet, m *wire.ICMPv4, body []byte) Outcome {
	reason, mtu, ok := meaning4(m)
	if !ok {
		return in.drop(drop.ICMPType)
	}
	if !in.Report.quote4(body) || in.Report.Local != p.Dst || p.Broadcast {
		return in.drop(drop.ICMPQuote)
	}
	if reason == PacketTooBig && mtu == 0 { // a router of before RFC 1191
		mtu = plateau(quotedLen4(body))
	}
	in.Report.Reason, in.Report.MTU, in.Report.Neighbor = reason, mtu, false
	return AboutOurs
}

// meaning4 returns the reason that a type and a code of ICMP stand for, and the MTU that goes with PacketTooBig, 0 where
// the message has none.
func meaning4(m *wire.ICMPv4) (reason Reason, mtu int, ok bool) {
	switch m.Type {
	case wire.ICMPv4TimeExceeded:
		if m.Code == wire.ICMPv4ReassemblyExceeded {
			return ReassemblyTimeout, 0, true
		}
		return TimeExceeded, 0, true
	case wire.ICMPv4ParameterProblem:
		return HeaderProblem, 0, true
	}
	switch m.Code {
	case wire.ICMPv4NetUnreachable, wire.ICMPv4NetUnknown, wire.ICMPv4NetProhibited, wire.ICMPv4NetUnreachableTOS:
		return NetUnreachable, 0, true
	case wire.ICMPv4ProtocolUnreachable:
		return ProtocolUnreachable, 0, true
	case wire.ICMPv4PortUnreachable:
		return PortUnreachable, 0, true
	case wire.ICMPv4FragmentationNeeded:
		return PacketTooBig, m.MTU(), true
	case wire.ICMPv4SourceRouteFailed:
		return SourceRouteFailed, 0, true
	}
	return HostUnreachable, 0, m.Code <= 15 // RFC 1812 5.2.7.1 ends there
}

// redirect4 takes an ICMP redirect (RFC 1122 3.2.2.2), if the host is to follow any. One for a network counts for the host
// that it is about.
func (in *Input) redirect4(p *Packet, m *wire.ICMPv4, body []byte) Outcome {
	via := netip.AddrFrom4(m.Rest)
	if !in.layer.AcceptRedirects || m.Code > maxRedirectCode || p.Broadcast || !in.Report.quote4(body) || in.Report.Local != p.Dst ||
		!isUnicast(via) || !in.topology.onLink(in.iface, via) ||
		!in.layer.redirect(in.iface, p.Src, in.Report.Remote, via) {
		return in.drop(drop.Redirect)
	}
	return Taken
}

// maxRedirectCode is the last of the codes of ICMP redirects: for a network or a host, of one type of service or of all.
const maxRedirectCode = 3

// info4 is the info of ICMPError for a message of IPv4.
func info4(message []byte) uint32 {
	m := wire.ICMPv4{Type: message[0], Code: message[1], Rest: [4]byte(message[4:])}
	switch {
	case m.Type == wire.ICMPv4DestinationUnreachable && m.Code == wire.ICMPv4FragmentationNeeded:
		return uint32(m.MTU())
	case m.Type == wire.ICMPv4ParameterProblem:
		return uint32(m.Pointer())
	}
	return 0
}

// SilenceCodes returns type and code of the message that Linux sends itself when a neighbour of IPv6, or else of IPv4, does not
// answer.
func SilenceCodes(ipv6 bool) (typ, code uint8) {
	if ipv6 {
		return wire.ICMPv6DestinationUnreachable, wire.ICMPv6AddrUnreachable
	}
	return wire.ICMPv4DestinationUnreachable, wire.ICMPv4HostUnreachable
}
