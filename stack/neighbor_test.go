package stack

import (
	"net/netip"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/tcp"
)

// A neighbour that answers is asked once in five seconds, however often connections doubt it.
func TestDoubtfulNeighbor(t *testing.T) {
	withPeer(t, Config{}, func(b *bed) {
		r, err := b.h.ip.HostRoute(ourIP, peerIP)
		if err != nil {
			t.Fatal(err)
		}
		b.h.udp.send(r, 7, 7, nil, 0, udpOptions{}) // the route learns its neighbour
		b.h.flush()
		b.take()
		poll := arpFrame(peerMAC, ourMAC, wire.ARP{Op: wire.ARPRequest, SenderMAC: ourMAC, SenderIP: ourIP.As4(),
			TargetIP: peerIP.As4()})
		for range 3 {
			for i := range 20 {
				r.Doubt(b.h.clock.Now())
				b.h.flush()
				if i > 0 {
					b.want()
				} else {
					b.want(poll)
					b.inject(reply(peerIP, peerMAC))
				}
				time.Sleep(delayFirstProbe / 20)
			}
		}
	})
}

// Segments that make room at the cost of datagrams, when many packets wait for their neighbours, leave the datagrams
// that come later their places.
func TestHeldCounts(t *testing.T) {
	onBed(t, Config{}, func(b *bed) {
		s := b.listenUDP("10.0.0.2:7")
		datagrams := func(n int) {
			for range n {
				b.writeTo(s, []byte("x"), netip.AddrPortFrom(peerIP, 7))
			}
		}
		segments := func(n int, to netip.Addr) {
			for range n {
				if _, err := b.h.ConnectTCP(nil, netip.AddrPortFrom(to, 80), tcp.DefaultOptions()); err != nil {
					t.Fatal(err)
				}
			}
		}
		datagrams(heldPerNeighbor)
		segments(900, peerIP)
		segments(heldTotal-heldPerNeighbor-900, otherIP)
		b.wantDrop(DropNeighborQueue, 0)
		segments(heldPerNeighbor, peerIP) // in the place of the datagrams, the oldest that wait
		b.wantDrop(DropNeighborQueue, heldPerNeighbor)
		b.inject(reply(otherIP, otherMAC)) // so that there is room again
		datagrams(60)
		b.wantDrop(DropNeighborQueue, heldPerNeighbor)
		b.take()
		b.inject(reply(peerIP, peerMAC))
		var count [256]int
		for _, f := range b.take() {
			ip, _ := b.parsed4(f)
			count[ip.Protocol]++
		}
		if count[wire.ProtocolUDP] != 60 || count[wire.ProtocolTCP] != 900+heldPerNeighbor {
			t.Errorf("after the reply %d datagrams and %d segments left, want 60 and %d", count[wire.ProtocolUDP],
				count[wire.ProtocolTCP], 900+heldPerNeighbor)
		}
	})
}
