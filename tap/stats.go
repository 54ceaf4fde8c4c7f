package tap

import "sync/atomic"

// Stats counts frames and octets since Open. Octets are those of the frames alone, without the virtio header.
type Stats struct {
	// FramesIn and OctetsIn count what Read has delivered, FramesOut and OctetsOut what the kernel took
	// from Write. A super-segment is one frame.
	FramesIn, OctetsIn, FramesOut, OctetsOut uint64
	// InTruncated counts received frames that were dropped because they did not fit into a buffer.
	InTruncated uint64
	// InMalformed counts received frames that were dropped because their virtio header or length was wrong.
	InMalformed uint64
	// OutMalformed counts frames that Write dropped because their Meta did not fit them or asked for an
	// offload that Info does not offer.
	OutMalformed uint64
	// OutDown counts frames that the kernel refused because its side of the interface was not up.
	OutDown uint64
	// OutNoMemory counts frames that the kernel had no memory for.
	OutNoMemory uint64
	// OutRefused counts frames that the kernel refused for another reason, such as a frame too short for
	// its Ethernet header.
	OutRefused uint64
}

// Dropped returns the number of frames that were dropped, for all reasons together.
func (s Stats) Dropped() uint64 {
	return s.InTruncated + s.InMalformed + s.OutMalformed + s.OutDown + s.OutNoMemory + s.OutRefused
}

// counters counts for a queue's Stats. Reader and writer each have a cache line of their own, so that counting in one
// direction does not slow the other down.
type counters struct {
	in struct {
		frames, octets, truncated, malformed atomic.Uint64
	}
	_   [64]byte
	out struct {
		frames, octets, malformed, down, noMemory, refused atomic.Uint64
	}
}

func (c *counters) addTo(s *Stats) {
	s.FramesIn += c.in.frames.Load()
	s.OctetsIn += c.in.octets.Load()
	s.InTruncated += c.in.truncated.Load()
	s.InMalformed += c.in.malformed.Load()
	s.FramesOut += c.out.frames.Load()
	s.OctetsOut += c.out.octets.Load()
	s.OutMalformed += c.out.malformed.Load()
	s.OutDown += c.out.down.Load()
	s.OutNoMemory += c.out.noMemory.Load()
	s.OutRefused += c.out.refused.Load()
}
