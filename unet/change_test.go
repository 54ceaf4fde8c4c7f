package unet

import (
	"context"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/sim"
)

// TestRunningHost checks that a host serves an address that it gets while it runs, and no longer when it is gone.
func TestRunningHost(t *testing.T) {
	for _, tt := range []struct{ network, first, second, peer string }{
		{"tcp4", "10.0.0.1/24", "10.0.0.9/24", "10.0.0.2/24"},
		{"tcp6", "fd00::1/64", "fd00::9/64", "fd00::2/64"},
	} {
		t.Run(tt.network, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wire := sim.NewSegment(sim.Config{})
				open := func(addr string) *Host {
					h, err := Open(Config{Link: wire.Port(), Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}})
					if err != nil {
						t.Fatal(err)
					}
					return h
				}
				server, client := open(tt.first), open(tt.peer)
				defer wire.Close()
				defer client.Close()
				defer server.Close()
				second := netip.MustParsePrefix(tt.second)
				l, err := server.Listen(tt.network, ":80")
				if err != nil {
					t.Fatal(err)
				}
				changes := server.Subscribe(t.Context())
				if err := server.AddAddr(second); err != nil {
					t.Fatal(err)
				}
				if c := <-changes; c.Kind != stack.AddrAdded || c.Addr.Prefix != second {
					t.Errorf("told of %+v, want that %v was added", c, second)
				}
				c, err := client.Dial(tt.network, netip.AddrPortFrom(second.Addr(), 80).String())
				if err != nil {
					t.Fatal(err)
				}
				c.Close()
				if err := server.RemoveAddr(second.Addr()); err != nil {
					t.Fatal(err)
				}
				if err := server.RemoveAddr(second.Addr()); err != syscall.EADDRNOTAVAIL {
					t.Errorf("removed twice: %v", err)
				}
				if _, err := server.Listen(tt.network, netip.AddrPortFrom(second.Addr(), 81).String()); err == nil {
					t.Error("an address that is gone can be bound")
				}
				server.SetDNS(netip.MustParseAddrPort("10.0.0.8:0"))
				if got := server.DNS(); len(got) != 1 || got[0].String() != "10.0.0.8:53" {
					t.Errorf("DNS %v", got)
				}
				l.Close()
			})
		})
	}
	h, err := Open(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if err := h.AddAddr(netip.MustParsePrefix("10.0.0.1/24")); err != syscall.ENETDOWN {
		t.Errorf("a closed host: %v", err)
	}
	if _, open := <-h.Subscribe(context.Background()); open {
		t.Error("a closed host tells of changes")
	}
}
