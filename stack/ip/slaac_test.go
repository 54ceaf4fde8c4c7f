package ip

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/wire"
)

func TestPrefixes(t *testing.T) {
	for _, c := range []struct {
		name   string
		option []byte
		addrs  []string
		routes []string
	}{
		{"B-SLA-3 for addresses, and on the link", pio("2001:db8::/64", "LA", 7200, 3600), []string{"2001:db8::/64 optimistic 1h0m0s 2h0m0s"}, []string{"2001:db8::/64 via invalid IP metric 256"}},
		{"B-SLA-3 for addresses only", pio("2001:db8::/64", "A", forever, forever), []string{"2001:db8::/64 optimistic 0s 0s"}, nil},
		{"B-SLA-3 on the link only", pio("2001:db8::/48", "L", 7200, 3600), nil, []string{"2001:db8::/48 via invalid IP metric 256"}},
		{"B-SLA-3 without flags", pio("2001:db8::/64", "", 7200, 3600), nil, nil},
		{"B-SLA-3 a prefix that is too short for an interface identifier", pio("2001:db8::/63", "A", 7200, 3600), nil, nil},
		{"B-SLA-3 a prefix that is too long for an interface identifier", pio("2001:db8::/65", "A", 7200, 3600), nil, nil},
		{"B-SLA-3 of the link itself", pio("fe80::/64", "LA", 7200, 3600), nil, nil},
		{"B-SLA-3 of groups", pio("ff02::/64", "LA", 7200, 3600), nil, nil},
		{"B-SLA-3 of everything", pio("::/0", "LA", 7200, 3600), nil, nil},
		{"B-SLA-3 preferred for longer than it is valid", pio("2001:db8::/64", "A", 3600, 3601), nil, nil},
		{"B-SLA-3 valid for no time", pio("2001:db8::/64", "LA", 0, 0), nil, nil},
		{"B-SLA-3 of another length", append([]byte{3, 3}, make([]byte, 22)...), nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			configured(t, Autoconf{}, func(n *nodes) {
				n.advertise(routerLink, wire.NDRouterAdvertisement{}, c.option)
				n.is("addresses", n.formedAddrs(), c.addrs...)
				n.is("routes", n.routes(), c.routes...)
				n.dropped(drop.RouterLimit, 0)
			})
		})
	}
}

func TestTwoHours(t *testing.T) {
	for _, c := range []struct {
		name             string
		before           uint32
		valid, preferred uint32
		want             string
	}{
		{"B-SLA-4 a second, of a day: two hours are left", 86400, 1, 0, "deprecated -1ns 2h0m0s"},
		{"B-SLA-4 none, of for ever: two hours are left", forever, 0, 0, "deprecated -1ns 2h0m0s"},
		{"B-SLA-4 a second, of an hour: the hour stays", 3600, 1, 1, "optimistic 1s 1h0m0s"},
		{"B-SLA-4 two hours and a second, of a day", 86400, 7201, 7201, "optimistic 2h0m1s 2h0m1s"},
		{"B-SLA-4 more than is left", 60, 61, 30, "optimistic 30s 1m1s"},
		{"B-SLA-4 for ever, of an hour", 3600, forever, forever, "optimistic 0s 0s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			configured(t, Autoconf{}, func(n *nodes) {
				n.advertise(routerLink, wire.NDRouterAdvertisement{}, pio("2001:db8::/64", "A", c.before, c.before))
				n.advertise(otherRouter, wire.NDRouterAdvertisement{}, pio("2001:db8::/64", "A", c.valid, c.preferred))
				n.is("address", n.formedAddrs(), "2001:db8::/64 "+c.want)
			})
		})
	}
	configured(t, Autoconf{}, func(n *nodes) {
		n.advertise(routerLink, wire.NDRouterAdvertisement{}, pio("2001:db8::/64", "LA", 7200, 60))
		n.sleep(time.Minute)
		n.is("B-SLA-4 when it is deprecated", n.formedAddrs(), "2001:db8::/64 deprecated -1ns 1h59m0s")
		n.advertise(routerLink, wire.NDRouterAdvertisement{}, pio("2001:db8::/64", "LA", 7200, 60))
		n.is("B-SLA-4 when it is advertised again", n.formedAddrs(), "2001:db8::/64 preferred 1m0s 2h0m0s")
		n.sleep(2 * time.Hour)
		n.is("B-SLA-4 when its lifetime is over", n.formedAddrs())
		n.is("routes", n.routes())
	})
}

