package fdtable

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

func TestClose(t *testing.T) {
	inWorld(t, "E-CLS-1 close with unread data resets", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		w.write(w.a, c, "nobody reads this")
		w.settle()
		w.take('b')
		w.is(w.b.Close(s), nil)
		w.settle()
		if flags := w.take('b'); flags != "RA" && flags != "R" {
			t.Errorf("b sent %q, want a reset", flags)
		}
		w.readFails(w.a, c, syscall.ECONNRESET)
	})
	inWorld(t, "E-CLS-1 an answer leaves in front of the reset that unread data asks for", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		w.is(w.b.SetsockoptInt(s, IPPROTO_TCP, TCP_NODELAY, 1), nil) // or the reset would overtake what Nagle's rule holds
		w.settle()
		w.take('b')
		done := make(chan error, 1)
		go func() { // woken in the midst of a burst, it answers before the burst ends
			_, err := w.b.Read(s, make([]byte, 10))
			_, werr := w.b.Write(s, []byte("ans"))
			_, werr2 := w.b.Write(s, []byte("wer"))
			done <- errors.Join(err, werr, werr2, w.b.Close(s))
		}()
		synctest.Wait()
		w.write(w.a, c, strings.Repeat("x", 100))
		w.is(<-done, nil)
		w.settle()
		// The burst may end at any moment: before the answer, between its halves, behind it.
		switch flags := w.take('b'); flags {
		case "PA RA", "PA PA RA", "A PA RA", "A PA PA RA":
		default:
			t.Errorf("b sent %q, want the answer and a reset", flags)
		}
		answer := make([]byte, 6)
		n, err := w.a.Recvmsg(c, &Msghdr{Iov: [][]byte{answer}}, MSG_WAITALL)
		w.got(n, err, len("answer"), nil)
		if string(answer) != "answer" {
			t.Errorf("a read %q", answer)
		}
		w.readFails(w.a, c, syscall.ECONNRESET)
	})
	inWorld(t, "E-CLS-1 close with all data read and a FIN queued sends a FIN", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		w.write(w.a, c, "read")
		w.is(w.a.Shutdown(c, SHUT_WR), nil)
		w.settle()
		w.read(w.b, s, "read")
		w.take('b')
		w.is(w.b.Close(s), nil)
		w.settle()
		if flags := w.take('b'); flags != "FA" {
			t.Errorf("b sent %q, want a FIN", flags)
		}
		w.read(w.a, c, "")
	})
	inWorld(t, "E-CLS-2 SO_LINGER of 0 resets at once, drops what is queued and leaves no TIME-WAIT", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		w.is(w.a.SetNonblock(c, true), nil)
		if _, err := w.a.Write(c, numbered(16<<20)); err != nil { // more than the window takes
			t.Fatal(err)
		}
		w.settle()
		w.take('a')
		start := time.Now()
		w.reset(w.a, c)
		if d := time.Since(start); d != 0 {
			t.Errorf("close took %v", d)
		}
		if flags := w.take('a'); flags != "RA" {
			t.Errorf("a sent %q, want one reset", flags)
		}
		w.settle()
		p := make([]byte, 1<<20)
		var err error
		for n := 1; n > 0 && err == nil; {
			n, err = w.b.Read(s, p)
		}
		w.is(err, syscall.ECONNRESET)
		if states := w.hostA.Stats().TCPGauges.States; states != [11]int{} {
			t.Errorf("a has connections: %v", states)
		}
	})
	inWorld(t, "E-CLS-3 SO_LINGER of n waits until the FIN is acknowledged", slow, func(t *testing.T, w *world) {
		_, c, _ := w.connected()
		w.setLinger(w.a, c, 1, 30)
		w.write(w.a, c, "x")
		start := time.Now()
		w.is(w.a.Close(c), nil)
		if d := time.Since(start); d < 2*ms || d > 100*ms {
			t.Errorf("close took %v, want about a round trip", d)
		}
	})
	inWorld(t, "E-CLS-3 SO_LINGER of n waits no longer than n seconds", slow, func(t *testing.T, w *world) {
		_, c, _ := w.connected()
		w.settle()
		w.segment.Update(func(c *sim.Config) { c.Filter = dropTCP })
		w.setLinger(w.a, c, 1, 7)
		w.write(w.a, c, "x")
		start := time.Now()
		w.is(w.a.Close(c), nil)
		if d := time.Since(start); d != 7*time.Second {
			t.Errorf("close took %v", d)
		}
	})
	inWorld(t, "E-CLS-3 SO_LINGER of n does not wait without a connection", slow, func(t *testing.T, w *world) {
		fresh, l := w.socket(w.b, 0), w.listen(80, 1)
		start := time.Now()
		for _, fd := range []int{fresh, l} {
			w.setLinger(w.b, fd, 1, 60)
			w.is(w.b.Close(fd), nil)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("close took %v", d)
		}
	})
	inWorld(t, "E-CLS-5 data for a connection that was closed is answered by a reset", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		w.is(w.b.Close(s), nil)
		w.settle()
		w.take('b')
		w.write(w.a, c, "too late")
		w.settle()
		if flags := w.take('b'); flags != "R" && flags != "RA" {
			t.Errorf("b sent %q, want a reset", flags)
		}
	})
	inWorld(t, "a descriptor that is closed is EBADF to every call", slow, func(t *testing.T, w *world) {
		_, c, _ := w.connected()
		w.is(w.a.Close(c), nil)
		p := make([]byte, 1)
		for _, fd := range []int{c, -1, 1 << 40, 300, 12345} {
			_, eSockname := w.a.Getsockname(fd)
			_, ePeername := w.a.Getpeername(fd)
			_, eRead := w.a.Read(fd, p)
			_, eEmpty := w.a.Read(fd, nil)
			_, eWrite := w.a.Write(fd, p)
			_, _, eRecv := w.a.Recvfrom(fd, p, 0)
			_, eSend := w.a.Sendto(fd, p, 0, w.at(1))
			_, _, eAccept := w.a.Accept(fd)
			_, eGet := w.a.GetsockoptInt(fd, SOL_SOCKET, SO_TYPE)
			_, eLinger := w.a.GetsockoptLinger(fd, SOL_SOCKET, SO_LINGER)
			_, eTime := w.a.GetsockoptTimeval(fd, SOL_SOCKET, SO_RCVTIMEO)
			_, eInfo := w.a.TCPInfo(fd)
			for i, err := range []error{eSockname, ePeername, eRead, eEmpty, eWrite, eRecv, eSend, eAccept, eGet, eLinger, eTime, eInfo,
				w.a.Bind(fd, w.at(1)), w.a.Listen(fd, 1), w.a.Connect(fd, w.at(1)), w.a.Shutdown(fd, SHUT_RD), w.a.Close(fd),
				w.a.SetNonblock(fd, true), w.a.SetsockoptInt(fd, SOL_SOCKET, SO_KEEPALIVE, 1),
				w.a.SetsockoptLinger(fd, SOL_SOCKET, SO_LINGER, &Linger{}), w.a.SetsockoptTimeval(fd, SOL_SOCKET, SO_RCVTIMEO, &Timeval{})} {
				if err != syscall.EBADF {
					t.Errorf("call %d on %d: %v", i, fd, err)
				}
			}
		}
	})
}

