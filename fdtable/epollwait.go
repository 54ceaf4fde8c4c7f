package fdtable

import (
	"syscall"
	"time"

	"github.com/unet-go/unet/stack"
)

// EpollWait waits until items of the instance are ready, at most msec milliseconds, for ever when that is
// negative, and stores them in events, whose length bounds how many. It returns their number, 0 when the time
// is up. Of several calls on one instance an event wakes one. Errors: EINVAL (events is empty, or epfd is no
// instance), EBADF, also when the instance is closed meanwhile. There is no EINTR.
func (t *Table) EpollWait(epfd int, events []EpollEvent, msec int) (int, error) {
	return t.epollWait(epfd, events, milliseconds(msec))
}

// EpollPwait2 is EpollWait with a finer timeout; nil is for ever. There are no signals to mask. EINVAL for a
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

// wait is EpollWait.
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
		if err := e.lieDown(s); err != nil {
			return 0, err
		}
		select {
		case <-s.woken:
		case <-expired:
			e.getUp(s)
			return e.collect(events), nil
		}
		if n := e.collect(events); n > 0 {
			return n, nil
		}
	}
}

// collect stores the items that are ready in events and returns their number. It looks once at each that may
// be ready. One that still is goes to the end, unless it asked for edges alone.
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
		e.wakeOneLocked() // for what is left
	}
	e.mu.Unlock()
	return n
}

// ready is ReadyIn when an item is ready. Those that are not leave the queue.
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

// follow has nothing to do: an instance always tells its watches.
func (e *epoll) follow() {}

// wake queues an item whose file has news. What nobody asked for passes by.
func (item *epollItem) wake(edges stack.Readiness) bool {
	asked := item.events.Load()
	if asked&^epollPrivate == 0 || edges != stack.ReadyAll && eventBits(edges)&asked == 0 {
		return false
	}
	return item.epoll.enqueue(item)
}

// enqueue puts an item among those that may be ready and wakes one who waits; it returns whether there is one.
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

// takeSleeper returns a sleeper for a call that is going to wait.
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

// lieDown puts s at the end of those who wait, or wakes it at once when there is something to look at.
func (e *epoll) lieDown(s *sleeper) error {
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

// getUp takes s from those who wait. Where it has been woken meanwhile, it swallows that: its caller looks
// anyway.
func (e *epoll) getUp(s *sleeper) {
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
