package fdtable

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/stack/sim"
)

// datagram returns a datagram socket of b, bound to a port.
func (w *world) datagram(port uint16) int {
	w.t.Helper()
	fd, err := w.b.Socket(w.domain, SOCK_DGRAM, 0)
	w.is(err, nil)
	w.is(w.b.Bind(fd, w.at(port)), nil)
	return fd
}

func TestDatagrams(t *testing.T) {
	client := func(w *world) int {
		w.t.Helper()
		fd, err := w.a.Socket(w.domain, SOCK_DGRAM, 0)
		w.is(err, nil)
		return fd
	}
	inWorld(t, "sendto and recvfrom", slow, func(t *testing.T, w *world) {
		s, c := w.datagram(53), client(w)
		n, err := w.a.Sendto(c, []byte("question"), 0, w.at(53))
		w.got(n, err, 8, nil)
		p := make([]byte, 64)
		n, from, err := w.b.Recvfrom(s, p, 0)
		if string(p[:n]) != "question" || err != nil || from.Addr() != w.addrA {
			t.Fatalf("got %q from %v, %v", p[:n], from, err)
		}
		n, err = w.b.Sendto(s, []byte("answer"), 0, from)
		w.got(n, err, 6, nil)
		n, from, err = w.a.Recvfrom(c, p, 0)
		if string(p[:n]) != "answer" || err != nil || from != w.at(53) {
			t.Fatalf("got %q from %v, %v", p[:n], from, err)
		}
		name, err := w.a.Getsockname(c)
		if err != nil || name.Port() == 0 {
			t.Errorf("the sender's name is %v, %v", name, err)
		}
	})
	inWorld(t, "B-UDP-9 a short buffer: the rest is lost, MSG_TRUNC tells, the next datagram is whole", slow, func(t *testing.T, w *world) {
		s, c := w.datagram(53), client(w)
		for _, text := range []string{"ten octets", "next"} {
			n, err := w.a.Sendto(c, []byte(text), 0, w.at(53))
			w.got(n, err, len(text), nil)
		}
		p := make([]byte, 4)
		m := Msghdr{Iov: [][]byte{p}}
		n, err := w.b.Recvmsg(s, &m, 0)
		flags := m.Flags
		if string(p[:n]) != "ten " || flags != MSG_TRUNC || err != nil {
			t.Errorf("got %q, flags %#x, %v", p[:n], flags, err)
		}
		n, err = w.b.Recvmsg(s, &m, 0)
		flags = m.Flags
		if string(p[:n]) != "next" || flags != 0 || err != nil {
			t.Errorf("got %q, flags %#x, %v", p[:n], flags, err)
		}
	})
	inWorld(t, "B-UDP-5 a closed port is ECONNREFUSED once on a connected socket", slow, func(t *testing.T, w *world) {
		c := client(w)
		w.is(w.a.Connect(c, w.at(53)), nil)
		w.write(w.a, c, "x")
		w.readFails(w.a, c, syscall.ECONNREFUSED)
		w.is(w.a.SetNonblock(c, true), nil)
		w.readFails(w.a, c, again)
		w.write(w.a, c, "x")
		w.settle()
		w.option(w.a, c, SOL_SOCKET, SO_ERROR, int(syscall.ECONNREFUSED))
		w.option(w.a, c, SOL_SOCKET, SO_ERROR, 0)
	})
	inWorld(t, "connect, names, and no peer", slow, func(t *testing.T, w *world) {
		s, c := w.datagram(53), client(w)
		n, err := w.a.Write(c, []byte("x"))
		w.got(n, err, 0, syscall.EDESTADDRREQ)
		_, err = w.a.Getpeername(c)
		w.is(err, syscall.ENOTCONN)
		w.is(w.a.Connect(c, w.at(53)), nil)
		peer, err := w.a.Getpeername(c)
		if peer != w.at(53) || err != nil {
			t.Errorf("the peer is %v, %v", peer, err)
		}
		w.write(w.a, c, "hi")
		w.read(w.b, s, "hi")
		w.is(w.a.Connect(c, netip.AddrPort{}), nil)
		_, err = w.a.Getpeername(c)
		w.is(err, syscall.ENOTCONN)
		if w.domain == AF_INET {
			w.is(w.a.Connect(c, w.wrong), syscall.EAFNOSUPPORT)
		}
	})
	inWorld(t, "B-UDP-6 broadcast needs SO_BROADCAST", slow, func(t *testing.T, w *world) {
		c := client(w)
		all := netip.MustParseAddrPort("255.255.255.255:53")
		n, err := w.a.Sendto(c, []byte("x"), 0, all)
		w.got(n, err, 0, syscall.EACCES)
		w.is(w.a.SetsockoptInt(c, SOL_SOCKET, SO_BROADCAST, 1), nil)
		n, err = w.a.Sendto(c, []byte("x"), 0, all)
		w.got(n, err, 1, nil)
	})
	inWorld(t, "SO_RCVTIMEO and shutdown", slow, func(t *testing.T, w *world) {
		s, c := w.datagram(53), client(w)
		w.is(w.b.Shutdown(s, SHUT_RD), syscall.ENOTCONN)
		w.is(w.b.SetsockoptTimeval(s, SOL_SOCKET, SO_RCVTIMEO, &Timeval{Usec: 5000}), nil)
		start := time.Now()
		w.readFails(w.b, s, again)
		if d := time.Since(start); d != 5*ms {
			t.Errorf("the read took %v", d)
		}
		w.is(w.a.Connect(c, w.at(53)), nil)
		err := w.during(func() error { _, err := w.a.Read(c, make([]byte, 1)); return err }, func() { w.is(w.a.Shutdown(c, SHUT_RD), nil) })
		w.is(err, nil)
		w.read(w.a, c, "")
		w.write(w.a, c, "x")
		w.is(w.a.Shutdown(c, SHUT_WR), nil)
		w.writeFails(w.a, c, syscall.EPIPE)
		w.read(w.b, s, "x")
	})
	inWorld(t, "bind twice, and over another", sim.Config{}, func(t *testing.T, w *world) {
		s := w.datagram(53)
		w.is(w.b.Bind(s, w.at(54)), syscall.EINVAL)
		other, err := w.b.Socket(w.domain, SOCK_DGRAM, 0)
		w.is(err, nil)
		w.is(w.b.Bind(other, w.at(53)), syscall.EADDRINUSE)
		w.is(w.b.SetsockoptInt(other, SOL_SOCKET, SO_RCVBUF, 5000), nil)
		w.option(w.b, other, SOL_SOCKET, SO_RCVBUF, 10000)
		w.is(w.b.Bind(other, w.at(54)), nil)
		w.is(w.b.Close(s), nil)
		w.datagram(53)
	})
	for _, before := range []bool{true, false} {
		inWorld(t, fmt.Sprintf("SO_RCVBUF bounds what is queued; set before bind: %v", before), slow, func(t *testing.T, w *world) {
			s, err := w.b.Socket(w.domain, SOCK_DGRAM, 0)
			w.is(err, nil)
			set := func() { w.is(w.b.SetsockoptInt(s, SOL_SOCKET, SO_RCVBUF, 2500), nil) }
			if before {
				set()
			}
			w.is(w.b.Bind(s, w.at(53)), nil)
			if !before {
				set()
			}
			w.option(w.b, s, SOL_SOCKET, SO_RCVBUF, 5000)
			c := client(w)
			w.is(w.a.Connect(c, w.at(53)), nil)
			for i := range 10 {
				w.write(w.a, c, strings.Repeat(string(rune('0'+i)), 1000))
			}
			time.Sleep(time.Second)
			kept := 0
			for ; ; kept++ {
				p := make([]byte, 1000)
				n, _, err := w.b.Recvfrom(s, p, MSG_DONTWAIT)
				if err == again {
					break
				}
				w.got(n, err, 1000, nil)
				if want := byte('0' + kept); p[0] != want {
					t.Errorf("datagram %d begins with %c", kept, p[0])
				}
			}
			if kept == 0 || kept > 5 {
				t.Errorf("%d datagrams of 1000 octets were kept in 5000", kept)
			}
		})
	}
}
