package fdtable

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/stack/sim"
)

// bitNames spells events.
func bitNames(bits uint32) string {
	var names []string
	for _, b := range []struct {
		bit  uint32
		name string
	}{{EPOLLIN, "IN"}, {EPOLLPRI, "PRI"}, {EPOLLOUT, "OUT"}, {EPOLLRDHUP, "RDHUP"}, {EPOLLHUP, "HUP"}, {EPOLLERR, "ERR"}} {
		if bits&b.bit != 0 {
			names = append(names, b.name)
		}
	}
	return strings.Join(names, " ")
}

const all = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP

func (w *world) epoll(t *Table) int {
	w.t.Helper()
	ep, err := t.EpollCreate1(0)
	w.is(err, nil)
	return ep
}

// add registers fd under its own number.
func (w *world) add(t *Table, ep, fd int, events uint32) {
	w.t.Helper()
	w.is(t.EpollCtl(ep, EPOLL_CTL_ADD, fd, &EpollEvent{Events: events, Fd: int32(fd)}), nil)
}

// events demands what EpollWait returns at once, as "fd: names" in order.
func (w *world) events(t *Table, ep int, want ...string) {
	w.t.Helper()
	synctest.Wait()
	list := make([]EpollEvent, 16)
	n, err := t.EpollWait(ep, list, 0)
	w.is(err, nil)
	var got []string
	for _, e := range list[:n] {
		got = append(got, fmt.Sprintf("%d: %s", e.Fd, bitNames(e.Events)))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Fatalf("events %q, want %q", got, want)
	}
}

// polled checks the events that Poll reports of fd without waiting.
func (w *world) polled(t *Table, fd int, want string) {
	w.t.Helper()
	synctest.Wait()
	list := []PollFd{{Fd: int32(fd), Events: int16(all)}}
	n, err := t.Poll(list, 0)
	w.is(err, nil)
	if got := bitNames(uint32(list[0].Revents)); got != want || (n != 0) != (want != "") {
		w.t.Fatalf("Poll: %d, %q; want %q", n, got, want)
	}
}

