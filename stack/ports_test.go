package stack

import (
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

func TestEphemeralPorts(t *testing.T) {
	withPeers(t, "E-PORT-1 D-PORT-1 ports are unique for each four-tuple only, and when none is free that is told at once", Config{}, func(b *bed) {
		const destinations = 3
		dial := func(port uint16) (*TCPConn, error) {
			return b.h.ConnectTCP(nil, b.there(port), tcp.DefaultOptions())
		}
		var conns []*TCPConn
		for port := range uint16(destinations) {
			seen := make(map[uint16]bool)
			for i := range ephemeralPorts {
				c, err := dial(1 + port)
				if err != nil {
					b.Fatalf("dial %d of destination %d: %v", i+1, port, err)
				}
				p := c.Local().Port()
				if seen[p] || p < firstEphemeral || p >= firstEphemeral+ephemeralPorts {
					b.Fatalf("port %d a second time, or out of range", p)
				}
				seen[p] = true
				conns = append(conns, c)
			}
			b.take()
		}
		if n := b.h.Stats().TCPGauges.Connections(); n != destinations*ephemeralPorts || n <= 65535 {
			b.Errorf("%d connections", n)
		}
		// Each further one fails at once and leaves nothing, and a port that is free again is found.
		before := b.h.Stats().TCPGauges
		for i := range 3 {
			began := time.Now()
			if _, err := dial(1); err != syscall.EADDRNOTAVAIL || time.Since(began) != 0 {
				b.Errorf("dial %d: %v, after %v", ephemeralPorts+1+i, err, time.Since(began))
			}
		}
		if sent, g := b.take(), b.h.Stats().TCPGauges; len(sent) != 0 || g != before {
			b.Errorf("dials that failed sent %d packets and left %+v, before %+v", len(sent), g, before)
		}
		freed := conns[777].Local().Port()
		conns[777].Abort()
		c, err := dial(1)
		if err != nil || c.Local().Port() != freed {
			b.Errorf("dial after one has gone: %v", err)
		}
	})
	inNetwork4(t, "E-PORT-2 a bound port is reserved, also from dials, and released on close", sim.Config{}, func(n *network) {
		seen := make(map[uint16]bool)
		var bindings []*Binding
		for range 1000 {
			b, err := n.a.BindTCP(netip.AddrPort{}, BindOptions{})
			n.must(err)
			p := b.Local().Port()
			if seen[p] {
				n.Fatalf("port %d twice", p)
			}
			seen[p] = true
			bindings = append(bindings, b)
		}
		for range 1000 {
			if c := n.dial(80); seen[c.Local().Port()] {
				n.Fatalf("dialled from bound port %v", c.Local())
			}
		}
		for _, b := range bindings {
			n.must(b.Close())
		}
	})
}

// The ports of one destination tell nothing about those of another, and no counter is shared by all.
func TestPortScan(t *testing.T) {
	t.Run("D-6056-1 ports of different destinations are unrelated", scanManyDestinations)
}

func scanManyDestinations(t *testing.T) {
	var ports portTable
	ports.init()
	first := make(map[uint16]int)
	var buckets [16]int
	const dials = 16000
	last, steps := 0, 0
	for i := range dials {
		k := makeKey(netip.AddrPortFrom(addrA, 0), netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}), 80), 0)
		scan := ports.scan(&k)
		p, ok := scan.next()
		if !ok {
			t.Fatal("no port")
		}
		scan.found()
		first[p]++
		buckets[int(p-firstEphemeral)*len(buckets)/ephemeralPorts]++
		if d := int(p) - last; d == 1 || d == 2 {
			steps++
		}
		last = int(p)
	}
	// Chi-square with 15 degrees of freedom stays below 50 but once in 10^5.
	chi, mean := 0.0, float64(dials)/float64(len(buckets))
	for _, n := range buckets {
		chi += (float64(n) - mean) * (float64(n) - mean) / mean
	}
	if chi > 50 {
		t.Errorf("chi-square %.1f over %v", chi, buckets)
	}
	if steps > 20 {
		t.Errorf("%d dials of %d took the next port but one at most", steps, dials)
	}
}

