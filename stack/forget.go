package stack

import (
	"sync/atomic"
	"time"

	"github.com/unet-go/unet/internal/clock"
	"github.com/unet-go/unet/internal/mono"
)

// forgotten is a connection, a listener or a UDP socket that its owner can no longer reach.
type forgotten struct {
	what interface{ closeForgotten() }
	next *forgotten
}

// forgottenList holds what the garbage collector has found until the clock's goroutine closes it. The finalizer that adds
// to it runs on a goroutine of the runtime, where it must not block. Nor may it use a channel, a timer or a condition of a
// testing/synctest bubble: that ends the process. So the list has no lock, and the finalizer wakes the clock only where
// the host is not in a bubble. In a bubble the clock looks at the list from time to time.
type forgottenList struct {
	clock *clock.Clock
	head  atomic.Pointer[forgotten]
	// rest is what the clock's goroutine has taken from head and not closed yet. Only that goroutine uses it.
	rest *forgotten
	// inBubble says that the host was made in a bubble. opened is when a socket was last opened, which can be forgotten.
	inBubble bool
	opened   atomic.Int64
}

const (
	// closedAtOnce bounds how many sockets are closed before the clock looks at its other sources again.
	closedAtOnce = 64
	// In a bubble the clock looks at the list whenever it has something else to do, and otherwise after an eighth of the
	// time for which no socket has been opened, so that few looks are needed for years of fake time. After a year it does
	// not look any more: a bubble in which everything waits for ever must be able to end as a deadlock.
	firstLook   = time.Second
	lookPart    = 8
	lastLookAge = 365 * 24 * time.Hour
)

func (l *forgottenList) init(c *clock.Clock) {
	l.clock = c
	l.inBubble = inBubble()
	l.opened.Store(int64(c.Now()))
}

// inBubble says whether the caller is in a testing/synctest bubble. The runtime has no function for that. But time in a
// bubble has no monotonic reading, so that Round(0), which removes it, changes nothing. On a system without monotonic time
// the answer is wrong, which does no harm: forgotten sockets are closed later.
func inBubble() bool {
	now := time.Now()
	return now == now.Round(0)
}

// push may be called from any goroutine, in a bubble or not.
func (l *forgottenList) push(what interface{ closeForgotten() }) {
	f := &forgotten{what: what}
	for {
		f.next = l.head.Load()
		if l.head.CompareAndSwap(f.next, f) {
			break
		}
	}
	if !l.inBubble {
		l.clock.Wake()
	}
}

// open notes that the host has opened a socket, which can be forgotten. A lock may be held: open does not wake the clock's
// goroutine.
func (l *forgottenList) open() {
	if l.inBubble {
		l.opened.Store(int64(l.clock.Now()))
	}
}

// openIdle is open for a socket without a timer, for which nothing else would wake the clock. No lock may be held.
func (l *forgottenList) openIdle() {
	if l.inBubble {
		l.open()
		l.clock.Armed(l.clock.Now().Add(firstLook))
	}
}

// NextDeadline implements clock.Source.
func (l *forgottenList) NextDeadline() (at mono.Time, ok bool) {
	if l.rest != nil || l.head.Load() != nil {
		return 1, true // a moment long ago, since the caller may have read the clock before us
	}
	if !l.inBubble {
		return 0, false
	}
	now := l.clock.Now()
	age := now.Sub(mono.Time(l.opened.Load()))
	if age > lastLookAge {
		return 0, false
	}
	return now.Add(max(firstLook, age/lookPart)), true
}

// Advance implements clock.Source.
func (l *forgottenList) Advance(mono.Time) {
	for range closedAtOnce {
		if l.rest == nil {
			if l.rest = l.head.Swap(nil); l.rest == nil {
				return
			}
		}
		f := l.rest
		l.rest = f.next
		f.what.closeForgotten()
	}
}
