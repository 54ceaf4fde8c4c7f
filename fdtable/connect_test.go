package fdtable

import (
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
)

func TestConnect(t *testing.T) {
	inWorld(t, "E-CON-1 connect on a listener is EISCONN and the listener goes on accepting", sim.Config{}, func(t *testing.T, w *world) {
		l := w.listen(80, 10)
		other := w.socket(w.a, 0)
		w.is(w.a.Bind(other, w.atA(81)), nil)
		w.is(w.a.Listen(other, 1), nil)
		err := w.b.Connect(l, w.atA(81))
		w.is(err, syscall.EISCONN)
		if text := err.Error(); text != "transport endpoint is already connected" {
			t.Errorf("text %q", text)
		}
		w.option(w.b, l, SOL_SOCKET, SO_ACCEPTCONN, 1)
		w.is(w.b.SetNonblock(l, true), nil)
		w.is(w.b.Connect(l, w.atA(81)), syscall.EISCONN)
		w.is(w.b.SetNonblock(l, false), nil)
		c := w.dial(80)
		s := w.accept(l)
		w.write(w.a, c, "hello")
		w.read(w.b, s, "hello")
	})
	inWorld(t, "E-CON-2 connect on a connected descriptor is EISCONN at both ends", sim.Config{}, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		w.is(w.a.Connect(c, w.at(80)), syscall.EISCONN)
		w.is(w.b.Connect(s, w.atA(9)), syscall.EISCONN)
		w.write(w.a, c, "on")
		w.read(w.b, s, "on")
	})
	inWorld(t, "E-CON-3 non-blocking connect: EINPROGRESS, EALREADY, 0 once, EISCONN", sim.Config{Delay: 10 * ms}, func(t *testing.T, w *world) {
		w.listen(80, 10)
		c := w.socket(w.a, SOCK_NONBLOCK)
		w.is(w.a.Connect(c, w.at(80)), syscall.EINPROGRESS)
		w.is(w.a.Connect(c, w.at(80)), syscall.EALREADY)
		w.readFails(w.a, c, again)
		w.writeFails(w.a, c, again)
		w.settle()
		w.is(w.a.Connect(c, w.at(80)), nil)
		w.is(w.a.Connect(c, w.at(80)), syscall.EISCONN)
	})
	inWorld(t, "E-CON-3 non-blocking connect: EINPROGRESS, however quick the answer", sim.Config{}, func(t *testing.T, w *world) {
		w.listen(80, 10)
		h, err := stack.New(stack.Config{})
		w.is(err, nil)
		defer h.Close()
		w.is(h.Attach(lateWrite{w.segment.Port()}, stack.Interface{Addrs: []netip.Prefix{w.third}, DADTransmits: -1}), nil)
		table := New(h)
		for _, typ := range []int{0, SOCK_NONBLOCK} { // the first one asks for the neighbour
			c := w.socket(table, typ)
			if typ == 0 {
				w.is(table.Connect(c, w.at(80)), nil)
				continue
			}
			w.is(table.Connect(c, w.at(80)), syscall.EINPROGRESS)
			w.is(table.Connect(c, w.at(80)), nil)
			w.is(table.Connect(c, w.at(80)), syscall.EISCONN)
		}
	})
	inWorld(t, "refused non-blocking connect tells SO_ERROR once", sim.Config{Delay: ms}, func(t *testing.T, w *world) {
		c := w.socket(w.a, SOCK_NONBLOCK)
		w.is(w.a.Connect(c, w.at(80)), syscall.EINPROGRESS)
		w.settle()
		w.option(w.a, c, SOL_SOCKET, SO_ERROR, int(syscall.ECONNREFUSED))
		w.option(w.a, c, SOL_SOCKET, SO_ERROR, 0)
	})
	inWorld(t, "E-CON-5 after a refused connect whose error is fetched: ECONNABORTED once, then a retry", sim.Config{Delay: ms}, func(t *testing.T, w *world) {
		c := w.socket(w.a, SOCK_NONBLOCK)
		w.is(w.a.Connect(c, w.at(80)), syscall.EINPROGRESS)
		w.settle()
		w.option(w.a, c, SOL_SOCKET, SO_ERROR, int(syscall.ECONNREFUSED))
		w.is(w.a.Connect(c, w.at(80)), syscall.ECONNABORTED)
		w.is(w.a.Connect(c, w.at(80)), syscall.EINPROGRESS)
		w.settle()
		w.readFails(w.a, c, syscall.ECONNREFUSED) // a read fetches the error as well
		w.is(w.a.Connect(c, w.at(80)), syscall.ECONNABORTED)
		w.listen(80, 1)
		w.is(w.a.Connect(c, w.at(80)), syscall.EINPROGRESS)
		w.settle()
		w.is(w.a.Connect(c, w.at(80)), nil)
	})
	inWorld(t, "E-CON-5 a blocking connect that was refused may be tried again directly", sim.Config{}, func(t *testing.T, w *world) {
		c := w.socket(w.a, 0)
		w.is(w.a.Bind(c, w.atA(5000)), nil)
		w.is(w.a.Connect(c, w.at(80)), syscall.ECONNREFUSED)
		w.option(w.a, c, SOL_SOCKET, SO_ERROR, 0)
		w.readFails(w.a, c, syscall.ENOTCONN)
		w.is(w.a.Connect(c, w.at(80)), syscall.ECONNREFUSED)
		l := w.listen(80, 1)
		w.is(w.a.Connect(c, w.at(80)), nil)
		_, peer, err := w.b.Accept(l)
		if want := w.atA(5000); err != nil || peer != want {
			t.Errorf("the peer is %v, %v; want %v: the bound address stays", peer, err, want)
		}
	})
	inWorld(t, "E-CON-7 a second socket for the same four-tuple", sim.Config{}, func(t *testing.T, w *world) {
		w.listen(80, 10)
		first, second := w.socket(w.a, 0), w.socket(w.a, 0)
		for _, fd := range []int{first, second} {
			w.is(w.a.SetsockoptInt(fd, SOL_SOCKET, SO_REUSEADDR, 1), nil)
			w.is(w.a.Bind(fd, w.atA(5000)), nil)
		}
		w.is(w.a.Connect(first, w.at(80)), nil)
		if err := w.a.Connect(second, w.at(80)); err != syscall.EADDRINUSE && err != syscall.EADDRNOTAVAIL {
			t.Errorf("the second connect: %v", err)
		}
		w.listen(81, 10)
		w.is(w.a.Connect(second, w.at(81)), nil)
	})
	inWorld(t, "E-CON-9 connect to the unspecified address means loopback", sim.Config{}, func(t *testing.T, w *world) {
		c := w.socket(w.a, 0)
		zero := netip.AddrPortFrom(w.any, 80)
		w.is(w.a.Connect(c, zero), syscall.ECONNREFUSED)
		l := w.socket(w.a, 0)
		w.is(w.a.Bind(l, zero), nil)
		w.is(w.a.Listen(l, 1), nil)
		w.is(w.a.Connect(c, zero), nil)
		peer, err := w.a.Getpeername(c)
		if err != nil || !peer.Addr().IsLoopback() {
			t.Errorf("the peer is %v, %v", peer, err)
		}
	})
	inWorld(t, "shutdown gives a connect up", sim.Config{Filter: dropTCP}, func(t *testing.T, w *world) {
		c := w.socket(w.a, 0)
		err := w.during(func() error { return w.a.Connect(c, w.at(80)) }, func() { w.is(w.a.Shutdown(c, SHUT_RD), nil) })
		w.is(err, syscall.ECONNRESET)
		w.is(w.a.Shutdown(c, SHUT_RD), syscall.ENOTCONN)
		if n := w.hostA.Stats().TCPGauges.States; n != [11]int{} {
			t.Errorf("connections are left: %v", n)
		}
	})
	inWorld(t, "SO_SNDTIMEO limits connect", sim.Config{Filter: dropTCP}, func(t *testing.T, w *world) {
		c := w.socket(w.a, 0)
		w.is(w.a.SetsockoptTimeval(c, SOL_SOCKET, SO_SNDTIMEO, &Timeval{Sec: 2, Usec: 500000}), nil)
		start := time.Now()
		w.is(w.a.Connect(c, w.at(80)), syscall.EINPROGRESS)
		if d := time.Since(start); d != 2500*ms {
			t.Errorf("it took %v", d)
		}
		w.is(w.a.Connect(c, w.at(80)), syscall.EALREADY)
	})
	inWorld(t, "an address of the wrong family", sim.Config{}, func(t *testing.T, w *world) {
		c := w.socket(w.a, 0)
		w.is(w.a.Connect(c, w.wrong), w.wrongErr)
		w.is(w.a.Connect(c, netip.AddrPort{}), syscall.EAFNOSUPPORT)
		w.is(w.a.Bind(c, w.wrong), w.wrongErr)
	})
}

