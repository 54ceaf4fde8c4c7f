package stack

import (
	"context"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

// TestEndWaitsForNeighbors ends a host while packets wait for the link address of their neighbour.
func TestEndWaitsForNeighbors(t *testing.T) {
	wire := sim.Config{Delay: wireDelay}
	closes := func(n *network) { n.must(n.b.Close()) }
	shuts := func(n *network) { n.must(n.b.Shutdown(context.Background())) }
	takes := func(n *network, end func(n *network), want time.Duration) {
		n.Helper()
		began := time.Now()
		end(n)
		if took := time.Since(began); took != want {
			n.Errorf("it took %v, want %v", took, want)
		}
	}
	datagrams := func(n *network, count, size int, to netip.Addr) {
		n.Helper()
		u, err := n.b.ListenUDP(netip.AddrPortFrom(n.addrB, 0), BindOptions{})
		n.must(err)
		for range count {
			_, err = u.WriteTo(make([]byte, size), netip.AddrPortFrom(to, 7))
			n.must(err)
		}
	}
	dropped := func(n *network, reason Drop, want uint64) {
		n.Helper()
		if got := n.b.Stats().Dropped[reason]; got != want {
			n.Errorf("%v: %d, want %d", reason, got, want)
		}
	}
	for _, end := range []struct {
		name   string
		act    func(n *network)
		silent time.Duration // for a neighbour that does not answer
		drops  Drop
	}{
		{"Close", closes, lastWrites, DropClosing},
		{"Shutdown", shuts, resolveTries * retransInterval, DropNeighborFailed},
	} {
		for _, size := range []int{1, 5000} {
			inNetwork4(t, end.name+": datagrams written just before", wire, func(n *network) {
				u, err := n.a.ListenUDP(netip.AddrPortFrom(n.addrA, 7), BindOptions{})
				n.must(err)
				datagrams(n, 3, size, n.addrA)
				takes(n, end.act, 2*wireDelay)
				time.Sleep(wireDelay)
				settle()
				for i := range 3 {
					if k, _, _, err := u.TryReadFrom(make([]byte, size)); k != size || err != nil {
						n.Errorf("datagram %d of %d octets: %d, %v", i, size, k, err)
					}
				}
			})
		}
		inNetwork4(t, end.name+": a neighbour that does not answer, and one that does later", wire, func(n *network) {
			u, err := n.a.ListenUDP(netip.AddrPortFrom(n.addrA, 7), BindOptions{})
			n.must(err)
			datagrams(n, 1, 1, netip.MustParseAddr("10.0.0.3"))
			time.Sleep(300 * time.Millisecond)
			n.cable(n.a).Unplug(true)
			datagrams(n, 1, 1, n.addrA)
			time.AfterFunc(500*time.Millisecond, func() { n.cable(n.a).Unplug(false) })
			time.Sleep(400 * time.Millisecond) // 0.3 s before the next request to 10.0.0.3, 0.6 s before the next one to a
			takes(n, end.act, min(end.silent, resolveTries*retransInterval-700*time.Millisecond))
			dropped(n, end.drops, 1)
			time.Sleep(wireDelay)
			settle()
			if _, _, _, err := u.TryReadFrom(make([]byte, 1)); err != nil {
				n.Errorf("the datagram: %v", err)
			}
		})
	}
	inNetwork4(t, "Close: the RST of connections whose peer was silent for long", wire, func(n *network) {
		idle, server := n.connect()
		time.Sleep(time.Hour)
		takes(n, closes, 2*wireDelay)
		time.Sleep(wireDelay)
		settle()
		n.must(idle.SetReadDeadline(time.Now().Add(time.Second)))
		n.reads(idle, syscall.ECONNRESET.Error())
		n.must(idle.Close())
		n.must(server.Close())
	})
	inNetwork4(t, "Close: text and FIN in front of the RST of the host", wire, func(n *network) {
		client, server := n.connect()
		time.Sleep(time.Hour)
		n.write(server, "last words")
		n.must(server.Close())
		takes(n, closes, 2*wireDelay)
		time.Sleep(wireDelay)
		settle()
		n.must(client.SetReadDeadline(time.Now().Add(time.Second)))
		n.reads(client, "last words", "EOF")
		n.must(client.Close())
	})
	inNetwork4(t, "Shutdown: text and FIN to who was silent for long", wire, func(n *network) {
		client, server := n.connect()
		time.Sleep(time.Hour)
		n.write(server, "last words")
		n.must(server.Close())
		takes(n, shuts, 4*wireDelay)
		n.must(client.SetReadDeadline(time.Now().Add(time.Second)))
		n.reads(client, "last words", "EOF")
		n.must(client.Close())
	})
	inNetwork4(t, "Close: a SYN's neighbour does not answer", wire, func(n *network) {
		c, err := n.b.ConnectTCP(nil, netip.AddrPortFrom(netip.MustParseAddr("10.0.0.3"), 80), tcp.DefaultOptions())
		n.must(err)
		takes(n, closes, lastWrites)
		n.want("error", c.TakeError(), syscall.ECONNABORTED)
	})
	inNetwork4(t, "Shutdown: no longer than its context, and Close's second", wire, func(n *network) {
		datagrams(n, 1, 1, netip.MustParseAddr("10.0.0.3"))
		time.Sleep(100 * time.Millisecond)
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		takes(n, func(n *network) { n.must(n.b.Shutdown(ctx)) }, 500*time.Millisecond+lastWrites)
	})
	inNetwork4(t, "Shutdown: who goes on sending to silent neighbours does not keep it", wire, func(n *network) {
		u, err := n.b.ListenUDP(netip.AddrPortFrom(n.addrB, 0), BindOptions{})
		n.must(err)
		go func() {
			for i := byte(10); ; i = max(i+1, 10) {
				if _, err := u.WriteTo(nil, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, i}), 7)); err != nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		}()
		settle()
		takes(n, shuts, resolveTries*retransInterval+lastWrites)
	})
}

// A segment that comes while the host closes is dropped, and leaves no shard locked.
func TestSegmentMeetsClose(t *testing.T) {
	inNetwork4(t, "a SYN while Close waits for a neighbour", sim.Config{Delay: wireDelay}, func(n *network) {
		n.connect() // so that the hosts know each other's link address
		n.listen(n.b, 81, 4)
		u, err := n.b.ListenUDP(netip.AddrPortFrom(n.addrB, 0), BindOptions{})
		n.must(err)
		_, err = u.WriteTo([]byte("held"), netip.MustParseAddrPort("10.0.0.99:7"))
		n.must(err)
		closed := make(chan error, 1)
		began := time.Now()
		go func() { closed <- n.b.Close() }()
		settle()
		c := n.dial(81)
		time.Sleep(2 * wireDelay)
		settle()
		for i := range n.b.tcp.shards {
			s := &n.b.tcp.shards[i]
			if !s.mu.TryLock() {
				n.Errorf("shard %d is locked", i)
			}
			s.mu.Unlock()
		}
		n.state(c, tcp.SynSent)
		n.must(<-closed)
		if took := time.Since(began); took != lastWrites {
			n.Errorf("Close took %v, want %v", took, lastWrites)
		}
		c.Abort()
	})
}
