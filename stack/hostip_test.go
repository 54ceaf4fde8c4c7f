package stack

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

// net returns a's prefix with the length of the family's network.
func (n *network) net(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, n.bits) }

// TestRemovedAddress checks what becomes of what is on an address that goes: what Linux does, which was looked up there.
func TestRemovedAddress(t *testing.T) {
	const patience = 2 * time.Second
	for _, other := range []bool{false, true} { // another address is left, and with it the route to the peer
		inNetwork(t, fmt.Sprintf("connections end when their timers say so, other address %t", other), sim.Config{}, func(n *network) {
			client, server := n.connect()
			if other {
				n.must(n.a.AddAddr(Address{Prefix: n.net(n.addrC)}))
			}
			n.must(client.Update(func(o *tcp.Options) { o.UserTimeout = uint32(patience / time.Millisecond) }))
			n.must(n.a.RemoveAddr("", n.addrA))
			n.write(client, "lost")
			want := syscall.ETIMEDOUT
			if n.any.Is6() && !other {
				want = syscall.ENETUNREACH
			}
			n.reads(client, want.Error())
			n.want("a new bind", bindError(n.a, n.addrA), syscall.EADDRNOTAVAIL)
			if s := n.a.Stats(); s.Dropped[DropNoRoute] == 0 {
				n.Error("no segment was counted as without a route")
			}
			n.must(client.Close())
			server.Abort()
		})
	}
	inNetwork(t, "they go on when it comes back", sim.Config{}, func(n *network) {
		client, server := n.connect()
		n.must(n.a.RemoveAddr("", n.addrA))
		n.write(client, "to the server")
		n.write(server, "to the client")
		time.Sleep(time.Second)
		if client.Unread() != 0 || server.Unread() != 0 {
			n.Error("text has passed without an address")
		}
		n.must(n.a.AddAddr(Address{Prefix: n.net(n.addrA)}))
		n.reads(server, "to the server")
		n.reads(client, "to the client")
		n.must(client.Close())
		n.must(server.Close())
		time.Sleep(2 * time.Minute)
	})
	inNetwork(t, "a listener and UDP sockets", sim.Config{}, func(n *network) {
		b, err := n.b.BindTCP(netip.AddrPortFrom(n.addrB, 80), BindOptions{})
		n.must(err)
		l, err := n.b.ListenTCP(b, 1, tcp.DefaultOptions())
		n.must(err)
		bound, err := n.b.ListenUDP(netip.AddrPortFrom(n.addrB, 53), BindOptions{})
		n.must(err)
		connected, err := n.b.ListenUDP(netip.AddrPortFrom(n.any, 0), BindOptions{})
		n.must(err)
		n.must(connected.Connect(netip.AddrPortFrom(n.addrA, 53)))
		n.must(n.b.AddAddr(Address{Prefix: n.net(n.addrC)}))
		n.must(n.b.RemoveAddr("", n.addrB))
		_, err = bound.WriteTo([]byte("x"), netip.AddrPortFrom(n.addrA, 53))
		n.want("a bound socket", err, syscall.ENETUNREACH)
		_, err = connected.Write([]byte("x"))
		n.want("a connected socket", err, syscall.ENETUNREACH)
		c := n.dial(80)
		time.Sleep(100 * time.Millisecond)
		n.state(c, tcp.SynSent)
		n.must(n.b.AddAddr(Address{Prefix: n.net(n.addrB)}))
		n.must(c.WaitConnect())
		_, err = bound.WriteTo([]byte("x"), netip.AddrPortFrom(n.addrA, 53))
		n.must(err)
		c.Abort()
		n.must(l.Close())
		n.must(bound.Close())
		n.must(connected.Close())
	})
}

func bindError(h *Host, a netip.Addr) error {
	b, err := h.BindTCP(netip.AddrPortFrom(a, 0), BindOptions{})
	if err == nil {
		_ = b.Close()
	}
	return err
}

