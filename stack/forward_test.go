package stack

import (
	"bytes"
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

// routed is two hosts on segments of their own, and a host between them that forwards.
type routed struct {
	network // of the client a and the server b; its segment is the client's
	far     *sim.Segment
	router  *Host
	addrR   netip.Addr // of the router, on the client's segment
}

// routedFamilies are the addresses of client, router, router, server and nobody, and the networks' bits.
var routedFamilies = []struct {
	name  string
	addrs [5]string
	bits  int
}{
	{"IPv4", [5]string{"10.1.0.1", "10.1.0.254", "10.2.0.254", "10.2.0.2", "10.2.0.77"}, 24},
	{"IPv6", [5]string{"2001:db8:1::1", "2001:db8:1::fe", "2001:db8:2::fe", "2001:db8:2::2", "2001:db8:2::77"}, 64},
}

// inRouted runs body in a bubble for both families.
func inRouted(t *testing.T, near, far sim.Config, body func(n *routed)) {
	t.Helper()
	for _, f := range routedFamilies {
		t.Run(f.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &routed{network: network{T: t, wire: sim.NewSegment(near)}, far: sim.NewSegment(far)}
				defer n.wire.Close()
				defer n.far.Close()
				at := func(i int) netip.Addr { return netip.MustParseAddr(f.addrs[i]) }
				n.addrA, n.addrR, n.addrB, n.nobody = at(0), at(1), at(3), at(4)
				n.any = netip.IPv6Unspecified()
				if n.addrA.Is4() {
					n.any = netip.IPv4Unspecified()
				}
				host := func(cfg Config, on *sim.Segment, addr netip.Addr) *Host {
					h, err := New(cfg)
					if err != nil {
						t.Fatal(err)
					}
					n.attach(h, on, netip.PrefixFrom(addr, f.bits))
					return h
				}
				n.a, n.b = host(Config{}, n.wire, at(0)), host(Config{}, n.far, at(3))
				n.router = host(Config{}, n.wire, at(1))
				n.router.SetForwarding(true)
				n.attach(n.router, n.far, netip.PrefixFrom(at(2), f.bits))
				defer n.a.Close()
				defer n.b.Close()
				defer n.router.Close()
				all, _ := at(0).Prefix(0)
				for h, via := range map[*Host]netip.Addr{n.a: at(1), n.b: at(2)} {
					if err := h.AddRoute(all, via); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(5 * time.Second) // DAD is over
				body(n)
			})
		})
	}
}

func (n *routed) attach(h *Host, on *sim.Segment, addr netip.Prefix) {
	n.Helper()
	if err := h.Attach(on.Port(), Interface{Addrs: []netip.Prefix{addr}}); err != nil {
		n.Fatal(err)
	}
}

// transfer sends size octets from the client to the server and back, whole and in order.
func (n *routed) transfer(size int) {
	n.Helper()
	c, s := n.connect()
	defer c.Close()
	text := bytes.Repeat([]byte("0123456789abcde"), size/15+1)[:size]
	go func() {
		defer s.Close()
		b := make([]byte, size)
		for got := 0; got < size; {
			k, err := s.Read(b[got:])
			if err != nil {
				n.Errorf("after %d octets: %v", got, err)
				return
			}
			got += k
		}
		if _, err := s.Write(b); err != nil {
			n.Error(err)
		}
	}()
	if _, err := c.Write(text); err != nil {
		n.Fatal(err)
	}
	var back bytes.Buffer
	for b := make([]byte, 64<<10); ; {
		k, err := c.Read(b)
		back.Write(b[:k])
		n.must(err)
		if k == 0 {
			break
		}
	}
	if !bytes.Equal(back.Bytes(), text) {
		n.Errorf("%d octets came back, of %d", back.Len(), size)
	}
}

