package stack

import (
	"sync"

	"github.com/unet-go/unet/internal/mono"
)

// How Shutdown and Close empty the tables: what is waited for, and what is reset.

// drain closes the listeners, and lets none be added any more. The channel that it returns is closed once no connection is
// left that Shutdown waits for.
func (l *tcpLayer) drain() <-chan struct{} {
	l.draining.Do(func() {
		l.awaited.Store(1) // so that it does not become 0 before all shards are counted
		l.listen.closeAll()
		for i := range l.shards {
			s := &l.shards[i]
			s.mu.Lock()
			s.draining = true
			l.awaited.Add(int64(s.awaited))
			s.mu.Unlock()
		}
		if l.awaited.Add(-1) == 0 {
			l.drained.Wake(0)
		}
	})
	return l.drained.done
}

// drainWatcher closes done when it is woken.
type drainWatcher struct {
	once sync.Once
	done chan struct{}
}

// Wake makes it a Watcher, which is called without a lock.
func (w *drainWatcher) Wake(Readiness) { w.once.Do(func() { close(w.done) }) }

// awaitedLocked says whether Shutdown waits for c.
func (c *TCPConn) awaitedLocked() bool {
	return c.bits&inTable != 0 && c.bits&(closed|drained) != closed|drained
}

// recountLocked counts c again for Shutdown after a change of the bits that awaitedLocked looks at. was is what awaitedLocked
// returned before the change.
func (c *TCPConn) recountLocked(was bool) {
	s := c.shard
	is := c.awaitedLocked()
	if is == was {
		return
	}
	n := -1
	if is {
		n = 1
	}
	s.awaited += n
	if s.draining && s.layer.awaited.Add(int64(n)) == 0 {
		s.wakeListLocked().watch(&s.layer.drained, 0)
	}
}

// close resets all connections and closes all listeners. The host flushes what it sends. It returns what is lost of the
// connections that Shutdown would have waited for.
func (l *tcpLayer) close() (lost ShutdownError) {
	l.core.ended.Store(true)
	l.listen.closeAll()
	now := l.core.clock.Now()
	for i := range l.shards {
		s := &l.shards[i]
		s.lock()
		for _, f := range s.flows.all(func(*flow) bool { return true }) {
			if f.kind == connFlow && f.conn().awaitedLocked() {
				lost.Connections++
				lost.Octets += int64(f.conn().tcp.SendQueued())
			}
			s.endLocked(f, now)
		}
		s.unlock()
	}
	return lost
}

// endLocked takes f out of the stack at once, and resets the peer if it is synchronized.
func (s *shard) endLocked(f *flow, now mono.Time) {
	switch f.kind {
	case connFlow:
		c := f.conn()
		c.tcp.Abandon(now)
		if c.err == 0 {
			c.setErrorLocked(errAborted)
		}
		c.afterLocked(now)
		c.releaseBindingLocked()
	case halfOpenFlow:
		s.resetHalfOpenLocked(f.halfOpen(), now)
	case timeWaitFlow:
		s.removeTimeWaitLocked(f.timeWait())
	}
}
