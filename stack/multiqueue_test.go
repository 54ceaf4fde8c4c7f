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
	synctest.Test(t, func(t *testing.T) {
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
		if err := h.Attach(dev, Interface{Addrs: []netip.Prefix{ourNet}}); err != nil {
			t.Fatal(err)
		}
		queues := []*memDevice{dev.memDevice, dev.second}
		home := map[uint16]int{} // the queue of each flow
		for round := range 3 {
			for port := range uint16(200) {
				in := queues[(int(port)+round)%2] // it comes on either
				b := &bed{T: t, h: h, dev: in}
				b.inject(ip4(fromPeer(wire.ProtocolTCP),
					tcp4(peerIP, ourIP, wire.TCP{SrcPort: port + 1, DstPort: 80, Flags: wire.TCPSyn}, nil)))
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
	})
}

func TestRouteCache(t *testing.T) {
	onBed(t, Config{}, func(b *bed) {
		// A few hundred pairs are all remembered, so that connections share their routes.
		again := 0
		routes := map[string]*ip.Route{}
		for range 2 {
			for i := range 400 {
				a := netip.AddrFrom4([4]byte{10, 0, 0, byte(3 + i%250)})
				local := ourIP
				if i >= 250 {
					local = netip.Addr{}
				}
				r, err := b.h.ip.HostRoute(local, a)
				if err != nil {
					t.Fatal(err)
				}
				key := fmt.Sprint(local, a)
				if routes[key] == r {
					again++
				}
				routes[key] = r
			}
		}
		if again < 360 {
			t.Errorf("%d of 400 routes were remembered", again)
		}
		old := routes[fmt.Sprint(ourIP, peerIP.Next().Next())]
		if err := b.h.AddRoute(netip.MustParsePrefix("10.0.0.128/25"), peerIP); err != nil {
			t.Fatal(err)
		}
		if r, err := b.h.ip.HostRoute(ourIP, netip.MustParseAddr("10.0.0.200")); err != nil || r.NextHop() != peerIP {
			t.Errorf("after AddRoute the next hop is %v, %v; want the gateway", r.NextHop(), err)
		}
		if r, err := b.h.ip.HostRoute(ourIP, peerIP.Next().Next()); err != nil || r == old {
			t.Errorf("a route of before is still given out, or %v", err)
		}
		want := []Route{{Dst: netip.MustParsePrefix("10.0.0.128/25"), Via: peerIP}, {Dst: ourNet.Masked()}}
		if got := b.h.Routes(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("routes %v, want %v", got, want)
		}
		for _, tt := range []struct {
			dst string
			via netip.Addr
			err error
		}{
			{"0.0.0.0/0", netip.MustParseAddr("fe80::1"), syscall.EINVAL},
			{"::/0", peerIP, syscall.EINVAL},
			{"::/0", netip.MustParseAddr("fe80::1"), syscall.ENETUNREACH},
			{"0.0.0.0/0", netip.MustParseAddr("10.0.0.200"), syscall.ENETUNREACH}, // behind a gateway itself
			{"0.0.0.0/0", ourIP, syscall.ENETUNREACH},
		} {
			if err := b.h.AddRoute(netip.MustParsePrefix(tt.dst), tt.via); err != tt.err {
				t.Errorf("AddRoute(%s, %v) = %v, want %v", tt.dst, tt.via, err, tt.err)
			}
		}
	})
}
