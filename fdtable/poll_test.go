package fdtable

import (
	"fmt"
	"math"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/stack/sim"
)

func TestPoll(t *testing.T) {
	inWorld(t, "E-EVT-1 a connection's events from beginning to end", slow, func(t *testing.T, w *world) {
		l := w.listen(80, 1)
		w.polled(w.b, l, "")
		c := w.socket(w.a, SOCK_NONBLOCK)
		w.polled(w.a, c, "OUT HUP")
		w.is(w.a.Connect(c, w.at(80)), syscall.EINPROGRESS)
		w.polled(w.a, c, "")
		w.settle()
		w.polled(w.a, c, "OUT")
		w.polled(w.b, l, "IN")
		s := w.accept(l)
		w.polled(w.b, l, "")
		w.write(w.b, s, "text")
		w.settle()
		w.polled(w.a, c, "IN OUT")
		w.is(w.b.Shutdown(s, SHUT_WR), nil)
		w.settle()
		w.polled(w.a, c, "IN OUT RDHUP")
		w.reset(w.b, s)
		w.settle()
		w.polled(w.a, c, "IN OUT RDHUP HUP ERR")
		w.option(w.a, c, SOL_SOCKET, SO_ERROR, int(syscall.EPIPE))
		w.polled(w.a, c, "IN OUT RDHUP HUP")
	})
	inWorld(t, "E-CON-4 a connect that fails is writable, and SO_ERROR says why once", slow, func(t *testing.T, w *world) {
		c := w.socket(w.a, SOCK_NONBLOCK)
		w.is(w.a.Connect(c, w.at(81)), syscall.EINPROGRESS)
		list := []PollFd{{Fd: int32(c), Events: POLLOUT}}
		n, err := w.a.Poll(list, -1)
		w.got(n, err, 1, nil)
		if got := bitNames(uint32(list[0].Revents)); got != "OUT HUP ERR" {
			t.Errorf("revents are %s", got)
		}
		w.option(w.a, c, SOL_SOCKET, SO_ERROR, int(syscall.ECONNREFUSED))
		w.option(w.a, c, SOL_SOCKET, SO_ERROR, 0)
	})
	inWorld(t, "E-CON-4 a connect that succeeds is writable, and SO_ERROR is 0", slow, func(t *testing.T, w *world) {
		w.listen(80, 1)
		c := w.socket(w.a, SOCK_NONBLOCK)
		w.is(w.a.Connect(c, w.at(80)), syscall.EINPROGRESS)
		list := []PollFd{{Fd: int32(c), Events: POLLOUT}}
		n, err := w.a.Poll(list, -1)
		w.got(n, err, 1, nil)
		if list[0].Revents != POLLOUT {
			t.Errorf("revents are %#x", list[0].Revents)
		}
		w.option(w.a, c, SOL_SOCKET, SO_ERROR, 0)
		w.is(w.a.Connect(c, w.at(80)), nil)
		w.is(w.a.Connect(c, w.at(80)), syscall.EISCONN)
	})
	for _, how := range []int{SHUT_RD, SHUT_WR, SHUT_RDWR} {
		inWorld(t, fmt.Sprintf("E-CON-10 shutdown %d of a connecting descriptor is HUP and ERR", how), sim.Config{Filter: dropTCP}, func(t *testing.T, w *world) {
			c := w.socket(w.a, SOCK_NONBLOCK)
			w.is(w.a.Connect(c, w.at(80)), syscall.EINPROGRESS)
			w.is(w.a.Shutdown(c, how), nil)
			w.polled(w.a, c, "OUT HUP ERR")
			if n := w.hostA.Stats().TCPGauges.Connections(); n != 0 {
				t.Errorf("%d connections are left", n)
			}
		})
	}
	inWorld(t, "timeouts and entries that do not count", sim.Config{}, func(t *testing.T, w *world) {
		l := w.listen(80, 1)
		list := []PollFd{{Fd: int32(l), Events: POLLIN}, {Fd: -1, Events: POLLIN, Revents: 7}}
		start := time.Now()
		n, err := w.b.Poll(list, 250)
		w.got(n, err, 0, nil)
		n, err = w.b.Ppoll(list, &Timespec{Sec: 1, Nsec: 5e8})
		w.got(n, err, 0, nil)
		if d := time.Since(start); d != 1750*ms || list[1].Revents != 0 {
			t.Errorf("it took %v, and the entry without a descriptor says %#x", d, list[1].Revents)
		}
		for _, bad := range []Timespec{{Sec: -1}, {Nsec: -1}, {Nsec: 1e9}} {
			_, err = w.b.Ppoll(list, &bad)
			w.is(err, syscall.EINVAL)
		}
		list[1].Fd = 77
		n, err = w.b.Poll(list, -1)
		w.got(n, err, 1, nil)
		if list[1].Revents != POLLNVAL {
			t.Errorf("a closed descriptor is %#x", list[1].Revents)
		}
		w.b.SetLimit(1)
		_, err = w.b.Poll(list, 0)
		w.is(err, syscall.EINVAL)
	})
	inWorld(t, "a timeout that no Duration holds is a long one", sim.Config{}, func(t *testing.T, w *world) {
		const tooLong = math.MaxInt/32 + 1 // as nanoseconds it would wrap to zero
		l, ep := w.listen(80, 1), w.epoll(w.b)
		w.add(w.b, ep, l, EPOLLIN)
		list, events := []PollFd{{Fd: int32(l), Events: POLLIN}}, make([]EpollEvent, 1)
		for name, wait := range map[string]func() (int, error){
			"Poll":        func() (int, error) { return w.b.Poll(list, tooLong) },
			"Ppoll":       func() (int, error) { return w.b.Ppoll(list, &Timespec{Sec: math.MaxInt64}) },
			"EpollWait":   func() (int, error) { return w.b.EpollWait(ep, events, tooLong) },
			"EpollPwait2": func() (int, error) { return w.b.EpollPwait2(ep, events, &Timespec{Sec: math.MaxInt64}) },
		} {
			err := w.during(func() error {
				n, err := wait()
				if n != 1 {
					t.Errorf("%s returned %d", name, n)
				}
				return err
			}, func() { w.is(w.a.Close(w.dial(80)), nil) })
			w.is(err, nil)
			w.is(w.b.Close(w.accept(l)), nil)
		}
	})
	inWorld(t, "E-CLS-4 close wakes who polls", sim.Config{}, func(t *testing.T, w *world) {
		l, ep := w.listen(80, 1), w.epoll(w.b)
		list := []PollFd{{Fd: int32(l), Events: POLLIN}}
		err := w.during(func() error { _, err := w.b.Poll(list, -1); return err }, func() { w.is(w.b.Close(l), nil) })
		w.is(err, nil)
		if list[0].Revents != POLLNVAL {
			t.Errorf("revents are %#x", list[0].Revents)
		}
		err = w.during(func() error { _, err := w.b.EpollWait(ep, make([]EpollEvent, 1), -1); return err }, func() { w.is(w.b.Close(ep), nil) })
		w.is(err, syscall.EBADF)
	})
	inWorld(t, "datagrams", slow, func(t *testing.T, w *world) {
		udp := func(t *Table) int {
			fd, err := t.Socket(w.domain, SOCK_DGRAM, 0)
			w.is(err, nil)
			return fd
		}
		a, b := udp(w.a), udp(w.b)
		w.polled(w.b, b, "OUT")
		w.is(w.b.Bind(b, w.at(53)), nil)
		ep := w.epoll(w.b)
		w.add(w.b, ep, b, EPOLLIN)
		_, err := w.a.Sendto(a, []byte("x"), 0, w.at(53))
		w.is(err, nil)
		n, err := w.b.EpollWait(ep, make([]EpollEvent, 4), -1)
		w.got(n, err, 1, nil)
		w.polled(w.b, b, "IN OUT")
		w.is(w.a.Connect(a, w.at(54)), nil)
		w.write(w.a, a, "to nobody")
		w.settle()
		w.polled(w.a, a, "OUT ERR")
		w.is(w.a.Shutdown(a, SHUT_RD), nil)
		w.polled(w.a, a, "IN OUT RDHUP ERR")
		w.is(w.a.Shutdown(a, SHUT_WR), nil)
		w.polled(w.a, a, "IN OUT RDHUP HUP ERR")
	})
}
