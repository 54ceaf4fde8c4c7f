package ip

// ICMPError returns type and code of p, an ICMP or ICMPv6 error that Input.Frame has made a Report of, and what Linux tells of
// the last four octets of its header: of IPv4 the next hop's MTU, or the octet that is wrong; of IPv6 all of them.
func (p *Packet) ICMPError() (typ, code uint8, info uint32) {
	typ, code = p.Payload[0], p.Payload[1]
	if p.family == family6 {
		return typ, code, info6(p.Payload)
	}
	return typ, code, info4(p.Payload)
}
