package fdtable

import (
	"bytes"
	"io"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/stack/sim"
)

// slow is a segment on which nothing happens at once, so that a call that would block does.
var slow = sim.Config{Delay: ms}

func TestReadAndWrite(t *testing.T) {
	inWorld(t, "E-RW-1 read after the peer's FIN: all data, then 0 for ever", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		w.write(w.a, c, "last words")
		w.is(w.a.Close(c), nil)
		w.settle()
		w.read(w.b, s, "last words")
		for range 3 {
			w.read(w.b, s, "")
		}
	})
	inWorld(t, "E-RW-2 data before a reset stays readable, then ECONNRESET once, then 0 and EPIPE", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		w.write(w.a, c, "ten octets")
		w.settle()
		w.reset(w.a, c)
		w.settle()
		w.read(w.b, s, "ten octets")
		w.readFails(w.b, s, syscall.ECONNRESET)
		w.read(w.b, s, "")
		w.writeFails(w.b, s, syscall.EPIPE)
		w.option(w.b, s, SOL_SOCKET, SO_ERROR, 0)
	})
	inWorld(t, "E-RW-3 write after a reset: ECONNRESET first, EPIPE later", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		w.reset(w.a, c)
		w.settle()
		w.writeFails(w.b, s, syscall.ECONNRESET)
		w.writeFails(w.b, s, syscall.EPIPE)
		w.writeFails(w.b, s, syscall.EPIPE)
		w.read(w.b, s, "")
	})
	inWorld(t, "E-RW-3 a reset in CLOSE-WAIT: writes are EPIPE, reads stay at the end of the stream", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		w.write(w.b, s, "unread") // so that the close that follows the shutdown resets
		w.is(w.a.Shutdown(c, SHUT_WR), nil)
		w.settle()
		w.read(w.b, s, "")
		w.is(w.a.Close(c), nil)
		w.settle()
		w.writeFails(w.b, s, syscall.EPIPE)
		w.read(w.b, s, "")
		w.read(w.b, s, "")
	})
	inWorld(t, "E-RW-4 write after the peer's FIN succeeds", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		w.is(w.a.Shutdown(c, SHUT_WR), nil)
		w.read(w.b, s, "")
		w.write(w.b, s, "still here")
		w.read(w.a, c, "still here")
	})
	inWorld(t, "E-RW-5 write after shutdown is EPIPE", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		w.is(w.a.Shutdown(c, SHUT_WR), nil)
		w.writeFails(w.a, c, syscall.EPIPE)
		w.write(w.b, s, "x")
		w.read(w.a, c, "x")
	})
	inWorld(t, "E-RW-6 calls on a socket that is not connected", slow, func(t *testing.T, w *world) {
		for _, fd := range []int{w.socket(w.b, 0), w.listen(80, 1)} {
			w.writeFails(w.b, fd, syscall.EPIPE)
			w.readFails(w.b, fd, syscall.ENOTCONN)
			_, err := w.b.Getpeername(fd)
			w.is(err, syscall.ENOTCONN)
		}
		w.is(w.b.Shutdown(w.socket(w.b, 0), SHUT_RDWR), syscall.ENOTCONN)
		c := w.socket(w.a, SOCK_NONBLOCK)
		w.is(w.a.Connect(c, w.at(80)), syscall.EINPROGRESS)
		_, err := w.a.Getpeername(c)
		w.is(err, syscall.ENOTCONN)
	})
	inWorld(t, "E-RW-7 a write and a read of nothing", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		w.settle()
		w.take('a')
		n, err := w.a.Write(c, nil)
		w.got(n, err, 0, nil)
		w.settle()
		if flags := w.take('a'); flags != "" {
			t.Errorf("a sent %q", flags)
		}
		n, err = w.b.Read(s, nil)
		w.got(n, err, 0, nil)
	})
	inWorld(t, "E-RW-8 a non-blocking write takes what fits, then EAGAIN, and goes on at a third free", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		w.is(w.a.SetsockoptInt(c, SOL_SOCKET, SO_SNDBUF, 16<<10), nil)
		w.is(w.b.SetsockoptInt(s, SOL_SOCKET, SO_RCVBUF, 16<<10), nil)
		w.is(w.a.SetNonblock(c, true), nil)
		text := numbered(1 << 20)
		var sent int
		for {
			n, err := w.a.Write(c, text[sent:])
			if err != nil {
				w.got(n, err, 0, again)
				w.settle()
				if n, err = w.a.Write(c, text[sent:]); err != nil {
					w.got(n, err, 0, again)
					break
				}
			}
			sent += n
		}
		if sent == 0 || sent == len(text) {
			t.Fatalf("%d octets were taken of %d", sent, len(text))
		}
		got := make([]byte, sent)
		for at := 0; at < sent; {
			n, err := w.b.Read(s, got[at:])
			w.is(err, nil)
			at += n
		}
		w.settle()
		if !bytes.Equal(got, text[:sent]) {
			t.Error("the text is not what was sent")
		}
		n, err := w.a.Write(c, text[sent:])
		if n == 0 || err != nil {
			t.Errorf("once the peer has read, write gives %d, %v", n, err)
		}
	})
	inWorld(t, "a blocking write waits until all is taken", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		text := numbered(8 << 20)
		var got []byte
		err := w.during(func() error {
			n, err := w.a.Write(c, text)
			if n != len(text) {
				t.Errorf("%d octets of %d", n, len(text))
			}
			return err
		}, func() {
			p := make([]byte, 1<<16)
			for len(got) < len(text) {
				n, err := w.b.Read(s, p)
				w.is(err, nil)
				got = append(got, p[:n]...)
			}
		})
		w.is(err, nil)
		if !bytes.Equal(got, text) {
			t.Error("the text is not what was sent")
		}
	})
	inWorld(t, "a write that a reset interrupts tells its count first and the error next", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		var n int
		err := w.during(func() (err error) {
			n, err = w.a.Write(c, numbered(16<<20))
			return err
		}, func() { w.reset(w.b, s) })
		if n <= 0 || n == 16<<20 || err != nil {
			t.Errorf("write gave %d, %v", n, err)
		}
		w.writeFails(w.a, c, syscall.ECONNRESET)
		w.writeFails(w.a, c, syscall.EPIPE)
	})
	inWorld(t, "flags", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		n, _, err := w.b.Recvfrom(s, make([]byte, 1), MSG_DONTWAIT)
		w.got(n, err, 0, again)
		n, _, err = w.b.Recvfrom(s, make([]byte, 1), MSG_ERRQUEUE) // a connection's queue of errors is empty, as on Linux
		w.got(n, err, 0, again)
		_, _, err = w.b.Recvfrom(s, make([]byte, 1), 0x10)
		w.is(err, syscall.EOPNOTSUPP)
		n, err = w.a.Sendto(c, []byte("ab"), MSG_NOSIGNAL, netip.AddrPort{})
		w.got(n, err, 2, nil)
		_, err = w.a.Sendto(c, []byte("ab"), 0x2000, netip.AddrPort{})
		w.is(err, syscall.EOPNOTSUPP)
		w.read(w.b, s, "ab")
	})
}

