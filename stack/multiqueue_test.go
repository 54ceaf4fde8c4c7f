package stack

import (
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/unet-go/unet/internal/wire"
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

// What a queue is chosen by: the same numbers are in TestSpreadProgram of package tap, for the other direction.
func TestQueueOfFlow(t *testing.T) {
	queues := make([]txQueue, 1<<16) // so that the number is seen whole
	ifc := &iface{}
	for i := range queues {
		ifc.queues = append(ifc.queues, &queues[i])
	}
	for _, tt := range []struct {
		proto      uint8
		to         string
		ours, peer uint16
		want       int
	}{
		{wire.ProtocolTCP, "10.0.0.1", 80, 40000, 25430},
		{wire.ProtocolTCP, "10.0.0.1", 80, 40001, 397},
		{wire.ProtocolTCP, "10.0.0.1", 40000, 80, 47510},
		{wire.ProtocolTCP, "10.0.0.1", 443, 32768, 21027},
		{wire.ProtocolTCP, "192.0.2.1", 8080, 60999, 22293},
		{wire.ProtocolTCP, "10.0.0.1", 1, 65535, 21802},
		{wire.ProtocolUDP, "10.0.0.1", 7, 5, 55974},
		{wire.ProtocolUDP, "10.0.0.1", 53, 50000, 55974},
		{wire.ProtocolUDP, "10.0.0.3", 7, 5, 40503},
		{wire.ProtocolUDP, "10.0.0.9", 7, 5, 52322},
		{wire.ProtocolICMP, "192.0.2.77", 0, 0, 60433},
	} {
		r := &route{iface: ifc, local: ourIP, remote: netip.MustParseAddr(tt.to)}
		p := &outPacket{proto: tt.proto, header: []byte{byte(tt.ours >> 8), byte(tt.ours), byte(tt.peer >> 8), byte(tt.peer)}}
		if q := r.queueFor(p); q != &queues[tt.want] {
			t.Errorf("protocol %d to %s, ports %d and %d: not the queue %d", tt.proto, tt.to, tt.ours, tt.peer, tt.want)
		}
	}
}

// The flows of a queue that has failed go on over the next one that works; those of the others stay where they are.
func TestQueueOfFlowAfterFailures(t *testing.T) {
	const n = 4
	ifc := &iface{}
	for range n {
		ifc.queues = append(ifc.queues, new(txQueue))
	}
	r := &route{iface: ifc, local: ourIP, remote: peerIP}
	fail := func(gone uint) {
		for i, q := range ifc.queues {
			q.gone.Store(gone>>i&1 != 0)
		}
	}
	seen := map[int]bool{}
	for port := range byte(64) {
		p := &outPacket{proto: wire.ProtocolTCP, header: []byte{0, 80, 0x9c, port}}
		fail(0)
		first := slices.Index(ifc.queues, r.queueFor(p))
		seen[first] = true
		for gone := range uint(1 << n) {
			fail(gone)
			want := 0 // whatever it is: none works
			for i := range n {
				if at := (first + i) % n; gone>>at&1 == 0 {
					want = at
					break
				}
			}
			if got := slices.Index(ifc.queues, r.queueFor(p)); got != want {
				t.Errorf("port %d of queue %d, failed %04b: queue %d, want %d", 0x9c00+int(port), first, gone, got, want)
			}
		}
	}
	if len(seen) != n {
		t.Errorf("the flows are on queues %v", seen)
	}
}

func TestRouteCache(t *testing.T) {
	onBed(t, Config{}, func(b *bed) {
		// A few hundred pairs are all remembered, so that connections share their routes.
		again := 0
		routes := map[string]*route{}
		for range 2 {
			for i := range 400 {
				a := netip.AddrFrom4([4]byte{10, 0, 0, byte(3 + i%250)})
				local := ourIP
				if i >= 250 {
					local = netip.Addr{}
				}
				r, err := b.h.routeTo(local, a)
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
		if r, err := b.h.routeTo(ourIP, netip.MustParseAddr("10.0.0.200")); err != nil || r.nextHop != peerIP {
			t.Errorf("after AddRoute the next hop is %v, %v; want the gateway", r.nextHop, err)
		}
		if r, err := b.h.routeTo(ourIP, peerIP.Next().Next()); err != nil || r == old {
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
			{"::/0", netip.MustParseAddr("fe80::1"), syscall.EAFNOSUPPORT},
			{"0.0.0.0/0", netip.MustParseAddr("10.0.0.200"), syscall.ENETUNREACH}, // behind a gateway itself
			{"0.0.0.0/0", ourIP, syscall.ENETUNREACH},
		} {
			if err := b.h.AddRoute(netip.MustParsePrefix(tt.dst), tt.via); err != tt.err {
				t.Errorf("AddRoute(%s, %v) = %v, want %v", tt.dst, tt.via, err, tt.err)
			}
		}
	})
}
