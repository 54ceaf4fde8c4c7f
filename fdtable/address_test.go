package fdtable

import (
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/sim"
)

// A link-local address has the name of an interface where struct sockaddr_in6 has its number.
func TestSockaddrInet6(t *testing.T) {
	inWorldOf(t, world4, "addresses to and fro", sim.Config{}, func(t *testing.T, w *world) {
		for _, x := range []struct {
			addr  string
			scope uint32
			want  string
		}{
			{"2001:db8::1", 0, "2001:db8::1"}, {"2001:db8::1", 2, "2001:db8::1"}, {"::ffff:10.1.0.2", 1, "::ffff:10.1.0.2"},
			{"fe80::1", 0, "fe80::1"}, {"fe80::1", 1, "fe80::1%lo"}, {"fe80::1", 2, "fe80::1%a"}, {"fe80::1", 3, "fe80::1%3"},
			{"ff02::1", 2, "ff02::1%a"}, {"ff01::1", 2, "ff01::1%a"}, {"ff0e::1", 2, "ff0e::1"},
		} {
			a := w.a.AddrPort(&SockaddrInet6{Port: 80, Flowinfo: 7, Addr: netip.MustParseAddr(x.addr).As16(), ScopeID: x.scope})
			if want := netip.AddrPortFrom(netip.MustParseAddr(x.want), 80); a != want {
				t.Errorf("%s and scope %d are %v, want %v", x.addr, x.scope, a, want)
			}
			back := SockaddrInet6{Port: 80, Addr: netip.MustParseAddr(x.addr).As16()}
			if strings.Contains(x.want, "%") && x.scope != 3 {
				back.ScopeID = x.scope
			}
			if got := *w.a.SockaddrInet6(a); got != back {
				t.Errorf("%v is %+v, want %+v", a, got, back)
			}
		}
		if got := w.a.SockaddrInet6(world4.at(80)); got.Addr != netip.MustParseAddr("::ffff:10.1.0.2").As16() || got.Port != 80 {
			t.Errorf("an address of IPv4 is %+v", got)
		}
	})
	inWorldOf(t, world4, "numbers of interfaces", sim.Config{}, func(t *testing.T, w *world) {
		for i, name := range []string{"lo", "a"} {
			n, err := w.a.IfNametoindex(name)
			if n != i+1 || err != nil {
				t.Errorf("%s is %d, %v", name, n, err)
			}
			back, err := w.a.IfIndextoname(n)
			if back != name || err != nil {
				t.Errorf("%d is %s, %v", n, back, err)
			}
		}
		_, err := w.a.IfNametoindex("eth0")
		w.is(err, syscall.ENODEV)
		for _, n := range []int{-1, 0, 3} {
			_, err = w.a.IfIndextoname(n)
			w.is(err, syscall.ENXIO)
		}
	})
}

// What Linux answers to an address that is for another socket; the differential test has the rest.
func TestRefusedAddresses(t *testing.T) {
	inWorldOf(t, world4, "E-LIS-10 addresses of the other family and of groups", sim.Config{}, func(t *testing.T, w *world) {
		four, mapped := world4.at(80), netip.AddrPortFrom(netip.AddrFrom16(world4.addrB.As16()), 80)
		six, group := netip.MustParseAddrPort("[2001:db8::1]:80"), netip.MustParseAddrPort("[ff02::1%a]:80")
		for _, x := range []struct {
			domain, typ, only   int
			to                  netip.AddrPort
			bind, connect, send error
		}{
			{AF_INET, SOCK_STREAM, 0, six, syscall.EAFNOSUPPORT, syscall.EAFNOSUPPORT, nil},
			{AF_INET, SOCK_STREAM, 0, mapped, syscall.EAFNOSUPPORT, syscall.EAFNOSUPPORT, nil},
			{AF_INET, SOCK_DGRAM, 0, mapped, syscall.EAFNOSUPPORT, syscall.EAFNOSUPPORT, syscall.EAFNOSUPPORT},
			{AF_INET6, SOCK_STREAM, 0, four, syscall.EINVAL, syscall.EINVAL, nil},
			{AF_INET6, SOCK_STREAM, 1, mapped, syscall.EINVAL, syscall.ENETUNREACH, nil},
			{AF_INET6, SOCK_STREAM, 0, group, syscall.EINVAL, syscall.ENETUNREACH, nil},
			{AF_INET6, SOCK_DGRAM, 0, four, syscall.EINVAL, nil, nil},
			{AF_INET6, SOCK_DGRAM, 0, mapped, syscall.EADDRNOTAVAIL, nil, nil},
			{AF_INET6, SOCK_DGRAM, 1, four, syscall.EINVAL, syscall.EAFNOSUPPORT, syscall.ENETUNREACH},
			{AF_INET6, SOCK_DGRAM, 1, mapped, syscall.EINVAL, syscall.ENETUNREACH, syscall.ENETUNREACH},
		} {
			fd, err := w.a.Socket(x.domain, x.typ, 0)
			w.is(err, nil)
			if x.only != 0 {
				w.is(w.a.SetsockoptInt(fd, IPPROTO_IPV6, IPV6_V6ONLY, x.only), nil)
			}
			if err := w.a.Bind(fd, x.to); err != x.bind {
				t.Errorf("%+v: bind: %v", x, err)
			}
			if err := w.a.Connect(fd, x.to); err != x.connect {
				t.Errorf("%+v: connect: %v", x, err)
			}
			if x.typ == SOCK_DGRAM {
				if _, err := w.a.Sendto(fd, []byte("x"), 0, x.to); err != x.send {
					t.Errorf("%+v: sendto: %v", x, err)
				}
			}
		}
	})
}

