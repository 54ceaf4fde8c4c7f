package ip

import (
	"encoding/binary"

	"github.com/unet-go/unet/internal/span"
	"github.com/unet-go/unet/internal/wire"
)

// sendError sends an ICMP error about p.
func (r *Route) sendError(p *Packet, reason Reason, detail uint32) {
	if r.V6() {
		r.sendError6(p, reason, detail)
	} else {
		r.sendError4(p, reason, detail)
	}
}

// sendEchoReply answers the echo request p over r. body is what follows its header.
func (l *Layer) sendEchoReply(r *Route, p *Packet, body []byte) {
	typ, sum, mtu := uint8(wire.ICMPv4EchoReply), uint32(0), 0
	if r.V6() {
		typ, sum = wire.ICMPv6EchoReply, r.pseudoHeader(wire.ProtocolICMPv6, len(p.Payload))
		mtu = r.PathMTU() // routers cut no packets (RFC 8201 4)
	}
	var header [wire.ICMPLen]byte
	copy(header[:], p.Payload)
	header[0], header[2], header[3] = typ, 0, 0
	binary.BigEndian.PutUint16(header[2:], ^wire.Fold(wire.Sum(body, wire.Sum(header[:], sum))))
	spans := [1]span.Span{{Data: body}}
	if p.Buffer != nil {
		spans[0].Owner = p.Buffer
	}
	l.counters.echoReplies.Add(1)
	r.Send(&OutPacket{Protocol: r.family.icmp, TOS: p.TOS &^ 3, Header: header[:], ChecksumOffset: -1,
		Payload: spans[:], PayloadLen: len(body), MTU: mtu})
}