// own returns the global address of the interface.
func (n *nodes) own() netip.Addr {
	n.Helper()
	for _, p := range n.l.Addrs() {
		if p.Addr().Is6() && !p.Addr().IsLinkLocalUnicast() {
			return p.Addr()
		}
	}
	n.Fatal("no address")
	return netip.Addr{}
}

func TestStableAddresses(t *testing.T) {
	t.Run("B-SLA-6 the same each time, and another one in each network", func(t *testing.T) {
		addr := func(secret, prefix string, change func(n *nodes)) (a netip.Addr) {
			configured(t, Autoconf{Secret: []byte(secret)}, func(n *nodes) {
				n.advertise(routerLink, wire.NDRouterAdvertisement{}, pio(prefix, "A", forever, forever))
				change(n)
				a = n.own()
			})
			return a
		}
		nothing := func(*nodes) {}
		first := addr("secret", "2001:db8:1::/64", nothing)
		if again := addr("secret", "2001:db8:1::/64", nothing); again != first {
			t.Errorf("%v, and the next time %v", first, again)
		}
		half := func(a netip.Addr) string { b := a.As16(); return string(b[8:]) }
		seen := map[string]bool{half(first): true, half(ndOurLink): true}
		for name, a := range map[string]netip.Addr{
			"another secret": addr("other", "2001:db8:1::/64", nothing), "another network": addr("secret", "2001:db8:2::/64", nothing),
			"a random secret": addr("", "2001:db8:1::/64", nothing),
			"when another host has it": addr("secret", "2001:db8:1::/64", func(n *nodes) {
				n.give(message{src: ndPeer, dst: allNodes, body: na("O", first, targetOption(peerMAC))})
			}),
		} {
			if seen[half(a)] {
				t.Errorf("%s: the same interface identifier %v", name, a)
			}
			seen[half(a)] = true
		}
		t.Run("B-SLA-2 an attacker who claims each address", func(t *testing.T) {
			configured(t, Autoconf{}, func(n *nodes) {
				n.advertise(routerLink, wire.NDRouterAdvertisement{}, pio("2001:db8::/64", "A", forever, forever))
				for range 4 {
					n.give(message{src: ndPeer, dst: allNodes, body: na("O", n.own(), targetOption(peerMAC))})
				}
				n.is("addresses after four", n.formedAddrs())
				n.advertise(routerLink, wire.NDRouterAdvertisement{}, pio("2001:db8::/64", "A", forever, forever))
				n.is("addresses after the next advertisement", n.formedAddrs())
				lines := n.log.take()
				if len(lines) != 5 || !strings.HasPrefix(lines[3], "no address of its own") && !strings.HasPrefix(lines[4], "no address of its own") {
					t.Errorf("%q", lines)
				}
			})
		})
	})
}

func TestReservedIDs(t *testing.T) {
	for id, want := range map[uint64]bool{0: true, 1: false, 0x02005efffe000000: true, 0x02005efffeffffff: true, 0x02005effff000000: false,
		0xfdffffffffffff80: true, 0xfdffffffffffffff: true, 0xfdffffffffffff7f: false} {
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], id)
		if got := reservedID(b); got != want {
			t.Errorf("%#x: %v", id, got)
		}
	}
}

