package ip

import "github.com/unet-go/unet/internal/drop"

// SendError tells p's source what was wrong with p, unless RFC 1122 3.2.2 forbids an error about it or
// there were too many lately. detail is the octet of the header that is wrong where reason is HeaderProblem. It does not
// flush.
func (l *Layer) SendError(p *Packet, reason Reason, detail uint32) {
	if !mayReport(p) {
		return
	}
	r, err := l.HostRoute(p.Dst, p.Src)
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

// mayReport says whether an ICMP error about p is allowed: not about an ICMP error, nothing that went to
// many, no fragment but the first, and only to one host (RFC 1122 3.2.2).
func mayReport(p *Packet) bool {
	return !p.Broadcast && isUnicast(p.Src) && !p.laterFragment && !(p.Protocol == p.family.icmp && p.family.isICMPError(p.Payload))
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
