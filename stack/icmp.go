package stack

import (
	"net/netip"
	"syscall"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/tcp"
)

// transportError is an ICMP error, or a neighbour that does not answer, about a TCP segment of ours.
type transportError struct {
	// local and remote are the quoted segment's source and destination.
	local, remote netip.AddrPort
	// err is what the message says; err.Seq is the quoted sequence number.
	err tcp.ICMPError
}

// maxICMPError is the longest ICMP error in octets, IP header included (RFC 1812 4.3.2.3).
const maxICMPError = 576

// icmp4 takes an ICMP message (RFC 792, RFC 1122 3.2.2).
func (rc *receiver) icmp4(p *packet) {
	h := rc.host
	var m wire.ICMPv4
	body, err := m.Parse(p.payload)
	if err != nil {
		h.drop(DropICMPMalformed)
		return
	}
	switch m.Type {
	case wire.ICMPv4EchoRequest:
		h.echo(p, body)
	case wire.ICMPv4DestinationUnreachable, wire.ICMPv4TimeExceeded, wire.ICMPv4ParameterProblem:
		h.icmpErrorInput(p, &m, body)
	default:
		// Source quench (RFC 6633), redirects, timestamps and the like (RFC 6918) among them.
		h.drop(DropICMPType)
	}
}

// echo answers an echo request, from the address that was asked (RFC 1122 3.2.2.6), but not one to many.
func (h *Host) echo(p *packet, body []byte) {
	if p.broadcast || !isUnicast(p.src) {
		h.drop(DropICMPBroadcast)
		return
	}
	r, err := h.routeTo(p.dst, p.src)
	if err != nil {
		h.drop(DropICMPType)
		return
	}
	var header [wire.ICMPLen]byte
	copy(header[:], p.payload)
	header[0] = wire.ICMPv4EchoReply
	spans := [1]tcp.Span{{Data: body}}
	if p.buf != nil {
		spans[0].Owner = p.buf
	}
	header[2], header[3] = 0, 0
	sum := ^wire.Fold(wire.Sum(body, wire.Sum(header[:], 0)))
	header[2], header[3] = uint8(sum>>8), uint8(sum)
	h.counters.echoReplies.Add(1)
	r.send(&outPacket{proto: wire.ProtocolICMP, tos: p.tos &^ 3, header: header[:], sumOffset: -1,
		payload: spans[:], payloadLen: len(body)})
}

// sendICMPError tells p's source what was wrong with p, unless RFC 1122 3.2.2 forbids an error about it or
// there were too many lately. It does not flush.
func (h *Host) sendICMPError(p *packet, typ, code uint8, rest [4]byte) {
	if !mayReport(p) {
		return
	}
	r, err := h.routeTo(p.dst, p.src)
	if err != nil {
		return
	}
	if !h.errorLimit.Allow(h.clock.Now(), p.src, r.iface.loopback) {
		h.drop(DropICMPRate)
		return
	}
	m := wire.ICMPv4{Type: typ, Code: code, Rest: rest}
	var b [maxICMPError - wire.IPv4Len]byte
	n := m.Marshal(b[:])
	n += copy(b[n:], p.header)
	n += copy(b[n:], p.payload)
	wire.PutICMPv4Checksum(b[:n])
	h.counters.icmpErrors.Add(1)
	// Precedence 6, internetwork control (RFC 1812 4.3.2.5).
	r.send(&outPacket{proto: wire.ProtocolICMP, tos: 0xc0, header: b[:n], sumOffset: -1})
}

// mayReport says whether an ICMP error about p is allowed: not about an ICMP error, nothing that went to
// many, no fragment but the first, and only to one host (RFC 1122 3.2.2).
func mayReport(p *packet) bool {
	if p.broadcast || !isUnicast(p.src) || len(p.header) < wire.IPv4Len {
		return false
	}
	if int(p.header[6]&0x1f)<<8|int(p.header[7]) != 0 {
		return false
	}
	if p.header[9] != wire.ProtocolICMP {
		return true
	}
	if len(p.payload) == 0 {
		return false
	}
	switch p.payload[0] {
	case 0, 8, 9, 10, 13, 14, 15, 16, 17, 18: // queries and their answers
		return true
	}
	return false
}

