package fdtable

import (
	"net/netip"
	"syscall"
	"testing"

	"github.com/unet-go/unet/stack/sim"
)

func TestFamilies(t *testing.T) {
	mapped := netip.AddrPortFrom(netip.AddrFrom16(world4.addrB.As16()), 80)
	inWorldOf(t, world4, "an AF_INET6 listener takes IPv4 as mapped addresses", slow, func(t *testing.T, w *world) {
		l, err := w.b.Socket(AF_INET6, SOCK_STREAM, 0)
		w.is(err, nil)
		w.is(w.b.Bind(l, w.at(80)), syscall.EINVAL)
		w.is(w.b.Bind(l, netip.MustParseAddrPort("[::]:80")), nil)
		w.is(w.b.SetsockoptInt(l, IPPROTO_IPV6, IPV6_V6ONLY, 1), syscall.EINVAL) // too late
		w.is(w.b.Listen(l, 5), nil)
		c := w.dial(80)
		s, peer, err := w.b.Accept(l)
		w.is(err, nil)
		if !peer.Addr().Is4In6() || peer.Addr().Unmap() != world4.addrA {
			t.Errorf("the peer is %v", peer)
		}
		name, err := w.b.Getsockname(s)
		if err != nil || name != mapped {
			t.Errorf("the name is %v, %v; want %v", name, err, mapped)
		}
		w.write(w.a, c, "four")
		w.read(w.b, s, "four")
	})
	inWorldOf(t, world4, "an AF_INET6 socket dials a mapped address", slow, func(t *testing.T, w *world) {
		l := w.listen(80, 5)
		c, err := w.a.Socket(AF_INET6, SOCK_STREAM, 0)
		w.is(err, nil)
		w.is(w.a.Connect(c, mapped), nil)
		peer, err := w.a.Getpeername(c)
		if err != nil || peer != mapped {
			t.Errorf("the peer is %v, %v; want %v", peer, err, mapped)
		}
		w.accept(l)
		only, err := w.a.Socket(AF_INET6, SOCK_STREAM, 0)
		w.is(err, nil)
		w.is(w.a.SetsockoptInt(only, IPPROTO_IPV6, IPV6_V6ONLY, 1), nil)
		w.is(w.a.Connect(only, mapped), syscall.ENETUNREACH)
		w.is(w.a.Bind(only, mapped), syscall.EINVAL)
	})
	inWorldOf(t, world4, "one host talks to itself", sim.Config{}, func(t *testing.T, w *world) {
		home := netip.MustParseAddrPort("127.0.0.1:80")
		l := w.socket(w.a, 0)
		w.is(w.a.Bind(l, home), nil)
		w.is(w.a.Listen(l, 5), nil)
		c := w.socket(w.a, 0)
		w.is(w.a.Connect(c, home), nil)
		s, peer, err := w.a.Accept(l)
		if err != nil || !peer.Addr().IsLoopback() {
			t.Fatalf("accepted %v, %v", peer, err)
		}
		w.write(w.a, c, "echo")
		w.read(w.a, s, "echo")
		w.is(w.a.Close(c), nil)
		w.read(w.a, s, "")
	})
}

// TestNoAllocation: what every request pays for the face is a look into a table.
func TestNoAllocation(t *testing.T) {
	inWorldOf(t, world4, "a call on a descriptor allocates nothing", slow, func(t *testing.T, w *world) {
		_, _, s := w.connected()
		w.is(w.b.SetNonblock(s, true), nil)
		w.settle()
		p := make([]byte, 16)
		n := testing.AllocsPerRun(1000, func() {
			if _, err := w.b.Read(s, p); err != again {
				t.Fatal(err)
			}
			if _, err := w.b.Write(s, nil); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}