// TestConnectErrors checks the errors of connect for each way in which it fails.
func TestConnectErrors(t *testing.T) {
	dialFails := func(w *world, to netip.AddrPort, want error) {
		w.t.Helper()
		c := w.socket(w.a, 0)
		w.is(w.a.Connect(c, to), want)
		w.is(w.a.Close(c), nil)
	}
	inWorld(t, "E-CON-6 a reset is ECONNREFUSED", sim.Config{}, func(t *testing.T, w *world) {
		dialFails(w, w.at(80), syscall.ECONNREFUSED)
	})
	inWorld(t, "E-CON-6 a neighbour that does not answer is EHOSTUNREACH", sim.Config{}, func(t *testing.T, w *world) {
		dialFails(w, netip.AddrPortFrom(w.absent, 80), syscall.EHOSTUNREACH)
	})
	inWorld(t, "E-CON-6 no route is ENETUNREACH", sim.Config{}, func(t *testing.T, w *world) {
		dialFails(w, netip.AddrPortFrom(w.foreign, 80), syscall.ENETUNREACH)
	})
	inWorld(t, "E-CON-6 silence is ETIMEDOUT", sim.Config{Filter: dropTCP}, func(t *testing.T, w *world) {
		dialFails(w, w.at(80), syscall.ETIMEDOUT)
	})
	for _, x := range []struct {
		family *worldFamily
		typ    byte
		code   byte
		want   error
	}{
		{world4, 3, 0, syscall.ENETUNREACH}, {world4, 3, 1, syscall.EHOSTUNREACH},
		{world6, 1, 0, syscall.ENETUNREACH}, {world6, 1, 1, syscall.EACCES}, {world6, 1, 2, syscall.EHOSTUNREACH}, {world6, 1, 3, syscall.EHOSTUNREACH},
		{world6, 1, 4, syscall.ECONNREFUSED}, {world6, 1, 5, syscall.EACCES}, {world6, 1, 6, syscall.EACCES}, {world6, 4, 1, syscall.EPROTO},
	} {
		name := "E-CON-6 ICMP unreachable of code " + string('0'+x.code) + " is " + x.want.Error()
		if x.family == world6 {
			name = fmt.Sprintf("E-CON-6 ICMPv6 of type %d and code %d is %v", x.typ, x.code, x.want)
		}
		inWorldOf(t, x.family, name, sim.Config{Filter: dropTCP}, func(t *testing.T, w *world) {
			router := w.segment.NewPort(sim.PortConfig{Name: "router"})
			syns := make(chan []byte, 16)
			stop := w.segment.Tap(func(r sim.Record) {
				if _, is := packetOf(r.Frame, wire.ProtocolTCP); is && r.From.Name() == "a" {
					syns <- append([]byte(nil), r.Frame...)
				}
			})
			defer stop()
			c := w.socket(w.a, 0)
			err := w.during(func() error { return w.a.Connect(c, w.at(80)) }, func() { w.icmpError(router, <-syns, x.typ, x.code, [4]byte{}) })
			w.is(err, x.want)
		})
	}
}

