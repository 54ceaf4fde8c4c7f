package unet

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/tap"
)

// dialAll dials so many times at once, and returns how many of the dials were refused and what else they said.
func dialAll(n int, dial func() (net.Conn, error)) (refused int, others []error) {
	var mu sync.Mutex
	var group sync.WaitGroup
	for range n {
		group.Go(func() {
			c, err := dial()
			if err == nil {
				_ = c.Close()
			}
			mu.Lock()
			defer mu.Unlock()
			if errors.Is(err, syscall.ECONNREFUSED) {
				refused++
			} else {
				others = append(others, err)
			}
		})
	}
	group.Wait()
	return refused, others
}

func TestRefusedDials(t *testing.T) {
	for _, f := range testFamilies {
		refuseDials(t, &f)
	}
}

func refuseDials(t *testing.T, f *testFamily) {
	t.Run("300 dials at once to a closed port are refused within a round trip"+f.suffix, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			segment := sim.NewSegment(sim.Config{Delay: 5 * time.Millisecond})
			client, server := f.hosts(t, segment, stack.Config{})
			time.Sleep(2 * time.Second) // so that an IPv6 address is known to be unique, and says where it is (RFC 4429 3.2)
			start := time.Now()
			refused, others := dialAll(300, func() (net.Conn, error) {
				return client.DialTimeout("tcp", net.JoinHostPort(f.server, "81"), 900*time.Millisecond)
			})
			// One round trip asks for the neighbour.
			if took := time.Since(start); refused != 300 || took > 21*time.Millisecond {
				t.Errorf("%d refused in %v, others %v", refused, took, others)
			}
			if err := errors.Join(client.Close(), server.Close(), segment.Close()); err != nil {
				t.Error(err)
			}
		})
	})
	// Over a TAP no time is demanded: the kernel sends a SYN again after a second. That none was held back is counted.
	for _, x := range []struct{ at, rounds int }{{300, 1}, {100, 30}} {
		t.Run("dials from the kernel to a closed port of unet, none held back"+f.suffix, func(t *testing.T) {
			h := openTAP(t, 0, tap.Config{PeerAddrs: f.peers()})
			d := net.Dialer{Timeout: hang}
			for range x.rounds {
				refused, others := dialAll(x.at, func() (net.Conn, error) {
					return d.DialContext(context.Background(), "tcp", net.JoinHostPort(h.ours, "81"))
				})
				if refused != x.at {
					t.Fatalf("%d of %d refused, others %v", refused, x.at, others)
				}
			}
			if held := h.Stats().TCPGauges.ResetsHeldBack; held > 0 {
				t.Errorf("%d resets were held back", held)
			}
		})
	}
	t.Run("dials from unet to a closed port of the kernel"+f.suffix, func(t *testing.T) {
		h := openTAP(t, 0, tap.Config{PeerAddrs: f.peers()})
		refused, others := dialAll(300, func() (net.Conn, error) { return h.DialTimeout("tcp", net.JoinHostPort(h.kernels, "81"), hang) })
		if refused != 300 {
			t.Errorf("%d refused, others %v", refused, others)
		}
		if dropped := h.Stats().TCP.Retransmitted; dropped > 0 {
			t.Logf("%d SYNs were sent again", dropped)
		}
	})
}
