package stack

import (
	"context"
	"strconv"
	"sync"
	"syscall"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/ip"
)

// Close resets all connections, closes listeners, UDP sockets and devices, and waits for every goroutine of
// the host. What was queued before leaves, and then the resets, as far as the devices take it: Close waits for a slow
// device, but not longer than a second for one that takes nothing. A packet that waits for its neighbour's link
// address has a second too. The second call does nothing. Shutdown is the end that loses nothing.
func (h *Host) Close() error {
	h.changing.Lock()
	defer h.changing.Unlock()
	if h.closed {
		return nil
	}
	return h.closeLocked()
}

// closeLocked is Close of a host that is not closed. The caller holds changing.
func (h *Host) closeLocked() error {
	h.closed = true
	h.end(ErrClosed)
	h.ip.HoldFlushes()
	h.lost = h.tcp.close()
	h.udp.close()
	h.ip.Finish(&h.loops)
	var first error
	for _, ifc := range h.ip.Interfaces() {
		if err := ifc.Device().Close(); err != nil && first == nil {
			first = err
		}
	}
	h.loops.Wait()
	h.clock.Stop()
	h.ip.Clear()
	h.log.stop()
	return first
}

// ShutdownError says what a Shutdown has lost. It wraps the context's error.
type ShutdownError struct {
	// Connections is the number of connections that were reset: those that their owners had not closed, and those whose
	// peer had not acknowledged all that was written, and the FIN.
	Connections int
	// Octets is how much was written to them and not acknowledged. The peers may have had a part of it.
	Octets int64
	// Err is the context's error, or ENETDOWN where Close has ended the wait.
	Err error
}

// Error returns one line with all fields.
func (e *ShutdownError) Error() string {
	return "shutdown: " + strconv.Itoa(e.Connections) + " connections reset, " + strconv.FormatInt(e.Octets, 10) +
		" octets unacknowledged: " + e.Err.Error()
}

// Unwrap returns Err.
func (e *ShutdownError) Unwrap() error { return e.Err }

// Shutdown ends the host without a loss. It closes the listeners, which resets the connections that wait for Accept,
// and waits for all other connections: until their owners have closed them and the peers have acknowledged all that was
// written to them, and the FIN. A connection without an owner that waits for its peer's FIN, or is in TIME-WAIT, is not
// waited for. Then packets that wait for a neighbour's link address, datagrams for instance, have the 3 s in which a
// neighbour answers or counts as failed. Then, or when ctx is done, it is Close: what is left is reset. Until then
// everything but listening works, so that those who answer can still ask others; new connections are waited for too.
//
// It returns nil when nothing was lost, a *ShutdownError when there were connections left, or the error with which a
// device closes. Where somebody else closes the host meanwhile it returns when that is done. On a closed host it does
// nothing.
func (h *Host) Shutdown(ctx context.Context) error {
	h.changing.Lock()
	closed := h.closed
	h.changing.Unlock()
	if closed {
		return nil
	}
	select {
	case <-h.tcp.drain():
		h.ip.AwaitNeighbors(ctx, ip.NeighborTime)
	case <-ctx.Done():
	}
	h.changing.Lock()
	defer h.changing.Unlock()
	var err error
	if !h.closed {
		err = h.closeLocked()
	}
	if h.lost.Connections == 0 {
		return err
	}
	lost := h.lost
	if lost.Err = ctx.Err(); lost.Err == nil {
		lost.Err = syscall.ENETDOWN
	}
	return &lost
}

// drain closes the listeners and lets nobody listen any more. The channel that it returns is closed once no connection
// is left that Shutdown waits for.
func (l *tcpLayer) drain() <-chan struct{} {
	l.draining.Do(func() {
		l.awaited.Store(1) // it shall not be 0 before all shards are counted
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

// recountLocked follows a change of the bits that awaitedLocked looks at. was is what it said before.
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

// close resets all connections and closes all listeners. What it sends the host flushes. It returns what is lost of the
// connections that Shutdown would have waited for.
func (l *tcpLayer) close() (lost ShutdownError) {
	l.closed.Store(true)
	l.listen.closeAll()
	now := l.host.clock.Now()
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

// endLocked takes f out of the stack at once; a synchronized peer is reset.
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
