package fdtable

import (
	"sync/atomic"
	"syscall"
	"time"
)

// timeouts are SO_RCVTIMEO and SO_SNDTIMEO of one socket.
type timeouts struct{ receive, send timeout }

// timeout limits how long each call on one side of a socket waits. The stack knows one deadline a side, but
// each call has one of its own; so calls take turns at the stack's, and wait for their turn no longer than
// their own allows.
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

// never says that calls do not wait at all, as Linux has it for a negative timeout.
func (t *timeout) never() bool { return t.limit.Load() < 0 }

// wait runs call with the deadline that limit asks for. It returns EAGAIN when time runs out, and what
// setDeadline returns when that fails.
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
