package ip

// sendError sends an ICMP error about p.
func (r *Route) sendError(p *Packet, reason Reason, detail uint32) {
	if r.V6() {
		r.sendError6(p, reason, detail)
	} else {
		r.sendError4(p, reason, detail)
	}
}
