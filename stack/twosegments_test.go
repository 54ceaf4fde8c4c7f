package stack

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

// TestInterfacesOfOneName checks that a host can be on two links whose devices have one name and one MAC, as ports of two
// segments have by default, and that its link-local peers on both reach it.
func TestInterfacesOfOneName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		for i, network := range []string{"fd01::1/64", "fd02::1/64"} {
			segment := sim.NewSegment(sim.Config{})
			defer segment.Close()
			if err := h.Attach(segment.Port(), Interface{Addrs: []netip.Prefix{netip.MustParsePrefix(network)}}); err != nil {
				t.Fatalf("attach %d: %v", i, err)
			}
			peer, err := New(Config{})
			if err != nil {
				t.Fatal(err)
			}
			defer peer.Close()
			if err := peer.Attach(segment.Port(), Interface{Addrs: []netip.Prefix{netip.MustParsePrefix("fd0f::2/64")}}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
			to := netip.MustParseAddr("fe80::ff:fe00:1").WithZone(peer.InterfaceNames()[1])
			c, err := peer.ConnectTCP(nil, netip.AddrPortFrom(to, 80), tcp.Options{})
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			if err := c.WaitConnect(); err == nil || time.Since(start) > time.Second {
				t.Errorf("%v over link %d after %v, %v %v, want a refusal at once", err, i, time.Since(start), h.InterfaceNames(), h.Addrs())
			}
			_ = c.Close()
		}
	})
}