func TestAddAddr(t *testing.T) {
	inNetwork(t, "errors", sim.Config{}, func(n *network) {
		bits := n.addrA.BitLen()
		for _, tt := range []struct {
			name string
			a    Address
			want syscall.Errno
		}{
			{"none", Address{}, syscall.EINVAL},
			{"loopback", Address{Prefix: netip.PrefixFrom(netip.IPv6Loopback(), 128)}, syscall.EINVAL},
			{"unspecified", Address{Prefix: netip.PrefixFrom(n.any, 0)}, syscall.EINVAL},
			{"multicast", Address{Prefix: netip.MustParsePrefix("224.0.0.9/24")}, syscall.EINVAL},
			{"preferred for longer than valid", Address{Prefix: n.net(n.addrC), PreferredFor: 2, ValidFor: 1}, syscall.EINVAL},
			{"preferred for ever, and valid not", Address{Prefix: n.net(n.addrC), ValidFor: 1}, syscall.EINVAL},
			{"negative", Address{Prefix: n.net(n.addrC), ValidFor: -1}, syscall.EINVAL},
			{"no such device", Address{Prefix: n.net(n.addrC), Device: "eth9"}, syscall.ENODEV},
			{"there already", Address{Prefix: n.net(n.addrA)}, syscall.EEXIST},
			{"there already, with another length", Address{Prefix: netip.PrefixFrom(n.addrA, bits)}, syscall.EEXIST},
		} {
			n.want(tt.name, n.a.AddAddr(tt.a), tt.want)
		}
		n.want("replaced with another length", n.a.ReplaceAddr(Address{Prefix: netip.PrefixFrom(n.addrA, bits)}), syscall.EINVAL)
		n.want("remove an address that is not there", n.a.RemoveAddr("", n.addrB), syscall.EADDRNOTAVAIL)
		n.want("remove from another device", n.a.RemoveAddr("eth9", n.addrA), syscall.EADDRNOTAVAIL)
		n.must(n.a.Attach(n.wire.Port(), Interface{}))
		n.want("two devices, and none named", n.a.AddAddr(Address{Prefix: n.net(n.addrC)}), syscall.EINVAL)
		names := n.a.InterfaceNames()
		n.want("on another device", n.a.AddAddr(Address{Prefix: n.net(n.addrA), Device: names[2]}), syscall.EADDRINUSE)
		n.must(n.a.AddAddr(Address{Prefix: n.net(n.addrC), Device: names[2]}))
	})
	inNetwork(t, "lifetimes", sim.Config{}, func(n *network) {
		a := Address{Prefix: n.net(n.addrC), PreferredFor: time.Minute, ValidFor: 2 * time.Minute}
		n.must(n.a.AddAddr(a))
		state := func() string {
			for _, own := range n.a.Addresses() {
				if own.Prefix == a.Prefix {
					return fmt.Sprintf("%v %v %v", own.State, own.PreferredFor, own.ValidFor)
				}
			}
			return "gone"
		}
		time.Sleep(50 * time.Second)
		settle()
		if got := state(); got != "preferred 10s 1m10s" {
			n.Error(got)
		}
		n.must(n.a.ReplaceAddr(a))
		if got := state(); got != "preferred 1m0s 2m0s" {
			n.Error(got)
		}
		time.Sleep(time.Minute)
		settle()
		if got := state(); got != "deprecated -1ns 1m0s" {
			n.Error(got)
		}
		time.Sleep(time.Minute)
		settle()
		if got := state(); got != "gone" {
			n.Error(got)
		}
		a.PreferredFor = -1
		n.must(n.a.ReplaceAddr(a))
		if got := state(); n.any.Is4() && got != "deprecated -1ns 2m0s" {
			n.Error(got)
		}
		n.must(n.a.ReplaceAddr(Address{Prefix: a.Prefix}))
		time.Sleep(time.Hour)
		settle()
		if got := state(); got != "preferred 0s 0s" {
			n.Error(got)
		}
	})
}

