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
	// gone is made by the last Close, and closed when the last reference is released.
	gone chan struct{}
	body body

	// watching guards watches. Only locks of epoll instances are taken while it is held.
	watching sync.Mutex
	watches  *watch
}

// body is the kind of a file: a socket or an epoll instance.
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

// dying reports whether the last Close has begun. A call that gives the file a new connection, for instance, asks while it
// holds the lock under which evict collects what it has to close; so evict misses nothing.
func (f *file) dying() bool { return f.refs.Load()&closing != 0 }

// close ends the file and returns when all calls on it have returned. It is called once.
func (f *file) close() {
	f.gone = make(chan struct{}) // before our reference is released, so that the release of the last one finds it
	f.refs.Add(closing + 1)
	f.body.evict()
	f.Wake(stack.ReadyAll)
	f.forget()
	f.release()
	<-f.gone
}

// watch is an entry of an epoll instance or of a Poll that watches a file.
type watch struct {
	next, prev *watch
	sink       sink
	// exclusive: of all such watches of a file it is enough to wake one for which a call waits (EPOLLEXCLUSIVE).
	exclusive bool
}

// sink is the owner of a watch.
type sink interface {
	// wake is called when the file may have become ready for edges. It reports whether that wakes a call that waits. It
	// must not wait.
	wake(edges stack.Readiness) bool
}

// Wake implements stack.Watcher: it calls the wake of all watches.
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

// detach removes a watch. After it has returned, no call of the watch's wake begins.
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

// forget removes the file from all epoll instances.
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
