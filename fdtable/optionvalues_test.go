package fdtable

import (
	"math"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

// Options that are set before connect or listen apply to the connection or listener, and read as they were set.
func TestOptionValues(t *testing.T) {
	inWorld(t, "SO_RCVBUF and IP_TOS of a datagram socket, before bind and behind it", slow, func(t *testing.T, w *world) {
		var tos []byte
		w.segment.Tap(func(r sim.Record) {
			if p, is := packetOf(r.Frame, wire.ProtocolUDP); is && r.From.Name() == "b" {
				tos = append(tos, p.TOS)
			}
		})
		var fits [2]int
		for i := range fits {
			fd, err := w.b.Socket(w.domain, SOCK_DGRAM, 0)
			w.is(err, nil)
			if i == 1 {
				w.is(w.b.Bind(fd, w.at(54)), nil)
			}
			w.is(w.b.SetsockoptInt(fd, SOL_SOCKET, SO_RCVBUF, 5000), nil)
			w.is(w.b.SetsockoptInt(fd, w.level, w.tos, 0x20), nil)
			if i == 0 {
				w.is(w.b.Bind(fd, w.at(53)), nil)
			}
			_, err = w.b.Sendto(fd, []byte("x"), 0, w.atA(9))
			w.is(err, nil)
			c, err := w.a.Socket(w.domain, SOCK_DGRAM, 0)
			w.is(err, nil)
			for range 100 {
				_, err := w.a.Sendto(c, make([]byte, 1000), 0, w.at(uint16(53+i)))
				w.is(err, nil)
			}
			w.settle()
			for err == nil {
				if _, _, err = w.b.Recvfrom(fd, make([]byte, 1000), MSG_DONTWAIT); err == nil {
					fits[i]++
				}
			}
			w.is(err, again)
		}
		if fits != [2]int{4, 4} { // with what stands around them
			t.Errorf("buffers of 10,000 octets took %d datagrams of 1000, want 4", fits)
		}
		if string(tos) != "\x20\x20" {
			t.Errorf("datagrams with the traffic classes %#x, want 0x20 twice", tos)
		}
	})
	inWorld(t, "TCP_NOTSENT_LOWAT of -1 is no bound", sim.Config{}, func(t *testing.T, w *world) {
		fd := w.socket(w.a, 0)
		w.is(w.a.SetsockoptInt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, -1), nil)
		w.option(w.a, fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, -1)
	})
	inWorld(t, "both timeouts are the accepted connection's too", slow, func(t *testing.T, w *world) {
		l := w.listen(80, 1)
		for i, opt := range []int{SO_RCVTIMEO, SO_SNDTIMEO} {
			w.is(w.b.SetsockoptTimeval(l, SOL_SOCKET, opt, &Timeval{Sec: int64(i + 3)}), nil)
		}
		w.dial(80)
		s := w.accept(l)
		for i, opt := range []int{SO_RCVTIMEO, SO_SNDTIMEO} {
			if tv, err := w.b.GetsockoptTimeval(s, SOL_SOCKET, opt); err != nil || *tv != (Timeval{Sec: int64(i + 3)}) {
				t.Errorf("option %d is %v, %v; want %d s", opt, tv, err, i+3)
			}
		}
	})
	inWorld(t, "a timeout that is too long is none", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		const most = math.MaxInt64 / int64(time.Second)
		for _, sec := range []int64{most, most + 1, math.MaxInt64} {
			w.is(w.b.SetsockoptTimeval(s, SOL_SOCKET, SO_RCVTIMEO, &Timeval{Sec: sec, Usec: 999999}), nil)
			if tv, err := w.b.GetsockoptTimeval(s, SOL_SOCKET, SO_RCVTIMEO); err != nil || *tv != (Timeval{}) {
				t.Errorf("%d s are %v, %v; want none", sec, tv, err)
			}
			w.is(w.during(func() error { _, err := w.b.Read(s, make([]byte, 1)); return err }, func() { w.write(w.a, c, "x") }), nil)
		}
	})
	inWorld(t, "TCP_INFO: the window scales of either side, and the backlog of the second listen", slow, func(t *testing.T, w *world) {
		h, err := stack.New(stack.Config{TCP: tcp.Config{MaxRecvBuffer: 256 << 10}})
		w.is(err, nil)
		w.is(h.Attach(w.segment.Port(), stack.Interface{Addrs: []netip.Prefix{w.third}, DADTransmits: -1}), nil)
		defer h.Close()
		asks := New(h)
		l := w.listen(80, 1)
		w.is(w.b.Listen(l, 7), nil)
		if i := w.info(w.b, l); i.Sacked != 7 {
			t.Errorf("a listener with the backlog %d, want 7", i.Sacked)
		}
		c := w.socket(asks, 0)
		w.is(asks.Connect(c, w.at(80)), nil)
		ours, theirs := w.info(asks, c), w.info(w.b, w.accept(l))
		if ours.Rcv_wscale != 3 || theirs.Snd_wscale != 3 || theirs.Rcv_wscale <= 3 || ours.Snd_wscale != theirs.Rcv_wscale {
			t.Errorf("window scales: we send with %d and receive with %d, the peer with %d and %d", ours.Snd_wscale,
				ours.Rcv_wscale, theirs.Snd_wscale, theirs.Rcv_wscale)
		}
	})
	inWorld(t, "TCP_WINDOW_CLAMP can be taken away before listen and connect only", slow, func(t *testing.T, w *world) {
		l := w.socket(w.b, 0)
		for _, v := range []int{5000, 0, 5000} {
			w.is(w.b.SetsockoptInt(l, IPPROTO_TCP, TCP_WINDOW_CLAMP, v), nil)
			w.option(w.b, l, IPPROTO_TCP, TCP_WINDOW_CLAMP, v)
		}
		w.is(w.b.Bind(l, w.at(80)), nil)
		w.is(w.b.Listen(l, 1), nil)
		c := w.dial(80)
		w.is(w.b.SetsockoptInt(l, IPPROTO_TCP, TCP_WINDOW_CLAMP, 0), syscall.EINVAL)
		w.is(w.a.SetsockoptInt(c, IPPROTO_TCP, TCP_WINDOW_CLAMP, 0), syscall.EINVAL)
	})
}

