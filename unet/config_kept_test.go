package unet

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/sim"
)

// Open leaves the lists of the Config that it is given as they are, so that a program may open several hosts with one of
// them at the same time.
func TestOpenChangesNoList(t *testing.T) {
	segment := sim.NewSegment(sim.Config{})
	t.Cleanup(func() { _ = segment.Close() })
	routes := make([]stack.Route, 1, 4)
	routes[0] = stack.Route{Dst: netip.MustParsePrefix("::ffff:10.9.0.0/112"), Via: netip.MustParseAddr("::ffff:10.0.0.7")}
	cfg := Config{
		Link:    segment.Port(),
		Addrs:   prefixes("::ffff:10.0.0.1/120"),
		Gateway: netip.MustParseAddr("10.0.0.9"),
		Routes:  routes,
		DNS:     []netip.AddrPort{netip.MustParseAddrPort("[::ffff:10.0.0.8]:0")},
	}
	lists := func() string { return fmt.Sprint(cfg.Addrs, routes[:cap(routes)], cfg.DNS) }
	before := lists()
	h, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	if after := lists(); after != before {
		t.Errorf("%s\nhas become\n%s", before, after)
	}
	if got := fmt.Sprint(h.Addrs(), h.dns); got != "[10.0.0.1/24] [10.0.0.8:53]" {
		t.Errorf("the host has %s", got)
	}
}
