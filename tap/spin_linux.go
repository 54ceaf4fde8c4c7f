package tap

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Waiting in the poller costs two wakeups, of this thread by its peer and then of the peer by this one, and on a
// machine that sleeps when it is idle each takes longer than to answer a request. So a reader whose frames follow
// soon upon each other looks again for a while before it waits: 1.7 to 2.2 times the requests at one connection. One
// whose frames come seldom never does.

const (
	// spinFor is how long a reader looks again. It is some two wakeups.
	spinFor = 100 * time.Microsecond
	// spinSoon is the longest wait in the poller after which looking again would have been worth it: spinFor and
	// this thread's own wakeup.
	spinSoon = 2 * spinFor
	// spinCredit is the most that a reader may have gained, and spinLoss what a vain spin costs it: more than one
	// vain spin in five is too many.
	spinCredit = 16
	spinLoss   = 4
	// spinBelow is the number of octets, found at once or written since frames were last found, from which looking
	// again gains nothing: who sends so much, or is sent so much, does not wait for an answer to each.
	spinBelow = 16384
)

// spin decides whether a reader that has found nothing looks again or waits in the poller.
type spin struct {
	credit  int
	began   time.Time // the spin or the wait in progress; zero if there is none
	waiting bool      // in the poller
}

// found takes note of frames, and of how many octets have crossed, in either direction, since the last.
func (s *spin) found(octets uint64, now func() time.Time) {
	switch {
	case octets >= spinBelow:
		s.credit = max(s.credit-spinLoss, 0)
	case s.began.IsZero():
		return
	case !s.waiting || now().Sub(s.began) <= spinSoon:
		s.credit = min(s.credit+1, spinCredit)
	}
	s.began, s.waiting = time.Time{}, false
}

// again says, of a reader that has found nothing, whether it is to look again.
func (s *spin) again(now func() time.Time) bool {
	t := now()
	if s.waiting {
		// The poller woke it for nothing.
		s.began = t
		return false
	}
	if s.began.IsZero() {
		s.began = t
	} else if t.Sub(s.began) >= spinFor {
		s.credit -= spinLoss
		s.began, s.waiting = t, true
		return false
	}
	if s.credit <= 0 {
		s.waiting = true
		return false
	}
	return true
}

// pause lets others use the processor between two looks: goroutines of this process, and other threads.
func pause() {
	runtime.Gosched()
	unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
}
