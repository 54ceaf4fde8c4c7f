package stack

import (
	"net/netip"
	"sync/atomic"
	"syscall"
	"unsafe"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/internal/wheel"
	"github.com/unet-go/unet/stack/ip"
	"github.com/unet-go/unet/stack/tcp"
)

// TCPConn is one TCP connection. Its methods may be called from any goroutine. A connection that is not closed
// stays in memory even when nothing refers to it: package unet calls Forget for such connections. A connection that was
// closed stays in the host until its peer has acknowledged that.
type TCPConn struct {
	flow
	timer   wheel.Node[*flow]
	tcp     tcp.Conn
	shard   *shard
	route   atomic.Pointer[ip.Route] // set by setRouteLocked; Local reads it without the lock
	waiters *waiters
	rare    *rareFields

	readDeadline, writeDeadline mono.Time

	err   uint32 // the pending error, a syscall.Errno
	bits  connBits
	state tcp.State // the state in which shard.states counts the connection
}

// rareFields holds fields that only a few connections need. The rest pay for one pointer.
type rareFields struct {
	binding *Binding
	watcher Watcher
	// pendingAt is the listener that counts the connection among those of Fast Open whose handshake is not over.
	pendingAt *Listener
}

// dropRareLocked frees the rare fields when all of them are nil.
func (c *TCPConn) dropRareLocked() {
	if r := c.rare; r.binding == nil && r.watcher == nil && r.pendingAt == nil {
		c.rare = nil
	}
}

// connBits are what the stack knows about a connection beyond its TCB.
type connBits uint16

const (
	inTable       connBits = 1 << iota // it is in the shard's table, where segments find it
	connected                          // it has been ESTABLISHED
	closed                             // its owner has closed it
	orphan                             // closed and in the table
	readShut                           // CloseRead was called
	writeShut                          // CloseWrite or Close was called
	writing                            // a Write waits with a part of its octets queued: no other Write may come between
	touched                            // it is in shard.touched
	drained                            // all that was written is acknowledged, and the FIN
	released                           // the TCB has freed its queues
	held                               // it is in shard.held: its Output waits for the end of the burst
	fastOpenAsked                      // its SYN asks for Fast Open, and the answer has not come
	synWaits                           // its SYN waits for the first Write, for Fast Open
	awaitsAck                          // a Write waits until what it has lent is acknowledged
)

const (
	errAborted = syscall.ECONNABORTED
	errReset   = syscall.ECONNRESET
)

// newConnLocked returns a connection of s that is not in the table and sends over r.
func newConnLocked(s *shard, r *ip.Route, now mono.Time) *TCPConn {
	c := &TCPConn{shard: s}
	c.kind = connFlow
	c.timer.Owner = &c.flow
	c.setRouteLocked(r, now)
	s.layer.core.forgotten.open()
	return c
}

// lock takes the lock of the connection's shard, which guards all fields that change.
func (c *TCPConn) lock() { c.shard.lock() }

// unlock gives the lock back, and does what (*shard).unlock does then.
func (c *TCPConn) unlock() { c.shard.unlock() }

// now returns the present moment.
func (c *TCPConn) now() mono.Time { return c.shard.layer.core.clock.Now() }

// afterLocked follows every call of the TCB: it acts on the TCB's events and arms the timer.
func (c *TCPConn) afterLocked(now mono.Time) {
	c.eventsLocked(now)
	c.armLocked(now)
	if c.bits&(inTable|closed|released|touched) == closed {
		c.bits |= released
		c.tcp.Release()
	}
}

// eventsLocked acts on the TCB's change of state and on its events.
func (c *TCPConn) eventsLocked(now mono.Time) {
	moved := false
	if state := c.tcp.State(); c.bits&inTable != 0 && state != c.state {
		c.enterStateLocked(state, now)
		moved = true
	}
	events := c.tcp.TakeEvents()
	if events == 0 {
		return
	}
	if events&tcp.Connected != 0 {
		c.bits |= connected
	}
	if events&(tcp.PathTooBig|tcp.PathFound) != 0 {
		c.tellPathLocked(events)
	}
	if events&tcp.Progress != 0 {
		r := c.route.Load()
		r.Confirm(now)
		c.followPathLocked(r, now)
	}
	if events&tcp.Doubtful != 0 {
		c.route.Load().Doubt(now)
		c.shard.unflushed = true // doubt may send a request to the neighbour
	}
	if events&tcp.Drained != 0 {
		was := c.awaitedLocked()
		c.bits |= drained
		c.recountLocked(was)
	}
	if events&(tcp.EnteredTimeWait|tcp.Gone) != 0 && c.bits&inTable != 0 {
		c.departLocked(events, now)
	}
	const forReaders = tcp.Readable | tcp.Urgent | tcp.EnteredTimeWait | tcp.Gone
	const forWriters = tcp.Connected | tcp.Writable | tcp.Drained | tcp.EnteredTimeWait | tcp.Gone
	lender := c.bits&awaitsAck != 0 && events&tcp.Progress != 0
	c.wakeLocked(events&forReaders != 0, events&forWriters != 0 || lender)
	c.notifyLocked(edgesOf(events, moved))
}

