package stack

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/unet-go/unet/internal/mono"
)

// timerSource is something that has deadlines, a shard for instance. Both methods take the locks that they
// need and do not block otherwise.
type timerSource interface {
	// nextDeadline returns the earliest deadline, or a lower bound of it.
	nextDeadline() (mono.Time, bool)
	// advance acts on all deadlines up to now.
	advance(now mono.Time)
}

// clock is the host's monotonic time, and the one goroutine that sleeps until the earliest deadline of all
// sources. It begins at one second, so that no moment is the zero Time.
type clock struct {
	epoch time.Time
	// wakeAt is when the goroutine wakes by itself; never while it looks at the sources.
	wakeAt atomic.Int64
	poke   chan struct{}
	done   chan struct{}
	ended  chan struct{}

	mu      sync.Mutex
	sources []timerSource
}

const never = int64(^uint64(0) >> 1)

// init starts the clock, but not its goroutine: New calls init, then go run(), and Close calls stop.
func (c *clock) init() {
	c.epoch = time.Now()
	c.wakeAt.Store(never)
	c.poke = make(chan struct{}, 1)
	c.done = make(chan struct{})
	c.ended = make(chan struct{})
}

// now returns the present moment.
func (c *clock) now() mono.Time { return mono.Time(time.Since(c.epoch) + time.Second) }

// add makes s a source.
func (c *clock) add(s timerSource) {
	c.mu.Lock()
	c.sources = append(c.sources[:len(c.sources):len(c.sources)], s)
	c.mu.Unlock()
	c.wake()
}

// armed tells that a source has a deadline that may be earlier than all others. No lock may be held.
func (c *clock) armed(at mono.Time) {
	if int64(at) < c.wakeAt.Load() {
		c.wake()
	}
}

func (c *clock) wake() {
	select {
	case c.poke <- struct{}{}:
	default:
	}
}

// run serves the sources until stop.
func (c *clock) run() {
	defer close(c.ended)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		c.wakeAt.Store(never)
		next := c.serve()
		c.wakeAt.Store(next)
		var expired <-chan time.Time
		if next != never {
			timer.Reset(time.Duration(next - int64(c.now())))
			expired = timer.C
		}
		select {
		case <-c.done:
			return
		case <-c.poke:
		case <-expired:
		}
	}
}

// serve advances the sources that are due, and returns when the next one will be.
func (c *clock) serve() int64 {
	c.mu.Lock()
	sources := c.sources
	c.mu.Unlock()
	now := c.now()
	next := never
	for _, s := range sources {
		at, ok := s.nextDeadline()
		if ok && at <= now {
			s.advance(now)
			at, ok = s.nextDeadline()
		}
		if ok {
			next = min(next, int64(at))
		}
	}
	return next
}

// stop ends run and waits for it.
func (c *clock) stop() {
	close(c.done)
	<-c.ended
}
