package tap_test

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/tap"
	"github.com/unet-go/unet/tap/taptest"
)

// rps reads the kernel's setting for queue n of the interface.
func rps(t *testing.T, name string, n string) string {
	t.Helper()
	file, err := tap.OpenSysfs("class/net/" + name + "/queues/rx-" + n + "/rps_cpus")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	b := make([]byte, 4096)
	k, err := file.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Trim(strings.TrimSpace(string(b[:k])), "0,")
}

func TestIntegrationSteering(t *testing.T) {
	taptest.Need(t)
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		t.Fatal(err)
	}
	several := set.Count() > 1
	one := []string{"1", "2", "4", "8"} // a single bit, zeros and commas aside
	for _, c := range []struct {
		name   string
		cfg    tap.Config
		steers bool
	}{
		{"by default", tap.Config{Name: "unet-st0", Queues: 2}, several},
		{"not if asked not to", tap.Config{Name: "unet-st1", Queues: 2, NoSteering: true}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dev, err := tap.Open(c.cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer dev.Close()
			for _, n := range []string{"0", "1"} {
				if got := rps(t, c.cfg.Name, n); slices.Contains(one, got) != c.steers || !c.steers && got != "" {
					t.Errorf("queue %s: processors %q", n, got)
				}
			}
		})
	}
	t.Run("an interface that stays gets its frames back", func(t *testing.T) {
		cfg := tap.Config{Name: "unet-st2", Persist: true}
		dev, err := tap.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := dev.Close(); err != nil {
			t.Fatal(err)
		}
		if got := rps(t, cfg.Name, "0"); got != "" {
			t.Errorf("processors %q after Close", got)
		}
		// It existed: its setting is its owner's.
		if dev, err = tap.Open(cfg); err != nil {
			t.Fatal(err)
		}
		defer dev.Close()
		if got := rps(t, cfg.Name, "0"); got != "" {
			t.Errorf("processors %q on an interface that existed", got)
		}
	})
}
