package fdtable

import (
	"net/netip"
	"syscall"
	"testing"
	"time"
)

func TestSendTimeoutOfOthers(t *testing.T) {
	// ends has a deadline of the stack pass while the write waits: that of another call, which may be over before the write
	// looks, or one that it cannot miss.
	for name, ends := range map[string]func(w *world, c int){
		"": func(w *world, c int) {
			w.writeFails(w.a, c, again)
			w.is(w.a.SetsockoptTimeval(c, SOL_SOCKET, SO_SNDTIMEO, &Timeval{}), nil)
		},
		", when one has ended it": func(w *world, c int) {
			w.is(w.a.SetsockoptTimeval(c, SOL_SOCKET, SO_SNDTIMEO, &Timeval{}), nil)
			w.is(w.a.at(c).body.(*socket).conn.Load().SetWriteDeadline(time.Unix(1, 0)), nil)
		},
	} {
		inWorld(t, "a write that waits without a limit outlives the limits of others, and counts all that it wrote"+name, slow, func(t *testing.T, w *world) {
			_, c, s := w.connected()
			text := numbered(32 << 20)
			var wrote int
			err := w.during(func() (err error) { wrote, err = w.a.Write(c, text); return err }, func() {
				w.is(w.a.SetsockoptTimeval(c, SOL_SOCKET, SO_SNDTIMEO, &Timeval{Sec: 1}), nil)
				ends(w, c)
				w.settle()
				p := make([]byte, len(text))
				n, err := w.b.Recvmsg(s, &Msghdr{Iov: [][]byte{p}}, MSG_WAITALL)
				w.got(n, err, len(text), nil)
			})
			w.got(wrote, err, len(text), nil)
		})
	}
	inWorld(t, "MSG_FASTOPEN gives up after SO_SNDTIMEO, and the handshake goes on", slow, func(t *testing.T, w *world) {
		fd := w.socket(w.a, 0)
		w.is(w.a.SetsockoptTimeval(fd, SOL_SOCKET, SO_SNDTIMEO, &Timeval{Usec: 500}), nil)
		w.fastListen(80)
		began := time.Now()
		n, err := w.a.Sendto(fd, []byte("ask"), MSG_FASTOPEN, w.at(80))
		w.got(n, err, 0, syscall.EINPROGRESS)
		if took := time.Since(began); took != 500*time.Microsecond {
			t.Errorf("it took %v", took)
		}
		w.settle()
		w.is(w.a.Connect(fd, w.at(80)), nil)
	})
}

func TestKeptError(t *testing.T) {
	inWorld(t, "what a write that was cut short keeps for the next call is an error to poll too", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		text := numbered(32 << 20)
		var wrote int
		err := w.during(func() (err error) { wrote, err = w.a.Write(c, text); return err }, func() { w.reset(w.b, s) })
		if wrote <= 0 || wrote == len(text) || err != nil {
			t.Errorf("wrote %d, %v, want a part", wrote, err)
		}
		w.polled(w.a, c, "IN OUT RDHUP HUP ERR")
		w.writeFails(w.a, c, syscall.ECONNRESET)
		w.polled(w.a, c, "IN OUT RDHUP HUP")
		w.writeFails(w.a, c, syscall.EPIPE)
	})
}

func TestMessageFlags(t *testing.T) {
	inWorld(t, "Recvmsg tells of this message alone", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		w.write(w.a, c, "text")
		m := Msghdr{Name: w.at(9), Iov: [][]byte{make([]byte, 8)}, Flags: MSG_TRUNC | MSG_OOB}
		n, err := w.b.Recvmsg(s, &m, 0)
		w.got(n, err, 4, nil)
		if m.Flags != 0 || m.Name != (netip.AddrPort{}) {
			t.Errorf("flags %#x, name %v, want none", m.Flags, m.Name)
		}
	})
	inWorld(t, "MSG_OOB without room takes the octet and says that it is lost", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		w.urge(w.a, c, "!")
		w.settle()
		m := Msghdr{Iov: [][]byte{nil}}
		n, err := w.b.Recvmsg(s, &m, MSG_OOB)
		w.got(n, err, 0, nil)
		if m.Flags != MSG_OOB|MSG_TRUNC {
			t.Errorf("flags %#x, want MSG_OOB and MSG_TRUNC", m.Flags)
		}
		w.oob(w.b, s, "", syscall.EINVAL)
	})
}

func TestPollSeesShutdown(t *testing.T) {
	inWorld(t, "shutdown of a datagram socket wakes those who poll it", slow, func(t *testing.T, w *world) {
		c, err := w.a.Socket(w.domain, SOCK_DGRAM, 0)
		w.is(err, nil)
		w.is(w.a.Connect(c, w.at(53)), nil)
		ep := w.epoll(w.a)
		w.add(w.a, ep, c, EPOLLIN|EPOLLET)
		list := []PollFd{{Fd: int32(c), Events: POLLIN}}
		events := make([]EpollEvent, 1)
		w.is(w.during(func() error { _, err := w.a.Poll(list, -1); return err }, func() { w.is(w.a.Shutdown(c, SHUT_RD), nil) }), nil)
		if list[0].Revents != POLLIN {
			t.Errorf("Poll says %#x", list[0].Revents)
		}
		w.events(w.a, ep, "0: IN")
		w.is(w.a.EpollCtl(ep, EPOLL_CTL_MOD, c, &EpollEvent{Events: EPOLLHUP | EPOLLET}), nil)
		err = w.during(func() error { _, err := w.a.EpollWait(ep, events, -1); return err }, func() { w.is(w.a.Shutdown(c, SHUT_WR), nil) })
		w.is(err, nil)
		if events[0].Events != EPOLLHUP {
			t.Errorf("EpollWait says %#x", events[0].Events)
		}
	})
}
