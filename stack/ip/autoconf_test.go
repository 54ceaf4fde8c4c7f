package ip

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

const forever = ^uint32(0)

var (
	routerMAC   = link.MAC{2, 0, 0, 0, 0, 0x66}
	otherRouter = netip.MustParseAddr("fe80::77%mem0")
	far         = netip.MustParseAddr("2001:db8:ffff::1")
)

// configured runs f with an interface that configures itself. Its first questions and detections are over.
func configured(t *testing.T, config Autoconf, f func(n *nodes)) {
	t.Helper()
	onLink(t, Config{}, InterfaceConfig{Addrs: []netip.Prefix{ourNet}}, func(n *nodes) {
		n.autoconfigure(config)
		n.sleep(settledMoment)
		n.sent()
		f(n)
	})
}

func (n *nodes) autoconfigure(config Autoconf) {
	n.Helper()
	if config.Secret == nil {
		config.Secret = []byte("secret")
	}
	if err := n.l.Autoconfigure("", config); err != nil {
		n.Fatal(err)
	}
	n.l.Flush()
}

// advertise gives the host a router's advertisement.
func (n *nodes) advertise(from netip.Addr, m wire.NDRouterAdvertisement, options ...[]byte) {
	n.Helper()
	b := make([]byte, wire.NDRouterAdvertisementLen)
	m.Marshal(b)
	n.give(message{from: routerMAC, src: from, dst: allNodes, body: append(b, slices.Concat(options...)...)})
}

// pio is an option of prefix information: flags are of L and A.
func pio(prefix, flags string, valid, preferred uint32) []byte {
	p := netip.MustParsePrefix(prefix)
	b := make([]byte, 32)
	b[0], b[1], b[2] = wire.NDOptPrefixInformation, 4, uint8(p.Bits())
	if strings.Contains(flags, "L") {
		b[3] |= 0x80
	}
	if strings.Contains(flags, "A") {
		b[3] |= 0x40
	}
	binary.BigEndian.PutUint32(b[4:], valid)
	binary.BigEndian.PutUint32(b[8:], preferred)
	copy(b[16:], p.Addr().AsSlice())
	return b
}

func mtuOption(mtu uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{wire.NDOptMTU, 1, 0, 0}, mtu)
}

// routes returns the routes that routers have advertised, in words.
func (n *nodes) routes() (list []string) {
	for _, e := range n.l.topology.Load().routes {
		if e.advised {
			list = append(list, strings.TrimSuffix(fmt.Sprintf("%v via %v metric %d", e.dst, e.via, e.metric), ""))
		}
	}
	return list
}

// formedAddrs returns the global IPv6 addresses with what is left of their lifetimes, in words.
func (n *nodes) formedAddrs() (list []string) {
	for _, a := range n.l.Addresses() {
		if !a.Prefix.Addr().Is6() || a.Prefix.Addr().IsLinkLocalUnicast() {
			continue
		}
		text := fmt.Sprintf("%v %v %v %v", a.Prefix.Masked(), a.State, a.PreferredFor, a.ValidFor)
		if a.Temporary {
			text += " temporary"
		}
		list = append(list, text)
	}
	return list
}

