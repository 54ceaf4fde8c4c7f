package fdtable

import (
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/sim"
)

func TestListen(t *testing.T) {
	inWorld(t, "E-LIS-1 what is not allowed on which socket", sim.Config{}, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		w.is(w.a.Listen(c, 1), syscall.EINVAL)
		w.is(w.b.Listen(s, 1), syscall.EINVAL)
		w.is(w.b.Bind(s, w.at(99)), syscall.EINVAL)
		for _, fd := range []int{c, w.socket(w.a, 0)} {
			_, _, err := w.a.Accept(fd)
			w.is(err, syscall.EINVAL)
		}
		twice := w.socket(w.b, 0)
		w.is(w.b.Bind(twice, w.at(99)), nil)
		w.is(w.b.Bind(twice, w.at(98)), syscall.EINVAL)
		w.is(w.b.Bind(twice, w.at(99)), syscall.EINVAL)
		udp, err := w.b.Socket(w.domain, SOCK_DGRAM, 0)
		w.is(err, nil)
		w.is(w.b.Listen(udp, 1), syscall.EOPNOTSUPP)
		_, _, err = w.b.Accept(udp)
		w.is(err, syscall.EOPNOTSUPP)
	})
	inWorld(t, "E-LIS-2 accept waits for an established connection, in order, or is EAGAIN", sim.Config{Delay: 5 * ms}, func(t *testing.T, w *world) {
		l := w.listen(80, 10)
		w.is(w.b.SetNonblock(l, true), nil)
		_, _, err := w.b.Accept(l)
		w.is(err, again)
		w.is(w.b.SetNonblock(l, false), nil)
		first := w.socket(w.a, 0)
		w.is(w.a.Bind(first, w.atA(1001)), nil)
		var s int
		err = w.during(func() (err error) {
			s, _, err = w.b.Accept(l)
			return err
		}, func() { w.is(w.a.Connect(first, w.at(80)), nil) })
		w.is(err, nil)
		w.write(w.a, first, "one")
		w.read(w.b, s, "one")
		for port := range uint16(3) {
			fd := w.socket(w.a, 0)
			w.is(w.a.Bind(fd, w.atA(2001+port)), nil)
			w.is(w.a.Connect(fd, w.at(80)), nil)
		}
		for port := range uint16(3) {
			_, peer, err := w.b.Accept(l)
			if want := w.atA(2001 + port); err != nil || peer != want {
				t.Fatalf("accepted %v, %v; want %v", peer, err, want)
			}
		}
	})
	inWorld(t, "E-LIS-2 the accepted descriptor blocks unless accept4 says otherwise", sim.Config{}, func(t *testing.T, w *world) {
		l := w.listen(80, 10)
		w.is(w.b.SetNonblock(l, true), nil)
		w.dial(80)
		c := w.dial(80)
		w.settle()
		s, _, err := w.b.Accept4(l, SOCK_NONBLOCK)
		w.is(err, nil)
		w.readFails(w.b, s, again)
		s = w.accept(l)
		p := make([]byte, 8)
		err = w.during(func() error { _, err := w.b.Read(s, p); return err }, func() { w.write(w.a, c, "x") })
		w.is(err, nil)
		_, _, err = w.b.Accept4(l, 1)
		w.is(err, syscall.EINVAL)
	})
	for _, tc := range []struct {
		name          string
		backlog, want int
	}{
		{"E-LIS-5 a backlog of 0 allows one connection", 0, 1},
		{"a backlog of 3 allows four connections", 3, 4},
		{"E-LIS-5 a negative backlog is the greatest", -1, 30},
		{"E-LIS-5 a backlog beyond the greatest is the greatest", 1 << 30, 30},
	} {
		inWorld(t, tc.name, sim.Config{Delay: ms}, func(t *testing.T, w *world) {
			l := w.listen(80, tc.backlog)
			for range 30 {
				fd := w.socket(w.a, SOCK_NONBLOCK)
				w.is(w.a.Connect(fd, w.at(80)), syscall.EINPROGRESS)
			}
			w.settle()
			if n := w.hostB.Stats().TCPGauges.AcceptQueue; n != tc.want {
				t.Errorf("%d connections wait for accept, want %d", n, tc.want)
			}
			w.is(w.b.SetNonblock(l, true), nil)
			for range tc.want {
				w.accept(l)
			}
			_, _, err := w.b.Accept(l)
			w.is(err, again)
		})
	}
	inWorld(t, "a second listen changes the backlog", sim.Config{}, func(t *testing.T, w *world) {
		l := w.listen(80, 0)
		w.is(w.b.Listen(l, 5), nil)
		for range 6 {
			w.dial(80)
		}
		w.settle()
		if n := w.hostB.Stats().TCPGauges.AcceptQueue; n != 6 {
			t.Errorf("%d connections wait for accept, want 6", n)
		}
	})
	inWorld(t, "listen without bind takes a free port", sim.Config{}, func(t *testing.T, w *world) {
		l := w.socket(w.b, 0)
		w.is(w.b.Listen(l, 1), nil)
		name, err := w.b.Getsockname(l)
		if err != nil || !name.Addr().IsUnspecified() || name.Port() == 0 {
			t.Fatalf("the name is %v, %v", name, err)
		}
		w.dial(name.Port())
		w.accept(l)
	})
	inWorld(t, "accept reserves its descriptor, so EMFILE costs no connection", sim.Config{}, func(t *testing.T, w *world) {
		l := w.listen(80, 10)
		w.b.SetLimit(2)
		w.dial(80)
		s := w.accept(l)
		c := w.dial(80)
		_, _, err := w.b.Accept(l)
		w.is(err, syscall.EMFILE)
		_, err = w.b.Socket(w.domain, SOCK_STREAM, 0)
		w.is(err, syscall.EMFILE)
		w.is(w.b.Close(s), nil)
		s = w.accept(l)
		w.write(w.b, s, "hi")
		w.read(w.a, c, "hi")
	})
}

