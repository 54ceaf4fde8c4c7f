package ip

import (
	"net/netip"
	"syscall"
	"testing"

	"github.com/unet-go/unet/stack/link"
)

// TestLinkLocalSourceStays checks that no packet leaves from a link-local address over another interface than that which
// has it (RFC 4007 9).
func TestLinkLocalSourceStays(t *testing.T) {
	onBed6(t, func(b *bed6) {
		dev := &device{info: link.Info{Name: "tun1", Kind: link.IP, MTU: 1500}}
		if _, err := b.l.Attach(dev, InterfaceConfig{Addrs: []netip.Prefix{netip.MustParsePrefix("fd01::2/64"),
			netip.MustParsePrefix("fe80::3/64")}}); err != nil {
			t.Fatal(err)
		}
		other := netip.MustParseAddr("fe80::3%tun1")
		for _, row := range []struct {
			local, remote netip.Addr
			err           error
		}{
			{ourLink, elsewhere6, nil},               // by the default route over tun0
			{other, elsewhere6, syscall.ENETUNREACH}, // tun1 has no such route
			{other, netip.MustParseAddr("fd01::1"), nil},
			{ourLink, netip.MustParseAddr("fd01::1"), nil}, // by the default route
		} {
			r, err := b.l.HostRoute(row.local, row.remote)
			if err != row.err {
				t.Errorf("from %v to %v: %v, want %v", row.local, row.remote, err, row.err)
			}
			if err == nil && r.iface.Name() != row.local.Zone() {
				t.Errorf("from %v to %v over %s", row.local, row.remote, r.iface.Name())
			}
		}
	})
}
