package stack

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/unet-go/unet/internal/fifo"
	"github.com/unet-go/unet/stack/tcp"
)

// Bounds of a listener. Records of half-open connections are cheap, so there may be more of them than the backlog, as on
// Linux with its tcp_max_syn_backlog.
const (
	maxBacklog  = 65535
	minSYNQueue = 128
	maxSYNQueue = 4096
)

// Listener is a passive open: it holds the connections whose handshake is complete until Accept takes them.
type Listener struct {
	layer    *tcpLayer
	binding  *Binding
	options  atomic.Pointer[tcp.Options]
	watcher  atomic.Pointer[Watcher]
	fastOpen fastOpenCount

	// mu is a leaf.
	mu       sync.Mutex
	arrived  sync.Cond // calls of Accept wait here
	queue    fifo.Queue[*TCPConn]
	reserved int // places in the queue for connections that are being made
	backlog  int
	deadline waitDeadline
	down     bool          // Shutdown was called
	failed   syscall.Errno // what Accept returns; 0 for no failure
	closed   bool
}

// newListener returns a listener that segments do not find yet.
func newListener(layer *tcpLayer, b *Binding, backlog int, o *tcp.Options) *Listener {
	l := &Listener{layer: layer, binding: b}
	l.arrived.L = &l.mu
	l.options.Store(o)
	l.SetBacklog(backlog)
	return l
}

// SetBacklog changes the backlog as a second listen(2) does.
func (l *Listener) SetBacklog(backlog int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.backlog = min(max(backlog, 0), maxBacklog)
}

// Backlog returns the backlog in force.
func (l *Listener) Backlog() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.backlog
}

// Accept waits for a connection and dequeues it, the oldest first. EAGAIN when the deadline has passed, EINVAL
// after Shutdown, EBADF after Close, ENETDOWN when all devices have failed.
func (l *Listener) Accept() (*TCPConn, error) { return l.accept(false) }

// TryAccept is Accept that returns EAGAIN instead of waiting and ignores the deadline.
func (l *Listener) TryAccept() (*TCPConn, error) { return l.accept(true) }

func (l *Listener) accept(try bool) (*TCPConn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		switch {
		case l.closed:
			return nil, syscall.EBADF
		case l.down:
			return nil, syscall.EINVAL
		case l.failed != 0:
			return nil, l.failed
		case !try && l.deadline.passed(&l.layer.core.clock):
			return nil, syscall.EAGAIN
		case l.queue.Len() > 0:
			return l.popLocked(), nil
		case try:
			return nil, syscall.EAGAIN
		}
		l.arrived.Wait()
	}
}

// Pending returns how many connections wait for Accept.
func (l *Listener) Pending() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.queue.Len()
}

// popLocked dequeues the oldest connection; there is one.
func (l *Listener) popLocked() *TCPConn {
	c := *l.queue.First()
	l.queue.Pop()
	return c
}

// reserve keeps a place in the accept queue for a connection. It is false when the queue is full or closed.
func (l *Listener) reserve() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.down || l.failed != 0 || l.queue.Len()+l.reserved > l.backlog {
		return false
	}
	l.reserved++
	return true
}

// cancel gives a reserved place back.
func (l *Listener) cancel() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reserved--
}

// full says whether the accept queue has no room for another connection.
func (l *Listener) full() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.queue.Len()+l.reserved > l.backlog
}

// synLimit is the number of half-open records at which SYN cookies begin to answer.
func (l *Listener) synLimit() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return min(max(l.backlog, minSYNQueue), maxSYNQueue)
}

// push puts c into its reserved place in the queue. It is false when the listener has been closed meanwhile.
func (l *Listener) push(c *TCPConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reserved--
	if l.closed || l.down || l.failed != 0 {
		return false
	}
	l.queue.Push(c)
	return true
}

// SetDeadline sets when Accept gives up; the zero time means never. EBADF after Close.
func (l *Listener) SetDeadline(t time.Time) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return syscall.EBADF
	}
	l.deadline.set(&l.layer.core.clock, t, &l.arrived)
	l.mu.Unlock()
	l.arrived.Broadcast()
	return nil
}

// Addr returns the address that the listener is bound to, after Close too.
func (l *Listener) Addr() netip.AddrPort { return l.binding.local }

// Options returns what accepted connections inherit.
func (l *Listener) Options() tcp.Options { return *l.options.Load() }

// SetOptions sets what connections inherit whose handshake begins from now on.
func (l *Listener) SetOptions(o tcp.Options) { l.options.Store(&o) }

// Close ends the listener. Connections that were not accepted are reset; blocked Accepts return EBADF.
// EBADF the second time.
func (l *Listener) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return syscall.EBADF
	}
	l.closed = true
	l.mu.Unlock()
	l.end(l.binding.release)
	return nil
}

// Shutdown stops listening as shutdown(2) does: unaccepted connections are reset, Accept returns EINVAL, and
// the address stays bound until Close. EBADF after Close.
func (l *Listener) Shutdown() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return syscall.EBADF
	}
	l.down = true
	l.mu.Unlock()
	l.end(l.binding.stopListening)
	return nil
}

// end takes the listener off the network, frees its address by a call of free, and resets the connections in its queue.
// Calls of Accept wake after that: when they have returned no peer can connect any more.
func (l *Listener) end(free func()) {
	l.layer.listen.remove(l)
	free()
	l.mu.Lock()
	l.deadline.stop()
	var waiting []*TCPConn
	for l.queue.Len() > 0 {
		waiting = append(waiting, l.popLocked())
	}
	l.queue = fifo.Queue[*TCPConn]{}
	l.mu.Unlock()
	l.arrived.Broadcast()
	if w := l.watcher.Load(); w != nil {
		(*w).Wake(ReadyAll)
	}
	for _, c := range waiting {
		c.Abort()
	}
}

// Forget is (*TCPConn).Forget for a listener.
func (l *Listener) Forget() { l.layer.core.forget(l) }

func (l *Listener) closeForgotten() { _ = l.Close() }

// Ready returns ReadyIn when a connection waits for Accept.
func (l *Listener) Ready() Readiness {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed || l.down:
		return ReadyIn | ReadyHup
	case l.failed != 0:
		return ReadyIn | ReadyErr | ReadyHup
	case l.queue.Len() > 0:
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
