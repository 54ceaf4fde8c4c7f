package stack

import (
	"sync"

	"github.com/unet-go/unet/internal/mono"
)

// waiters is where goroutines wait for a connection. A connection has one only while somebody waits.
type waiters struct {
	read, write sync.Cond
	readers     int
	writers     int
	readWoken   bool // a wake-up is on its way that all present readers will see
	writeWoken  bool
	nextIdle    *waiters
}

// idleWaiters bounds how many a shard keeps for later.
const idleWaiters = 64

func (c *TCPConn) waitersLocked() *waiters {
	s := c.shard
	if c.waiters != nil {
		return c.waiters
	}
	w := s.idle
	if w == nil {
		w = new(waiters)
		w.read.L, w.write.L = (*shardLocker)(s), (*shardLocker)(s)
	} else {
		s.idle, w.nextIdle = w.nextIdle, nil
		s.idleCount--
	}
	c.waiters = w
	return w
}

// leaveLocked gives the waiters of c back when nobody waits any longer.
func (c *TCPConn) leaveLocked() {
	s := c.shard
	w := c.waiters
	if w.readers+w.writers > 0 {
		return
	}
	c.waiters = nil
	if s.idleCount < idleWaiters {
		w.nextIdle, s.idle = s.idle, w
		s.idleCount++
	}
}

// waitReadLocked gives the lock back until something happens that a reader of c may care about, or its read
// deadline passes. The caller has checked that there is nothing for it yet.
func (c *TCPConn) waitReadLocked() {
	w := c.waitersLocked()
	w.readers++
	w.readWoken = false
	if !c.timelyLocked() {
		c.armLocked(c.now())
	}
	c.shard.layer.parked.Add(1)
	w.read.Wait()
	w.readers--
	c.leaveLocked()
}

// waitWriteLocked is waitReadLocked for writers and those who wait for a connect or a lingering close.
func (c *TCPConn) waitWriteLocked(now mono.Time) {
	w := c.waitersLocked()
	w.writers++
	w.writeWoken = false
	c.armLocked(now)
	c.shard.layer.parked.Add(1)
	w.write.Wait()
	w.writers--
	c.leaveLocked()
}

// wakeLocked has the readers and the writers of c woken after unlock.
func (c *TCPConn) wakeLocked(read, write bool) {
	s := c.shard
	if w := c.waiters; w != nil {
		if read && w.readers > 0 && !w.readWoken {
			w.readWoken = true
			s.wakeListLocked().cond(&w.read)
		}
		if write && w.writers > 0 && !w.writeWoken {
			w.writeWoken = true
			s.wakeListLocked().cond(&w.write)
		}
	}
}

// wakeList is what must be done once no lock is held.
type wakeList struct {
	conds []*sync.Cond
	calls []watchCall
}

type watchCall struct {
	watcher Watcher
	edges   Readiness
}

var wakeLists = sync.Pool{New: func() any { return new(wakeList) }}

// wakeListLocked returns the list of the present holder of the lock.
func (s *shard) wakeListLocked() *wakeList {
	if s.wakes == nil {
		s.wakes = wakeLists.Get().(*wakeList)
	}
	return s.wakes
}

func putWakes(w *wakeList) {
	w.clear()
	wakeLists.Put(w)
}

func (w *wakeList) cond(c *sync.Cond) { w.conds = append(w.conds, c) }

func (w *wakeList) watch(watcher Watcher, edges Readiness) {
	w.calls = append(w.calls, watchCall{watcher, edges})
}

// listener wakes who waits for a connection of l.
func (w *wakeList) listener(l *Listener) {
	if n := len(w.conds); n == 0 || w.conds[n-1] != &l.wake {
		w.conds = append(w.conds, &l.wake)
	}
	if watcher := l.watcher.Load(); watcher != nil {
		w.watch(*watcher, ReadyIn)
	}
}

// run wakes all and makes the calls.
func (w *wakeList) run() {
	w.allButLast()
	w.last()
}

// allButLast makes the calls, and wakes all but the last waiter.
func (w *wakeList) allButLast() {
	for i := range w.calls {
		w.calls[i].watcher.Wake(w.calls[i].edges)
	}
	for i := range len(w.conds) - 1 {
		w.conds[i].Broadcast()
	}
}

// last wakes the last waiter, if there is any.
func (w *wakeList) last() {
	if n := len(w.conds); n > 0 {
		w.conds[n-1].Broadcast()
	}
}

func (w *wakeList) clear() {
	clear(w.conds)
	clear(w.calls)
	w.conds, w.calls = w.conds[:0], w.calls[:0]
}
