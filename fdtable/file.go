package fdtable

import (
	"sync"
	"sync/atomic"

	"github.com/unet-go/unet/stack"
)

// file is what a descriptor stands for: POSIX's open file description, a socket or an epoll instance. Several
// descriptors stand for the same one after Dup; the last to be closed ends it. A call on a descriptor holds a
// reference for its duration.
type file struct {
	// refs counts the calls in progress; its top bit, closing, says that the last Close has begun.
	refs     atomic.Uint32
	nonblock atomic.Bool
	// descriptors counts the numbers that stand for the file; guarded by the table's lock.
	descriptors int32
	// gone is made by the last Close, and closed with the last reference.
	gone chan struct{}
	body body

	// watching guards watches. No other lock is taken under it but those of epoll instances.
	watching sync.Mutex
	watches  *watch
}

// body is what a file is.
type body interface {
	// ready returns what the file is ready for.
	ready() stack.Readiness
	// follow makes the file's Wake be called from now on.
	follow()
	// evict ends the file and wakes the calls that wait on it.
	evict()
}

const closing = 1 << 31

// acquire takes a reference, unless Close has begun.
func (f *file) acquire() bool {
	for {
		n := f.refs.Load()
		if n&closing != 0 {
			return false
		}
		if f.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (f *file) release() {
	if f.refs.Add(^uint32(0)) == closing {
		close(f.gone)
	}
}

// dying says whether the last Close has begun. A call that is about to give the file something new asks under
// the lock under which Close gathers what there is to end.
func (f *file) dying() bool { return f.refs.Load()&closing != 0 }

// close ends the file and returns when all calls on it have left. It is called once.
func (f *file) close() {
	f.gone = make(chan struct{}) // before our reference goes, and so before anybody's is the last
	f.refs.Add(closing + 1)
	f.body.evict()
	f.Wake(stack.ReadyAll)
	f.forget()
	f.release()
	<-f.gone
}

// watch is a place where a file's readiness is wanted: an entry of an epoll instance or of a Poll.
type watch struct {
	next, prev *watch
	sink       sink
	// exclusive: of all such watches one that has somebody waiting is enough (EPOLLEXCLUSIVE).
	exclusive bool
}

// sink is whom a watch belongs to.
type sink interface {
	// wake says that the file may have become ready for more, and returns whether that wakes somebody. It
	// must not wait.
	wake(edges stack.Readiness) bool
}

// Wake passes on what may have become ready: see stack.Watcher.
func (f *file) Wake(edges stack.Readiness) {
	f.watching.Lock()
	defer f.watching.Unlock()
	enough := false
	for w := f.watches; w != nil; w = w.next {
		if w.exclusive && enough {
			continue
		}
		if w.sink.wake(edges) && w.exclusive {
			enough = edges != stack.ReadyAll
		}
	}
}

// attach adds a watch; false when the file is being closed.
func (f *file) attach(w *watch) bool {
	f.watching.Lock()
	if f.dying() {
		f.watching.Unlock()
		return false
	}
	after := f.watches
	if w.exclusive { // behind all others
		for after != nil && after.next != nil {
			after = after.next
		}
	}
	if after == nil || !w.exclusive {
		if w.next = f.watches; w.next != nil {
			w.next.prev = w
		}
		f.watches = w
	} else {
		after.next, w.prev = w, after
	}
	f.watching.Unlock()
	f.body.follow()
	return true
}

// detach takes a watch away; after it no wake of the watch begins.
func (f *file) detach(w *watch) {
	f.watching.Lock()
	defer f.watching.Unlock()
	switch {
	case w.prev != nil:
		w.prev.next = w.next
	case f.watches == w:
		f.watches = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	}
	w.next, w.prev = nil, nil
}

// forget takes the file out of all epoll instances.
func (f *file) forget() {
	for {
		f.watching.Lock()
		var item *epollItem
		for w := f.watches; w != nil && item == nil; w = w.next {
			item, _ = w.sink.(*epollItem)
		}
		f.watching.Unlock()
		if item == nil {
			return
		}
		item.epoll.remove(item)
	}
}