// TestSubscribe checks the changes that a subscriber is told of, one by one.
func TestSubscribe(t *testing.T) {
	inNetwork4(t, "changes", sim.Config{}, func(n *network) {
		ctx, cancel := context.WithCancel(n.Context())
		changes := n.a.Subscribe(ctx)
		told := func(want ...string) {
			n.Helper()
			settle()
			var got []string
			for len(changes) > 0 {
				switch c := <-changes; c.Kind {
				case InterfaceChanged:
					got = append(got, fmt.Sprintf("%v: %s %v %d", c.Kind, c.Interface.Name, c.Interface.State, c.Interface.MTU))
				case AddrAdded, AddrChanged, AddrRemoved:
					got = append(got, fmt.Sprintf("%v: %v %v", c.Kind, c.Addr.Prefix, c.Addr.State))
				case RouteAdded, RouteRemoved:
					got = append(got, fmt.Sprintf("%v: %v", c.Kind, c.Route.Dst))
				case ChangesLost:
					got = append(got, c.Kind.String())
				}
			}
			if !slices.Equal(got, want) {
				n.Errorf("told %q, want %q", got, want)
			}
		}
		n.must(n.a.AddAddr(Address{Prefix: netip.MustParsePrefix("192.0.2.1/24"), PreferredFor: time.Second, ValidFor: time.Minute}))
		told("address added: 192.0.2.1/24 preferred", "route added: 192.0.2.0/24")
		time.Sleep(time.Second)
		told("address changed: 192.0.2.1/24 deprecated")
		n.must(n.a.SetGateway(netip.MustParseAddr("192.0.2.9")))
		told("route added: 0.0.0.0/0")
		n.must(n.a.RemoveRoute(Route{Dst: netip.MustParsePrefix("0.0.0.0/0")}))
		told("route removed: 0.0.0.0/0")
		n.must(n.a.RemoveAddr("", netip.MustParseAddr("192.0.2.1")))
		told("route removed: 192.0.2.0/24", "address removed: 192.0.2.1/24 deprecated")
		dev := newSizedDevice("mem9", 1500)
		n.must(n.a.Attach(dev, Interface{Addrs: []netip.Prefix{netip.MustParsePrefix("198.51.100.1/24")}}))
		told("interface changed: mem9 up 1500", "address added: 198.51.100.1/24 preferred", "route added: 198.51.100.0/24")
		dev.resize(1400)
		told("interface changed: mem9 up 1400")
		n.must(n.a.Detach("mem9"))
		told("route removed: 198.51.100.0/24", "address removed: 198.51.100.1/24 preferred", "interface changed: mem9 detached 1400")

		for range changesQueued {
			n.must(n.a.AddAddr(Address{Prefix: netip.MustParsePrefix("192.0.2.1/32")}))
			n.must(n.a.RemoveAddr("", netip.MustParseAddr("192.0.2.1")))
		}
		settle()
		if len(changes) != changesQueued {
			n.Errorf("%d changes wait", len(changes))
		}
		var last Change
		for len(changes) > 0 {
			last = <-changes
		}
		if last.Kind != ChangesLost {
			n.Errorf("the last one is %v", last.Kind)
		}
		n.must(n.a.AddAddr(Address{Prefix: netip.MustParsePrefix("192.0.2.1/32")}))
		told("address added: 192.0.2.1/32 preferred", "route added: 192.0.2.1/32")
		cancel()
		settle()
		if _, open := <-changes; open {
			n.Error("the channel is open after its context's end")
		}
		late := n.a.Subscribe(n.Context())
		n.must(n.a.Close())
		if _, open := <-late; open {
			n.Error("the channel is open after Close")
		}
		if _, open := <-n.a.Subscribe(n.Context()); open {
			n.Error("a closed host has an open channel")
		}
	})
}

// sizedDevice is a device whose MTU changes.
type sizedDevice struct {
	*memDevice
	watch func(mtu int)
}

func newSizedDevice(name string, mtu int) *sizedDevice {
	return &sizedDevice{memDevice: newMemDevice(link.Info{Name: name, Kind: link.IP, MTU: mtu})}
}

func (d *sizedDevice) WatchMTU(f func(mtu int)) { d.watch = f }
func (d *sizedDevice) resize(mtu int)           { d.watch(mtu) }

