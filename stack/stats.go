package stack

import "github.com/unet-go/unet/stack/tcp"

// Stats are a host's counters since it began, and its gauges.
type Stats struct {
	// TCP sums the counters of all shards.
	TCP tcp.Counters
	// TCPGauges are the TCP side's gauges and its counters outside of package tcp.
	TCPGauges TCPGauges
}

// Stats returns the host's counters and gauges at about one moment.
func (h *Host) Stats() Stats {
	var s Stats
	h.tcp.stats(&s)
	return s
}