func TestTemporaryAddresses(t *testing.T) {
	t.Run("B-SLA-6 temporary addresses", func(t *testing.T) {
		configured(t, Autoconf{Temporary: true}, func(n *nodes) {
			advertise := func() {
				n.advertise(routerLink, wire.NDRouterAdvertisement{Lifetime: 9000}, pio("2001:db8::/64", "LA", 30*86400, 7*86400))
			}
			advertise()
			n.sleep(settledMoment)
			list := n.l.Addresses()
			last := list[len(list)-1]
			if len(n.formedAddrs()) != 2 || !last.Temporary || last.PreferredFor > tempPreferred || last.PreferredFor < tempPreferred-maxDesync-time.Minute {
				t.Fatalf("%v", list)
			}
			if got := from(t, n.l, far.String()); got != last.Prefix.Addr().String() {
				t.Errorf("from %v, want from the temporary address", got)
			}
			first := last.Prefix
			most := 0
			for range 96 { // four days
				n.sleep(time.Hour)
				advertise()
				temporary := 0
				for _, a := range n.l.Addresses() {
					if a.Temporary {
						temporary++
					}
				}
				most = max(most, temporary)
				if r, err := n.l.HostRoute(netip.Addr{}, far); err != nil || r.Local() == n.own() {
					t.Fatalf("no temporary address: %v", n.formedAddrs())
				}
			}
			if slices.Contains(n.l.Addrs(), first) || most < 3 || most > 5 {
				t.Errorf("%d at once; after four days %v", most, n.formedAddrs())
			}
		})
	})
}

func TestFullDetection(t *testing.T) {
	t.Run("B-SLA-2 a tentative address is of no use", func(t *testing.T) {
		onLink(t, Config{}, InterfaceConfig{Addrs: []netip.Prefix{ourNet}, FullDAD: true}, func(n *nodes) {
			n.autoconfigure(Autoconf{})
			n.sleep(settledMoment)
			n.advertise(routerLink, wire.NDRouterAdvertisement{Lifetime: 9000}, pio("2001:db8::/64", "A", 7200, 7200))
			own := n.own()
			if s, _ := n.state(own); s != AddrTentative || n.l.IsLocal(own) {
				t.Errorf("B-SLA-2 the address is %v", s)
			}
			if _, err := n.l.HostRoute(own, far); err != syscall.ENETUNREACH {
				t.Errorf("B-SLA-2 from a tentative address: %v", err)
			}
			if got := from(t, n.l, far.String()); strings.HasPrefix(got, "2001") {
				t.Errorf("B-SLA-2 from %s", got)
			}
			n.sent()
			n.give(message{src: routerLink, dst: solicitedNode(own), body: ns(own, sourceOption(routerMAC))})
			n.wantND()
			n.sleep(time.Second)
			if s, _ := n.state(own); s != AddrPreferred || !n.l.IsLocal(own) || from(t, n.l, far.String()) != own.String() {
				t.Errorf("B-SLA-1 a second later it is %v", s)
			}
			n.sent()
			n.give(message{src: routerLink, dst: solicitedNode(own), body: ns(own, sourceOption(routerMAC))})
			if len(n.sent()) != 1 {
				t.Error("B-SLA-1 a question for it is not answered then")
			}
			n.advertise(routerLink, wire.NDRouterAdvertisement{}, pio("2001:db8:7::/64", "A", 7200, 0))
			n.sleep(time.Second)
			n.is("one that is deprecated at once", n.formedAddrs()[1:], "2001:db8:7::/64 deprecated -1ns 1h59m59s")
		})
		onLink(t, Config{}, InterfaceConfig{FullDAD: true}, func(n *nodes) {
			n.give(message{src: unspecified, dst: ourSolicited, body: ns(ndOur)})
			if _, ok := n.state(ndOur); ok {
				t.Error("B-SLA-2 another host asks for it at the same time, and it stays")
			}
			if n.sleep(time.Second); !slices.Contains(n.l.Addrs(), netip.PrefixFrom(ndOurLink.WithZone(""), 64)) {
				t.Errorf("%v", n.l.Addrs())
			}
		})
	})
}

