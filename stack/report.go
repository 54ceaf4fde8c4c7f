package stack

import (
	"net/netip"
	"syscall"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/ip"
	"github.com/unet-go/unet/stack/tcp"
)

// report tells the transport of a packet of ours what a router or a host says about it by the ICMP message p, or, p being nil,
// a neighbour's silence.
func (h *Host) report(r *ip.Report, p *ip.Packet) { h.ip.Reported(r, h.reportTransport(r, p)) }

// reportTransport is false when there is no socket to tell.
func (h *Host) reportTransport(r *ip.Report, p *ip.Packet) bool {
	e := meaning(r)
	switch r.Protocol {
	case wire.ProtocolTCP:
		var t wire.TCP
		if t.ParseQuote(r.Transport) != nil {
			return false
		}
		e.Seq = tcp.Seq(t.Seq)
		h.tcp.errorArrives(transportError{local: netip.AddrPortFrom(r.Local, t.SrcPort),
			remote: netip.AddrPortFrom(r.Remote, t.DstPort), err: e})
		return true
	case wire.ProtocolUDP:
		var u wire.UDP
		if u.ParseQuote(r.Transport) != nil {
			return false
		}
		return h.udp.errorArrives(netip.AddrPortFrom(r.Local, u.SrcPort), netip.AddrPortFrom(r.Remote, u.DstPort), e, r, p)
	case wire.ProtocolICMPv6: // about an echo reply, which only we can cut
		if e.MTU == 0 || len(r.Transport) == 0 || r.Transport[0] != wire.ICMPv6EchoReply {
			break
		}
		route, err := h.ip.HostRoute(r.Local, r.Remote)
		if err != nil {
			return false
		}
		route.LearnPathMTU(e.MTU)
		return true
	}
	raw := h.raw.Load()
	return raw != nil && (*raw).errorArrives(r, e)
}

// meaning translates an ICMP error as Linux does, but for the hard ones RFC 1122 4.2.3.9 and ledger Z-2. All
// unreachables end a connection that is not yet there (ledger E-CON-6), source route failed excepted:
// we send none.
func meaning(r *ip.Report) tcp.ICMPError {
	switch r.Reason {
	case ip.NetUnreachable:
		return tcp.ICMPError{Errno: syscall.ENETUNREACH, Hard: true}
	case ip.HostUnreachable, ip.BeyondScope:
		return tcp.ICMPError{Errno: syscall.EHOSTUNREACH, Hard: true}
	case ip.ProtocolUnreachable:
		if r.Remote.Is6() { // a parameter problem: icmpv6_err_convert
			return tcp.ICMPError{Errno: syscall.EPROTO, Hard: true}
		}
		return tcp.ICMPError{Errno: syscall.ENOPROTOOPT, Hard: true}
	case ip.PortUnreachable:
		return tcp.ICMPError{Errno: syscall.ECONNREFUSED, Hard: true}
	case ip.PacketTooBig:
		return tcp.ICMPError{Errno: syscall.EMSGSIZE, MTU: max(r.MTU, 1)} // 0 is less than any path carries, too
	case ip.SourceRouteFailed:
		return tcp.ICMPError{Errno: syscall.EOPNOTSUPP}
	case ip.HeaderProblem, ip.UnknownOption, ip.IncompleteChain:
		return tcp.ICMPError{Errno: syscall.EPROTO}
	case ip.Prohibited:
		return tcp.ICMPError{Errno: syscall.EACCES, Hard: true}
	case ip.TimeExceeded, ip.ReassemblyTimeout:
	}
	return tcp.ICMPError{Errno: syscall.EHOSTUNREACH}
}
