package stack

import "github.com/unet-go/unet/stack/tcp"

// Writev is Write of all of bufs, one behind the other: no other write comes between, and small ones share
// segments. bufs is not changed.
func (c *TCPConn) Writev(bufs [][]byte) (n int64, err error) {
	i, off := 0, 0 // the next octet is bufs[i][off]
	for i < len(bufs) && len(bufs[i]) == 0 {
		i++
	}
	if i == len(bufs) {
		_, err = c.Write(nil)
		return 0, err
	}
	s := c.shard
	s.lock()
	defer s.unlock()
	mine := false // this call holds the bit writing
	for {
		now := s.layer.host.clock.now()
		if err = c.writeErrorLocked(false, now); err != nil {
			break
		}
		if c.bits&waits != 0 {
			_, _ = s.openLocked(c, nil, false) // of no error but the one that was just asked for
		}
		if c.bits&connected != 0 && (mine || c.bits&writing == 0) {
			i, off, n = s.sendvLocked(c, bufs, i, off, n, now)
			s.afterLocked(c, now)
			if i == len(bufs) {
				break
			}
			mine = true
			c.bits |= writing
		}
		s.waitWriteLocked(c, now)
	}
	if mine {
		s.doneWritingLocked(c)
	}
	return n, err
}

// sendvLocked is sendLocked for buffers from octet off of bufs[i] on. It returns where it has come to, and n
// with what it took added.
func (s *shard) sendvLocked(c *TCPConn, bufs [][]byte, i, off int, n int64, now tcp.Time) (int, int, int64) {
	before := n
	for i < len(bufs) {
		rest := bufs[i][off:]
		took := c.tcp.Queue(rest, now)
		n += int64(took)
		if off += took; took < len(rest) {
			break
		}
		i, off = i+1, 0
	}
	switch {
	case n == before:
	case s.layer.inBurst.Load() == 0 || c.tcp.SendQueued() > maxHeld:
		c.tcp.Output(now)
	default:
		s.holdLocked(c)
		if s.layer.inBurst.Load() == 0 { // as in sendLocked
			s.releaseLocked(now)
		}
	}
	return i, off, n
}
