package fdtable

import (
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// waiting has so many goroutines wait for one event each of the instances in turn. Each sends its number, or -1 when
// EpollWait fails with EBADF.
func (w *world) waiting(count int, eps ...int) <-chan int {
	woken := make(chan int, count)
	for i := range count {
		go func() {
			n, err := w.b.EpollWait(eps[i%len(eps)], make([]EpollEvent, 1), -1)
			switch {
			case n == 1 && err == nil:
				woken <- i
			case err == syscall.EBADF:
				woken <- -1
			default:
				w.t.Errorf("EpollWait: %d, %v", n, err)
			}
		}()
		synctest.Wait()
	}
	return woken
}

func TestEpollWaiters(t *testing.T) {
	inWorld(t, "what stays ready wakes all who wait for it", slow, func(t *testing.T, w *world) {
		l := w.listen(80, 10)
		ep := w.epoll(w.b)
		w.add(w.b, ep, l, EPOLLIN)
		woken := w.waiting(3, ep)
		w.dial(80)
		w.settle()
		if len(woken) != 3 {
			t.Errorf("%d of 3 are awake", len(woken))
		}
		w.is(w.b.Close(ep), nil)
	})
	inWorld(t, "the end of an instance wakes all who wait on it", slow, func(t *testing.T, w *world) {
		ep := w.epoll(w.b)
		woken := w.waiting(3, ep)
		w.is(w.b.Close(ep), nil)
		for range 3 {
			if i := <-woken; i != -1 {
				t.Errorf("waiter %d has got an event, want EBADF", i)
			}
		}
	})
	inWorld(t, "of instances that ask exclusively the first that waits is woken, and all of a connection's end", slow, func(t *testing.T, w *world) {
		l, a, b := w.connected()
		eps := []int{w.epoll(w.b), w.epoll(w.b), w.epoll(w.b)}
		for _, ep := range eps {
			for _, fd := range []int{l, b} {
				w.is(w.b.EpollCtl(ep, EPOLL_CTL_ADD, fd, &EpollEvent{Events: EPOLLIN | EPOLLET | EPOLLEXCLUSIVE}), nil)
			}
		}
		woken := w.waiting(3, eps...)
		for i := range 2 {
			w.dial(80)
			w.settle()
			if len(woken) != 1 {
				t.Fatalf("%d are awake after a connection, want one", len(woken))
			}
			if first := <-woken; first != i {
				t.Errorf("connection %d has woken waiter %d", i, first)
			}
		}
		again := w.waiting(2, eps[:2]...)
		w.reset(w.a, a)
		w.settle()
		if len(woken) != 1 || len(again) != 2 {
			t.Errorf("after a reset %d of 3 are awake", len(woken)+len(again))
		}
		for _, ep := range eps {
			w.is(w.b.Close(ep), nil)
		}
	})
	inWorld(t, "an event at the very end of a wait", slow, func(t *testing.T, w *world) {
		l := w.listen(80, 10)
		ep := w.epoll(w.b)
		w.dial(80)
		w.settle()
		w.add(w.b, ep, l, EPOLLIN|EPOLLET)
		list := make([]EpollEvent, 1)
		w.events(w.b, ep, "0: IN")
		for range 100 {
			end := time.Now().Add(10 * ms)
			done := make(chan struct{})
			go func() {
				time.Sleep(10 * ms)
				w.is(w.b.EpollCtl(ep, EPOLL_CTL_MOD, l, &EpollEvent{Events: EPOLLIN | EPOLLET}), nil)
				close(done)
			}()
			n, err := w.b.EpollWait(ep, list, 10)
			<-done
			if n == 0 && err == nil {
				n, err = w.b.EpollWait(ep, list, 0)
			}
			w.got(n, err, 1, nil)
			if late := time.Since(end); late != 0 {
				t.Fatalf("the wait ended %v late", late)
			}
			n, err = w.b.EpollWait(ep, list, 10) // nothing is left of it
			w.got(n, err, 0, nil)
			if took := time.Since(end); took != 10*ms {
				t.Fatalf("a wait for 10 ms took %v", took)
			}
		}
	})
}

// A waiter whose time is up may have been woken already: the next call that uses its sleeper must not find that.
func TestEpollLateWakeup(t *testing.T) {
	e := &epoll{}
	for _, late := range []bool{true, false} {
		s := e.takeSleeper()
		if err := e.addSleeper(s); err != nil {
			t.Fatal(err)
		}
		if late {
			e.mu.Lock()
			e.wakeOneLocked()
			e.mu.Unlock()
		}
		e.removeSleeper(s)
		if len(s.woken) != 0 || e.sleeping != nil {
			t.Errorf("woken late %v: %d wake-ups are left, sleeping is %v", late, len(s.woken), e.sleeping)
		}
		e.putSleeper(s)
	}
}