func TestCloseWakes(t *testing.T) {
	inWorld(t, "E-CLS-4 close wakes a hundred blocked calls", slow, func(t *testing.T, w *world) {
		l, c, s := w.connected()
		if _, err := w.a.Sendto(c, numbered(32<<20), MSG_DONTWAIT, w.at(0)); err != nil { // so that writes block
			t.Fatal(err)
		}
		w.settle()
		for {
			if _, err := w.a.Sendto(c, numbered(1<<20), MSG_DONTWAIT, w.at(0)); err != nil {
				break
			}
			w.settle()
		}
		udp, err := w.b.Socket(w.domain, SOCK_DGRAM, 0)
		w.is(err, nil)
		reader := w.dial(80)
		timed := w.dial(80)
		w.is(w.a.SetsockoptTimeval(timed, SOL_SOCKET, SO_RCVTIMEO, &Timeval{Sec: 3600}), nil)
		calls := []func() error{
			func() error { _, err := w.a.Read(reader, make([]byte, 1)); return err },
			func() error { _, err := w.a.Read(timed, make([]byte, 1)); return err },
			func() error { _, err := w.a.Write(c, []byte("more")); return err },
			func() error { _, err := w.b.Read(udp, make([]byte, 1)); return err },
		}
		w.accept(l)
		w.accept(l)
		calls = append(calls, func() error { _, _, err := w.b.Accept(l); return err })
		woken := make(chan error, 20*len(calls))
		for range 20 {
			for _, call := range calls {
				go func() { woken <- call() }()
			}
		}
		synctest.Wait()
		if len(woken) > 0 {
			t.Fatalf("%d calls did not block: %v", len(woken), <-woken)
		}
		start := time.Now()
		for _, fd := range []int{c, reader, timed} {
			w.is(w.a.Close(fd), nil)
		}
		for _, fd := range []int{l, udp} {
			w.is(w.b.Close(fd), nil)
		}
		for range cap(woken) {
			w.is(<-woken, syscall.EBADF)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("it took %v", d)
		}
		w.is(w.b.Close(s), nil)
	})
	inWorld(t, "E-CLS-4 close wakes a blocked connect", sim.Config{Filter: dropTCP}, func(t *testing.T, w *world) {
		c := w.socket(w.a, 0)
		err := w.during(func() error { return w.a.Connect(c, w.at(80)) }, func() { w.is(w.a.Close(c), nil) })
		w.is(err, syscall.EBADF)
	})
	inWorld(t, "E-CLS-6 the number is free only when close has returned", slow, func(t *testing.T, w *world) {
		_, c, _ := w.connected()
		w.settle()
		w.segment.Update(func(c *sim.Config) { c.Filter = dropTCP })
		w.setLinger(w.a, c, 1, 5)
		w.write(w.a, c, "x")
		err := w.during(func() error { return w.a.Close(c) }, func() {
			if fd := w.socket(w.a, 0); fd == c {
				t.Errorf("%d was given out while its close was lingering", fd)
			}
			_, err := w.a.Read(c, make([]byte, 1))
			w.is(err, syscall.EBADF)
			w.is(w.a.Close(c), syscall.EBADF)
		})
		w.is(err, nil)
		if fd := w.socket(w.a, 0); fd != c {
			t.Errorf("got %d, want %d again", fd, c)
		}
	})
}