func TestListenerEnds(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(w *world, l int) error
		want error
	}{
		{"close", func(w *world, l int) error { return w.b.Close(l) }, syscall.EBADF},
		{"shutdown", func(w *world, l int) error { return w.b.Shutdown(l, SHUT_RD) }, syscall.EINVAL},
		{"shutdown of both", func(w *world, l int) error { return w.b.Shutdown(l, SHUT_RDWR) }, syscall.EINVAL},
	} {
		inWorld(t, "E-LIS-6 "+tc.name+" wakes accept", sim.Config{}, func(t *testing.T, w *world) {
			l := w.listen(80, 10)
			err := w.during(func() error { _, _, err := w.b.Accept(l); return err }, func() { w.is(tc.end(w, l), nil) })
			w.is(err, tc.want)
		})
		inWorld(t, "E-LIS-6 "+tc.name+" resets queued and half-open children, and SYNs from then on", sim.Config{Delay: ms}, func(t *testing.T, w *world) {
			l := w.listen(80, 10)
			queued := w.dial(80)
			w.segment.Update(func(c *sim.Config) { c.Filter = dropSYNACK })
			half := w.socket(w.a, SOCK_NONBLOCK)
			w.is(w.a.Connect(half, w.at(80)), syscall.EINPROGRESS)
			w.settle()
			w.segment.Update(func(c *sim.Config) { c.Filter = nil })
			w.take('b')
			w.is(tc.end(w, l), nil)
			w.settle()
			if flags := w.take('b'); flags != "RA RA" && flags != "R RA" && flags != "RA R" && flags != "R R" {
				t.Errorf("b sent %q, want two resets", flags)
			}
			w.readFails(w.a, queued, syscall.ECONNRESET)
			c := w.socket(w.a, 0)
			w.is(w.a.Connect(c, w.at(80)), syscall.ECONNREFUSED)
		})
	}
	inWorld(t, "E-LIS-6 after shutdown the port stays taken until close", sim.Config{}, func(t *testing.T, w *world) {
		l := w.listen(80, 10)
		w.is(w.b.Shutdown(l, SHUT_RD), nil)
		w.option(w.b, l, SOL_SOCKET, SO_ACCEPTCONN, 0)
		_, _, err := w.b.Accept(l)
		w.is(err, syscall.EINVAL)
		w.is(w.b.Shutdown(l, SHUT_RD), syscall.ENOTCONN)
		other := w.socket(w.b, 0)
		w.is(w.b.Bind(other, w.at(80)), syscall.EADDRINUSE)
		w.is(w.b.Close(l), nil)
		w.is(w.b.Bind(other, w.at(80)), nil)
	})
	inWorld(t, "a listener that was shut down may listen or connect again", sim.Config{}, func(t *testing.T, w *world) {
		l := w.listen(80, 10)
		w.dial(80)
		w.accept(l)
		w.is(w.b.Shutdown(l, SHUT_RD), nil)
		w.is(w.b.Listen(l, 10), nil)
		w.dial(80)
		w.accept(l)
		w.is(w.b.Shutdown(l, SHUT_RD), nil)
		other := w.socket(w.a, 0)
		w.is(w.a.Bind(other, w.atA(81)), nil)
		w.is(w.a.Listen(other, 1), nil)
		w.is(w.b.Connect(l, w.atA(81)), nil)
		_, peer, err := w.a.Accept(other)
		if err != nil || peer != w.at(80) {
			t.Errorf("the peer is %v, %v", peer, err)
		}
	})
	inWorld(t, "shutdown of a listener's write side does nothing", sim.Config{}, func(t *testing.T, w *world) {
		l := w.listen(80, 10)
		w.is(w.b.Shutdown(l, SHUT_WR), nil)
		w.dial(80)
		w.accept(l)
	})
}