func TestBind(t *testing.T) {
	any4, any6 := "0.0.0.0:80", "[::]:80"
	type bind struct {
		addr string
		opt  BindOptions
	}
	reuse, share, only6 := BindOptions{ReuseAddr: true}, BindOptions{ReusePort: true}, BindOptions{V6Only: true}
	inNetwork4(t, "E-OPT-3 what a bind conflicts with", sim.Config{}, func(n *network) {
		for _, x := range []struct {
			first, second bind
			listen        bool
			want          syscall.Errno
		}{
			{first: bind{addr: any4}, second: bind{addr: any4}, want: syscall.EADDRINUSE},
			{first: bind{addr: any4}, second: bind{addr: "10.0.0.1:80"}, want: syscall.EADDRINUSE},
			{first: bind{addr: "10.0.0.1:80"}, second: bind{addr: any4}, want: syscall.EADDRINUSE},
			{first: bind{addr: "10.0.0.1:80"}, second: bind{addr: "127.0.0.1:80"}},
			{first: bind{addr: "10.0.0.1:80"}, second: bind{addr: "10.0.0.1:81"}},
			{first: bind{addr: any6}, second: bind{addr: any4}, want: syscall.EADDRINUSE},
			{first: bind{addr: any4}, second: bind{addr: any6}, want: syscall.EADDRINUSE},
			{first: bind{addr: any6, opt: only6}, second: bind{addr: any4}},
			{first: bind{addr: any4}, second: bind{addr: any6, opt: only6}},
			{first: bind{addr: any4, opt: reuse}, second: bind{addr: any4, opt: reuse}},
			{first: bind{addr: any4, opt: reuse}, second: bind{addr: any4, opt: reuse}, listen: true, want: syscall.EADDRINUSE},
			{first: bind{addr: any4, opt: reuse}, second: bind{addr: any4}, want: syscall.EADDRINUSE},
			{first: bind{addr: any4, opt: share}, second: bind{addr: any4, opt: share}, listen: true},
			{first: bind{addr: any4, opt: share}, second: bind{addr: any4, opt: reuse}, want: syscall.EADDRINUSE},
			{first: bind{addr: any4}, second: bind{addr: "10.0.0.99:80"}, want: syscall.EADDRNOTAVAIL},
			{first: bind{addr: any4}, second: bind{addr: "224.0.0.1:80"}, want: syscall.EADDRNOTAVAIL},
		} {
			first, err := n.a.BindTCP(netip.MustParseAddrPort(x.first.addr), x.first.opt)
			n.must(err)
			end := first.Close
			if x.listen {
				l, err := n.a.ListenTCP(first, 1, tcp.DefaultOptions())
				n.must(err)
				n.want("Close of a binding that was taken", first.Close(), syscall.EBADF)
				end = l.Close
			}
			second, err := n.a.BindTCP(netip.MustParseAddrPort(x.second.addr), x.second.opt)
			if errno, _ := err.(syscall.Errno); errno != x.want {
				n.Errorf("%+v, then %+v: %v, want %v", x.first, x.second, err, x.want)
			}
			if second != nil {
				n.must(second.Close())
			}
			n.must(end())
		}
	})
	inNetwork4(t, "E-OPT-1 SO_REUSEADDR binds over TIME-WAIT and not over a listener", sim.Config{}, func(n *network) {
		client, server := n.connect() // the listener is closed again
		n.must(server.Close())
		n.must(client.Close())
		settle()
		addr := netip.AddrPortFrom(addrB, 80)
		_, err := n.b.BindTCP(addr, BindOptions{})
		n.want("without", err, syscall.EADDRINUSE)
		b, err := n.b.BindTCP(addr, reuse)
		n.must(err)
		_, err = n.b.ListenTCP(b, 1, tcp.DefaultOptions())
		n.must(err)
		_, err = n.b.BindTCP(addr, reuse)
		n.want("over a listener", err, syscall.EADDRINUSE)
	})
	inNetwork4(t, "two sockets bound by SO_REUSEADDR do not both listen", sim.Config{}, func(n *network) {
		first, second := n.bind(n.a, 80), n.bind(n.a, 80)
		_, err := n.a.ListenTCP(first, 1, tcp.DefaultOptions())
		n.must(err)
		_, err = n.a.ListenTCP(second, 1, tcp.DefaultOptions())
		n.want("listen", err, syscall.EADDRINUSE)
		n.must(second.Close())
	})
	inNetwork4(t, "E-OPT-2 listeners that share a port share its connections", sim.Config{}, func(n *network) {
		const listeners, dials = 4, 2000
		var all []*Listener
		for range listeners {
			b, err := n.b.BindTCP(netip.MustParseAddrPort(any4), share)
			n.must(err)
			l, err := n.b.ListenTCP(b, dials, tcp.DefaultOptions())
			n.must(err)
			all = append(all, l)
		}
		n.dial(80) // so that the neighbour is known: few packets wait while it is not (B-ARP-7)
		settle()
		for range dials {
			n.dial(80)
		}
		settle()
		for i, l := range all {
			got := 0
			for {
				if _, err := l.TryAccept(); err != nil {
					break
				}
				got++
			}
			if got < dials/listeners*8/10 || got > dials/listeners*12/10 {
				n.Errorf("listener %d: %d of %d", i, got, dials)
			}
		}
	})
}
