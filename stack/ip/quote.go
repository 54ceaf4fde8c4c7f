package ip

import "bytes"

// quotable returns a copy of as much of a packet as an ICMP error about it quotes at most.
func quotable(packet []byte) []byte { return bytes.Clone(packet[:min(len(packet), leastMTU6)]) }

// quote fills a report with what a packet of ours, mostly cut short, says of itself. zone is that of the interface.
func (r *Report) quote(f *family, b []byte, zone string) bool {
	if f == family6 {
		return r.quote6(b, zone)
	}
	return r.quote4(b)
}
