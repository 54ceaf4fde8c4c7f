package fdtable

import (
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/stack"
)

// fastListen makes a listener of b's that takes Fast Opens.
func (w *world) fastListen(port uint16) int {
	w.t.Helper()
	l := w.listen(port, 10)
	w.is(w.b.SetsockoptInt(l, IPPROTO_TCP, TCP_FASTOPEN, 5), nil)
	return l
}

// fastSend sends a text with MSG_FASTOPEN from a new socket of a's.
func (w *world) fastSend(port uint16, flags int, text string) (fd, n int, err error) {
	w.t.Helper()
	fd = w.socket(w.a, flags)
	n, err = w.a.Sendto(fd, []byte(text), MSG_FASTOPEN, w.at(port))
	return fd, n, err
}

// answered has the listener's next connection read a text and answer it.
func (w *world) answered(listener int, text, answer string) (fd int) {
	w.t.Helper()
	fd = w.accept(listener)
	w.read(w.b, fd, text)
	w.write(w.b, fd, answer)
	return fd
}

func TestFastOpen(t *testing.T) {
	inWorld(t, "C-TFO-2 MSG_FASTOPEN: first a cookie, then text on the SYN", slow, func(t *testing.T, w *world) {
		l := w.fastListen(80)
		for i, sent := range []string{"S A PA A", "S A A"} {
			w.take('a')
			fd, n, err := w.fastSend(80, 0, "ask")
			w.got(n, err, 3, nil)
			s := w.answered(l, "ask", "answer")
			w.read(w.a, fd, "answer")
			if got := w.take('a'); got != sent {
				t.Errorf("connection %d: sent %s, want %s", i, got, sent)
			}
			for _, end := range []struct {
				*Table
				fd int
			}{{w.a, fd}, {w.b, s}} {
				if info, err := end.TCPInfo(end.fd); info.SYNData != (i == 1) || err != nil {
					t.Errorf("connection %d: SYNData %v, %v", i, info.SYNData, err)
				}
				info, err := end.GetsockoptTCPInfo(end.fd, IPPROTO_TCP, TCP_INFO)
				w.is(err, nil)
				if got := info.Options&TCPI_OPT_SYN_DATA != 0; got != (i == 1) {
					t.Errorf("connection %d: TCPI_OPT_SYN_DATA %v", i, got)
				}
			}
			_, err = w.a.Sendto(fd, []byte("x"), MSG_FASTOPEN, w.at(80))
			w.is(err, syscall.EISCONN)
		}
	})
	inWorld(t, "C-TFO-2 TCP_FASTOPEN_CONNECT: connect returns at once, the first write sends", slow, func(t *testing.T, w *world) {
		l := w.fastListen(80)
		for i := range 2 {
			fd := w.socket(w.a, 0)
			w.is(w.a.SetsockoptInt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1), nil)
			w.option(w.a, fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
			began := time.Now()
			w.is(w.a.Connect(fd, w.at(80)), nil)
			if i == 1 {
				if took := time.Since(began); took != 0 {
					t.Errorf("connect took %v", took)
				}
				w.is(w.a.Connect(fd, w.at(80)), syscall.EISCONN)
				_, err := w.a.Getpeername(fd)
				w.is(err, syscall.ENOTCONN)
				if r := w.a.ready(fd); r != stack.ReadyOut {
					t.Errorf("ready for %b", r)
				}
			}
			w.write(w.a, fd, "ask")
			w.answered(l, "ask", "answer")
			w.read(w.a, fd, "answer")
			w.is(w.a.SetsockoptInt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 0), syscall.EINVAL)
		}
	})
	inWorld(t, "C-TFO-5 a socket that does not block", slow, func(t *testing.T, w *world) {
		l := w.fastListen(80)
		fd, n, err := w.fastSend(80, SOCK_NONBLOCK, "ask")
		w.got(n, err, 0, syscall.EINPROGRESS)
		_, err = w.a.Sendto(fd, []byte("ask"), MSG_FASTOPEN, w.at(80))
		w.is(err, syscall.EALREADY)
		w.settle()
		w.write(w.a, fd, "ask")
		w.answered(l, "ask", "answer")
		text := make([]byte, 2000)
		fd = w.socket(w.a, SOCK_NONBLOCK)
		n, err = w.a.Sendto(fd, text, MSG_FASTOPEN, w.at(80))
		onSYN := w.mss - 40 // for the other options
		w.got(n, err, onSYN, nil)
		w.writeFails(w.a, fd, again)
		w.settle()
		n, err = w.a.Write(fd, text[onSYN:])
		w.got(n, err, 2000-onSYN, nil)
	})
	inWorld(t, "C-TFO-5 refused, and tried again", slow, func(t *testing.T, w *world) {
		w.fastListen(80)
		_, _, err := w.fastSend(80, 0, "ask")
		w.is(err, nil)
		fd, n, err := w.fastSend(81, 0, "ask")
		w.got(n, err, 0, syscall.ECONNREFUSED)
		n, err = w.a.Sendto(fd, []byte("ask"), MSG_FASTOPEN, w.at(80))
		w.got(n, err, 3, nil)
		fd = w.socket(w.a, 0)
		w.is(w.a.SetsockoptInt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1), nil)
		w.is(w.a.Connect(fd, w.at(81)), nil)
		w.writeFails(w.a, fd, syscall.ECONNREFUSED)
		w.is(w.a.Connect(fd, w.at(80)), nil)
		w.write(w.a, fd, "ask")
	})
	inWorld(t, "C-TFO-6 off by default, and the options' ranges", slow, func(t *testing.T, w *world) {
		l := w.listen(80, 10)
		w.option(w.b, l, IPPROTO_TCP, TCP_FASTOPEN, 0)
		fd := w.dial(80)
		for range 2 { // the listener gives no cookie
			_, n, err := w.fastSend(80, 0, "ask")
			w.got(n, err, 3, nil)
		}
		if g := w.hostB.Stats().TCPGauges; g.FastOpens != 0 || g.FastOpenCookies != 0 {
			t.Errorf("%d Fast Opens, %d cookies", g.FastOpens, g.FastOpenCookies)
		}
		w.is(w.b.SetsockoptInt(l, IPPROTO_TCP, TCP_FASTOPEN, -1), syscall.EINVAL)
		w.is(w.b.SetsockoptInt(l, IPPROTO_TCP, TCP_FASTOPEN, 7), nil)
		w.option(w.b, l, IPPROTO_TCP, TCP_FASTOPEN, 7)
		w.is(w.b.SetsockoptInt(l, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1), syscall.EINVAL)
		w.is(w.a.SetsockoptInt(fd, IPPROTO_TCP, TCP_FASTOPEN, 1), syscall.EINVAL)
		w.is(w.b.SetsockoptInt(w.accept(l), IPPROTO_TCP, TCP_FASTOPEN, 1), syscall.EINVAL)
		fresh := w.socket(w.a, 0)
		for _, bad := range []int{-1, 2} {
			w.is(w.a.SetsockoptInt(fresh, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, bad), syscall.EINVAL)
		}
		_, err := w.a.Sendto(fresh, []byte("x"), MSG_FASTOPEN, netip.AddrPort{})
		w.is(err, syscall.EINVAL)
		_, err = w.b.Sendto(l, []byte("x"), MSG_FASTOPEN, w.at(80))
		w.is(err, syscall.EISCONN)
		udp, err := w.a.Socket(w.domain, SOCK_DGRAM, 0)
		w.is(err, nil)
		_, err = w.a.Sendto(udp, []byte("x"), MSG_FASTOPEN, w.at(80))
		w.is(err, syscall.EOPNOTSUPP)
	})
}

// ready returns what a descriptor is ready for.
func (t *Table) ready(fd int) stack.Readiness {
	s, err := t.acquire(fd)
	if err != nil {
		return 0
	}
	defer s.release()
	return s.ready()
}