func TestChangedMTU(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		dev := newSizedDevice("mem0", 1500)
		addrs := []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24"), netip.MustParsePrefix("fd00::2/64")}
		if err := h.Attach(dev, Interface{Addrs: addrs, MTU: 1450}); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct{ device, want, addrs int }{{1400, 1400, 3}, {9000, 1450, 3}, {1280, 1280, 3}, {1279, 1279, 1}, {0, 68, 1}, {1500, 1450, 1}} {
			dev.resize(tt.device)
			info := h.Interfaces()[1]
			r, err := h.ip.HostRoute(netip.Addr{}, netip.MustParseAddr("10.0.0.9"))
			if err != nil || r.MTU() != tt.want || info.MTU != tt.want || len(info.Addrs) != tt.addrs {
				t.Errorf("device's MTU %d: %+v, %v; want MTU %d and %d addresses", tt.device, info, err, tt.want, tt.addrs)
			}
		}
	})
}

func TestDetach(t *testing.T) {
	inNetwork(t, "a device goes and comes", sim.Config{}, func(n *network) {
		client, server := n.connect()
		name := n.a.InterfaceNames()[1]
		n.must(n.a.Detach(name))
		n.want("detached twice", n.a.Detach(name), syscall.ENODEV)
		n.write(client, "waits")
		if _, err := n.a.ConnectTCP(nil, netip.AddrPortFrom(n.addrB, 80), tcp.DefaultOptions()); err != syscall.ENETUNREACH {
			n.Errorf("a dial without a device: %v, want ENETUNREACH", err)
		}
		if n.a.over() || len(n.a.Addrs()) != 0 || len(n.a.Routes()) != 0 {
			n.Errorf("host is over: %t, addresses %v, routes %v", n.a.over(), n.a.Addrs(), n.a.Routes())
		}
		time.Sleep(time.Second)
		n.must(n.a.Attach(n.wire.Port(), Interface{Addrs: []netip.Prefix{n.net(n.addrA)}}))
		n.reads(server, "waits")
		n.write(server, "back")
		n.reads(client, "back")
		if got := n.a.Interfaces(); len(got) != 3 || got[1].State != InterfaceDetached || got[2].State != InterfaceUp {
			n.Errorf("interfaces %+v", got)
		}
		client.Abort()
		settle()
		server.Abort()
	})
	inNetwork(t, "errors", sim.Config{}, func(n *network) {
		n.want("no such device", n.a.Detach("eth9"), syscall.ENODEV)
		n.want("loopback", n.a.Detach("lo"), syscall.ENODEV)
		n.must(n.a.Attach(n.wire.Port(), Interface{}))
		n.want("none named of two", n.a.Detach(""), syscall.EINVAL)
	})
}

// TestMetric checks which of several routes to one network is taken.
func TestMetric(t *testing.T) {
	inNetwork(t, "routes", sim.Config{}, func(n *network) {
		n.must(n.a.Attach(newMemDevice(link.Info{Name: "mem1", Kind: link.IP, MTU: 1500}), Interface{Addrs: []netip.Prefix{n.net(n.nobody.Next())}}))
		all, _ := n.any.Prefix(0)
		far := netip.MustParseAddr("198.51.100.1")
		if n.any.Is6() {
			far = netip.MustParseAddr("2001:db8::1")
		}
		first := n.a.InterfaceNames()[1]
		n.must(n.a.AddRoutes(Route{Dst: all, Device: "mem1", Metric: 20}))
		n.must(n.a.AddRoutes(Route{Dst: all, Device: first, Metric: 10}))
		n.want("the same metric", n.a.AddRoutes(Route{Dst: all, Device: first, Metric: 10}), syscall.EEXIST)
		over := func(want string) {
			n.Helper()
			r, err := n.a.ip.HostRoute(netip.Addr{}, far)
			got := "none"
			if err == nil {
				got = r.Interface().Name()
			}
			if got != want {
				n.Errorf("over %s, want %s", got, want)
			}
		}
		over(first)
		n.must(n.a.RemoveRoute(Route{Dst: all, Metric: 10}))
		over("mem1")
		n.want("no such metric", n.a.RemoveRoute(Route{Dst: all, Metric: 10}), syscall.ESRCH)
		n.must(n.a.RemoveRoute(Route{Dst: all, Device: "mem1"}))
		over("none")
	})
}
