package fdtable

import (
	"syscall"
	"time"

	"github.com/unet-go/unet/stack"
)

// EpollWait waits until items of the instance are ready, at most msec milliseconds, for ever if msec is negative. It
// stores the ready items in events, at most len(events), and returns their number, 0 when the time is up. If several
// calls wait on one instance, an event wakes one of them. Errors: EINVAL (events is empty, or epfd is no instance),
// EBADF, also when the instance is closed meanwhile. There is no EINTR.
func (t *Table) EpollWait(epfd int, events []EpollEvent, msec int) (int, error) {
	return t.epollWait(epfd, events, milliseconds(msec))
}

// EpollPwait2 is EpollWait with a timeout in nanoseconds; nil is for ever. There are no signals to mask. EINVAL for a
// timeout that is negative or whose Nsec is out of range.
func (t *Table) EpollPwait2(epfd int, events []EpollEvent, timeout *Timespec) (int, error) {
	d, ok := timeout.duration()
	if !ok {
		return 0, syscall.EINVAL
	}
	return t.epollWait(epfd, events, d)
}

func (t *Table) epollWait(epfd int, events []EpollEvent, timeout time.Duration) (int, error) {
	if len(events) == 0 {
		return 0, syscall.EINVAL
	}
	f, err := t.file(epfd)
	if err != nil {
		return 0, err
	}
	defer f.release()
	e, ok := f.body.(*epoll)
	if !ok {
		return 0, syscall.EINVAL
	}
	return e.wait(events, timeout)
}

// wait does the work of EpollWait.
func (e *epoll) wait(events []EpollEvent, timeout time.Duration) (int, error) {
	n := e.collect(events)
	if n > 0 || timeout == 0 {
		return n, nil
	}
	s := e.takeSleeper()
	defer e.putSleeper(s)
	var expired <-chan time.Time
	if timeout > 0 {
		if s.timer == nil {
			s.timer = time.NewTimer(timeout)
		} else {
			s.timer.Reset(timeout)
		}
		defer s.timer.Stop()
		expired = s.timer.C
	}
	for {
		if err := e.addSleeper(s); err != nil {
			return 0, err
		}
		select {
		case <-s.woken:
		case <-expired:
			e.removeSleeper(s)
			return e.collect(events), nil
		}
		if n := e.collect(events); n > 0 {
			return n, nil
		}
	}
}

// collect stores the items that are ready in events and returns their number. It looks once at each item that may
// be ready. An item that is ready is queued again at the end, unless it asked for edges alone (EPOLLET).
func (e *epoll) collect(events []EpollEvent) (n int) {
	e.ctl.Lock()
	defer e.ctl.Unlock()
	e.mu.Lock()
	left := e.count
	e.mu.Unlock()
	for ; left > 0 && n < len(events); left-- {
		item := e.dequeue()
		if item == nil {
			break
		}
		present := item.present()
		if present == 0 {
			continue
		}
		events[n] = EpollEvent{Events: present, Fd: item.data[0], Pad: item.data[1]}
		n++
		switch asked := item.events.Load(); {
		case asked&EPOLLONESHOT != 0:
			item.events.Store(asked & epollPrivate)
		case asked&EPOLLET == 0:
			e.requeue(item)
		}
	}
	e.mu.Lock()
	if e.count > 0 {
		e.wakeOneLocked() // for the items that are left
	}
	e.mu.Unlock()
	return n
}

// ready implements body: an instance is ready for reading when one of its items is ready. It removes items that are not
// ready from the queue.
func (e *epoll) ready() stack.Readiness {
	e.ctl.Lock()
	defer e.ctl.Unlock()
	e.mu.Lock()
	left := e.count
	e.mu.Unlock()
	for ; left > 0; left-- {
		item := e.dequeue()
		if item == nil {
			break
		}
		if item.present() != 0 {
			e.requeue(item)
			return stack.ReadyIn
		}
	}
	return 0
}

// follow implements body. It has nothing to do: an instance always calls the wake of its watches.
func (e *epoll) follow() {}

// wake implements sink: it queues the item whose file may have become ready, unless the item does not ask for these edges.
func (item *epollItem) wake(edges stack.Readiness) bool {
	asked := item.events.Load()
	if asked&^epollPrivate == 0 || edges != stack.ReadyAll && eventBits(edges)&asked == 0 {
		return false
	}
	return item.epoll.enqueue(item)
}

// enqueue puts an item into the list of those that may be ready and wakes a call that waits. It reports whether there is
// one.
func (e *epoll) enqueue(item *epollItem) bool {
	e.mu.Lock()
	e.linkLocked(item)
	woken := e.wakeOneLocked()
	e.mu.Unlock()
	e.Wake(stack.ReadyIn)
	return woken
}

func (e *epoll) requeue(item *epollItem) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.linkLocked(item)
}

func (e *epoll) dequeue() *epollItem {
	e.mu.Lock()
	defer e.mu.Unlock()
	item := e.first
	if item != nil {
		e.unlinkLocked(item)
	}
	return item
}

func (e *epoll) linkLocked(item *epollItem) {
	if item.queued || e.closed {
		return
	}
	item.queued = true
	e.count++
	if item.previous = e.last; e.last != nil {
		e.last.following = item
	} else {
		e.first = item
	}
	e.last = item
}

func (e *epoll) unlinkLocked(item *epollItem) {
	item.queued = false
	e.count--
	if item.previous != nil {
		item.previous.following = item.following
	} else {
		e.first = item.following
	}
	if item.following != nil {
		item.following.previous = item.previous
	} else {
		e.last = item.previous
	}
	item.previous, item.following = nil, nil
}

// takeSleeper returns a free sleeper, for a call that is going to wait.
func (e *epoll) takeSleeper() *sleeper {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := e.spare; s != nil {
		e.spare, s.next = s.next, nil
		return s
	}
	return &sleeper{woken: make(chan struct{}, 1)}
}

func (e *epoll) putSleeper(s *sleeper) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s.next, e.spare = e.spare, s
}

// addSleeper puts s at the end of the list of calls that wait. If an item may be ready already it wakes s at once.
func (e *epoll) addSleeper(s *sleeper) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return syscall.EBADF
	case e.count > 0:
		s.woken <- struct{}{}
		return nil
	}
	at := &e.sleeping
	for *at != nil {
		at = &(*at).next
	}
	*at = s
	return nil
}

// removeSleeper removes s from the list of calls that wait. If s has been woken meanwhile it drops that wake-up: the caller
// looks at the items in any case.
func (e *epoll) removeSleeper(s *sleeper) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for at := &e.sleeping; *at != nil; at = &(*at).next {
		if *at == s {
			*at, s.next = s.next, nil
			return
		}
	}
	<-s.woken
}

func (e *epoll) wakeOneLocked() bool {
	s := e.sleeping
	if s == nil {
		return false
	}
	e.sleeping, s.next = s.next, nil
	s.woken <- struct{}{}
	return true
}
