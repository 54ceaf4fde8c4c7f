package ip

import (
	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/wire"
)

// echo6 answers an echo request, one to a group from an address of the interface (RFC 4443 4.2).
func (l *Layer) echo6(p *Packet, body []byte) {
	local := p.Dst
	if p.Broadcast {
		local = l.topology.Load().source(p.Interface, p.Src, p.Src)
	}
	if !isUnicast(p.Src) {
		l.drop(drop.ICMPBroadcast)
		return
	}
	r, err := l.HostRoute(local, p.Src)
	if err != nil {
		l.drop(drop.ICMPType)
		return
	}
	l.sendEchoReply(r, p, body)
}

// sendError6 sends an ICMPv6 error about p, as much of which as there is room for it quotes: the error is no longer than
// what every link takes (RFC 4443 2.4 (c)).
func (r *Route) sendError6(p *Packet, reason Reason, detail uint32) {
	m := wire.ICMPv6{Type: errors6[reason].typ, Code: errors6[reason].code}
	if reason == ProtocolUnreachable {
		detail = uint32(p.nextAt)
	}
	switch m.Type {
	case wire.ICMPv6ParameterProblem:
		m.SetPointer(detail)
	case wire.ICMPv6PacketTooBig:
		m.SetMTU(detail)
	}
	var b [leastMTU6 - wire.IPv6Len]byte
	n := m.Marshal(b[:])
	n += copy(b[n:], p.header)
	n += copy(b[n:], p.Payload)
	wire.PutICMPv6Checksum(b[:n], r.local.As16(), r.remote.As16())
	r.Send(&OutPacket{Protocol: wire.ProtocolICMPv6, Header: b[:n], ChecksumOffset: -1})
}

// errors6 has the types and codes of the errors that are sent.
var errors6 = [reasons]struct{ typ, code uint8 }{
	NetUnreachable:      {wire.ICMPv6DestinationUnreachable, wire.ICMPv6NoRoute},
	HostUnreachable:     {wire.ICMPv6DestinationUnreachable, wire.ICMPv6AddrUnreachable},
	ProtocolUnreachable: {wire.ICMPv6ParameterProblem, wire.ICMPv6UnknownNextHeader},
	PortUnreachable:     {wire.ICMPv6DestinationUnreachable, wire.ICMPv6PortUnreachable},
	PacketTooBig:        {wire.ICMPv6PacketTooBig, 0},
	SourceRouteFailed:   {wire.ICMPv6ParameterProblem, wire.ICMPv6ErroneousHeader},
	TimeExceeded:        {wire.ICMPv6TimeExceeded, wire.ICMPv6HopLimitExceeded},
	ReassemblyTimeout:   {wire.ICMPv6TimeExceeded, wire.ICMPv6ReassemblyExceeded},
	HeaderProblem:       {wire.ICMPv6ParameterProblem, wire.ICMPv6ErroneousHeader},
	Prohibited:          {wire.ICMPv6DestinationUnreachable, wire.ICMPv6AdminProhibited},
	UnknownOption:       {wire.ICMPv6ParameterProblem, wire.ICMPv6UnknownOption},
	BeyondScope:         {wire.ICMPv6DestinationUnreachable, wire.ICMPv6BeyondScope},
	IncompleteChain:     {wire.ICMPv6ParameterProblem, wire.ICMPv6IncompleteChain},
}
