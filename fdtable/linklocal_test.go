package fdtable

import (
	"net/netip"
	"syscall"
	"testing"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/sim"
)

// linkLocal is the address of a host that its interface has by itself, without a zone.
func (w *world) linkLocal(t *Table) netip.Addr {
	w.t.Helper()
	fd, err := t.Socket(AF_INET6, SOCK_DGRAM, 0)
	w.is(err, nil)
	name, other := "a", "b"
	if t == w.b {
		name, other = other, name
	}
	// A socket that is connected to an address of the link has the one of the host's there.
	w.is(t.Connect(fd, netip.AddrPortFrom(netip.MustParseAddr("fe80::77%"+name), 9)), nil)
	local, err := t.Getsockname(fd)
	w.is(err, nil)
	if local.Addr().Zone() != name || !local.Addr().IsLinkLocalUnicast() {
		w.t.Fatalf("%v is no link-local address on %s", local, name)
	}
	w.is(t.Close(fd), nil)
	return local.Addr().WithZone("")
}

// Link-local addresses carry their interface: both ends see each other with the name that the interface has with them.
func TestLinkLocal(t *testing.T) {
	type ends struct{ ofA, ofB netip.Addr }
	in := func(name string, test func(t *testing.T, w *world, e ends)) {
		inWorldOf(t, world6, name, sim.Config{Delay: ms}, func(t *testing.T, w *world) {
			test(t, w, ends{w.linkLocal(w.a), w.linkLocal(w.b)})
		})
	}
	in("a connection", func(t *testing.T, w *world, e ends) {
		l := w.socket(w.b, 0)
		w.is(w.b.Bind(l, netip.AddrPortFrom(w.any, 80)), nil)
		w.is(w.b.Listen(l, 5), nil)
		for _, zone := range []string{"a", "2"} { // the name, and the number of the interface
			c := w.socket(w.a, 0)
			w.is(w.a.Connect(c, netip.AddrPortFrom(e.ofB.WithZone(zone), 80)), nil)
			s, from, err := w.b.Accept(l)
			w.is(err, nil)
			for what, x := range map[string]struct{ got, want netip.Addr }{
				"accept":        {from.Addr(), e.ofA.WithZone("b")},
				"name of c":     {w.name(w.a.Getsockname, c).Addr(), e.ofA.WithZone("a")},
				"peer of c":     {w.name(w.a.Getpeername, c).Addr(), e.ofB.WithZone("a")},
				"name of s":     {w.name(w.b.Getsockname, s).Addr(), e.ofB.WithZone("b")},
				"peer of s":     {w.name(w.b.Getpeername, s).Addr(), e.ofA.WithZone("b")},
				"as a sockaddr": {w.b.AddrPort(w.b.SockaddrInet6(from)).Addr(), e.ofA.WithZone("b")},
			} {
				if x.got != x.want {
					t.Errorf("%s: %v, want %v", what, x.got, x.want)
				}
			}
			w.write(w.a, c, "link")
			w.read(w.b, s, "link")
		}
	})
	in("a bound socket has the link, and no other", func(t *testing.T, w *world, e ends) {
		l := w.socket(w.b, 0)
		w.is(w.b.Bind(l, netip.AddrPortFrom(e.ofB, 80)), syscall.EINVAL)
		w.is(w.b.Bind(l, netip.AddrPortFrom(e.ofB.WithZone("9"), 80)), syscall.ENODEV)
		w.is(w.b.Bind(l, netip.AddrPortFrom(e.ofB.WithZone("lo"), 80)), syscall.EADDRNOTAVAIL)
		w.is(w.b.Bind(l, netip.AddrPortFrom(e.ofB.WithZone("2"), 80)), nil)
		w.is(w.b.Listen(l, 5), nil)
		c := w.socket(w.a, 0)
		w.is(w.a.Connect(c, netip.AddrPortFrom(e.ofB, 80)), syscall.EINVAL)
		w.is(w.a.Bind(c, netip.AddrPortFrom(e.ofA.WithZone("a"), 0)), nil)
		w.is(w.a.Connect(c, netip.AddrPortFrom(e.ofB.WithZone("lo"), 80)), syscall.EINVAL)
		w.is(w.a.Connect(c, netip.AddrPortFrom(e.ofB, 80)), nil)
		_, _, err := w.b.Accept(l)
		w.is(err, nil)
		other := w.socket(w.a, 0)
		w.is(w.a.Connect(other, w.at(80)), syscall.ECONNREFUSED)
	})
	in("datagrams", func(t *testing.T, w *world, e ends) {
		s, err := w.b.Socket(AF_INET6, SOCK_DGRAM, 0)
		w.is(err, nil)
		w.is(w.b.Bind(s, netip.AddrPortFrom(w.any, 53)), nil)
		c, err := w.a.Socket(AF_INET6, SOCK_DGRAM, 0)
		w.is(err, nil)
		_, err = w.a.Sendto(c, []byte("q"), 0, netip.AddrPortFrom(e.ofB, 53))
		w.is(err, syscall.EINVAL)
		n, err := w.a.Sendto(c, []byte("question"), 0, netip.AddrPortFrom(e.ofB.WithZone("2"), 53))
		w.got(n, err, 8, nil)
		p := make([]byte, 20)
		n, from, err := w.b.Recvfrom(s, p, 0)
		if string(p[:n]) != "question" || err != nil || from.Addr() != e.ofA.WithZone("b") {
			t.Errorf("%q from %v, %v", p[:n], from, err)
		}
		n, err = w.b.Sendto(s, []byte("answer"), 0, from)
		w.got(n, err, 6, nil)
		n, from, err = w.a.Recvfrom(c, p, 0)
		if string(p[:n]) != "answer" || err != nil || from.Addr() != e.ofB.WithZone("a") {
			t.Errorf("%q from %v, %v", p[:n], from, err)
		}
	})
}

