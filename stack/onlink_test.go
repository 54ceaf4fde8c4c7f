package stack

import (
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

var (
	narrow   = netip.MustParsePrefix("10.0.0.2/32") // ours, in no network
	everyone = netip.MustParsePrefix("0.0.0.0/0")
	gateway  = netip.MustParseAddr("172.31.1.1") // as a cloud has it
	distant  = netip.MustParseAddr("198.51.100.7")
)

// onNarrow runs f with a host whose only address has 32 bits.
func onNarrow(t *testing.T, kind link.Kind, f func(*bed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		}()
		info := link.Info{Name: "mem0", Kind: kind, MTU: 1500}
		if kind == link.Ethernet {
			info.MAC = ourMAC
		}
		b := &bed{T: t, family: ipv4, h: h, dev: newMemDevice(info)}
		if err := h.Attach(b.dev, Interface{Addrs: []netip.Prefix{narrow}}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		f(b)
	})
}

func (b *bed) addRoutes(routes ...Route) {
	b.Helper()
	if err := b.h.AddRoutes(routes...); err != nil {
		b.Fatal(err)
	}
}

func TestOnLinkRoutes(t *testing.T) {
	ask := func(target netip.Addr) []byte {
		return arpFrame(wire.BroadcastMAC, ourMAC, wire.ARP{Op: wire.ARPRequest, SenderMAC: ourMAC, SenderIP: ourIP.As4(),
			TargetIP: target.As4()})
	}
	// reaches sends a datagram to a host, and answers the ARP request of its next hop.
	reaches := func(b *bed, to, hop netip.Addr) {
		b.Helper()
		s := b.listenUDP("10.0.0.2:7")
		defer s.Close()
		b.writeTo(s, []byte("x"), netip.AddrPortFrom(to, 7))
		b.want(ask(hop))
		b.inject(arpFrame(ourMAC, peerMAC, wire.ARP{Op: wire.ARPReply, SenderMAC: peerMAC, SenderIP: hop.As4(),
			TargetMAC: ourMAC, TargetIP: ourIP.As4()}))
		out := b.take()
		if len(out) != 1 || link.MAC(out[0][:6]) != peerMAC {
			b.Fatalf("sent %x, want a datagram to the next hop", out)
		}
		if ip, _ := b.parsed4(out[0]); ip.Src != ourIP.As4() || ip.Dst != to.As4() {
			b.Errorf("sent from %v to %v", ip.Src, ip.Dst)
		}
	}
	t.Run("B-IP4-24 a gateway in no network of ours, on the link", func(t *testing.T) {
		onNarrow(t, link.Ethernet, func(b *bed) {
			b.addRoutes(Route{Dst: everyone, Via: gateway, OnLink: true})
			reaches(b, distant, gateway)
		})
	})
	t.Run("B-IP4-24 a gateway that a route of its own puts on the link", func(t *testing.T) {
		onNarrow(t, link.Ethernet, func(b *bed) {
			if err := b.h.AddRoute(netip.PrefixFrom(gateway, 32), netip.Addr{}); err != nil {
				t.Fatal(err)
			}
			if err := b.h.AddRoute(everyone, gateway); err != nil {
				t.Fatal(err)
			}
			reaches(b, distant, gateway)
		})
	})
	t.Run("B-IP4-24 a network on the link, each host its own next hop", func(t *testing.T) {
		onNarrow(t, link.Ethernet, func(b *bed) {
			b.addRoutes(Route{Dst: netip.MustParsePrefix("198.51.100.0/24"), Device: "mem0"})
			reaches(b, distant, distant)
		})
	})
	t.Run("B-ARP-2 neighbours by route are learned when they ask for us, strangers are not", func(t *testing.T) {
		onNarrow(t, link.Ethernet, func(b *bed) {
			b.addRoutes(Route{Dst: everyone, Via: gateway, OnLink: true}, Route{Dst: netip.MustParsePrefix("198.51.100.0/24")})
			b.inject(request(gateway, peerMAC, ourIP), request(distant, otherMAC, ourIP),
				request(netip.MustParseAddr("203.0.113.1"), otherMAC, ourIP))
			if n := len(b.take()); n != 3 {
				t.Errorf("%d answers, want 3", n)
			}
			for a, want := range map[string]bool{"172.31.1.1": true, "198.51.100.7": true, "203.0.113.1": false} {
				if _, _, ok := b.entry(netip.MustParseAddr(a)); ok != want {
					t.Errorf("%s in the cache: %t, want %t", a, ok, want)
				}
			}
		})
	})
	t.Run("B-IP4-24 without link addresses nothing is asked", func(t *testing.T) {
		for _, r := range []Route{
			{Dst: everyone}, {Dst: everyone, Device: "mem0"}, {Dst: everyone, Via: gateway, OnLink: true},
			{Dst: everyone, Via: gateway, OnLink: true, Device: "mem0"},
		} {
			onNarrow(t, link.IP, func(b *bed) {
				b.addRoutes(r)
				s := b.listenUDP("10.0.0.2:7")
				b.writeTo(s, []byte("x"), netip.AddrPortFrom(distant, 7))
				out := b.take()
				if len(out) != 1 {
					t.Fatalf("%v: %d packets", r, len(out))
				}
				var ip wire.IPv4
				if _, err := ip.Parse(out[0]); err != nil || ip.Src != ourIP.As4() || ip.Dst != distant.As4() {
					t.Errorf("%v: sent %x", r, out[0])
				}
			})
		}
	})
	t.Run("B-IP4-24 routes that cannot be, and none of several is added when one cannot", func(t *testing.T) {
		onNarrow(t, link.Ethernet, func(b *bed) {
			wide := netip.MustParsePrefix("10.1.0.2/24")
			dev := newMemDevice(link.Info{Name: "mem1", Kind: link.Ethernet, MAC: otherMAC, MTU: 1500})
			if err := b.h.Attach(dev, Interface{Addrs: []netip.Prefix{wide}}); err != nil {
				t.Fatal(err)
			}
			a := netip.MustParseAddr
			for _, tt := range []struct {
				r    Route
				want error
			}{
				{Route{Dst: everyone, Via: gateway}, syscall.ENETUNREACH},
				{Route{Dst: everyone, Via: gateway, Device: "mem0"}, syscall.ENETUNREACH},
				{Route{Dst: everyone, Via: a("10.1.0.1"), Device: "mem0"}, syscall.ENETUNREACH}, // it is on the other
				{Route{Dst: everyone, Via: gateway, OnLink: true}, syscall.EINVAL},              // on which of them?
				{Route{Dst: everyone}, syscall.EINVAL},
				{Route{Dst: everyone, Device: "mem2"}, syscall.ENODEV},
				{Route{Dst: everyone, Via: gateway, OnLink: true, Device: "mem2"}, syscall.ENODEV},
				{Route{Dst: everyone, OnLink: true, Device: "mem0"}, syscall.EINVAL},
				{Route{Device: "mem0"}, syscall.EINVAL},
				{Route{Dst: everyone, Via: ourIP, OnLink: true, Device: "mem0"}, syscall.EINVAL},
				{Route{Dst: everyone, Via: a("10.1.0.255"), OnLink: true, Device: "mem1"}, syscall.EINVAL},
				{Route{Dst: everyone, Via: a("127.0.0.1"), OnLink: true, Device: "mem0"}, syscall.EINVAL},
				{Route{Dst: everyone, Via: a("224.0.0.1"), OnLink: true, Device: "mem0"}, syscall.EINVAL},
				{Route{Dst: everyone, Via: a("255.255.255.255"), OnLink: true, Device: "mem0"}, syscall.EINVAL},
				{Route{Dst: everyone, Via: a("0.0.0.0"), OnLink: true, Device: "mem0"}, syscall.EINVAL},
				{Route{Dst: everyone, Via: a("fe80::1"), OnLink: true, Device: "mem0"}, syscall.EINVAL},
				{Route{Dst: netip.MustParsePrefix("::/0"), Via: a("fe80::1")}, syscall.EINVAL}, // on which of them?
				{Route{Dst: netip.MustParsePrefix("::/0"), Via: a("fe80::1"), Device: "mem0"}, syscall.ENETUNREACH},
				{Route{Dst: narrow, Device: "mem0"}, syscall.EEXIST},
			} {
				before := fmt.Sprint(b.h.Routes())
				good := Route{Dst: netip.MustParsePrefix("198.51.100.0/24"), Device: "mem1"}
				if err := b.h.AddRoutes(good, tt.r); err != tt.want {
					t.Errorf("AddRoutes(%+v) = %v, want %v", tt.r, err, tt.want)
				}
				if after := fmt.Sprint(b.h.Routes()); after != before {
					t.Fatalf("after %+v the routes are %v, they were %v", tt.r, after, before)
				}
			}
			b.addRoutes(Route{Dst: everyone, Via: gateway, OnLink: true, Device: "mem0"},
				Route{Dst: netip.MustParsePrefix("198.51.100.9/24"), Device: "mem0"},
				Route{Dst: netip.MustParsePrefix("203.0.113.0/24"), Via: a("10.1.0.1"), OnLink: true, Device: "mem1"})
			want := []Route{{Dst: narrow}, {Dst: wide.Masked()},
				{Dst: netip.MustParsePrefix("198.51.100.0/24"), Device: "mem0"},
				{Dst: netip.MustParsePrefix("203.0.113.0/24"), Via: a("10.1.0.1")},
				{Dst: everyone, Via: gateway, Device: "mem0", OnLink: true}}
			if got := b.h.Routes(); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("routes %+v, want %+v", got, want)
			}
		})
	})
	t.Run("B-IP4-24 a host without devices has no link", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h, err := New(Config{})
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			if err := h.AddRoute(everyone, netip.Addr{}); err != syscall.ENODEV {
				t.Errorf("AddRoute = %v, want ENODEV", err)
			}
		})
	})
}
