package fdtable

import (
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

func TestSocket(t *testing.T) {
	inWorld(t, "arguments of Socket", sim.Config{}, func(t *testing.T, w *world) {
		for _, tc := range []struct {
			domain, typ, proto int
			want               error
		}{
			{AF_INET, SOCK_STREAM, 0, nil},
			{AF_INET, SOCK_STREAM, IPPROTO_TCP, nil},
			{AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0, nil},
			{AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, IPPROTO_UDP, nil},
			{1, SOCK_STREAM, 0, syscall.EAFNOSUPPORT},
			{AF_UNSPEC, SOCK_STREAM, 0, syscall.EAFNOSUPPORT},
			{AF_INET, 3, 0, syscall.ESOCKTNOSUPPORT},
			{AF_INET, 5, 0, syscall.ESOCKTNOSUPPORT},
			{AF_INET, SOCK_STREAM | 0x10, 0, syscall.EINVAL},
			{AF_INET, -1, 0, syscall.EINVAL},
			{AF_INET, SOCK_STREAM, IPPROTO_UDP, syscall.EPROTONOSUPPORT},
			{AF_INET, SOCK_DGRAM, IPPROTO_TCP, syscall.EPROTONOSUPPORT},
		} {
			fd, err := w.a.Socket(tc.domain, tc.typ, tc.proto)
			if err != tc.want || (fd >= 0) != (err == nil) {
				t.Errorf("Socket(%d, %#x, %d) = %d, %v; want %v", tc.domain, tc.typ, tc.proto, fd, err, tc.want)
			}
		}
		w.option(w.a, 0, SOL_SOCKET, SO_TYPE, SOCK_STREAM)
		w.option(w.a, 2, SOL_SOCKET, SO_DOMAIN, AF_INET6)
		w.option(w.a, 3, SOL_SOCKET, SO_TYPE, SOCK_DGRAM)
		w.option(w.a, 3, SOL_SOCKET, SO_PROTOCOL, IPPROTO_UDP)
		w.readFails(w.a, 3, again)
	})
}

func TestBind(t *testing.T) {
	inWorld(t, "E-OPT-3 errors of bind", sim.Config{}, func(t *testing.T, w *world) {
		l := w.listen(80, 1)
		fd := w.socket(w.b, 0)
		w.is(w.b.Bind(fd, w.at(80)), syscall.EADDRINUSE)
		w.is(w.b.Bind(fd, netip.AddrPortFrom(w.any, 80)), syscall.EADDRINUSE)
		w.is(w.b.Bind(fd, w.atA(81)), syscall.EADDRNOTAVAIL)
		w.is(w.b.Bind(fd, w.wrong), w.wrongErr)
		w.is(w.b.Bind(l, w.at(81)), syscall.EINVAL)
		w.is(w.b.Bind(fd, w.at(81)), nil)
	})
	inWorld(t, "E-OPT-1 SO_REUSEADDR: over TIME-WAIT yes, over a listener no", slow, func(t *testing.T, w *world) {
		l, c, s := w.connected()
		w.is(w.b.Close(s), nil) // b closes first, and keeps the TIME-WAIT
		w.read(w.a, c, "")
		w.is(w.a.Close(c), nil)
		w.settle()
		if n := w.hostB.Stats().TCPGauges.States[tcp.TimeWaitState]; n != 1 {
			t.Fatalf("%d connections in TIME-WAIT", n)
		}
		reuse := w.socket(w.b, 0)
		w.is(w.b.SetsockoptInt(reuse, SOL_SOCKET, SO_REUSEADDR, 1), nil)
		w.is(w.b.Bind(reuse, w.at(80)), syscall.EADDRINUSE) // the listener is there
		w.is(w.b.Close(l), nil)
		plain := w.socket(w.b, 0)
		w.is(w.b.Bind(plain, w.at(80)), syscall.EADDRINUSE) // TIME-WAIT is there
		w.is(w.b.Bind(reuse, w.at(80)), nil)
		w.is(w.b.Listen(reuse, 1), nil)
	})
	inWorld(t, "E-PORT-2 bind to port 0 reserves a port until close", sim.Config{}, func(t *testing.T, w *world) {
		first, second := w.socket(w.b, 0), w.socket(w.b, 0)
		w.is(w.b.Bind(first, w.at(0)), nil)
		name, err := w.b.Getsockname(first)
		if err != nil || name.Port() == 0 || name.Addr() != w.addrB {
			t.Fatalf("the name is %v, %v", name, err)
		}
		w.is(w.b.Bind(second, name), syscall.EADDRINUSE)
		w.is(w.b.Close(first), nil)
		w.is(w.b.Bind(second, name), nil)
		w.is(w.b.Close(second), nil)
		if n := w.hostB.Stats().TCPGauges.Bindings; n != 0 {
			t.Errorf("%d addresses are bound", n)
		}
	})
}

func TestConnectBinds(t *testing.T) {
	inWorld(t, "E-PORT-2 connect chooses the port, close gives it back, and another's TIME-WAIT stays", slow, func(t *testing.T, w *world) {
		l := w.listen(80, 5)
		c := w.socket(w.a, 0)
		if name, err := w.a.Getsockname(c); err != nil || name.Port() != 0 {
			t.Fatalf("before connect the name is %v, %v", name, err)
		}
		w.is(w.a.Connect(c, w.at(80)), nil)
		name, err := w.a.Getsockname(c)
		if err != nil || name.Port() == 0 || name.Addr() != w.addrA {
			t.Fatalf("after connect the name is %v, %v", name, err)
		}
		other := w.socket(w.a, 0)
		w.is(w.a.Bind(other, name), syscall.EADDRINUSE)
		s := w.accept(l)
		w.is(w.b.Close(s), nil) // TIME-WAIT is b's
		w.read(w.a, c, "")
		w.is(w.a.Close(c), nil)
		w.settle()
		w.is(w.a.Bind(other, name), nil)
		if n := w.hostB.Stats().TCPGauges.States[tcp.TimeWaitState]; n != 1 {
			t.Errorf("b holds %d connections in TIME-WAIT", n)
		}
	})
}

func TestOptions(t *testing.T) {
	const maxBuffer = 6 << 20
	inWorld(t, "values and ranges are Linux's", sim.Config{}, func(t *testing.T, w *world) {
		for _, tc := range []struct {
			name            string
			level, opt, def int
			good            map[int]int // what is set: what is read
			bad             []int
		}{
			{"SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR, 0, map[int]int{1: 1, 0: 0, 7: 1}, nil},
			{"SO_REUSEPORT", SOL_SOCKET, SO_REUSEPORT, 0, map[int]int{1: 1}, nil},
			{"SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, 0, map[int]int{5: 1}, nil},
			{"SO_BROADCAST", SOL_SOCKET, SO_BROADCAST, 0, map[int]int{1: 1}, nil},
			{"SO_RCVBUF", SOL_SOCKET, SO_RCVBUF, 128 << 10, map[int]int{1: 2304, 65536: 131072, -1: maxBuffer, 1 << 30: maxBuffer}, nil},
			{"SO_SNDBUF", SOL_SOCKET, SO_SNDBUF, 128 << 10, map[int]int{1: 4608, 65536: 131072, -1: 4 << 20}, nil},
			{"TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, 0, map[int]int{1: 1, -3: 1, 0: 0}, nil},
			{"TCP_CORK", IPPROTO_TCP, TCP_CORK, 0, map[int]int{1: 1}, nil},
			{"TCP_QUICKACK", IPPROTO_TCP, TCP_QUICKACK, 0, map[int]int{1: 1}, nil},
			{"TCP_MAXSEG", IPPROTO_TCP, TCP_MAXSEG, 536, map[int]int{88: 88, 1400: 1400, 32767: 32767, 0: 536}, []int{87, 1, -1, 32768}},
			{"TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, 7200, map[int]int{1: 1, 32767: 32767}, []int{0, -1, 32768}},
			{"TCP_KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL, 75, map[int]int{1: 1, 32767: 32767}, []int{0, -1, 32768}},
			{"TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT, 9, map[int]int{1: 1, 127: 127}, []int{0, -1, 128}},
			{"TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT, 0, map[int]int{0: 0, 1: 1, 1<<31 - 1: 1<<31 - 1}, []int{-1}},
			{"IP_TTL", IPPROTO_IP, IP_TTL, 64, map[int]int{1: 1, 255: 255, -1: 64}, []int{0, 256, -2}},
			{"IP_TOS", IPPROTO_IP, IP_TOS, 0, map[int]int{0x10: 0x10, 0x13: 0x10}, nil},
		} {
			fd := w.socket(w.a, 0)
			w.option(w.a, fd, tc.level, tc.opt, tc.def)
			for set, get := range tc.good {
				if err := w.a.SetsockoptInt(fd, tc.level, tc.opt, set); err != nil {
					t.Errorf("%s: setting %d: %v", tc.name, set, err)
				}
				if v, err := w.a.GetsockoptInt(fd, tc.level, tc.opt); v != get || err != nil {
					t.Errorf("%s: set to %d it reads as %d, %v; want %d", tc.name, set, v, err, get)
				}
			}
			before, _ := w.a.GetsockoptInt(fd, tc.level, tc.opt)
			for _, set := range tc.bad {
				if err := w.a.SetsockoptInt(fd, tc.level, tc.opt, set); err != syscall.EINVAL {
					t.Errorf("%s: setting %d: %v, want EINVAL", tc.name, set, err)
				}
			}
			w.option(w.a, fd, tc.level, tc.opt, before)
		}
	})
	inWorld(t, "options that there are not", sim.Config{}, func(t *testing.T, w *world) {
		fd := w.socket(w.a, 0)
		udp, err := w.a.Socket(w.domain, SOCK_DGRAM, 0)
		w.is(err, nil)
		for _, tc := range []struct{ fd, level, opt int }{
			{fd, SOL_SOCKET, 999}, {fd, IPPROTO_TCP, 999}, {fd, IPPROTO_IP, 999}, {fd, 999, 1},
			{fd, IPPROTO_IPV6, 999}, {udp, IPPROTO_TCP, TCP_NODELAY}, {udp, IPPROTO_IP, 999},
		} {
			w.is(w.a.SetsockoptInt(tc.fd, tc.level, tc.opt, 1), syscall.ENOPROTOOPT)
			var want error = syscall.ENOPROTOOPT
			if tc.level == 999 || tc.level == IPPROTO_IPV6 || tc.fd == udp && tc.level == IPPROTO_TCP {
				want = w.noLevel // Linux asks the socket for its levels here, and not when it sets
			}
			_, err := w.a.GetsockoptInt(tc.fd, tc.level, tc.opt)
			w.is(err, want)
		}
		for _, opt := range []int{SO_TYPE, SO_ERROR, SO_ACCEPTCONN, SO_DOMAIN, SO_PROTOCOL} {
			w.is(w.a.SetsockoptInt(fd, SOL_SOCKET, opt, 1), syscall.ENOPROTOOPT)
		}
		for _, opt := range []int{SO_LINGER, SO_RCVTIMEO, SO_SNDTIMEO} {
			w.is(w.a.SetsockoptInt(fd, SOL_SOCKET, opt, 1), syscall.EINVAL)
		}
		w.is(w.a.SetsockoptLinger(fd, SOL_SOCKET, SO_RCVTIMEO, &Linger{}), syscall.ENOPROTOOPT)
		_, err = w.a.GetsockoptLinger(fd, IPPROTO_TCP, SO_LINGER)
		w.is(err, syscall.ENOPROTOOPT)
		_, err = w.a.TCPInfo(udp)
		w.is(err, syscall.ENOPROTOOPT)
	})
	inWorld(t, "SO_LINGER reads as it was set", sim.Config{}, func(t *testing.T, w *world) {
		fd := w.socket(w.a, 0)
		for _, tc := range []struct{ set, get Linger }{
			{Linger{1, 5}, Linger{1, 5}}, {Linger{7, 0}, Linger{1, 0}}, {Linger{0, 5}, Linger{}}, {Linger{1, -1}, Linger{1, 1<<31 - 1}},
		} {
			w.is(w.a.SetsockoptLinger(fd, SOL_SOCKET, SO_LINGER, &tc.set), nil)
			l, err := w.a.GetsockoptLinger(fd, SOL_SOCKET, SO_LINGER)
			if err != nil || *l != tc.get {
				t.Errorf("set to %v it reads as %v, %v", tc.set, l, err)
			}
		}
	})
	inWorld(t, "what is set before connect holds for the connection", slow, func(t *testing.T, w *world) {
		w.listen(80, 1)
		c := w.socket(w.a, 0)
		w.is(w.a.SetsockoptInt(c, IPPROTO_TCP, TCP_MAXSEG, 600), nil)
		w.is(w.a.SetsockoptInt(c, IPPROTO_TCP, TCP_NODELAY, 1), nil)
		w.is(w.a.SetsockoptInt(c, SOL_SOCKET, SO_KEEPALIVE, 1), nil)
		w.is(w.a.Connect(c, w.at(80)), nil)
		w.option(w.a, c, IPPROTO_TCP, TCP_NODELAY, 1)
		info, err := w.a.TCPInfo(c)
		if err != nil || info.State != tcp.Established || info.SndMSS > 600 || info.SndMSS < 500 {
			t.Errorf("state %v, MSS %d, %v", info.State, info.SndMSS, err)
		}
		w.is(w.a.SetsockoptInt(c, IPPROTO_TCP, TCP_KEEPIDLE, 100), nil)
		w.take('a')
		w.take('b')
		time.Sleep(101 * time.Second)
		if flags := w.take('a'); flags != "A" {
			t.Errorf("after 100 idle seconds a sent %q, want a probe", flags)
		}
	})
	inWorld(t, "Nagle is on and keepalive is off in a fresh socket", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		w.option(w.a, c, IPPROTO_TCP, TCP_NODELAY, 0)
		w.settle()
		w.take('a')
		for range 5 {
			w.write(w.a, c, "x")
		}
		w.settle()
		if flags := w.take('a'); flags != "PA PA" { // the first, and what came until its ACK
			t.Errorf("a sent %q", flags)
		}
		w.read(w.b, s, "xxxxx")
		w.settle()
		w.take('a')
		time.Sleep(3 * time.Hour)
		if flags := w.take('a'); flags != "" {
			t.Errorf("idle for three hours a sent %q", flags)
		}
		w.is(w.a.SetsockoptInt(c, IPPROTO_TCP, TCP_NODELAY, 1), nil)
		for range 3 {
			w.write(w.a, c, "x")
		}
		w.settle()
		if flags := w.take('a'); flags != "PA PA PA" {
			t.Errorf("with TCP_NODELAY a sent %q", flags)
		}
	})
}

func TestCongestionOption(t *testing.T) {
	inWorld(t, "MAY-18 TCP_CONGESTION chooses a controller for each socket, ENOENT for an unknown name", slow, func(t *testing.T, w *world) {
		name := func(fd int, want string) {
			t.Helper()
			if got, err := w.b.GetsockoptString(fd, IPPROTO_TCP, TCP_CONGESTION); got != want || err != nil {
				t.Errorf("%q, %v; want %q", got, err, want)
			}
		}
		l, c, s := w.connected()
		name(l, "cubic")
		name(s, "cubic")
		w.is(w.b.SetsockoptString(l, IPPROTO_TCP, TCP_CONGESTION, "vegas"), syscall.ENOENT)
		w.is(w.b.SetsockoptString(l, IPPROTO_TCP, TCP_CONGESTION, ""), syscall.EINVAL)
		w.is(w.b.SetsockoptString(l, SOL_SOCKET, TCP_CONGESTION, "reno"), syscall.ENOPROTOOPT)
		w.is(w.b.SetsockoptString(l, IPPROTO_TCP, TCP_NODELAY, "reno"), syscall.ENOPROTOOPT)
		w.is(w.b.SetsockoptString(99, IPPROTO_TCP, TCP_CONGESTION, "reno"), syscall.EBADF)
		name(l, "cubic")
		w.is(w.b.SetsockoptString(l, IPPROTO_TCP, TCP_CONGESTION, "reno"), nil)
		name(l, "reno")
		name(s, "cubic") // it was accepted before
		w.is(w.b.SetsockoptString(s, IPPROTO_TCP, TCP_CONGESTION, "reno"), nil)
		name(s, "reno")
		w.is(w.a.Close(c), nil)
		c = w.socket(w.a, 0)
		w.is(w.a.Connect(c, w.at(80)), nil)
		child, _, err := w.b.Accept(l)
		w.is(err, nil)
		name(child, "reno")
	})
}
