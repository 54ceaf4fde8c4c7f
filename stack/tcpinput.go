package stack

// tcpInput takes the TCP packets of one burst in their order of arrival. It takes each shard's lock once, and
// wakes the goroutines concerned before it returns. It does not flush.
func (h *Host) tcpInput(batch []packet) {}

// tcpError takes an ICMP error, or a neighbour's silence, about a segment of ours.
func (h *Host) tcpError(e transportError) {}
