package fdtable

import (
	"net/netip"
	"syscall"
	"testing"

	"github.com/unet-go/unet/stack/sim"
)

// lose takes b's only device away.
func (w *world) lose() {
	w.is(w.segment.Close(), nil)
	<-w.hostB.Done()
}

func TestDeviceLost(t *testing.T) {
	inWorld(t, "every call that waits fails with ENETDOWN, and every later one", sim.Config{}, func(t *testing.T, w *world) {
		listener, _, b := w.connected()
		udp, err := w.b.Socket(w.domain, SOCK_DGRAM, 0)
		w.is(err, nil)
		w.is(w.b.Bind(udp, w.at(53)), nil)
		dialing := w.socket(w.b, 0)
		full := func() error {
			for {
				if _, err := w.b.Write(b, make([]byte, 1<<20)); err != nil {
					return err
				}
			}
		}
		calls := map[string]func() error{
			"accept":   func() error { _, _, err := w.b.Accept(listener); return err },
			"read":     func() error { _, err := w.b.Read(b, make([]byte, 1)); return err },
			"write":    full,
			"recvfrom": func() error { _, _, err := w.b.Recvfrom(udp, make([]byte, 1), 0); return err },
			"connect":  func() error { return w.b.Connect(dialing, netip.AddrPortFrom(w.absent, 80)) },
		}
		results := map[string]chan error{}
		for name, call := range calls {
			result := make(chan error, 1)
			results[name] = result
			go func() { result <- call() }()
		}
		w.settle()
		w.lose()
		for name, result := range results {
			if err := <-result; err != syscall.ENETDOWN {
				t.Errorf("%s: %v, want ENETDOWN", name, err)
			}
		}
		for _, name := range []string{"accept", "read", "write", "recvfrom"} {
			if err := calls[name](); err != syscall.ENETDOWN {
				t.Errorf("%s again: %v, want ENETDOWN", name, err)
			}
		}
		fd := w.socket(w.b, 0)
		w.is(w.b.Connect(fd, w.atA(80)), syscall.ENETDOWN)
		w.is(w.b.Bind(fd, w.at(81)), syscall.ENETDOWN)
		w.is(w.b.Bind(fd, netip.AddrPortFrom(w.any, 81)), syscall.ENETDOWN)
		fresh, err := w.b.Socket(w.domain, SOCK_DGRAM, 0)
		w.is(err, nil)
		_, err = w.b.Sendto(fresh, []byte("x"), 0, w.atA(9))
		w.is(err, syscall.ENETDOWN)
	})
	inWorld(t, "poll and epoll tell, and SO_ERROR says what", sim.Config{}, func(t *testing.T, w *world) {
		listener, _, b := w.connected()
		udp, err := w.b.Socket(w.domain, SOCK_DGRAM, 0)
		w.is(err, nil)
		w.is(w.b.Bind(udp, w.at(53)), nil)
		dialing := w.socket(w.b, SOCK_NONBLOCK)
		w.is(w.b.Connect(dialing, netip.AddrPortFrom(w.absent, 80)), syscall.EINPROGRESS)
		ep := w.epoll(w.b)
		for _, fd := range []int{listener, b, udp, dialing} {
			w.add(w.b, ep, fd, EPOLLIN|EPOLLET)
		}
		w.events(w.b, ep)
		told := func() error {
			fds := []PollFd{{Fd: int32(listener), Events: POLLIN}}
			_, err := w.b.Poll(fds, -1)
			if fds[0].Revents != POLLIN|POLLERR|POLLHUP {
				t.Errorf("a poll that waits says %#x of the listener", fds[0].Revents)
			}
			return err
		}
		w.is(w.during(told, w.lose), nil)
		w.settle()
		list := make([]EpollEvent, 16)
		n, err := w.b.EpollWait(ep, list, 0)
		w.is(err, nil)
		if n != 4 {
			t.Errorf("epoll tells of %d descriptors, want 4", n)
		}
		for _, e := range list[:n] {
			if e.Events != EPOLLIN|EPOLLERR|EPOLLHUP {
				t.Errorf("epoll says %s of descriptor %d", bitNames(e.Events), e.Fd)
			}
		}
		w.option(w.b, b, SOL_SOCKET, SO_ERROR, int(syscall.ENETDOWN))
		w.option(w.b, b, SOL_SOCKET, SO_ERROR, 0)
		w.option(w.b, dialing, SOL_SOCKET, SO_ERROR, int(syscall.ENETDOWN))
		w.readFails(w.b, b, syscall.ENETDOWN)
	})
	inWorld(t, "loopback goes on", sim.Config{}, func(t *testing.T, w *world) {
		local := netip.AddrPortFrom(w.lo, 80)
		old := w.socket(w.b, 0)
		w.is(w.b.Bind(old, local), nil)
		w.is(w.b.Listen(old, 5), nil)
		w.lose()
		client := w.socket(w.b, 0)
		w.is(w.b.Connect(client, local), nil)
		server := w.accept(old)
		w.write(w.b, client, "hello")
		w.read(w.b, server, "hello")
		fresh := w.socket(w.b, 0)
		w.is(w.b.Bind(fresh, netip.AddrPortFrom(w.lo, 81)), nil)
		w.is(w.b.Listen(fresh, 5), nil)
		udp, err := w.b.Socket(w.domain, SOCK_DGRAM, 0)
		w.is(err, nil)
		w.is(w.b.Bind(udp, local), nil)
		from, err := w.b.Socket(w.domain, SOCK_DGRAM, 0)
		w.is(err, nil)
		_, err = w.b.Sendto(from, []byte("datagram"), 0, local)
		w.is(err, nil)
		w.read(w.b, udp, "datagram")
	})
}