func TestEpoll(t *testing.T) {
	inWorld(t, "E-EVT-1 level: told again as long as it holds", slow, func(t *testing.T, w *world) {
		l, c, s := w.connected()
		ep := w.epoll(w.b)
		w.add(w.b, ep, s, EPOLLIN|EPOLLRDHUP)
		w.add(w.b, ep, l, EPOLLIN)
		w.events(w.b, ep)
		w.write(w.a, c, "two")
		w.settle()
		w.events(w.b, ep, fmt.Sprintf("%d: IN", s))
		w.events(w.b, ep, fmt.Sprintf("%d: IN", s))
		w.read(w.b, s, "two")
		w.events(w.b, ep)
		w.dial(80)
		w.is(w.a.Shutdown(c, SHUT_WR), nil)
		w.settle()
		w.events(w.b, ep, fmt.Sprintf("%d: IN", l), fmt.Sprintf("%d: IN RDHUP", s))
		w.reset(w.a, c)
		w.settle()
		w.accept(l)
		w.events(w.b, ep, fmt.Sprintf("%d: IN RDHUP HUP ERR", s))
	})
	inWorld(t, "E-EVT-1 E-EVT-2 edge: told once for each segment, and of space when there is some again", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		ep := w.epoll(w.b)
		w.add(w.b, ep, s, all|EPOLLET)
		w.events(w.b, ep, fmt.Sprintf("%d: OUT", s))
		w.events(w.b, ep)
		for range 3 {
			w.write(w.a, c, "x")
			w.settle()
			w.events(w.b, ep, fmt.Sprintf("%d: IN OUT", s))
			w.events(w.b, ep)
		}
		w.read(w.b, s, "xxx")
		w.is(w.b.SetNonblock(s, true), nil)
		sent := 0
		for {
			n, err := w.b.Write(s, numbered(1<<20))
			if sent += max(n, 0); err != nil {
				break
			}
			w.settle()
		}
		w.events(w.b, ep) // what there was room for meanwhile it has seen
		p := make([]byte, 1<<20)
		for got := 0; got < sent; {
			n, err := w.a.Read(c, p)
			w.is(err, nil)
			got += n
		}
		w.settle()
		w.events(w.b, ep, fmt.Sprintf("%d: OUT", s))
		w.is(w.a.Shutdown(c, SHUT_WR), nil)
		w.settle()
		w.events(w.b, ep, fmt.Sprintf("%d: IN OUT RDHUP", s))
		w.events(w.b, ep)
		w.is(w.b.Shutdown(s, SHUT_WR), nil)
		w.events(w.b, ep, fmt.Sprintf("%d: IN OUT RDHUP HUP", s))
		w.settle() // the acknowledgment of the FIN
		w.events(w.b, ep, fmt.Sprintf("%d: IN OUT RDHUP HUP", s))
	})
	inWorld(t, "E-EVT-1 one shot: told once until it is asked for again", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		ep := w.epoll(w.b)
		w.add(w.b, ep, s, EPOLLIN|EPOLLONESHOT)
		for range 2 {
			w.write(w.a, c, "x")
			w.settle()
		}
		w.events(w.b, ep, fmt.Sprintf("%d: IN", s))
		w.write(w.a, c, "x")
		w.settle()
		w.events(w.b, ep)
		again := &EpollEvent{Events: EPOLLIN | EPOLLONESHOT, Fd: 42}
		w.is(w.b.EpollCtl(ep, EPOLL_CTL_MOD, s, again), nil)
		w.events(w.b, ep, "42: IN")
		w.reset(w.a, c)
		w.settle()
		w.events(w.b, ep)
	})
	inWorld(t, "E-EVT-2 what was ready before wait or before it was added returns at once", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		w.write(w.a, c, "early")
		w.settle()
		for _, mode := range []uint32{0, EPOLLET, EPOLLONESHOT} {
			ep := w.epoll(w.b)
			w.add(w.b, ep, s, EPOLLIN|mode)
			n, err := w.b.EpollWait(ep, make([]EpollEvent, 1), -1)
			w.got(n, err, 1, nil)
		}
	})
	inWorld(t, "errors of EpollCtl and EpollWait", sim.Config{}, func(t *testing.T, w *world) {
		l, ep := w.listen(80, 1), w.epoll(w.b)
		in := &EpollEvent{Events: EPOLLIN}
		ctl := func(want error, epfd, op, fd int, ev *EpollEvent) {
			t.Helper()
			w.is(w.b.EpollCtl(epfd, op, fd, ev), want)
		}
		ctl(syscall.ENOENT, ep, EPOLL_CTL_MOD, l, in)
		ctl(syscall.ENOENT, ep, EPOLL_CTL_DEL, l, nil)
		ctl(syscall.EFAULT, ep, EPOLL_CTL_ADD, l, nil)
		ctl(syscall.EINVAL, ep, 9, l, in)
		ctl(syscall.EINVAL, ep, EPOLL_CTL_ADD, ep, in)
		ctl(syscall.EINVAL, l, EPOLL_CTL_ADD, ep, in)
		ctl(syscall.EBADF, ep, EPOLL_CTL_ADD, 99, in)
		ctl(syscall.EBADF, 99, EPOLL_CTL_ADD, l, in)
		ctl(nil, ep, EPOLL_CTL_ADD, l, in)
		ctl(syscall.EEXIST, ep, EPOLL_CTL_ADD, l, in)
		ctl(syscall.EINVAL, ep, EPOLL_CTL_MOD, l, &EpollEvent{Events: EPOLLIN | EPOLLEXCLUSIVE})
		ctl(nil, ep, EPOLL_CTL_DEL, l, nil)
		ctl(syscall.EINVAL, ep, EPOLL_CTL_ADD, l, &EpollEvent{Events: EPOLLIN | EPOLLEXCLUSIVE | EPOLLRDHUP})
		ctl(syscall.EINVAL, ep, EPOLL_CTL_ADD, l, &EpollEvent{Events: EPOLLRDNORM | EPOLLEXCLUSIVE})
		ctl(syscall.EINVAL, ep, EPOLL_CTL_ADD, l, &EpollEvent{Events: EPOLLWRNORM | EPOLLEXCLUSIVE})
		ctl(nil, ep, EPOLL_CTL_ADD, l, &EpollEvent{Events: EPOLLIN | EPOLLEXCLUSIVE})
		ctl(syscall.EINVAL, ep, EPOLL_CTL_MOD, l, in)
		_, err := w.b.EpollWait(ep, nil, 0)
		w.is(err, syscall.EINVAL)
		_, err = w.b.EpollWait(l, make([]EpollEvent, 1), 0)
		w.is(err, syscall.EINVAL)
		_, err = w.b.EpollWait(99, make([]EpollEvent, 1), 0)
		w.is(err, syscall.EBADF)
		_, err = w.b.EpollPwait2(ep, make([]EpollEvent, 1), &Timespec{Nsec: -1})
		w.is(err, syscall.EINVAL)
		_, err = w.b.EpollCreate1(1)
		w.is(err, syscall.EINVAL)
		w.readFails(w.b, ep, syscall.EINVAL)
		_, err = w.b.Getsockname(ep)
		w.is(err, syscall.ENOTSOCK)
		start := time.Now()
		n, err := w.b.EpollWait(ep, make([]EpollEvent, 1), 30)
		w.got(n, err, 0, nil)
		n, err = w.b.EpollPwait2(ep, make([]EpollEvent, 1), &Timespec{Nsec: 5e6})
		w.got(n, err, 0, nil)
		if d := time.Since(start); d != 35*ms {
			t.Errorf("the timeouts took %v", d)
		}
	})
	inWorld(t, "a descriptor that is closed leaves, unless another one stands for its socket", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		ep := w.epoll(w.b)
		w.add(w.b, ep, s, EPOLLIN)
		w.write(w.a, c, "x")
		w.settle()
		other, err := w.b.Dup(s)
		w.is(err, nil)
		w.is(w.b.Close(s), nil)
		w.events(w.b, ep, fmt.Sprintf("%d: IN", s))
		w.is(w.b.EpollCtl(ep, EPOLL_CTL_DEL, s, nil), syscall.EBADF)
		w.is(w.b.EpollCtl(ep, EPOLL_CTL_DEL, other, nil), syscall.ENOENT)
		w.is(w.b.Close(other), nil)
		w.events(w.b, ep)
	})
	inWorld(t, "instances in instances", slow, func(t *testing.T, w *world) {
		l := w.listen(80, 1)
		var row []int
		for i := range maxNesting + 1 {
			row = append(row, w.epoll(w.b))
			if i > 0 && i < maxNesting {
				w.add(w.b, row[i], row[i-1], EPOLLIN)
			}
		}
		in := &EpollEvent{Events: EPOLLIN}
		w.is(w.b.EpollCtl(row[5], EPOLL_CTL_ADD, row[4], in), syscall.ELOOP)
		w.is(w.b.EpollCtl(row[0], EPOLL_CTL_ADD, row[4], in), syscall.ELOOP)
		w.is(w.b.EpollCtl(row[0], EPOLL_CTL_ADD, row[5], in), syscall.ELOOP)
		w.add(w.b, row[0], l, EPOLLIN)
		w.polled(w.b, row[4], "")
		list := make([]EpollEvent, 2)
		err := w.during(func() error { _, err := w.b.EpollWait(row[4], list, -1); return err }, func() { w.dial(80) })
		if err != nil || list[0].Fd != int32(row[3]) {
			t.Errorf("the outermost says %v, %v", list[0], err)
		}
		w.polled(w.b, row[2], "IN")
		w.accept(l)
		w.polled(w.b, row[4], "")
	})
	inWorld(t, "an event wakes one of those who wait on an instance, and one instance of those that ask exclusively", slow, func(t *testing.T, w *world) {
		l := w.listen(80, 10)
		for name, instances := range map[string]int{"one instance": 1, "four exclusive ones": 4} {
			woken := make(chan int, 4)
			var eps []int
			for range instances {
				ep := w.epoll(w.b)
				w.is(w.b.EpollCtl(ep, EPOLL_CTL_ADD, l, &EpollEvent{Events: EPOLLIN | EPOLLET | EPOLLEXCLUSIVE}), nil)
				eps = append(eps, ep)
			}
			for i := range 4 {
				go func() {
					if n, _ := w.b.EpollWait(eps[i%instances], make([]EpollEvent, 1), -1); n > 0 {
						woken <- i
					}
				}()
			}
			synctest.Wait()
			for i := range 4 {
				if len(woken) != i {
					t.Errorf("%s: %d are awake after %d connections", name, len(woken), i)
				}
				w.dial(80)
				w.settle()
				w.accept(l)
			}
			for _, ep := range eps {
				w.is(w.b.Close(ep), nil)
			}
		}
	})
}