// dropTCP loses every TCP segment, and nothing else.
func dropTCP(_ *sim.Port, f []byte) sim.Verdict {
	if _, is := packetOf(f, wire.ProtocolTCP); is {
		return sim.Drop
	}
	return sim.Pass
}

// lateWrite is a device whose Write returns only after the answer to its frames has come.
type lateWrite struct{ link.Device }

func (d lateWrite) Write(frames []link.Frame) (int, error) {
	n, err := d.Device.Write(frames)
	time.Sleep(ms)
	return n, err
}

func TestManyRefused(t *testing.T) {
	inWorld(t, "300 connects at once to a closed port are refused within a round trip", sim.Config{Delay: 10 * ms}, func(t *testing.T, w *world) {
		var polled []PollFd
		for range 300 {
			c := w.socket(w.a, SOCK_NONBLOCK)
			w.is(w.a.Connect(c, w.at(81)), syscall.EINPROGRESS)
			polled = append(polled, PollFd{Fd: int32(c), Events: POLLOUT})
		}
		w.settle()
		if n, err := w.a.Poll(polled, 0); n != 300 || err != nil {
			t.Errorf("poll: %d, %v", n, err)
		}
		for _, p := range polled {
			w.option(w.a, int(p.Fd), SOL_SOCKET, SO_ERROR, int(syscall.ECONNREFUSED))
			w.is(w.a.Close(int(p.Fd)), nil)
		}
	})
}
