package tap

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// spin decides whether a reader that has found nothing looks again or waits in the poller. A reader whose frames follow
// each other closely looks again for spinFor before it waits; one whose frames come seldom waits at once.
type spin struct {
	credit  int       // a reader looks again while it is above zero: short waits and successful spins raise it
	began   time.Time // the spin or the wait in progress; zero if there is none
	waiting bool      // in the poller
}

// found takes note that the reader has found frames. Octets is the number of octets that have crossed, in both
// directions, since frames were last found.
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

// again reports whether a reader that has found nothing should look again.
func (s *spin) again(now func() time.Time) bool {
	t := now()
	if s.waiting {
		// The poller woke the reader for nothing.
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