// headers returns the TTL and the TOS, or the hop limit and the class, of the last segment or datagram that b has sent.
func headers(w *world) (taken func() (ttl, tos byte)) {
	var mu sync.Mutex
	var ttl, tos byte
	w.segment.Tap(func(r sim.Record) {
		p, is := packetOf(r.Frame, wire.ProtocolTCP)
		if !is {
			p, is = packetOf(r.Frame, wire.ProtocolUDP)
		}
		if !is || r.From.Name() != "b" {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		ttl, tos = p.TTL, p.TOS
	})
	return func() (byte, byte) {
		w.settle()
		mu.Lock()
		defer mu.Unlock()
		return ttl, tos
	}
}

// setLevels gives a socket other options of IPv4 than of IPv6.
func setLevels(w *world, fd int) {
	for _, o := range [][3]int{{IPPROTO_IP, IP_TTL, 9}, {IPPROTO_IP, IP_TOS, 16}, {IPPROTO_IPV6, IPV6_UNICAST_HOPS, 7}, {IPPROTO_IPV6, IPV6_TCLASS, 32},
		{IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO}, {IPPROTO_IPV6, IPV6_MTU_DISCOVER, IP_PMTUDISC_DONT}} {
		w.is(w.b.SetsockoptInt(fd, o[0], o[1], o[2]), nil)
	}
	wantLevels(w, fd)
}

func wantLevels(w *world, fd int) {
	w.option(w.b, fd, IPPROTO_IP, IP_TTL, 9)
	w.option(w.b, fd, IPPROTO_IP, IP_TOS, 16)
	w.option(w.b, fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 7)
	w.option(w.b, fd, IPPROTO_IPV6, IPV6_TCLASS, 32)
	w.option(w.b, fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
	w.option(w.b, fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IP_PMTUDISC_DONT)
}

// Options of IPPROTO_IP are for what an AF_INET6 socket sends over IPv4, those of IPPROTO_IPV6 for the rest.
func TestOptionsOfLevels(t *testing.T) {
	check := func(t *testing.T, taken func() (byte, byte)) {
		t.Helper()
		if ttl, tos := taken(); ttl != 9 || tos != 16 {
			t.Errorf("TTL %d and TOS %d, want 9 and 16", ttl, tos)
		}
	}
	inWorldOf(t, world4, "of what a listener accepts", sim.Config{}, func(t *testing.T, w *world) {
		l, err := w.b.Socket(AF_INET6, SOCK_STREAM, 0)
		w.is(err, nil)
		w.is(w.b.Bind(l, netip.MustParseAddrPort("[::]:80")), nil)
		setLevels(w, l)
		w.is(w.b.Listen(l, 5), nil)
		taken := headers(w)
		w.dial(80)
		s := w.accept(l)
		w.write(w.b, s, "four")
		check(t, taken)
		wantLevels(w, s)
		w.is(w.b.SetsockoptInt(s, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 99), nil)
		w.write(w.b, s, "four")
		check(t, taken)
		w.option(w.b, l, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 7)
	})
	inWorldOf(t, world4, "of a connection to a mapped address", sim.Config{}, func(t *testing.T, w *world) {
		l := w.socket(w.a, 0)
		w.is(w.a.Bind(l, netip.AddrPortFrom(world4.addrA, 80)), nil)
		w.is(w.a.Listen(l, 5), nil)
		c, err := w.b.Socket(AF_INET6, SOCK_STREAM, 0)
		w.is(err, nil)
		setLevels(w, c)
		taken := headers(w)
		w.is(w.b.Connect(c, netip.AddrPortFrom(netip.AddrFrom16(world4.addrA.As16()), 80)), nil)
		check(t, taken)
		wantLevels(w, c)
	})
	for name, late := range map[string]bool{"of datagrams": false, "of datagrams, set late": true} {
		inWorldOf(t, world4, name, sim.Config{}, func(t *testing.T, w *world) {
			d, err := w.b.Socket(AF_INET6, SOCK_DGRAM, 0)
			w.is(err, nil)
			if late {
				w.is(w.b.Bind(d, netip.MustParseAddrPort("[::]:0")), nil)
			}
			setLevels(w, d)
			taken := headers(w)
			n, err := w.b.Sendto(d, []byte("four"), 0, netip.AddrPortFrom(netip.AddrFrom16(world4.addrA.As16()), 80))
			w.got(n, err, 4, nil)
			check(t, taken)
			_, err = w.b.Sendto(d, make([]byte, 1473), 0, netip.AddrPortFrom(netip.AddrFrom16(world4.addrA.As16()), 80))
			w.is(err, syscall.EMSGSIZE)
		})
	}
}
