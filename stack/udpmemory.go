package stack

const (
	udpStep  = 16 << 10 // a queue reports to the host's sum when it has changed by so many octets
	leastUDP = 4608     // octets that a socket may always queue
)

// accountLocked tells the host's sum of all queues what the queue takes, if that has changed by step octets or more.
func (s *UDPSocket) accountLocked(step int) {
	if d := s.charge - s.reported; d >= step || d <= -step {
		s.layer.core.buffered.Add(int64(d))
		s.reported = s.charge
	}
}

// datagramLimit returns what a UDP socket may queue, limit being its own buffer.
func (c *core) datagramLimit(limit int) int {
	if c.buffered.Load() > c.bufferLimit {
		return min(limit, leastUDP)
	}
	return limit
}
