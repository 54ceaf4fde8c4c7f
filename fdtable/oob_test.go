package fdtable

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/unet-go/unet/stack"
)

// urge sends a text whose last octet is urgent.
func (w *world) urge(t *Table, fd int, text string) {
	w.t.Helper()
	n, err := t.Sendto(fd, []byte(text), MSG_OOB, netip.AddrPort{})
	w.got(n, err, len(text), nil)
}

// oob checks the urgent octet, first with MSG_PEEK and then without.
func (w *world) oob(t *Table, fd int, want string, wantErr error) {
	w.t.Helper()
	for _, flags := range []int{MSG_OOB | MSG_PEEK, MSG_OOB} {
		p := make([]byte, 8)
		m := Msghdr{Iov: [][]byte{p}}
		n, err := t.Recvmsg(fd, &m, flags)
		msgFlags := m.Flags
		if string(p[:n]) != want || err != wantErr || n > 0 && msgFlags != MSG_OOB {
			w.t.Fatalf("Recvmsg with flags %#x: %q, flags %#x, %v; want %q, %v", flags, p[:n], msgFlags, err, want, wantErr)
		}
	}
}

func (w *world) atMark(t *Table, fd int, want bool) {
	w.t.Helper()
	got, err := t.Sockatmark(fd)
	w.is(err, nil)
	if got != want {
		w.t.Fatalf("Sockatmark: %v, want %v", got, want)
	}
}

func (w *world) urgentReady(fd int, want bool) {
	w.t.Helper()
	s, err := w.b.acquire(fd)
	w.is(err, nil)
	defer s.release()
	if got := s.conn.Load().Ready()&stack.ReadyPri != 0; got != want {
		w.t.Fatalf("ReadyPri %v, want %v", got, want)
	}
}

func TestUrgent(t *testing.T) {
	inWorld(t, "MUST-30 MUST-33 one octet out of band, and the mark", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		w.oob(w.b, s, "", syscall.EINVAL)
		w.atMark(w.b, s, false)
		w.take('a')
		w.urge(w.a, c, "abc!")
		w.write(w.a, c, "def")
		w.settle()
		if got := w.take('a'); got != "PAU PA" {
			t.Errorf("sent %s", got)
		}
		w.atMark(w.b, s, false)
		w.urgentReady(s, true)
		w.oob(w.b, s, "!", nil)
		w.oob(w.b, s, "", syscall.EINVAL)
		w.urgentReady(s, false)
		w.read(w.b, s, "abc")
		w.atMark(w.b, s, true)
		w.read(w.b, s, "def")
		w.atMark(w.b, s, false)
	})
	inWorld(t, "MUST-33 SO_OOBINLINE leaves the octet in the stream", slow, func(t *testing.T, w *world) {
		l, c, s := w.connected()
		w.option(w.b, l, SOL_SOCKET, SO_OOBINLINE, 0)
		w.is(w.b.SetsockoptInt(s, SOL_SOCKET, SO_OOBINLINE, 1), nil)
		w.option(w.b, s, SOL_SOCKET, SO_OOBINLINE, 1)
		w.urge(w.a, c, "abc!")
		w.write(w.a, c, "def")
		w.settle()
		w.oob(w.b, s, "", syscall.EINVAL)
		w.read(w.b, s, "abc")
		w.atMark(w.b, s, true)
		w.urgentReady(s, true)
		w.read(w.b, s, "!def")
		w.atMark(w.b, s, false)
		w.urgentReady(s, false)
	})
	inWorld(t, "MUST-32 urgent data wakes who watches, and no reader", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		w.is(w.during(func() error {
			p := make([]byte, 8)
			n, err := w.b.Read(s, p)
			if string(p[:n]) != "text" {
				return fmt.Errorf("read %q, %v", p[:n], err)
			}
			return err
		}, func() {
			w.urge(w.a, c, "!")
			w.settle()
			w.urgentReady(s, true)
			w.atMark(w.b, s, true)
			w.write(w.a, c, "text")
		}), nil)
		w.oob(w.b, s, "", syscall.EINVAL) // passed
	})
	inWorld(t, "MUST-32 epoll tells when urgent data begins and when its mark moves on, once each", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		edge, level := w.epoll(w.b), w.epoll(w.b)
		w.add(w.b, edge, s, EPOLLPRI|EPOLLET)
		w.add(w.b, level, s, EPOLLPRI)
		pri := fmt.Sprintf("%d: PRI", s)
		w.events(w.b, edge)
		w.write(w.a, c, "text")
		w.settle()
		w.events(w.b, edge)
		w.events(w.b, level)
		for range 2 {
			w.urge(w.a, c, "ab!")
			w.settle()
			w.events(w.b, edge, pri)
			w.events(w.b, edge)
			w.write(w.a, c, "more")
			w.settle()
			w.events(w.b, edge)
			w.events(w.b, level, pri)
			w.events(w.b, level, pri)
		}
		w.oob(w.b, s, "!", nil)
		w.events(w.b, level)
		w.events(w.b, edge)
	})
	inWorld(t, "MUST-31 a run of any length, larger than all buffers", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		text := strings.Repeat("urgent ", 100_000)
		sent := make(chan error, 1)
		go func() {
			n, err := w.a.Sendto(c, []byte(text), MSG_OOB, netip.AddrPort{})
			if n != len(text) {
				err = fmt.Errorf("sent %d, %v", n, err)
			}
			sent <- err
		}()
		var got strings.Builder
		p := make([]byte, 65536)
		for got.Len() < len(text)-1 {
			n, err := w.b.Read(s, p)
			w.is(err, nil)
			got.Write(p[:n])
		}
		w.is(<-sent, nil)
		if got.String() != text[:len(text)-1] {
			t.Error("the stream is not what was sent")
		}
		w.atMark(w.b, s, true)
		w.oob(w.b, s, " ", nil)
	})
	inWorld(t, "MUST-30 sockets that have no urgent data", slow, func(t *testing.T, w *world) {
		l, _, s := w.connected()
		w.oob(w.b, l, "", syscall.ENOTCONN)
		w.oob(w.b, w.socket(w.b, 0), "", syscall.EINVAL)
		w.oob(w.b, 999, "", syscall.EBADF)
		udp, err := w.b.Socket(w.domain, SOCK_DGRAM, 0)
		w.is(err, nil)
		_, err = w.b.Sendto(udp, []byte("x"), MSG_OOB, w.at(9))
		w.is(err, syscall.EOPNOTSUPP)
		_, err = w.b.Sockatmark(udp)
		w.is(err, syscall.ENOTTY)
		w.is(w.b.Close(s), nil)
		w.oob(w.b, s, "", syscall.EBADF)
	})
}
