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

// Events of EpollCtl and EpollWait. EPOLLERR and EPOLLHUP are told unasked. EPOLLWAKEUP is accepted and means
// nothing here.
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

// EpollEvent says what is asked for, or what there is. Fd and Pad are the caller's own, 64 bits that come back
// as they were given.
type EpollEvent struct {
	Events uint32
	Fd     int32
	Pad    int32
}

// epoll is an epoll instance: who wants to know what of many files. A file that is idle costs an item here,
// which the file's watches point to; nothing runs for it.
type epoll struct {
	file

	// items is what has been added, guarded by ctl, which is held over calls of package stack that do not
	// wait. The locks of instances that watch instances are taken from the outside in.
	ctl   sync.Mutex
	items map[epollKey]*epollItem

	// What follows is guarded by mu, a leaf.
	mu sync.Mutex
	// first to last are the items that may be ready, count of them: an EpollWait looks at these alone.
	first, last *epollItem
	count       int
	// sleeping are the calls that wait, the longest first; spare is for the next.
	sleeping, spare *sleeper
	closed          bool
}

// epollKey tells the items of an instance apart: as in Linux, one descriptor can come to stand for another
// file while the old one is kept open by Dup, and both are items then.
type epollKey struct {
	fd   int32
	file *file
}

// epollItem is one descriptor in one epoll instance.
type epollItem struct {
	watch
	epoll *epoll
	key   epollKey
	// events is what is asked for; written under ctl, and read by wake without it.
	events atomic.Uint32
	data   [2]int32
	// queued says that the item is among those that may be ready, between previous and following; guarded
	// by mu.
	queued              bool
	previous, following *epollItem
}

// sleeper is an EpollWait that waits.
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

// EpollCtl adds a descriptor to an instance (EPOLL_CTL_ADD), changes what is asked for (EPOLL_CTL_MOD) or
// takes it out (EPOLL_CTL_DEL, for which ev may be nil). Closing the last descriptor of a socket takes it out
// as well. An instance may be added to another one.
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
		item.askCtl(ev)
		return nil
	}
	return syscall.EINVAL
}

// maxNesting is how many instances may stand in a row that watch each other.
const maxNesting = 5

// nests says whether e may watch inner: inner must not watch e, itself or through others, and the row must
// not become too long.
func (e *epoll) nests(inner *epoll) bool {
	below, ok := inner.below(e)
	return ok && e.above()+below <= maxNesting
}

// below returns how many instances stand in the longest row that begins with e, and false when it comes to
// target.
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

// above returns how many instances stand in the longest row that ends with e.
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
	item.lookCtl()
	return nil
}

// askCtl changes what an item asks for, which also arms one anew that EPOLLONESHOT has disarmed.
func (item *epollItem) askCtl(ev *EpollEvent) {
	item.data = [2]int32{ev.Fd, ev.Pad}
	item.events.Store(ev.Events | EPOLLERR | EPOLLHUP)
	item.lookCtl()
}

// lookCtl queues an item that is ready now: what happened before does not wake anybody again.
func (item *epollItem) lookCtl() {
	if item.present() != 0 {
		item.epoll.enqueue(item)
	}
}

// present returns what there is of what the item asks for.
func (item *epollItem) present() uint32 {
	asked := item.events.Load()
	if asked&^epollPrivate == 0 {
		return 0 // disarmed
	}
	return eventBits(item.key.file.body.ready()) & asked
}

// remove takes an item out whose file is being closed, unless somebody else has.
func (e *epoll) remove(item *epollItem) {
	e.ctl.Lock()
	defer e.ctl.Unlock()
	if e.items[item.key] == item {
		e.dropCtl(item)
	}
}

func (e *epoll) dropCtl(item *epollItem) {
	delete(e.items, item.key)
	item.key.file.detach(&item.watch) // from now on nobody queues it
	e.mu.Lock()
	defer e.mu.Unlock()
	if item.queued {
		e.unlinkLocked(item)
	}
}

// evict ends the instance.
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