// icmpErrorInput gives an error to the transport that it is about. The quote must be of a packet of ours.
func (h *Host) icmpErrorInput(p *packet, m *wire.ICMPv4, body []byte) {
	e, ok := meaning(m)
	if !ok {
		h.drop(DropICMPType)
		return
	}
	var ip wire.IPv4
	quote, err := ip.ParseQuote(body)
	if err != nil || ip.FragmentOffset != 0 || netip.AddrFrom4(ip.Src) != p.dst || p.broadcast {
		h.drop(DropICMPQuote)
		return
	}
	if !h.reportQuote(&ip, quote, e) {
		h.drop(DropICMPQuote)
		return
	}
	h.counters.icmpErrorsIn.Add(1)
}

// meaning translates an ICMP error as Linux does, but for the hard ones RFC 1122 4.2.3.9 and ledger Z-2. All
// unreachables end a connection that is not yet there (ledger E-CON-6), source route failed excepted:
// we send none.
func meaning(m *wire.ICMPv4) (e tcp.ICMPError, ok bool) {
	switch m.Type {
	case wire.ICMPv4TimeExceeded:
		return tcp.ICMPError{Errno: syscall.EHOSTUNREACH}, true
	case wire.ICMPv4ParameterProblem:
		return tcp.ICMPError{Errno: syscall.EPROTO}, true
	}
	e.Hard = true
	switch m.Code {
	case wire.ICMPv4NetUnreachable, wire.ICMPv4NetUnknown, wire.ICMPv4NetProhibited, wire.ICMPv4NetUnreachableTOS:
		e.Errno = syscall.ENETUNREACH
	case wire.ICMPv4ProtocolUnreachable:
		e.Errno = syscall.ENOPROTOOPT
	case wire.ICMPv4PortUnreachable:
		e.Errno = syscall.ECONNREFUSED
	case wire.ICMPv4FragmentationNeeded:
		e = tcp.ICMPError{Errno: syscall.EMSGSIZE, MTU: m.MTU()}
		if e.MTU == 0 {
			e.MTU = oldRouterMTU
		}
	case wire.ICMPv4SourceRouteFailed:
		e = tcp.ICMPError{Errno: syscall.EOPNOTSUPP}
	default:
		if m.Code > 15 { // RFC 1812 5.2.7.1 ends there
			return e, false
		}
		e.Errno = syscall.EHOSTUNREACH
	}
	return e, true
}

// oldRouterMTU stands for the MTU that a router of before RFC 1191 does not tell: what every host takes.
const oldRouterMTU = 576

// reportQuote tells the transport of a quoted packet of ours about e. It is false when nobody can be told.
func (h *Host) reportQuote(ip *wire.IPv4, quote []byte, e tcp.ICMPError) bool {
	src, dst := netip.AddrFrom4(ip.Src), netip.AddrFrom4(ip.Dst)
	switch ip.Protocol {
	case wire.ProtocolTCP:
		var t wire.TCP
		if t.ParseQuote(quote) != nil {
			return false
		}
		e.Seq = tcp.Seq(t.Seq)
		h.tcpError(transportError{local: netip.AddrPortFrom(src, t.SrcPort),
			remote: netip.AddrPortFrom(dst, t.DstPort), err: e})
		return true
	case wire.ProtocolUDP:
		var u wire.UDP
		if u.ParseQuote(quote) != nil {
			return false
		}
		return h.udpError(netip.AddrPortFrom(src, u.SrcPort), netip.AddrPortFrom(dst, u.DstPort), e)
	}
	return false
}

// neighborFailed tells the transport of a packet that waited for a neighbour in vain.
func (h *Host) neighborFailed(b []byte) {
	var ip wire.IPv4
	if quote, err := ip.ParseQuote(b); err == nil && ip.FragmentOffset == 0 {
		h.reportQuote(&ip, quote, tcp.ICMPError{Errno: syscall.EHOSTUNREACH, Hard: true})
	}
}