func (n *nodes) is(what string, got []string, want ...string) {
	n.Helper()
	if !slices.Equal(got, want) {
		n.Errorf("%s\n\t%s\nwant\n\t%s", what, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestRouterSolicitation(t *testing.T) {
	t.Run("B-ND-12 three questions four seconds apart, and none after an answer", func(t *testing.T) {
		solicitations := func(n *nodes) (list []string) {
			for _, s := range n.sent() {
				if strings.Contains(s, " RS") {
					list = append(list, s)
				}
			}
			return list
		}
		onLink(t, Config{}, InterfaceConfig{Addrs: []netip.Prefix{ourNet}}, func(n *nodes) {
			n.sleep(settledMoment)
			n.sent()
			n.autoconfigure(Autoconf{})
			var all []string
			var times []time.Duration
			start := n.l.now()
			for range 200 {
				for _, s := range solicitations(n) {
					all, times = append(all, s), append(times, n.l.now().Sub(start))
				}
				n.sleep(100 * time.Millisecond)
			}
			if len(all) != 3 || times[0] > 1100*time.Millisecond || times[1]-times[0] != 4*time.Second || times[2]-times[1] != 4*time.Second {
				t.Errorf("asked at %v, want three times, 4 s apart: %v", times, all)
			}
			own := n.l.Addrs()[1].Addr().WithZone("")
			if last := all[len(all)-1]; last != "33:33:00:00:00:02 "+own.String()+" > ff02::2 RS source 02:00:00:00:00:02" {
				t.Errorf("asked by %s", last)
			}
			if all[0] != "33:33:00:00:00:02 :: > ff02::2 RS" {
				t.Errorf("first, when the address is not known to be unique, asked by %s", all[0])
			}
			n.l.Interfaces()[1].CarrierChanged(false)
			n.l.Interfaces()[1].CarrierChanged(true)
			n.sleep(2 * time.Second)
			if len(solicitations(n)) != 1 {
				t.Error("when the link has come up the host does not ask")
			}
			n.advertise(routerLink, wire.NDRouterAdvertisement{Lifetime: 1800})
			n.sleep(time.Minute)
			if got := solicitations(n); len(got) != 0 {
				t.Errorf("after an answer %v", got)
			}
		})
	})
}

func TestRouterAdvertisementTaken(t *testing.T) {
	t.Run("B-ND-13 a router comes and goes", func(t *testing.T) {
		configured(t, Autoconf{}, func(n *nodes) {
			n.advertise(routerLink, wire.NDRouterAdvertisement{Lifetime: 1800}, sourceOption(routerMAC))
			n.is("B-ND-13 a router", n.routes(), "::/0 via fe80::66%mem0 metric 1024")
			if got := n.neighbor(routerLink); got != "STALE "+routerMAC.String() {
				t.Errorf("the router is a neighbour in %s", got)
			}
			n.advertise(otherRouter, wire.NDRouterAdvertisement{Lifetime: 9, Preference: 1})
			n.is("B-ND-13 a second router, which is to be preferred", n.routes(), "::/0 via fe80::77%mem0 metric 1023", "::/0 via fe80::66%mem0 metric 1024")
			n.sleep(9 * time.Second)
			n.is("B-ND-13 when its lifetime is over", n.routes(), "::/0 via fe80::66%mem0 metric 1024")
			n.advertise(routerLink, wire.NDRouterAdvertisement{Lifetime: 0})
			n.is("B-ND-13 lifetime 0 removes the router", n.routes())
			n.advertise(otherRouter, wire.NDRouterAdvertisement{Lifetime: 9000})
			n.give(message{src: otherRouter, dst: allNodes, body: na("O", otherRouter, targetOption(routerMAC))})
			n.is("when it says that it is no router", n.routes())
		})
	})
}

func TestSilentRouter(t *testing.T) {
	t.Run("B-ND-14 a router that does not answer is passed over", func(t *testing.T) {
		configured(t, Autoconf{}, func(n *nodes) {
			n.advertise(routerLink, wire.NDRouterAdvertisement{Lifetime: 9000}, pio("2001:db8::/64", "A", forever, forever))
			n.advertise(otherRouter, wire.NDRouterAdvertisement{Lifetime: 9000}, sourceOption(peerMAC))
			n.sleep(settledMoment)
			if r := n.sendUDP(far); r.NextHop() != routerLink {
				t.Errorf("by way of %v", r.NextHop())
			}
			n.sleep(4 * time.Second)
			if r := n.sendUDP(far); r.NextHop() != otherRouter {
				t.Errorf("when the first does not answer by way of %v", r.NextHop())
			}
			n.advertise(routerLink, wire.NDRouterAdvertisement{Lifetime: 9000}, sourceOption(routerMAC))
			if r := n.sendUDP(far); r.NextHop() != routerLink {
				t.Errorf("when it is heard again by way of %v", r.NextHop())
			}
		})
	})
}

func TestAdvertisedParameters(t *testing.T) {
	t.Run("B-ND-13 MTU, hop limit and times", func(t *testing.T) {
		configured(t, Autoconf{}, func(n *nodes) {
			n.advertise(routerLink, wire.NDRouterAdvertisement{Lifetime: 1800}, pio("2001:db8::/64", "LA", forever, forever))
			n.sleep(settledMoment)
			ifc := n.l.Interfaces()[1]
			mtu := func() int {
				r, err := n.l.HostRoute(netip.Addr{}, far)
				if err != nil {
					t.Fatal(err)
				}
				return r.MTU()
			}
			old, err := n.l.HostRoute(netip.Addr{}, far)
			if err != nil || mtu() != 1500 {
				t.Fatal(err, mtu())
			}
			for _, c := range []struct {
				name string
				mtu  uint32
				want int
			}{{"1279", 1279, 1500}, {"1280", 1280, 1280}, {"the link's", 1500, 1500}, {"more than the link's", 1501, 1500}, {"1400", 1400, 1400}} {
				n.advertise(routerLink, wire.NDRouterAdvertisement{Lifetime: 1800}, mtuOption(c.mtu))
				if got := mtu(); got != c.want {
					t.Errorf("B-ND-13 an MTU of %s: %d, want %d", c.name, got, c.want)
				}
			}
			if old.Usable() {
				t.Error("B-ND-13 a route of the MTU before is still used")
			}
			if r, err := n.l.HostRoute(netip.Addr{}, peerIP); err != nil || r.MTU() != 1500 {
				t.Errorf("IPv4: %d, %v", r.MTU(), err)
			}
			n.advertise(routerLink, wire.NDRouterAdvertisement{HopLimit: 1, Lifetime: 1800, Reachable: 3600001, Retransmit: 3600000})
			if ifc.advised.hopLimit.Load() != 0 || ifc.advised.reachableTime(time.Hour) != time.Hour || ifc.advised.retransTime() != time.Second {
				t.Error("B-ND-13 parameters that cannot be are taken")
			}
			n.advertise(routerLink, wire.NDRouterAdvertisement{HopLimit: 33, Lifetime: 1800, Reachable: 7000, Retransmit: 1})
			n.sent()
			n.give(message{src: routerLink, dst: n.l.Addrs()[1].Addr().WithZone("mem0"), body: na("SOR", routerLink, targetOption(routerMAC))})
			n.sendUDP(far)
			n.sent()
			r, _ := n.l.HostRoute(netip.Addr{}, far)
			if r.hopLimit(&OutPacket{}) != 33 || r.hopLimit(&OutPacket{TTL: 3}) != 3 || ifc.advised.reachableTime(time.Hour) != 7*time.Second ||
				ifc.advised.retransTime() != 100*time.Millisecond {
				t.Errorf("B-ND-13 hop limit %d, reachable %v, retransmission %v", r.hopLimit(&OutPacket{}), ifc.advised.reachableTime(0), ifc.advised.retransTime())
			}
		})
	})
}

func TestAutoconfigureErrors(t *testing.T) {
	onLink(t, Config{}, InterfaceConfig{Addrs: []netip.Prefix{ourNet}}, func(n *nodes) {
		if err := n.l.Autoconfigure("nosuch", Autoconf{}); err != syscall.ENODEV {
			t.Error(err)
		}
		n.autoconfigure(Autoconf{})
		if err := n.l.Autoconfigure("", Autoconf{}); err != syscall.EALREADY {
			t.Error(err)
		}
	})
	for _, c := range []struct {
		info link.Info
		err  error
	}{{link.Info{Name: "tun0", Kind: link.IP, MTU: 1500}, syscall.EOPNOTSUPP},
		{link.Info{Name: "mem0", Kind: link.Ethernet, MAC: ourMAC, MTU: 1279}, syscall.EINVAL}} {
		onDevice(t, Config{}, InterfaceConfig{Addrs: []netip.Prefix{ourNet}}, &device{info: c.info}, func(n *nodes) {
			if err := n.l.Autoconfigure("", Autoconf{}); err != c.err {
				t.Errorf("%s: %v", c.info.Name, err)
			}
		})
	}
}

func TestRouterAdviceOfNames(t *testing.T) {
	option := func(typ uint8, lifetime uint32, data []byte) []byte {
		b := binary.BigEndian.AppendUint32([]byte{0, 0}, lifetime)
		o := wire.NDOption{Type: typ, Data: append(b, data...)}
		out := make([]byte, 255*8)
		return out[:o.Marshal(out)]
	}
	dns := func(lifetime uint32, list ...string) []byte {
		var b []byte
		for _, s := range list {
			b = append(b, netip.MustParseAddr(s).AsSlice()...)
		}
		return option(wire.NDOptRDNSS, lifetime, b)
	}
	text := func(n *nodes) []string { return []string{fmt.Sprint(n.l.RouterAdvice())} }
	configured(t, Autoconf{}, func(n *nodes) {
		ra := wire.NDRouterAdvertisement{Lifetime: 1800, Other: true}
		n.advertise(routerLink, ra, dns(60, "2001:db8::53", "fe80::53", "::1", "ff02::1", "::"),
			option(wire.NDOptDNSSL, forever, []byte("\x03lan\x00\x07example\x03com\x00")), option(wire.NDOptDNSSL, 60, []byte("\x03l n\x00\x00\x00\x00\x00")))
		n.is("names", text(n), "{[2001:db8::53 fe80::53%mem0] [lan example.com] false true}")
		n.advertise(routerLink, ra, dns(0, "2001:db8::53"))
		n.is("a lifetime of 0", text(n), "{[fe80::53%mem0] [lan example.com] false true}")
		n.sleep(time.Minute)
		n.is("when a lifetime is over", text(n), "{[] [lan example.com] false true}")
		n.advertise(routerLink, ra, dns(60, "2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4", "2001:db8::5"))
		before := n.l.Drops.Load()[drop.RouterLimit]
		n.advertise(routerLink, ra, dns(60, "2001:db8::6", "2001:db8::7", "2001:db8::8", "2001:db8::9"))
		n.dropped(drop.RouterLimit, before+1)
		if got := n.l.RouterAdvice().DNS; len(got) != 8 || got[7].String() != "2001:db8::8" {
			t.Errorf("too many servers: %v", got)
		}
	})
}
