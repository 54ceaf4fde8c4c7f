package ip

import (
	"net/netip"

	"github.com/unet-go/unet/internal/drop"
)

// SendError tells p's source what was wrong with p, unless RFC 1122 3.2.2 or RFC 4443 2.4 (e) forbids an error about it
// or there were too many lately. detail is the octet of the packet that is wrong where reason is HeaderProblem or
// UnknownOption, and the MTU in octets where it is PacketTooBig. It does not flush.
func (l *Layer) SendError(p *Packet, reason Reason, detail uint32) {
	if !mayReport(p, reason) {
		return
	}
	local := p.Dst
	if !l.IsLocal(local) { // a group, or another host, to which the packet was to be passed on
		local = netip.Addr{}
	}
	r, err := l.HostRoute(local, p.Src)
	if err != nil {
		return
	}
	if !l.errorLimit.Allow(l.now(), p.Src, r.iface.loopback) {
		l.drop(drop.ICMPRate)
		return
	}
	l.counters.icmpErrors.Add(1)
	r.sendError(p, reason, detail)
}

// mayReport says whether an ICMP error about p is allowed: not about an ICMP error, nothing that went to many but for an
// unknown option that asks for it, no fragment but the first, and only to one host (RFC 1122 3.2.2, RFC 4443 2.4 (e)).
func mayReport(p *Packet, reason Reason) bool {
	return (!p.Broadcast || reason == UnknownOption) && isUnicast(p.Src) && !p.ownSource && !p.laterFragment &&
		!p.family.carriesICMPError(p.Protocol, p.Payload)
}

// Reported counts a Report that a transport has taken, and one for which there was no socket.
func (l *Layer) Reported(r *Report, taken bool) {
	switch {
	case r.Neighbor: // counted when the packet was dropped
	case taken:
		l.counters.icmpErrorsIn.Add(1)
	default:
		l.drop(drop.ICMPQuote)
	}
}
