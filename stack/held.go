package stack

import (
	"runtime"

	"github.com/unet-go/unet/internal/mono"
)

// While a receive burst is in progress, the goroutines that it has woken answer. What they write, if it is
// little, and the acknowledgments that only eagerness asks for are held until they have had their turn: so one
// segment carries several small writes, the acknowledgment of the request, and the FIN of a connection that is
// closed behind its answer.

// maxHeld is how many octets of a connection may wait for the end of a burst. More is worth a segment of its own.
const maxHeld = 16384

// holdLocked puts c on the list of those whose Output waits for the end of the burst. The caller has found a
// burst in progress.
func (c *TCPConn) holdLocked() {
	s := c.shard
	if c.bits&held != 0 {
		return
	}
	c.bits |= held
	s.held = append(s.held, c)
	s.heldAny.Store(true)
}

// pushLocked transmits what c has written and a burst holds, before something happens that would keep it from leaving
// or change what leaves of it. To the program it has left when Write has returned, and with Linux it has.
func (c *TCPConn) pushLocked(now mono.Time) {
	if c.bits&held != 0 {
		c.tcp.Push(now)
	}
}

// writeTimeLocked says whether n octets that are to be written to c may wait for the end of a burst, and returns
// the moment of the write: that of the burst in this case, which is good enough for what is not sent yet.
func (c *TCPConn) writeTimeLocked(n int, m WriteMode) (hold bool, now mono.Time) {
	s := c.shard
	hold = s.layer.inBurst.Load() != 0 && !m.Urgent && c.tcp.SendQueued()+n <= maxHeld
	if hold && c.writeDeadline == 0 {
		return true, mono.Time(s.layer.burstAt.Load())
	}
	return hold, c.now()
}

// sendLocked puts p and rest into c's send queue and transmits what may leave, now or, with hold, at the end of
// the burst. It returns how much it took.
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
		// The burst may have ended meanwhile. Its end looks at heldAny after it has left inBurst, so one of us
		// two sees the other.
		if s.layer.inBurst.Load() == 0 {
			s.releaseLocked(c.now())
		}
	default:
		c.tcp.Output(now)
	}
	return n
}

// setMoreLocked says whether more follows what is written next. What was written before does not wait for that.
func (c *TCPConn) setMoreLocked(more bool, now mono.Time) {
	if more {
		c.pushLocked(now)
	}
	c.tcp.SetMore(more)
}

// beginBurst lets Output wait for endBurst. It returns what awaitAnswers wants to know.
func (l *tcpLayer) beginBurst(now mono.Time) (parked uint32) {
	l.burstAt.Store(int64(now))
	l.inBurst.Add(1)
	return l.parked.Load()
}

// maxYields bounds how often a receive loop gives way to those who answer: twice for each, up to so often.
const maxYields = 16

// awaitAnswers gives way to the goroutines that a burst has woken, until each has answered and waits again, as those
// of a server do between requests, or for as long as giving way costs little. They have had a turn: another processor
// may have taken over those that have not answered.
func (l *tcpLayer) awaitAnswers(parked uint32, woken int) {
	for range min(2*woken, maxYields) {
		if l.parked.Load()-parked >= uint32(woken) {
			return
		}
		runtime.Gosched()
	}
}

// endBurst transmits all that was held. The caller flushes.
func (l *tcpLayer) endBurst() {
	l.inBurst.Add(-1)
	now := l.host.clock.Now()
	for i := range l.shards {
		if s := &l.shards[i]; s.heldAny.Load() {
			s.lock()
			s.releaseLocked(now)
			s.unlockUnflushed()
		}
	}
}

// releaseLocked calls Output for the connections that waited for it.
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
