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

// forgottenList holds what the garbage collector has found until the clock's goroutine closes it. The finalizer
// that fills it runs on a goroutine of the runtime, where it must not block, and must not touch a channel, a timer
// or a condition of a testing/synctest bubble, which ends the process. So it pushes to a list without a lock, and
// pokes the clock only where the host is not in a bubble. In a bubble the clock looks at the list by itself.
type forgottenList struct {
	clock *clock.Clock
	head  atomic.Pointer[forgotten]
	// rest is what the clock's goroutine has taken from head and not closed yet. Nobody else uses it.
	rest *forgotten
	// inBubble says that the host was made in a bubble, and opened when it last got something that can be forgotten.
	inBubble bool
	opened   atomic.Int64
}

const (
	// closedAtOnce bounds how many are closed before the clock looks at its other sources again.
	closedAtOnce = 64
	// In a bubble the list is looked at whenever the clock has something else to do, and otherwise after an eighth of the
	// time for which nothing has been opened, so that it takes few looks to get through years of fake time. After
	// a year there are no more: a bubble in which everything waits for ever must end as a deadlock.
	firstLook   = time.Second
	lookPart    = 8
	lastLookAge = 365 * 24 * time.Hour
)

func (l *forgottenList) init(c *clock.Clock) {
	l.clock = c
	l.inBubble = inBubble()
	l.opened.Store(int64(c.Now()))
}

// inBubble says whether the caller is in a testing/synctest bubble. The runtime has no question for it, but a
// bubble's time has no monotonic reading, which Round(0) takes away elsewhere. Where a system has none either the
// answer is wrong and does no harm: what is forgotten is closed later.
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

// open notes that the host has got something that can be forgotten. A lock may be held: the clock's goroutine is
// not woken for it.
func (l *forgottenList) open() {
	if l.inBubble {
		l.opened.Store(int64(l.clock.Now()))
	}
}

// openIdle is open for what needs no timer, so that nothing else would wake the clock. No lock may be held.
func (l *forgottenList) openIdle() {
	if l.inBubble {
		l.open()
		l.clock.Armed(l.clock.Now().Add(firstLook))
	}
}

// NextDeadline implements clock.Source.
func (l *forgottenList) NextDeadline() (at mono.Time, ok bool) {
	if l.rest != nil || l.head.Load() != nil {
		return 1, true // long ago: the caller's present moment is older than ours
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