// What a program may set of level IPPROTO_IPV6, as Linux has it.
func TestOptionValues6(t *testing.T) {
	inWorld(t, "E-OPT-5 options of AF_INET6 sockets", slow, func(t *testing.T, w *world) {
		for _, x := range []struct {
			typ, opt, value int
			want            error
			reads           int
		}{
			{SOCK_STREAM, IPV6_UNICAST_HOPS, -2, syscall.EINVAL, 64}, {SOCK_STREAM, IPV6_UNICAST_HOPS, -1, nil, 64},
			{SOCK_STREAM, IPV6_UNICAST_HOPS, 255, nil, 255}, {SOCK_STREAM, IPV6_UNICAST_HOPS, 256, syscall.EINVAL, 64},
			{SOCK_STREAM, IPV6_TCLASS, -2, syscall.EINVAL, 0}, {SOCK_STREAM, IPV6_TCLASS, -1, nil, 0}, {SOCK_STREAM, IPV6_TCLASS, 255, nil, 252},
			{SOCK_STREAM, IPV6_TCLASS, 256, syscall.EINVAL, 0}, {SOCK_DGRAM, IPV6_TCLASS, 255, nil, 255},
			{SOCK_DGRAM, IPV6_MTU_DISCOVER, 6, syscall.EINVAL, IP_PMTUDISC_WANT}, {SOCK_DGRAM, IPV6_MTU_DISCOVER, IP_PMTUDISC_OMIT, nil, IP_PMTUDISC_OMIT},
			{SOCK_DGRAM, IPV6_DONTFRAG, 7, nil, 1}, {SOCK_STREAM, IPV6_V6ONLY, -1, nil, 1},
		} {
			fd, err := w.a.Socket(AF_INET6, x.typ, 0)
			w.is(err, nil)
			if err := w.a.SetsockoptInt(fd, IPPROTO_IPV6, x.opt, x.value); err != x.want {
				t.Errorf("option %d set to %d: %v, want %v", x.opt, x.value, err, x.want)
			}
			w.option(w.a, fd, IPPROTO_IPV6, x.opt, x.reads)
		}
		d, err := w.a.Socket(AF_INET6, SOCK_DGRAM, 0)
		w.is(err, nil)
		for value, want := range map[int]error{-1: syscall.EINVAL, 1279: syscall.EINVAL, 0: nil, 1280: nil, 1 << 20: nil} {
			w.is(w.a.SetsockoptInt(d, IPPROTO_IPV6, IPV6_MTU, value), want)
		}
		for _, opt := range []int{IPV6_MTU, IPV6_ADDRFORM} { // without a peer
			_, err = w.a.GetsockoptInt(d, IPPROTO_IPV6, opt)
			w.is(err, syscall.ENOTCONN)
		}
		w.is(w.a.SetsockoptInt(d, IPPROTO_IPV6, IPV6_ADDRFORM, AF_INET6), syscall.EINVAL)
		w.is(w.a.SetsockoptInt(d, IPPROTO_IPV6, IPV6_ADDRFORM, AF_INET), syscall.ENOTCONN)
		w.is(w.a.Connect(d, netip.MustParseAddrPort("[::ffff:10.1.0.2]:9")), nil)
		w.option(w.a, d, IPPROTO_IPV6, IPV6_ADDRFORM, AF_INET6)
		for _, opt := range []int{IPV6_ADDRFORM, IPV6_AUTOFLOWLABEL} { // which there are not
			w.is(w.a.SetsockoptInt(d, IPPROTO_IPV6, opt, AF_INET), syscall.ENOPROTOOPT)
		}
	})
	inWorld(t, "E-LIS-10 what is accepted is IPV6_V6ONLY like its listener", slow, func(t *testing.T, w *world) {
		l, err := w.b.Socket(AF_INET6, SOCK_STREAM, 0)
		w.is(err, nil)
		w.is(w.b.Bind(l, netip.MustParseAddrPort("[::]:80")), nil)
		w.is(w.b.Listen(l, 5), nil)
		w.dial(80)
		s := w.accept(l)
		w.option(w.b, s, IPPROTO_IPV6, IPV6_V6ONLY, 0)
		w.option(w.b, s, SOL_SOCKET, SO_DOMAIN, AF_INET6)
		w.is(w.b.SetsockoptInt(s, IPPROTO_IPV6, IPV6_V6ONLY, 1), syscall.EINVAL)
	})
}
