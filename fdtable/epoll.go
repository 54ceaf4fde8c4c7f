package fdtable

import (
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Operations of EpollCtl, and the flag of EpollCreate1, FD_CLOEXEC.
const (
	EPOLL_CTL_ADD = 1
	EPOLL_CTL_DEL = 2
	EPOLL_CTL_MOD = 3
	EPOLL_CLOEXEC = 0x80000
)

// Events of EpollCtl and EpollWait. EPOLLERR and EPOLLHUP are reported without being asked for. EPOLLWAKEUP is accepted
// and has no effect here.
const (
	EPOLLIN        = 0x1
	EPOLLPRI       = 0x2
	EPOLLOUT       = 0x4
	EPOLLERR       = 0x8
	EPOLLHUP       = 0x10
	EPOLLRDNORM    = 0x40
	EPOLLRDBAND    = 0x80
	EPOLLWRNORM    = 0x100
	EPOLLWRBAND    = 0x200
	EPOLLRDHUP     = 0x2000
	EPOLLEXCLUSIVE = 1 << 28
	EPOLLWAKEUP    = 1 << 29
	EPOLLONESHOT   = 1 << 30
	EPOLLET        = 1 << 31
)

const (
	epollPrivate   = EPOLLEXCLUSIVE | EPOLLWAKEUP | EPOLLONESHOT | EPOLLET
	epollExclusive = EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLEXCLUSIVE | EPOLLWAKEUP | EPOLLET
)

// EpollEvent holds the events that EpollCtl asks for, or that EpollWait reports. Fd and Pad are 64 bits of the caller's
// choice, which EpollWait returns as EpollCtl got them.
type EpollEvent struct {
	Events uint32
	Fd     int32
	Pad    int32
}

// epoll is an epoll instance. It has an item for each file that is watched, and the file's watches point to the item. An
// idle file costs that item; no goroutine runs for it.
type epoll struct {
	file

	// items are those that were added. They are guarded by ctl, which is held during calls of package stack that do not
	// wait. If an instance watches another one, the lock of the one that watches is taken first.
	ctl   sync.Mutex
	items map[epollKey]*epollItem

	// The fields below are guarded by mu. No other lock is taken while it is held.
	mu sync.Mutex
	// first to last is the list of the count items that may be ready. EpollWait looks at no others.
	first, last *epollItem
	count       int
	// sleeping is the list of the calls that wait, beginning with the one that has waited longest. The records in spare
	// are free.
	sleeping, spare *sleeper
	closed          bool
}

// epollKey identifies an item of an instance. A descriptor alone would not: as in Linux, it may be closed and stand for
// another file later, while Dup keeps the first file open, and both are items then.
type epollKey struct {
	fd   int32
	file *file
}

// epollItem is one descriptor in one epoll instance.
type epollItem struct {
	watch
	epoll *epoll
	key   epollKey
	// events are the events that are asked for. They are written under ctl, and wake reads them without it.
	events atomic.Uint32
	data   [2]int32
	// queued says that the item is in the list of those that may be ready, between previous and following; guarded
	// by mu.
	queued              bool
	previous, following *epollItem
}

// sleeper is the record of an EpollWait that waits.
type sleeper struct {
	woken chan struct{}
	timer *time.Timer
	next  *sleeper
}

// EpollCreate1 makes an epoll instance and returns its descriptor. flags may be EPOLL_CLOEXEC. Errors: EINVAL
// for other flags, EMFILE.
func (t *Table) EpollCreate1(flags int) (int, error) {
	if flags&^EPOLL_CLOEXEC != 0 {
		return -1, syscall.EINVAL
	}
	if err := t.reserve(); err != nil {
		return -1, err
	}
	e := &epoll{items: make(map[epollKey]*epollItem)}
	e.body = e
	return t.install(&e.file, flags&EPOLL_CLOEXEC != 0), nil
}

// epollAt returns the files of an instance and of a descriptor, with a reference to each.
func (t *Table) epollAt(epfd, fd int) (*epoll, *file, error) {
	f, err := t.file(epfd)
	if err != nil {
		return nil, nil, err
	}
	target, err := t.file(fd)
	if err != nil {
		f.release()
		return nil, nil, err
	}
	e, ok := f.body.(*epoll)
	if !ok || f == target {
		f.release()
		target.release()
		return nil, nil, syscall.EINVAL
	}
	return e, target, nil
}

// EpollCtl adds a descriptor to an instance (EPOLL_CTL_ADD), changes the events that are asked for (EPOLL_CTL_MOD) or
// removes the descriptor (EPOLL_CTL_DEL, for which ev may be nil). Closing the last descriptor of a socket removes it as
// well. An instance may be added to another one.
//
// Errors: EBADF, EEXIST (added already), ENOENT (not added), EFAULT (no ev), EINVAL (no instance, the instance
// itself, an unknown op, EPOLLEXCLUSIVE where Linux refuses it), ELOOP (instances in a circle, or more than
// five deep).
func (t *Table) EpollCtl(epfd, op, fd int, ev *EpollEvent) error {
	if ev == nil && op != EPOLL_CTL_DEL {
		return syscall.EFAULT
	}
	e, f, err := t.epollAt(epfd, fd)
	if err != nil {
		return err
	}
	defer e.release()
	defer f.release()
	inner, nested := f.body.(*epoll)
	if op != EPOLL_CTL_DEL && ev.Events&EPOLLEXCLUSIVE != 0 &&
		(op == EPOLL_CTL_MOD || nested || ev.Events&^epollExclusive != 0) {
		return syscall.EINVAL
	}
	if nested && op == EPOLL_CTL_ADD {
		t.nesting.Lock()
		defer t.nesting.Unlock()
		if !e.nests(inner) {
			return syscall.ELOOP
		}
	}
	e.ctl.Lock()
	defer e.ctl.Unlock()
	key := epollKey{int32(fd), f}
	item := e.items[key]
	switch op {
	case EPOLL_CTL_ADD:
		if item != nil {
			return syscall.EEXIST
		}
		return e.addCtl(key, ev)
	case EPOLL_CTL_DEL:
		if item == nil {
			return syscall.ENOENT
		}
		e.dropCtl(item)
		return nil
	case EPOLL_CTL_MOD:
		switch {
		case item == nil:
			return syscall.ENOENT
		case item.exclusive:
			return syscall.EINVAL
		}
		item.setEventsCtl(ev)
		return nil
	}
	return syscall.EINVAL
}

// maxNesting is the greatest length of a chain of instances in which each watches the next.
const maxNesting = 5

// nests reports whether e may watch inner: inner must not watch e, directly or through others, and the chain must
// not become longer than maxNesting.
func (e *epoll) nests(inner *epoll) bool {
	below, ok := inner.below(e)
	return ok && e.above()+below <= maxNesting
}

// below returns the length of the longest chain that begins with e, and false if target is in one.
func (e *epoll) below(target *epoll) (int, bool) {
	if e == target {
		return 0, false
	}
	var inner []*epoll
	e.ctl.Lock()
	for key := range e.items {
		if next, ok := key.file.body.(*epoll); ok {
			inner = append(inner, next)
		}
	}
	e.ctl.Unlock()
	most := 0
	for _, next := range inner {
		n, ok := next.below(target)
		if !ok {
			return 0, false
		}
		most = max(most, n)
	}
	return most + 1, true
}

// above returns the length of the longest chain that ends with e.
func (e *epoll) above() int {
	var outer []*epoll
	e.watching.Lock()
	for w := e.watches; w != nil; w = w.next {
		if item, ok := w.sink.(*epollItem); ok {
			outer = append(outer, item.epoll)
		}
	}
	e.watching.Unlock()
	most := 0
	for _, o := range outer {
		most = max(most, o.above())
	}
	return most + 1
}

func (e *epoll) addCtl(key epollKey, ev *EpollEvent) error {
	if e.dying() {
		return syscall.EBADF
	}
	item := &epollItem{epoll: e, key: key}
	item.sink, item.exclusive = item, ev.Events&EPOLLEXCLUSIVE != 0
	item.events.Store(ev.Events | EPOLLERR | EPOLLHUP)
	item.data = [2]int32{ev.Fd, ev.Pad}
	if !key.file.attach(&item.watch) {
		return syscall.EBADF
	}
	e.items[key] = item
	item.queueIfReadyCtl()
	return nil
}

// setEventsCtl changes the events that an item asks for, and its data. An item that EPOLLONESHOT has disarmed is armed
// again.
func (item *epollItem) setEventsCtl(ev *EpollEvent) {
	item.data = [2]int32{ev.Fd, ev.Pad}
	item.events.Store(ev.Events | EPOLLERR | EPOLLHUP)
	item.queueIfReadyCtl()
}

// queueIfReadyCtl queues an item that is ready already: an event that happened before has been reported and is not
// reported again.
func (item *epollItem) queueIfReadyCtl() {
	if item.present() != 0 {
		item.epoll.enqueue(item)
	}
}

// present returns the events that the item asks for and that its file is ready for.
func (item *epollItem) present() uint32 {
	asked := item.events.Load()
	if asked&^epollPrivate == 0 {
		return 0 // disarmed
	}
	return eventBits(item.key.file.body.ready()) & asked
}

// remove removes an item whose file is being closed, unless another call has removed it.
func (e *epoll) remove(item *epollItem) {
	e.ctl.Lock()
	defer e.ctl.Unlock()
	if e.items[item.key] == item {
		e.dropCtl(item)
	}
}

func (e *epoll) dropCtl(item *epollItem) {
	delete(e.items, item.key)
	item.key.file.detach(&item.watch) // from now on no call of wake queues it
	e.mu.Lock()
	defer e.mu.Unlock()
	if item.queued {
		e.unlinkLocked(item)
	}
}

// evict implements body: it ends the instance.
func (e *epoll) evict() {
	e.mu.Lock()
	e.closed = true
	for e.wakeOneLocked() {
	}
	e.mu.Unlock()
	e.ctl.Lock()
	defer e.ctl.Unlock()
	for _, item := range e.items {
		e.dropCtl(item)
	}
}
