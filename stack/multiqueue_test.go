package stack

import (
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/ip"
	"github.com/unet-go/unet/stack/link"
)

// twoQueues is a device of two queues.
type twoQueues struct {
	*memDevice
	second *memDevice
}

func (d twoQueues) Queues() []link.Device { return []link.Device{d.memDevice, d.second} }

func (d twoQueues) Close() error {
	if err := d.second.Close(); err != nil {
		return err
	}
	return d.memDevice.Close()
}

func TestMultiQueue(t *testing.T) {
	for _, of := range []family{ipv4, ipv6} {
		t.Run("a flow stays on its queue"+of.of, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { staysOnQueue(t, of) }) })
	}
}

func staysOnQueue(t *testing.T, of family) {
	h, err := New(Config{ICMPRate: -1, ResetRate: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}()
	info := link.Info{Name: "tun0", Kind: link.IP, MTU: 1500}
	dev := twoQueues{newMemDevice(info), newMemDevice(info)}
	if err := h.Attach(dev, Interface{Addrs: []netip.Prefix{of.net()}}); err != nil {
		t.Fatal(err)
	}
	queues := []*memDevice{dev.memDevice, dev.second}
	home := map[uint16]int{} // the queue of each flow
	for round := range 3 {
		for port := range uint16(200) {
			in := queues[(int(port)+round)%2] // it comes on either
			b := &bed{T: t, family: of, h: h, dev: in}
			b.inject(b.tcpIn(wire.TCP{SrcPort: port + 1, DstPort: 80, Flags: wire.TCPSyn}, nil))
			for i, q := range queues {
				b.dev = q
				for range b.take() {
					if was, ok := home[port]; ok && was != i {
						t.Fatalf("flow %d moved from queue %d to %d", port, was, i)
					}
					home[port] = i
				}
			}
		}
	}
	var count [2]int
	for _, i := range home {
		count[i]++
	}
	if count[0] < 50 || count[1] < 50 || count[0]+count[1] != 200 {
		t.Errorf("flows on the queues: %v", count)
	}
}

func TestRouteCache(t *testing.T) {
	onBeds(t, "routes are remembered until they change", Config{}, func(b *bed) {
		// host is a neighbour by the end of its address.
		host := func(last byte) netip.Addr {
			a := b.ours().AsSlice()
			a[len(a)-1] = last
			addr, _ := netip.AddrFromSlice(a)
			return addr
		}
		// A few hundred pairs are all remembered, so that connections share their routes.
		again := 0
		routes := map[string]*ip.Route{}
		for range 2 {
			for i := range 400 {
				a := host(byte(3 + i%250))
				local := b.ours()
				if i >= 250 {
					local = netip.Addr{}
				}
				r, err := b.h.ip.HostRoute(local, a)
				if err != nil {
					b.Fatal(err)
				}
				key := fmt.Sprint(local, a)
				if routes[key] == r {
					again++
				}
				routes[key] = r
			}
		}
		if again < 360 {
			b.Errorf("%d of 400 routes were remembered", again)
		}
		old := routes[fmt.Sprint(b.ours(), b.peer().Next().Next())]
		half := netip.PrefixFrom(host(128), b.ours().BitLen()-7)
		if err := b.h.AddRoute(half, b.peer()); err != nil {
			b.Fatal(err)
		}
		if r, err := b.h.ip.HostRoute(b.ours(), host(200)); err != nil || r.NextHop() != b.peer() {
			b.Errorf("after AddRoute the next hop is %v, %v; want the gateway", r.NextHop(), err)
		}
		if r, err := b.h.ip.HostRoute(b.ours(), b.peer().Next().Next()); err != nil || r == old {
			b.Errorf("a route of before is still given out, or %v", err)
		}
		want := []Route{{Dst: half, Via: b.peer()}, {Dst: b.net().Masked()}}
		if b.any.Is6() {
			want = append(want, Route{Dst: netip.MustParsePrefix("fe80::/64")})
		}
		if got := b.h.Routes(); fmt.Sprint(got) != fmt.Sprint(want) {
			b.Errorf("routes %v, want %v", got, want)
		}
		all, others := netip.PrefixFrom(b.any, 0), netip.MustParsePrefix("::/0")
		stranger := netip.MustParseAddr("fe80::1")
		if b.any.Is6() {
			others, stranger = netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("192.0.2.1")
		}
		for _, tt := range []struct {
			dst netip.Prefix
			via netip.Addr
			err error
		}{
			{all, stranger, syscall.EINVAL},
			{others, b.peer(), syscall.EINVAL},
			{others, stranger, syscall.ENETUNREACH},
			{all, host(200), syscall.ENETUNREACH}, // behind a gateway itself
			{all, b.ours(), syscall.ENETUNREACH},
		} {
			if err := b.h.AddRoute(tt.dst, tt.via); err != tt.err {
				b.Errorf("AddRoute(%s, %v) = %v, want %v", tt.dst, tt.via, err, tt.err)
			}
		}
	})
}
