package sim

import "sync/atomic"

// Stats counts frames. Every frame that a port sends is counted in Sent and, if it is dropped, under one of
// the reasons.
type Stats struct {
	// Sent and Octets count the frames that the port's Write took, and their octets.
	Sent, Octets uint64
	// Delivered counts the frames that this port's receive queue took.
	Delivered uint64
	// Corrupted, Duplicated and Reordered count the frames that were so treated.
	Corrupted, Duplicated, Reordered uint64

	// Filtered counts frames that the filter dropped, Lost those that chance dropped, in bursts too, and frames that
	// should have been corrupted but have no checksum.
	Filtered, Lost uint64
	// QueueDropped counts frames that found the queue for Rate full.
	QueueDropped uint64
	// Oversize counts packets larger than the MTU.
	Oversize uint64
	// Refused counts frames shorter than an Ethernet header, and offloads that Info does not offer or
	// whose offsets point outside the frame.
	Refused uint64
	// Unclaimed counts frames that no other port could receive.
	Unclaimed uint64
	// Unplugged counts frames from or to a port that is unplugged or closed.
	Unplugged uint64
	// Partitioned counts frames that did not reach this port because of a partition.
	Partitioned uint64
	// Overflowed counts frames that found this port's receive queue full.
	Overflowed uint64
}

func (s *Stats) add(t Stats) {
	s.Sent += t.Sent
	s.Octets += t.Octets
	s.Delivered += t.Delivered
	s.Corrupted += t.Corrupted
	s.Duplicated += t.Duplicated
	s.Reordered += t.Reordered
	s.Filtered += t.Filtered
	s.Lost += t.Lost
	s.QueueDropped += t.QueueDropped
	s.Oversize += t.Oversize
	s.Refused += t.Refused
	s.Unclaimed += t.Unclaimed
	s.Unplugged += t.Unplugged
	s.Partitioned += t.Partitioned
	s.Overflowed += t.Overflowed
}

// counters are a port's Stats while they grow.
type counters struct {
	sent, octets, delivered, corrupted, duplicated, reordered atomic.Uint64
	unclaimed, overflowed                                     atomic.Uint64
	dropped                                                   [reasons]atomic.Uint64
}

func (c *counters) stats() Stats {
	return Stats{
		Sent: c.sent.Load(), Octets: c.octets.Load(), Delivered: c.delivered.Load(),
		Corrupted: c.corrupted.Load(), Duplicated: c.duplicated.Load(), Reordered: c.reordered.Load(),
		Filtered: c.dropped[Filtered].Load(), Lost: c.dropped[Lost].Load(),
		QueueDropped: c.dropped[QueueFull].Load(), Oversize: c.dropped[Oversize].Load(),
		Refused: c.dropped[Refused].Load(), Unplugged: c.dropped[Unplugged].Load(),
		Partitioned: c.dropped[Partitioned].Load(),
		Unclaimed:   c.unclaimed.Load(), Overflowed: c.overflowed.Load(),
	}
}
