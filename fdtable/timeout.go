package fdtable

import (
	"sync/atomic"
	"syscall"
	"time"
)

// timeouts are SO_RCVTIMEO and SO_SNDTIMEO of one socket.
type timeouts struct{ receive, send timeout }

// timeout limits how long each call in one direction of a socket waits. The stack has one deadline for a direction, but
// each call needs its own; so calls take turns in using the stack's deadline. A call waits for its turn no longer than
// its own deadline allows.
type timeout struct {
	// limit is in nanoseconds; 0 is none, negative no waiting at all.
	limit atomic.Int64
	turn  chan struct{}
}

// limits returns the socket's timeouts, and makes them when there are none.
func (s *socket) limits() *timeouts {
	if l := s.timeouts.Load(); l != nil {
		return l
	}
	l := &timeouts{receive: timeout{turn: make(chan struct{}, 1)}, send: timeout{turn: make(chan struct{}, 1)}}
	if s.timeouts.CompareAndSwap(nil, l) {
		return l
	}
	return s.timeouts.Load()
}

// never reports whether calls do not wait at all, as in Linux with a negative timeout.
func (t *timeout) never() bool { return t.limit.Load() < 0 }

// wait runs call with a deadline after limit. It returns EAGAIN when the time has run out, and the error of setDeadline if
// that fails.
func (t *timeout) wait(setDeadline func(time.Time) error, call func() (int, error)) (int, error) {
	var at time.Time
	var expired <-chan time.Time
	if d := time.Duration(t.limit.Load()); d > 0 {
		at = time.Now().Add(d)
		timer := time.NewTimer(d)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case t.turn <- struct{}{}:
	case <-expired:
		return 0, syscall.EAGAIN
	}
	defer func() { <-t.turn }()
	if err := setDeadline(at); err != nil {
		return 0, err
	}
	defer func() { _ = setDeadline(time.Time{}) }() // fails only after close
	return call()
}
