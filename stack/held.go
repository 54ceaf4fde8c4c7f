package stack

import (
	"runtime"

	"github.com/unet-go/unet/internal/mono"
)

// A receive burst is what one Read of a device brought. It ends when the goroutines that it has woken have had their turn
// to answer. Until then small writes are held, and so are acknowledgments that need not leave at once. So one segment
// carries several small writes, the acknowledgment of the request, and the FIN of a connection that is closed after its
// answer.

// holdLocked makes c's Output wait for the end of the burst. The caller has found a burst in progress.
func (c *TCPConn) holdLocked() {
	s := c.shard
	if c.bits&held != 0 {
		return
	}
	c.bits |= held
	s.held = append(s.held, c)
	s.heldAny.Store(true)
}

// pushLocked transmits what was written to c and is held, before something happens that would keep it from leaving or
// would change it. A program takes it that its octets have left when Write has returned, as they have with Linux.
func (c *TCPConn) pushLocked(now mono.Time) {
	if c.bits&held != 0 {
		c.tcp.Push(now)
	}
}

// writeTimeLocked says whether n octets that are to be written to c may wait for the end of a burst, and returns the
// moment of the write. Where they may wait this is the burst's, which saves asking the clock: what leaves later gets its
// own time then.
func (c *TCPConn) writeTimeLocked(n int, m WriteMode) (hold bool, now mono.Time) {
	s := c.shard
	hold = s.layer.bursts.Load() != 0 && !m.Urgent && c.tcp.SendQueued()+n <= maxHeld
	if hold && c.writeDeadline == 0 {
		return true, mono.Time(s.layer.burstAt.Load())
	}
	return hold, c.now()
}

// sendLocked puts p and rest into c's send queue, as far as there is room, and returns how many octets that are. What may
// leave is transmitted now, or with hold at the end of the burst.
func (c *TCPConn) sendLocked(p []byte, rest [][]byte, m WriteMode, hold bool, now mono.Time) (n int) {
	s := c.shard
	c.setMoreLocked(m.More, now)
	for ; ; p, rest = rest[0], rest[1:] {
		last := len(rest) == 0
		if last && m.Urgent {
			if k := c.tcp.SendUrgent(p, now); k > 0 {
				return n + k // and has transmitted
			}
			break
		}
		k := c.tcp.Queue(p, now)
		if n += k; k < len(p) || last {
			break
		}
	}
	switch {
	case n == 0:
	case hold:
		c.holdLocked()
		// The burst may have ended meanwhile. releaseOutput counts it out of bursts before it looks at heldAny, and
		// holdLocked has set heldAny before bursts is looked at here, so that at least one of both transmits.
		if s.layer.bursts.Load() == 0 {
			s.releaseLocked(c.now())
		}
	default:
		c.tcp.Output(now)
	}
	return n
}

// setMoreLocked sets whether more will follow what is written next. What was written before does not wait for it.
func (c *TCPConn) setMoreLocked(more bool, now mono.Time) {
	if more {
		c.pushLocked(now)
	}
	c.tcp.SetMore(more)
}

// holdOutput begins a receive burst, read at now: from here on Output may wait for releaseOutput. It returns how many waits
// have begun so far, so that awaitAnswers can tell how many have begun since.
func (l *tcpLayer) holdOutput(now mono.Time) (waitsBegun uint32) {
	l.burstAt.Store(int64(now))
	l.bursts.Add(1)
	return l.waitsBegun.Load()
}

// awaitAnswers yields the processor to the woken goroutines of a burst until each has answered and waits again, as a
// server's do between requests, or until it has yielded often enough. waitsBegun is what holdOutput returned. All of them
// have had a turn before: another processor may be running those that have not answered.
func (l *tcpLayer) awaitAnswers(waitsBegun uint32, woken int) {
	for range min(2*woken, maxYields) {
		if l.waitsBegun.Load()-waitsBegun >= uint32(woken) {
			return
		}
		runtime.Gosched()
	}
}

// releaseOutput ends a receive burst: it transmits what was held. The caller flushes.
func (l *tcpLayer) releaseOutput() {
	l.bursts.Add(-1)
	now := l.core.clock.Now()
	for i := range l.shards {
		if s := &l.shards[i]; s.heldAny.Load() {
			s.lock()
			s.releaseLocked(now)
			s.unlockUnflushed()
		}
	}
}

// releaseLocked calls Output for the connections for which it was held.
func (s *shard) releaseLocked(now mono.Time) {
	s.heldAny.Store(false)
	for i, c := range s.held {
		s.held[i] = nil
		c.bits &^= held
		c.tcp.Output(now)
		c.afterLocked(now)
	}
	s.held = s.held[:0]
}
