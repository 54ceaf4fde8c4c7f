package stack

import (
	"bytes"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

// exchange sends n octets each way at once, so that text carries reports of what was lost and what came twice, and
// ends the connection. It checks what arrives.
func (n *network) exchange(client, server *TCPConn, octets int) {
	n.Helper()
	text := make([]byte, octets)
	for i := range text {
		text[i] = byte(i % 251)
	}
	var ends sync.WaitGroup
	for _, c := range []*TCPConn{client, server} {
		ends.Go(func() {
			for left := text; len(left) > 0; {
				k, err := c.Write(left[:min(len(left), 3000)])
				if err != nil {
					n.Errorf("Write with %d to go: %v", len(left), err)
					return
				}
				left = left[k:]
			}
			if err := c.CloseWrite(); err != nil {
				n.Errorf("CloseWrite: %v", err)
			}
		})
		ends.Go(func() {
			var got []byte
			for b := make([]byte, 1<<14); ; {
				k, err := c.Read(b)
				if err != nil {
					n.Errorf("Read behind %d: %v", len(got), err)
					return
				}
				if k == 0 {
					break
				}
				got = append(got, b[:k]...)
			}
			if !bytes.Equal(got, text) {
				n.Errorf("%d octets arrived, or not the same ones: want %d", len(got), len(text))
			}
		})
	}
	ends.Wait()
	n.must(client.Close())
	n.must(server.Close())
}

// fits checks that neither host nor the wire has dropped a packet as larger than the MTU.
func (n *network) fits() {
	n.Helper()
	for _, h := range []*Host{n.a, n.b} {
		if k := h.Stats().Dropped[DropTooBig]; k != 0 {
			n.Errorf("%d packets dropped as too big", k)
		}
	}
	if k := n.wire.Stats().Oversize; k != 0 {
		n.Errorf("%d packets on the wire over its MTU", k)
	}
}

// badPath loses, repeats and overtakes, so that SACK blocks and reports of duplicates come and go.
var badPath = sim.Config{Delay: time.Millisecond, Loss: 0.02, Duplicate: 0.03, Reorder: 0.02, ReorderDelay: 3 * time.Millisecond}

// TestSegmentsFit checks that no segment is larger than the link allows, whatever options it carries: they change
// between one segment and the next (RFC 9293 3.7.1).
func TestSegmentsFit(t *testing.T) {
	t.Run("MUST-16 a link of any MTU, with each set of options", func(t *testing.T) {
		for _, offload := range []bool{true, false} {
			for _, c := range []tcp.Config{{}, {NoTimestamps: true}, {NoSACK: true}, {NoTimestamps: true, NoSACK: true}} {
				for _, mtu := range []int{68, 76, 80, 96, 103, 115, 128, 576, 1500} {
					wire := badPath
					wire.MTU, wire.Offload = mtu, offload
					what := fmt.Sprintf("MTU %d offload %v timestamps %v SACK %v", mtu, offload, !c.NoTimestamps, !c.NoSACK)
					inHosts(t, what, wire, Config{TCP: c}, func(n *network) {
						client, server := n.connect()
						n.exchange(client, server, min(200*mtu, 60_000))
						n.fits()
					})
				}
			}
		}
	})
	t.Run("MUST-16 super-segments on a lossy path", func(t *testing.T) {
		for seed := range int64(20) {
			wire := badPath
			wire.Offload, wire.Seed = true, seed
			inHosts(t, fmt.Sprintf("seed %d", seed), wire, Config{}, func(n *network) {
				client, server := n.connect()
				n.exchange(client, server, 200_000)
				n.fits()
			})
		}
	})
	t.Run("MUST-16 text on a SYN with a cookie", func(t *testing.T) {
		for _, mtu := range []int{68, 71, 72, 79, 80, 96, 128, 576, 1280, 1283} {
			inHosts(t, fmt.Sprintf("MTU %d", mtu), sim.Config{MTU: mtu}, Config{}, func(n *network) {
				l := n.listen(n.b, 80, 16)
				l.SetFastOpen(16)
				for range 3 { // the first asks for the cookie
					client, err := n.a.ConnectTCPFastOpen(nil, netip.AddrPortFrom(n.addrB, 80), tcp.DefaultOptions())
					n.must(err)
					n.write(client, "early")
					server, err := l.Accept()
					n.must(err)
					n.reads(server, "early")
					n.exchange(client, server, 2000)
				}
				n.must(l.Close())
				n.fits()
			})
		}
	})
}