// numbered returns n octets no run of which is like another of its neighbourhood.
func numbered(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i) ^ byte(i>>8) ^ byte(i>>16)
	}
	return p
}

func TestShutdown(t *testing.T) {
	inWorld(t, "E-SHD-1 SHUT_WR sends what is queued, then a FIN, and reads go on", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		text := numbered(50000)
		n, err := w.a.Write(c, text)
		w.got(n, err, len(text), nil)
		w.is(w.a.Shutdown(c, SHUT_WR), nil)
		got := make([]byte, 0, len(text))
		for {
			p := make([]byte, 1<<16)
			n, err := w.b.Read(s, p)
			w.is(err, nil)
			if n == 0 {
				break
			}
			got = append(got, p[:n]...)
		}
		if !bytes.Equal(got, text) {
			t.Error("the text is not what was sent")
		}
		w.write(w.b, s, "answer")
		w.read(w.a, c, "answer")
		w.is(w.b.Close(s), nil)
		w.read(w.a, c, "")
	})
	inWorld(t, "E-SHD-3 SHUT_RD: queued data, then the end; what comes later is acknowledged", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		w.write(w.a, c, "before")
		w.settle()
		w.is(w.b.Shutdown(s, SHUT_RD), nil)
		w.read(w.b, s, "before")
		w.read(w.b, s, "")
		w.take('b')
		w.write(w.a, c, "after")
		w.settle()
		if flags := w.take('b'); flags != "A" {
			t.Errorf("b answered %q, want an ACK", flags)
		}
		w.write(w.b, s, "fine")
		w.read(w.a, c, "fine")
	})
	inWorld(t, "SHUT_RD wakes a reader", slow, func(t *testing.T, w *world) {
		_, _, s := w.connected()
		err := w.during(func() error {
			n, err := w.b.Read(s, make([]byte, 1))
			if n == 0 && err == nil {
				err = io.EOF
			}
			return err
		}, func() { w.is(w.b.Shutdown(s, SHUT_RD), nil) })
		w.is(err, io.EOF)
	})
	inWorld(t, "shutdown: how, and on a connection that has ended", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		w.is(w.a.Shutdown(c, 3), syscall.EINVAL)
		w.is(w.a.Shutdown(c, -1), syscall.EINVAL)
		w.reset(w.b, s)
		w.settle()
		w.is(w.a.Shutdown(c, SHUT_RDWR), syscall.ENOTCONN)
	})
}

