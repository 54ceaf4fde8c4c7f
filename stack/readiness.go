package stack

import "github.com/unet-go/unet/stack/tcp"

// Readiness says what a connection, listener or UDP socket is ready for, as poll(2) does.
type Readiness uint8

const (
	// ReadyIn: a read returns at once, or Accept does.
	ReadyIn Readiness = 1 << iota
	// ReadyOut: a write takes at least one octet or fails at once.
	ReadyOut
	// ReadyRdHup: the peer sends no more, or the read side is shut down.
	ReadyRdHup
	// ReadyHup: both directions have ended.
	ReadyHup
	// ReadyErr: TakeError would return an error.
	ReadyErr
	// ReadyPri: the peer has announced urgent data that was neither taken nor passed; it may be on its way.
	ReadyPri

	// ReadyAll is every one of them.
	ReadyAll = ReadyIn | ReadyOut | ReadyRdHup | ReadyHup | ReadyErr | ReadyPri
)

// Watcher is told when a connection, listener or UDP socket may have become ready for more. A socket has at
// most one, and keeps only a reference to it: no goroutine and no queue.
type Watcher interface {
	// Wake is called after something has happened that may have made the socket ready for edges. New text, for
	// instance, is reported as ReadyIn even while older text is unread. Ready returns the present Readiness, which
	// may be less. No lock of the stack is held during the call. Any number of goroutines may make it at once and
	// in any order, and it must not wait. Calls that began before Watch(nil) may end after it.
	Wake(edges Readiness)
}

// edgesOf returns what the events of a TCB can have made a connection ready for. A change of state counts for all of it,
// as in Linux.
func edgesOf(events tcp.Event, moved bool) Readiness {
	if moved || events&(tcp.Connected|tcp.EnteredTimeWait|tcp.Gone) != 0 {
		return ReadyAll
	}
	var edges Readiness
	if events&tcp.Readable != 0 {
		edges |= ReadyIn
	}
	if events&tcp.Urgent != 0 {
		edges |= ReadyPri
	}
	if events&tcp.Writable != 0 {
		edges |= ReadyOut
	}
	return edges
}

// notifyLocked has the watcher of c called after unlock.
func (c *TCPConn) notifyLocked(edges Readiness) {
	if edges != 0 && c.rare != nil && c.rare.watcher != nil {
		c.shard.wakeListLocked().watch(c.rare.watcher, edges)
	}
}

// Ready returns what the connection is ready for. Where ReadyOut is missing, the watcher is told when it comes.
func (c *TCPConn) Ready() Readiness {
	// Nothing is sent and no goroutine woken, so unlock would have nothing to do.
	c.shard.mu.Lock()
	defer c.shard.mu.Unlock()
	return c.readyLocked()
}

func (c *TCPConn) readyLocked() Readiness {
	if c.bits&closed != 0 {
		return ReadyIn | ReadyOut | ReadyRdHup | ReadyHup
	}
	var r Readiness
	if c.err != 0 {
		r |= ReadyErr
	}
	if c.bits&inTable == 0 {
		return r | ReadyIn | ReadyOut | ReadyRdHup | ReadyHup
	}
	ended := c.tcp.EOF() || c.bits&readShut != 0
	if ended {
		r |= ReadyIn | ReadyRdHup
		if c.bits&writeShut != 0 {
			r |= ReadyHup
		}
	}
	if c.tcp.ReadyToRead() {
		r |= ReadyIn
	}
	if c.tcp.UrgentAhead() {
		r |= ReadyPri
	}
	if c.bits&(writeShut|synWaits) != 0 || c.bits&connected != 0 && c.tcp.AwaitWritable() {
		r |= ReadyOut
	}
	return r
}

// Watch makes w the connection's watcher, in place of any other; nil for none.
func (c *TCPConn) Watch(w Watcher) {
	c.shard.mu.Lock()
	defer c.shard.mu.Unlock()
	if c.bits&closed != 0 {
		return
	}
	if c.rare == nil {
		c.rare = new(rareFields)
	}
	c.rare.watcher = w
	c.dropRareLocked()
}

// Ready returns ReadyIn when a connection waits for Accept.
func (l *Listener) Ready() Readiness {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed || l.down:
		return ReadyIn | ReadyHup
	case l.failed != 0:
		return ReadyIn | ReadyErr | ReadyHup
	case l.count > 0:
		return ReadyIn
	}
	return 0
}

// Watch makes w the listener's watcher, in place of any other; nil for none.
func (l *Listener) Watch(w Watcher) {
	if w == nil {
		l.watcher.Store(nil)
		return
	}
	l.watcher.Store(&w)
}

// Ready returns what the socket is ready for. Writing never waits.
func (s *UDPSocket) Ready() Readiness {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := ReadyOut
	switch {
	case s.closed:
		return r | ReadyIn | ReadyRdHup | ReadyHup
	case s.host.severed(s.Local().Addr()):
		return r | ReadyIn | ReadyErr | ReadyHup
	case s.errno != 0:
		r |= ReadyErr
	}
	if s.head < len(s.queue) {
		r |= ReadyIn
	}
	return r
}

// Watch makes w the socket's watcher, in place of any other; nil for none.
func (s *UDPSocket) Watch(w Watcher) {
	if w == nil {
		s.watcher.Store(nil)
		return
	}
	s.watcher.Store(&w)
}

// notify calls the watcher; no lock is held.
func (s *UDPSocket) notify(edges Readiness) {
	if w := s.watcher.Load(); w != nil {
		(*w).Wake(edges)
	}
}
