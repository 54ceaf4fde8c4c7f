package ip

import (
	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/wire"
)

// maxICMPError is the longest ICMP error in octets, IP header included (RFC 1812 4.3.2.3).
const maxICMPError = 576

// echo4 answers an echo request, from the address that was asked (RFC 1122 3.2.2.6), but not one to many.
func (l *Layer) echo4(p *Packet, body []byte) {
	if p.Broadcast || !isUnicast(p.Src) {
		l.drop(drop.ICMPBroadcast)
		return
	}
	r, err := l.HostRoute(p.Dst, p.Src)
	if err != nil {
		l.drop(drop.ICMPType)
		return
	}
	l.sendEchoReply(r, p, body)
}

// sendError4 sends an ICMP error about p, as much of which as there is room for it quotes.
func (r *Route) sendError4(p *Packet, reason Reason, detail uint32) {
	m := wire.ICMPv4{Type: errors4[reason].typ, Code: errors4[reason].code}
	if reason == HeaderProblem {
		m.Rest[0] = uint8(detail)
	}
	if reason == PacketTooBig {
		m.SetMTU(int(detail))
	}
	var b [maxICMPError - wire.IPv4Len]byte
	n := m.Marshal(b[:])
	n += copy(b[n:], p.header)
	n += copy(b[n:], p.Payload)
	wire.PutICMPv4Checksum(b[:n])
	// Precedence 6, internetwork control (RFC 1812 4.3.2.5).
	r.Send(&OutPacket{Protocol: wire.ProtocolICMP, TOS: 0xc0, Header: b[:n], ChecksumOffset: -1})
}

// errors4 has the types and codes of the errors that are sent.
var errors4 = [reasons]struct{ typ, code uint8 }{
	NetUnreachable:      {wire.ICMPv4DestinationUnreachable, wire.ICMPv4NetUnreachable},
	HostUnreachable:     {wire.ICMPv4DestinationUnreachable, wire.ICMPv4HostUnreachable},
	ProtocolUnreachable: {wire.ICMPv4DestinationUnreachable, wire.ICMPv4ProtocolUnreachable},
	PortUnreachable:     {wire.ICMPv4DestinationUnreachable, wire.ICMPv4PortUnreachable},
	PacketTooBig:        {wire.ICMPv4DestinationUnreachable, wire.ICMPv4FragmentationNeeded},
	SourceRouteFailed:   {wire.ICMPv4DestinationUnreachable, wire.ICMPv4SourceRouteFailed},
	TimeExceeded:        {wire.ICMPv4TimeExceeded, 0},
	ReassemblyTimeout:   {wire.ICMPv4TimeExceeded, wire.ICMPv4ReassemblyExceeded},
	HeaderProblem:       {wire.ICMPv4ParameterProblem, 0},
	Prohibited:          {wire.ICMPv4DestinationUnreachable, wire.ICMPv4AdminProhibited},
	UnknownOption:       {wire.ICMPv4ParameterProblem, 0},
	BeyondScope:         {wire.ICMPv4DestinationUnreachable, wire.ICMPv4HostUnreachable},
	IncompleteChain:     {wire.ICMPv4ParameterProblem, 0},
}