func TestTimeouts(t *testing.T) {
	inWorld(t, "SO_RCVTIMEO limits each read by itself", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		w.is(w.b.SetsockoptTimeval(s, SOL_SOCKET, SO_RCVTIMEO, &Timeval{Sec: 1}), nil)
		start := time.Now()
		second := make(chan time.Duration)
		go func() {
			time.Sleep(400 * ms) // in the bubble's time
			began := time.Now()
			if _, err := w.b.Read(s, make([]byte, 1)); err != again {
				t.Errorf("the second read: %v", err)
			}
			second <- time.Since(began)
		}()
		w.readFails(w.b, s, again)
		if d := time.Since(start); d != time.Second {
			t.Errorf("the first read took %v", d)
		}
		if d := <-second; d != time.Second {
			t.Errorf("the second read took %v", d)
		}
		w.write(w.a, c, "x")
		w.read(w.b, s, "x")
		w.is(w.b.SetsockoptTimeval(s, SOL_SOCKET, SO_RCVTIMEO, &Timeval{}), nil)
		err := w.during(func() error { _, err := w.b.Read(s, make([]byte, 1)); return err }, func() {
			time.Sleep(time.Hour)
			w.write(w.a, c, "y")
		})
		w.is(err, nil)
	})
	inWorld(t, "a read that waits without a limit outlives the limits of others", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		err := w.during(func() error { _, err := w.b.Read(s, make([]byte, 1)); return err }, func() {
			w.is(w.b.SetsockoptTimeval(s, SOL_SOCKET, SO_RCVTIMEO, &Timeval{Sec: 1}), nil)
			w.readFails(w.b, s, again)
			w.is(w.b.SetsockoptTimeval(s, SOL_SOCKET, SO_RCVTIMEO, &Timeval{}), nil)
			w.settle()
			w.write(w.a, c, "x")
		})
		w.is(err, nil)
	})
	inWorld(t, "SO_SNDTIMEO limits each write, which tells what it wrote", slow, func(t *testing.T, w *world) {
		_, c, _ := w.connected()
		w.is(w.a.SetsockoptTimeval(c, SOL_SOCKET, SO_SNDTIMEO, &Timeval{Sec: 2}), nil)
		start := time.Now()
		text := numbered(64 << 20)
		n, err := w.a.Write(c, text)
		if n <= 0 || n == len(text) || err != nil || time.Since(start) != 2*time.Second {
			t.Errorf("write gave %d, %v after %v", n, err, time.Since(start))
		}
		for err == nil { // the peer's window takes a little more
			_, err = w.a.Write(c, text)
		}
		w.is(err, again)
	})
	inWorld(t, "SO_RCVTIMEO limits accept", slow, func(t *testing.T, w *world) {
		l := w.listen(80, 1)
		w.is(w.b.SetsockoptTimeval(l, SOL_SOCKET, SO_RCVTIMEO, &Timeval{Usec: 250000}), nil)
		start := time.Now()
		_, _, err := w.b.Accept(l)
		w.is(err, again)
		if d := time.Since(start); d != 250*ms {
			t.Errorf("it took %v", d)
		}
	})
	inWorld(t, "values of timeouts", slow, func(t *testing.T, w *world) {
		_, _, s := w.connected()
		set := func(sec, usec int64) error {
			return w.b.SetsockoptTimeval(s, SOL_SOCKET, SO_RCVTIMEO, &Timeval{sec, usec})
		}
		w.is(set(0, 1000000), syscall.EDOM)
		w.is(set(0, -1), syscall.EDOM)
		w.is(set(-1, 0), nil)
		w.readFails(w.b, s, again)
		w.is(set(1<<40, 5), nil)
		tv, err := w.b.GetsockoptTimeval(s, SOL_SOCKET, SO_RCVTIMEO)
		if err != nil || *tv != (Timeval{}) {
			t.Errorf("more time than there is reads as %v, %v", tv, err)
		}
		w.is(w.b.SetsockoptTimeval(s, SOL_SOCKET, SO_LINGER, &Timeval{}), syscall.ENOPROTOOPT)
	})
}
