// Package clock is the time of a host: one goroutine that sleeps until the earliest deadline of all that have one.
package clock

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/unet-go/unet/internal/mono"
)

// Source is something that has deadlines, a shard for instance. Both methods take the locks that they
// need and do not block otherwise.
type Source interface {
	// NextDeadline returns the earliest deadline, or a lower bound of it.
	NextDeadline() (mono.Time, bool)
	// Advance acts on all deadlines up to now.
	Advance(now mono.Time)
}

// Clock is the host's monotonic time, and the one goroutine that sleeps until the earliest deadline of all
// sources. It begins at one second, so that no moment is the zero Time.
type Clock struct {
	epoch time.Time
	// wakeAt is when the goroutine wakes by itself; never while it looks at the sources.
	wakeAt atomic.Int64
	poke   chan struct{}
	done   chan struct{}
	ended  chan struct{}

	mu      sync.Mutex
	sources []Source
}

const never = int64(^uint64(0) >> 1)

// Init starts the clock, but not its goroutine: its owner calls Init, then go Run(), and at the end Stop. The clock is
// ahead by the given time, for tests of numbers that wrap around to zero.
func (c *Clock) Init(ahead time.Duration) {
	c.epoch = time.Now().Add(-ahead)
	c.wakeAt.Store(never)
	c.poke = make(chan struct{}, 1)
	c.done = make(chan struct{})
	c.ended = make(chan struct{})
}

// Now returns the present moment.
func (c *Clock) Now() mono.Time { return mono.Time(time.Since(c.epoch) + time.Second) }

// Add makes s a source.
func (c *Clock) Add(s Source) {
	c.mu.Lock()
	c.sources = append(c.sources[:len(c.sources):len(c.sources)], s)
	c.mu.Unlock()
	c.Wake()
}

// Armed tells that a source has a deadline that may be earlier than all others. No lock may be held.
func (c *Clock) Armed(at mono.Time) {
	if int64(at) < c.wakeAt.Load() {
		c.Wake()
	}
}

// Wake makes the goroutine look at all sources now.
func (c *Clock) Wake() {
	select {
	case c.poke <- struct{}{}:
	default:
	}
}

// Run serves the sources until stop.
func (c *Clock) Run() {
	defer close(c.ended)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		c.wakeAt.Store(never)
		next := c.serve()
		c.wakeAt.Store(next)
		var expired <-chan time.Time
		if next != never {
			timer.Reset(time.Duration(next - int64(c.Now())))
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
func (c *Clock) serve() int64 {
	c.mu.Lock()
	sources := c.sources
	c.mu.Unlock()
	now := c.Now()
	next := never
	for _, s := range sources {
		at, ok := s.NextDeadline()
		if ok && at <= now {
			s.Advance(now)
			at, ok = s.NextDeadline()
		}
		if ok {
			next = min(next, int64(at))
		}
	}
	return next
}

// Stop ends run and waits for it.
func (c *Clock) Stop() {
	close(c.done)
	<-c.ended
}

// Moment returns the moment of t on the clock, and 0 for the zero time.
func (c *Clock) Moment(t time.Time) mono.Time {
	switch {
	case t.IsZero():
		return 0
	case t.Unix() <= 1: // net/http ends a read so after each request; no clock need be asked
		return 1
	}
	const century = 100 * 365 * 24 * time.Hour
	return max(c.Now().Add(min(time.Until(t), century)), 1)
}