// enterStateLocked counts c in the state that its TCB has entered. The handshake of a Fast Open may be over by this.
func (c *TCPConn) enterStateLocked(state tcp.State, now mono.Time) {
	s := c.shard
	s.states[c.state]--
	s.states[state]++
	c.state = state
	if c.bits&fastOpenAsked != 0 {
		c.learnFastOpenLocked(nil, now)
	}
	if c.rare != nil && c.rare.pendingAt != nil {
		c.endPendingLocked(now)
	}
}

// departLocked takes c out of the table: it is CLOSED, or in TIME-WAIT.
func (c *TCPConn) departLocked(events tcp.Event, now mono.Time) {
	s := c.shard
	if events&tcp.Gone != 0 {
		s.removeLocked(&c.flow)
	} else {
		c.enterTimeWaitLocked(now)
	}
	s.timers.Disarm(&c.timer)
	s.states[c.state]--
	c.state = tcp.Closed
	if c.bits&orphan != 0 {
		s.layer.orphans.Add(-1)
	}
	was := c.awaitedLocked()
	c.bits &^= inTable | orphan
	c.recountLocked(was)
	if errno := c.tcp.Err(); errno != 0 && c.err == 0 {
		c.setErrorLocked(errno)
	}
}

func (c *TCPConn) setErrorLocked(errno syscall.Errno) { c.err = uint32(errno) }

// takeErrorLocked returns the pending error and clears it.
func (c *TCPConn) takeErrorLocked() error {
	if c.err == 0 {
		return nil
	}
	errno := syscall.Errno(c.err)
	c.err = 0
	return errno
}

// TakeError returns the pending error and clears it: SO_ERROR.
func (c *TCPConn) TakeError() error {
	c.lock()
	defer c.unlock()
	return c.takeErrorLocked()
}

// Tuple returns the addresses of both ends.
func (c *TCPConn) Tuple() tcp.Tuple { return tcp.Tuple{Local: c.Local(), Remote: c.Remote()} }

// Local returns the connection's local address. It takes it from the route, since the number in the flow may stand for
// another address once the connection has left the table.
func (c *TCPConn) Local() netip.AddrPort {
	return netip.AddrPortFrom(c.route.Load().Local(), c.localPort())
}

// Remote returns the peer's address.
func (c *TCPConn) Remote() netip.AddrPort {
	return netip.AddrPortFrom(c.route.Load().Remote(), uint16(c.ports))
}

// Options returns the options in force.
func (c *TCPConn) Options() tcp.Options {
	c.lock()
	defer c.unlock()
	return c.tcp.Options()
}

// Update changes options. change is called under a lock and must not call the stack. EBADF after Close.
func (c *TCPConn) Update(change func(o *tcp.Options)) error {
	c.lock()
	defer c.unlock()
	if c.bits&closed != 0 {
		return syscall.EBADF
	}
	o := c.tcp.Options()
	change(&o)
	now := c.now()
	c.pushLocked(now)
	c.tcp.SetOptions(&o, now)
	c.afterLocked(now)
	return nil
}

// Flush sends what Nagle's algorithm, Options.Cork and WriteMode.More hold back of all that was written so far, now or
// as soon as the windows allow. EBADF after Close.
func (c *TCPConn) Flush() error {
	c.lock()
	defer c.unlock()
	if c.bits&closed != 0 {
		return syscall.EBADF
	}
	now := c.now()
	c.pushLocked(now)
	c.tcp.Flush(now)
	c.afterLocked(now)
	return nil
}

// Info describes the connection at this moment.
func (c *TCPConn) Info() tcp.Info {
	c.lock()
	defer c.unlock()
	return c.tcp.Info()
}

// State returns the connection's state; CLOSED once it has left the stack, TIME-WAIT included.
func (c *TCPConn) State() tcp.State {
	c.lock()
	defer c.unlock()
	return c.state
}

// Unread returns how many octets can be read now, up to the mark of urgent data: SIOCINQ.
func (c *TCPConn) Unread() int {
	c.lock()
	defer c.unlock()
	if c.bits&released != 0 || c.tcp.AtMark() && c.tcp.Options().OutOfBand {
		return 0
	}
	return c.tcp.Readable()
}

// Unsent returns how many octets were written and are not acknowledged: SIOCOUTQ.
func (c *TCPConn) Unsent() int {
	c.lock()
	defer c.unlock()
	if c.bits&inTable == 0 {
		return 0
	}
	return c.tcp.SendQueued()
}

// endErrorLocked returns what a call of c, which has left the stack, fails with when its own error has been told:
// ENETDOWN if there is no network any more, else otherwise.
func (c *TCPConn) endErrorLocked(otherwise error) error {
	if c.shard.layer.core.severed(c.Local().Addr()) {
		return syscall.ENETDOWN
	}
	return otherwise
}

// connectLocked sends the SYN of c, which lockNewConn has made.
func (c *TCPConn) connectLocked(o *tcp.Options, floor tcp.ISSFloor, now mono.Time) {
	s := c.shard
	c.tcp.Connect(&s.env, (*connSink)(c), s.tupleLocked(&c.flow), pathOf(c.route.Load()), o, floor, now)
	c.afterLocked(now)
}

// conn, halfOpen and timeWait return the record that f is part of. Only the one that f.kind names may be called.
func (f *flow) conn() *TCPConn { return (*TCPConn)(unsafe.Pointer(f)) }