// TestForwarding carries TCP over a router, with offload on both, one and neither of its links, and over a narrow link behind it.
func TestForwarding(t *testing.T) {
	plain, offload := sim.Config{}, sim.Config{Offload: true}
	narrow, narrowOffload := sim.Config{MTU: 1280}, sim.Config{MTU: 1280, Offload: true}
	for _, c := range []struct {
		name      string
		near, far sim.Config
	}{
		{"no offload", plain, plain}, {"offload", offload, offload}, {"offload only near", offload, plain},
		{"offload only far", plain, offload}, {"a narrow link", plain, narrow}, {"a narrow link, offload", offload, narrowOffload},
		{"a narrow link, offload only near", offload, narrow},
	} {
		t.Run(c.name, func(t *testing.T) {
			inRouted(t, c.near, c.far, func(n *routed) {
				n.transfer(1 << 20)
				s := n.router.Stats()
				if s.Forwarded == 0 || s.TCP.SegmentsIn != 0 {
					n.Errorf("%d packets forwarded, %d segments taken", s.Forwarded, s.TCP.SegmentsIn)
				}
				for reason, count := range s.Dropped {
					if Drop(reason) == DropForeignMAC { // what hosts ask groups
						continue
					}
					if count > 0 && (Drop(reason) != DropTooBig || c.far.MTU == 0) {
						n.Errorf("%d packets dropped: %v", count, Drop(reason))
					}
				}
			})
		})
	}
}

// TestForwardingErrors checks what a router tells the source of what it cannot pass on.
func TestForwardingErrors(t *testing.T) {
	dial := func(n *routed, to netip.Addr) error {
		c, err := n.a.ConnectTCP(nil, netip.AddrPortFrom(to, 80), tcp.DefaultOptions())
		n.must(err)
		defer c.Close()
		return c.WaitConnect()
	}
	inRouted(t, sim.Config{}, sim.Config{}, func(n *routed) {
		began := time.Now()
		if err := dial(n, n.nobody); !errors.Is(err, syscall.EHOSTUNREACH) {
			n.Errorf("a host that does not answer: %v", err)
		}
		if took := time.Since(began); took != 3*time.Second {
			n.Errorf("that took %v, want the three seconds of the router's questions", took)
		}
		nowhere := netip.MustParseAddr("192.0.2.1")
		if n.nobody.Is6() {
			nowhere = netip.MustParseAddr("2001:db8:9::1")
		}
		if err := dial(n, nowhere); !errors.Is(err, syscall.ENETUNREACH) {
			n.Errorf("no route: %v", err)
		}
		if err := dial(n, n.addrB); !errors.Is(err, syscall.ECONNREFUSED) {
			n.Errorf("a closed port behind the router: %v", err)
		}
		s := n.router.Stats()
		if s.Dropped[DropNoRoute] != 1 || s.Dropped[DropNeighborFailed] == 0 {
			n.Errorf("dropped: %v", s.Dropped)
		}
	})
}

// TestForwardingIsOff checks that a host of two interfaces passes nothing on by default.
func TestForwardingIsOff(t *testing.T) {
	inRouted(t, sim.Config{}, sim.Config{}, func(n *routed) {
		other, err := New(Config{})
		if err != nil {
			n.Fatal(err)
		}
		defer other.Close()
		second := netip.PrefixFrom(n.addrR.Prev(), 24)
		if n.addrR.Is6() {
			second = netip.PrefixFrom(n.addrR.Prev(), 64)
		}
		n.attach(other, n.wire, second)
		time.Sleep(5 * time.Second)
		to := netip.PrefixFrom(n.addrB, n.addrB.BitLen())
		if err := n.a.AddRoute(to, second.Addr()); err != nil {
			n.Fatal(err)
		}
		s, err := n.a.ListenUDP(netip.AddrPortFrom(n.addrA, 0), BindOptions{})
		if err != nil {
			n.Fatal(err)
		}
		defer s.Close()
		if _, err := s.WriteTo([]byte("x"), netip.AddrPortFrom(n.addrB, 9)); err != nil {
			n.Fatal(err)
		}
		time.Sleep(time.Second)
		if st := other.Stats(); st.Dropped[DropNotForUs] != 1 || st.Forwarded != 0 || st.ICMPErrors != 0 {
			n.Errorf("%+v", st.Dropped)
		}
	})
}