// Packets of datagrams over IPv6, by the options that bound them.
func TestDatagramOptions6(t *testing.T) {
	for _, x := range []struct {
		name         string
		opt, value   int
		length       int
		err          error
		packets, max int // on the wire: how many, and the longest
	}{
		{"none", 0, 0, 1453, nil, 2, 1496},
		{"IPV6_MTU", IPV6_MTU, 1280, 1400, nil, 2, 1280},
		{"IPV6_MTU that is larger than the link's", IPV6_MTU, 9000, 1400, nil, 1, 1448},
		{"IPV6_DONTFRAG, what fits", IPV6_DONTFRAG, 1, 1452, nil, 1, 1500},
		{"IPV6_DONTFRAG, what does not", IPV6_DONTFRAG, 1, 1453, syscall.EMSGSIZE, 0, 0},
		{"IPV6_PMTUDISC_DO", IPV6_MTU_DISCOVER, IP_PMTUDISC_DO, 1453, syscall.EMSGSIZE, 0, 0},
	} {
		inWorldOf(t, world6, x.name, sim.Config{}, func(t *testing.T, w *world) {
			d, err := w.b.Socket(AF_INET6, SOCK_DGRAM, 0)
			w.is(err, nil)
			if x.opt != 0 {
				w.is(w.b.SetsockoptInt(d, IPPROTO_IPV6, x.opt, x.value), nil)
			}
			packets, longest := 0, 0
			w.segment.Tap(func(r sim.Record) {
				_, whole := packetOf(r.Frame, wire.ProtocolUDP)
				_, part := packetOf(r.Frame, wire.IPv6Fragments)
				if whole || part {
					packets, longest = packets+1, max(longest, len(r.Frame)-14)
				}
			})
			_, err = w.b.Sendto(d, make([]byte, x.length), 0, w.atA(9))
			w.is(err, x.err)
			w.settle()
			if packets != x.packets || longest != x.max {
				t.Errorf("%d packets, the longest of %d octets; want %d and %d", packets, longest, x.packets, x.max)
			}
		})
	}
}