// TestLowestFree compares the descriptors that Socket gives with the obvious way to find the lowest free one.
func TestLowestFree(t *testing.T) {
	h, err := stack.New(stack.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	table := New(h)
	open := map[int]bool{}
	for i := range 3000 {
		if i%3 == 2 || i > 2000 { // numbers in no order
			for fd := range open {
				if err := table.Close(fd); err != nil {
					t.Fatal(err)
				}
				delete(open, fd)
				break
			}
			continue
		}
		want := 0
		for open[want] {
			want++
		}
		fd, err := table.Socket(AF_INET, SOCK_STREAM, 0)
		if fd != want || err != nil {
			t.Fatalf("Socket = %d, %v; want %d", fd, err, want)
		}
		open[fd] = true
	}
}

// TestCloseRaces closes descriptors that other goroutines use in every way, and that get new meanings at once.
func TestCloseRaces(t *testing.T) {
	t.Run("E-CLS-6 a number is given out only after close has returned", func(t *testing.T) {
		h, err := stack.New(stack.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		table := New(h)
		var owned [64]atomic.Bool // by number: some goroutine has it open
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 2000 {
					fd, err := table.Socket(AF_INET, SOCK_STREAM, 0)
					if err != nil {
						t.Error(err)
						return
					}
					if owned[fd].Swap(true) {
						t.Errorf("%d was given out twice", fd)
					}
					_ = table.SetsockoptInt(fd, IPPROTO_TCP, TCP_NODELAY, 1)
					owned[fd].Store(false)
					if err := table.Close(fd); err != nil {
						t.Errorf("Close(%d): %v", fd, err)
					}
				}
			})
		}
		wg.Wait()
	})
	t.Run("close against everything", func(t *testing.T) {
		h, err := stack.New(stack.Config{TCP: tcp.Config{MSL: time.Millisecond}})
		if err != nil {
			t.Fatal(err)
		}
		table := New(h)
		listener, err := table.Socket(AF_INET, SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := table.Listen(listener, 100); err != nil {
			t.Fatal(err)
		}
		name, err := table.Getsockname(listener)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var done atomic.Bool
		// Servers, users of any number at all, and dialers that close what they have dialled.
		wg.Go(func() {
			for {
				fd, _, err := table.Accept(listener)
				if err == syscall.EBADF {
					return
				}
				if err == nil {
					_, _ = table.Write(fd, []byte("hello"))
					_ = table.Close(fd)
				}
			}
		})
		for range 3 {
			wg.Go(func() {
				p := make([]byte, 8)
				for !done.Load() {
					for fd := 1; fd < 8; fd++ {
						_, _, _ = table.Recvfrom(fd, p, MSG_DONTWAIT)
						_, _ = table.Sendto(fd, p, MSG_DONTWAIT, name)
						_ = table.Shutdown(fd, SHUT_WR)
						_, _ = table.Getpeername(fd)
						_, _ = table.GetsockoptInt(fd, SOL_SOCKET, SO_ERROR)
						_, _ = table.TCPInfo(fd)
					}
					runtime.Gosched()
				}
			})
		}
		var dialers sync.WaitGroup
		for range 3 {
			dialers.Go(func() {
				for range 300 {
					fd, err := table.Socket(AF_INET, SOCK_STREAM, 0)
					if err != nil {
						t.Error(err)
						return
					}
					var closers sync.WaitGroup
					closers.Go(func() {
						_ = table.Connect(fd, name)
						_, _ = table.Read(fd, make([]byte, 8))
					})
					runtime.Gosched()
					if err := table.Close(fd); err != nil {
						t.Errorf("Close(%d): %v", fd, err)
					}
					closers.Wait()
				}
			})
		}
		dialers.Wait()
		done.Store(true)
		if err := table.Close(listener); err != nil {
			t.Error(err)
		}
		wg.Wait()
		for fd := range 16 {
			if err := table.Close(fd); err != syscall.EBADF {
				t.Errorf("%d was left open", fd)
			}
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
}
