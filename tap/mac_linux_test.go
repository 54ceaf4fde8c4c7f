package tap_test

import (
	"net/netip"
	"testing"

	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/tap"
	"github.com/unet-go/unet/tap/taptest"
)

// TestStableMAC opens interfaces again, in each way, as a program does that starts again.
func TestStableMAC(t *testing.T) {
	taptest.Need(t)
	mac := func(t *testing.T, cfg tap.Config) (link.MAC, string) {
		t.Helper()
		dev, err := tap.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer dev.Close()
		for _, q := range dev.Queues() {
			if q.Info().MAC != dev.Info().MAC {
				t.Errorf("a queue has the MAC % x, the device % x", q.Info().MAC, dev.Info().MAC)
			}
		}
		if s := dev.MACSource(); s != tap.MACMachine && s != tap.MACBoot {
			t.Errorf("the MAC comes from: %v", s)
		}
		return dev.Info().MAC, dev.Info().Name
	}
	addr := netip.MustParseAddr("10.3.0.2")
	first, _ := mac(t, tap.Config{Name: "unet-mac0", Addr: addr})
	for _, tt := range []struct {
		name string
		cfg  tap.Config
		same bool
	}{
		{"again", tap.Config{Name: "unet-mac0", Addr: addr}, true},
		{"by the portable backend", tap.Config{Name: "unet-mac0", Addr: addr, Portable: true}, true},
		{"with several queues", tap.Config{Name: "unet-mac0", Addr: addr, Queues: 3}, true},
		{"without offload", tap.Config{Name: "unet-mac0", Addr: addr, NoOffload: true}, true},
		{"with a name that the kernel chooses, which is the same", tap.Config{Name: "unet-mac%d", Addr: addr}, true},
		{"another interface", tap.Config{Name: "unet-mac1", Addr: addr}, false},
		{"another address", tap.Config{Name: "unet-mac0", Addr: addr.Next()}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, name := mac(t, tt.cfg)
			if (got == first) != tt.same {
				t.Errorf("%s has the MAC % x, the first one had % x; the same: %t", name, got, first, tt.same)
			}
		})
	}
	t.Run("an interface that stays", func(t *testing.T) {
		cfg := tap.Config{Name: "unet-mac2", Addr: addr, Persist: true}
		before, _ := mac(t, cfg)
		if after, _ := mac(t, tap.Config{Name: "unet-mac2", Addr: addr}); after != before {
			t.Errorf("% x, and then % x", before, after)
		}
	})
	t.Run("two names that the kernel chooses", func(t *testing.T) {
		a := taptest.Open(t, tap.Config{Name: "unet-mac%d"})
		b := taptest.Open(t, tap.Config{Name: "unet-mac%d"})
		if a.Info().MAC == b.Info().MAC {
			t.Errorf("both have % x", a.Info().MAC)
		}
	})
	t.Run("given, and none", func(t *testing.T) {
		given := taptest.Open(t, tap.Config{MAC: link.MAC{2, 0, 0, 0, 0, 7}})
		if i := given.Info(); i.MAC != (link.MAC{2, 0, 0, 0, 0, 7}) || given.MACSource() != tap.MACGiven || !given.Announces() {
			t.Errorf("% x from %v", i.MAC, given.MACSource())
		}
		tun := taptest.Open(t, tap.Config{TUN: true})
		if i := tun.Info(); i.MAC != (link.MAC{}) || tun.MACSource() != tap.MACNone || tun.Announces() {
			t.Errorf("a TUN device has % x from %v, announces %t", i.MAC, tun.MACSource(), tun.Announces())
		}
	})
}