func TestAccepted(t *testing.T) {
	inWorld(t, "E-LIS-8 data and FIN before accept are kept", sim.Config{}, func(t *testing.T, w *world) {
		l := w.listen(80, 10)
		c := w.dial(80)
		w.write(w.a, c, "early")
		w.is(w.a.Close(c), nil)
		w.settle()
		s := w.accept(l)
		w.read(w.b, s, "early")
		w.read(w.b, s, "")
	})
	inWorld(t, "E-LIS-9 the accepted descriptor inherits the listener's options", sim.Config{}, func(t *testing.T, w *world) {
		l := w.listen(80, 10)
		options := []struct{ level, opt, set, want int }{
			{SOL_SOCKET, SO_REUSEADDR, 1, 1},
			{SOL_SOCKET, SO_KEEPALIVE, 1, 1},
			{SOL_SOCKET, SO_RCVBUF, 20000, 40000},
			{SOL_SOCKET, SO_SNDBUF, 30000, 60000},
			{IPPROTO_TCP, TCP_NODELAY, 1, 1},
			{IPPROTO_TCP, TCP_KEEPIDLE, 11, 11},
			{IPPROTO_TCP, TCP_KEEPINTVL, 12, 12},
			{IPPROTO_TCP, TCP_KEEPCNT, 13, 13},
			{IPPROTO_TCP, TCP_USER_TIMEOUT, 14000, 14000},
			{w.level, w.tos, 0x10, 0x10},
			{w.level, w.ttl, 33, 33},
		}
		for _, o := range options {
			w.is(w.b.SetsockoptInt(l, o.level, o.opt, o.set), nil)
		}
		w.setLinger(w.b, l, 1, 7)
		w.is(w.b.SetsockoptTimeval(l, SOL_SOCKET, SO_RCVTIMEO, &Timeval{Sec: 3}), nil)
		w.dial(80)
		s := w.accept(l)
		for _, o := range options {
			w.option(w.b, s, o.level, o.opt, o.want)
		}
		linger, err := w.b.GetsockoptLinger(s, SOL_SOCKET, SO_LINGER)
		if err != nil || *linger != (Linger{1, 7}) {
			t.Errorf("linger %v, %v", linger, err)
		}
		tv, err := w.b.GetsockoptTimeval(s, SOL_SOCKET, SO_RCVTIMEO)
		if err != nil || *tv != (Timeval{Sec: 3}) {
			t.Errorf("timeout %v, %v", tv, err)
		}
		start := time.Now()
		w.readFails(w.b, s, again)
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("the read took %v", d)
		}
		w.setLinger(w.b, s, 0, 0)
	})
	inWorld(t, "names of both ends", sim.Config{}, func(t *testing.T, w *world) {
		l, c, s := w.connected()
		if got := w.name(w.b.Getsockname, l); got != w.at(80) {
			t.Errorf("the listener's name is %v", got)
		}
		if got := w.name(w.b.Getsockname, s); got != w.at(80) || got != w.name(w.a.Getpeername, c) {
			t.Errorf("b's name is %v", got)
		}
		if got := w.name(w.a.Getsockname, c); got.Addr() != w.addrA || got.Port() == 0 || got != w.name(w.b.Getpeername, s) {
			t.Errorf("a's name is %v", got)
		}
		if got := w.name(w.a.Getsockname, w.socket(w.a, 0)); got != netip.AddrPortFrom(w.any, 0) {
			t.Errorf("the name of a new socket is %v", got)
		}
	})
}

// dropSYNACK loses SYN-ACKs.
func dropSYNACK(_ *sim.Port, f []byte) sim.Verdict {
	if p, is := packetOf(f, wire.ProtocolTCP); is && p.Payload[13]&0x12 == 0x12 {
		return sim.Drop
	}
	return sim.Pass
}