// Advertisements of strangers fill nothing and are counted.
func TestAdvertisementFlood(t *testing.T) {
	t.Run("B-ND-16 D-MISC-2 router advertisements", func(t *testing.T) {
		configured(t, Autoconf{Temporary: true}, func(n *nodes) {
			for i := range 10000 {
				from := netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 14: byte(i >> 8), 15: byte(i)}).WithZone("mem0")
				n.advertise(from, wire.NDRouterAdvertisement{Lifetime: 9000}, pio(fmt.Sprintf("2001:db8:%x::/64", i), "LA", forever, forever),
					pio(fmt.Sprintf("2001:db9:%x::/64", i), "LA", forever, forever))
				if i%40 == 0 {
					n.sleep(time.Second)
				}
			}
			if a, r := len(n.formedAddrs()), len(n.routes()); a > maxFormed || r > maxRouters+maxAdvisedNets {
				t.Errorf("B-ND-16 %d addresses, %d routes", a, r)
			}
			if n.l.Drops.Load()[drop.RouterLimit] < 9900 {
				t.Errorf("B-ND-16 %d are counted", n.l.Drops.Load()[drop.RouterLimit])
			}
		})
		configured(t, Autoconf{}, func(n *nodes) {
			for i := range 1000 {
				n.advertise(routerLink, wire.NDRouterAdvertisement{Lifetime: uint16(i)})
			}
			n.dropped(drop.RouterLimit, 1000-maxAdvertisements)
		})
	})
}

// FuzzAdvertisements gives a host advertisements of routers and time, and looks at what it has then.
func FuzzAdvertisements(f *testing.F) {
	f.Add(uint64(1), append(pio("2001:db8::/64", "LA", 7200, 3600), mtuOption(1400)...))
	f.Add(uint64(2), append(pio("2001:db8::/64", "LA", 1, 0), []byte("\x1f\x03\x00\x00\x00\x00\x00\x07\x03lan\x00\x07example\x03com\x00\x00\x00")...))
	f.Fuzz(func(t *testing.T, seed uint64, options []byte) {
		if len(options) > 1400 {
			return
		}
		random := rand.New(rand.NewPCG(seed, 0))
		configured(t, Autoconf{Temporary: seed%2 == 0}, func(n *nodes) {
			for range 20 {
				b := slices.Clone(options)
				for range random.IntN(4) {
					if len(b) > 0 {
						b[random.IntN(len(b))] ^= byte(1 << random.IntN(8))
					}
				}
				from := []netip.Addr{routerLink, otherRouter, ndPeer}[random.IntN(3)]
				n.advertise(from, wire.NDRouterAdvertisement{Lifetime: uint16(random.Uint32()), HopLimit: uint8(random.Uint32()),
					Reachable: random.Uint32(), Retransmit: random.Uint32()}, b)
				if random.IntN(4) == 0 {
					if addrs := n.l.Addrs(); len(addrs) > 1 {
						a := scoped(addrs[1+random.IntN(len(addrs)-1)].Addr(), "mem0")
						n.give(message{src: peerLink, dst: allNodes, body: na("O", a, targetOption(peerMAC))})
					}
				}
				n.sleep(time.Duration(random.Int64N(int64(3 * time.Hour))))
				n.check()
			}
		})
	})
}

// check fails unless what routers have advertised is within its bounds and its lifetimes.
func (n *nodes) check() {
	n.Helper()
	top, now := n.l.topology.Load(), n.l.now()
	addrs := 0
	for _, a := range top.addrs[1] {
		if a.formed {
			addrs++
			if ended(a.validUntil, now) || a.state == AddrPreferred && ended(a.preferredUntil, now) {
				n.Errorf("%+v at %d", a, now)
			}
		}
	}
	if r := len(n.routes()); addrs > maxFormed || r > maxRouters+maxAdvisedNets {
		n.Errorf("%d addresses, %d routes", addrs, r)
	}
	ifc := n.l.Interfaces()[1]
	if mtu := ifc.mtuFor(family6); mtu < leastMTU6 || mtu > 1500 {
		n.Errorf("MTU %d", mtu)
	}
	if advice := n.l.RouterAdvice(); len(advice.DNS) > maxAdvisedDNS || len(advice.Search) > maxAdvisedDNS {
		n.Errorf("%v", advice)
	}
}
