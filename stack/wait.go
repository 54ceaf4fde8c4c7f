package stack

import (
	"sync"

	"github.com/unet-go/unet/internal/mono"
)

// waiters is what goroutines wait on that read from or write to a connection. A connection has it only while one waits.
type waiters struct {
	read, write sync.Cond
	readers     int
	writers     int
	readWoken   bool // a wake-up is due that all present readers will see
	writeWoken  bool
	nextSpare   *waiters
}

// waitersLocked returns the waiters of c, which it has from now on.
func (c *TCPConn) waitersLocked() *waiters {
	s := c.shard
	if c.waiters != nil {
		return c.waiters
	}
	w := s.spareWaiters
	if w == nil {
		w = new(waiters)
		w.read.L, w.write.L = (*shardLocker)(s), (*shardLocker)(s)
	} else {
		s.spareWaiters, w.nextSpare = w.nextSpare, nil
		s.spareCount--
	}
	c.waiters = w
	return w
}

// dropWaitersLocked takes the waiters away from c when no goroutine waits any longer.
func (c *TCPConn) dropWaitersLocked() {
	s := c.shard
	w := c.waiters
	if w.readers+w.writers > 0 {
		return
	}
	c.waiters = nil
	if s.spareCount < maxSpareWaiters {
		w.nextSpare, s.spareWaiters = s.spareWaiters, w
		s.spareCount++
	}
}

// waitReadLocked gives the lock back until something happens that may let a reader of c go on, or the read deadline
// passes. The caller has found that it cannot go on now.
func (c *TCPConn) waitReadLocked() {
	w := c.waitersLocked()
	w.readers++
	w.readWoken = false
	if !c.timelyLocked() {
		c.armLocked(c.now())
	}
	c.shard.layer.waitsBegun.Add(1)
	w.read.Wait()
	w.readers--
	c.dropWaitersLocked()
}

// waitWriteLocked is waitReadLocked for writers, and for goroutines that wait for a connect or a lingering close.
func (c *TCPConn) waitWriteLocked(now mono.Time) {
	w := c.waitersLocked()
	w.writers++
	w.writeWoken = false
	c.armLocked(now)
	c.shard.layer.waitsBegun.Add(1)
	w.write.Wait()
	w.writers--
	c.dropWaitersLocked()
}

// wakeLocked makes unlock wake the readers and the writers of c.
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

// wakeList is what must be done once no lock is held: goroutines to wake, and watchers to call.
type wakeList struct {
	conds []*sync.Cond // all goroutines that wait on one of these
	calls []watchCall
}

// watchCall is a call of Watcher.Wake.
type watchCall struct {
	watcher Watcher
	edges   Readiness
}

var wakeLists = sync.Pool{New: func() any { return new(wakeList) }}

// wakeListLocked returns the list that unlock will run, for the caller to add to.
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

// listener adds what waits for a connection of l.
func (w *wakeList) listener(l *Listener) {
	if n := len(w.conds); n == 0 || w.conds[n-1] != &l.arrived {
		w.conds = append(w.conds, &l.arrived)
	}
	if watcher := l.watcher.Load(); watcher != nil {
		w.watch(*watcher, ReadyIn)
	}
}

// run wakes all goroutines and makes the calls.
func (w *wakeList) run() {
	w.allButLast()
	w.last()
}

// allButLast makes the calls, and wakes all but those that wait on the last Cond.
func (w *wakeList) allButLast() {
	for i := range w.calls {
		w.calls[i].watcher.Wake(w.calls[i].edges)
	}
	for i := range len(w.conds) - 1 {
		w.conds[i].Broadcast()
	}
}

// last wakes those that wait on the last Cond, if there is one.
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

// notifyLocked has the watcher of c called after unlock.
func (c *TCPConn) notifyLocked(edges Readiness) {
	if edges != 0 && c.rare != nil && c.rare.watcher != nil {
		c.shard.wakeListLocked().watch(c.rare.watcher, edges)
	}
}
