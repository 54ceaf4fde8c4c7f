package ip

import (
	"net/netip"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/mono"
)

func TestPathMTUs(t *testing.T) {
	a4, a6 := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")
	const begin = mono.Time(time.Hour)
	t.Run("B-PMT-9 the number of paths is bounded", func(t *testing.T) {
		for _, a := range []netip.Addr{a4, a6} {
			var m pathMTUs
			for range 1_000_000 {
				m.put(makePathKey(a, 1), pathMTU{mtu: 1300}, 1500, begin, false)
				a = a.Next()
			}
			if len(m.paths) != maxPathMTUs {
				t.Errorf("%d paths of %v", len(m.paths), a)
			}
		}
	})
	t.Run("B-PMT-3 B-PMT-5 a message lowers, and is forgotten after ten minutes", func(t *testing.T) {
		for _, a := range []netip.Addr{a4, a6} {
			var m pathMTUs
			k := makePathKey(a, 1)
			put := func(mtu int, at mono.Time, raise bool) { m.put(k, pathMTU{mtu: mtu}, 1500, at, raise) }
			find := func(at mono.Time, want int) {
				t.Helper()
				var v pathView
				got := 1500
				if p := m.find(k, &v, at); p != nil {
					got = p.mtu
				}
				if got != want {
					t.Errorf("MTU %d, want %d", got, want)
				}
			}
			find(begin, 1500)
			put(1400, begin, false)
			find(begin, 1400)
			put(1450, begin, false)
			find(begin, 1400)
			put(1450, begin, true) // as a connection has found
			find(begin, 1450)
			put(1300, begin, false)
			put(1300, begin.Add(time.Minute), false) // another word about it
			find(begin.Add(11*time.Minute-1), 1300)
			find(begin.Add(11*time.Minute), 1500)
			if len(m.paths) != 0 {
				t.Errorf("%d paths are remembered", len(m.paths))
			}
			put(1300, begin, false)
			put(1500, begin, true)
			find(begin, 1500)
		}
	})
	t.Run("a link-local address is another host's on each interface", func(t *testing.T) {
		local := netip.MustParseAddr("fe80::1")
		if makePathKey(local, 1) == makePathKey(local, 2) || makePathKey(a6, 1) != makePathKey(a6, 2) {
			t.Error("keys")
		}
	})
	t.Run("B-PMT-4 plateaus", func(t *testing.T) {
		for n, want := range map[int]int{65535: 32000, 9000: 8166, 1500: 1492, 1492: 1006, 576: 508, 68: 68, 20: 68} {
			if got := plateau(n); got != want {
				t.Errorf("below %d comes %d, want %d", n, got, want)
			}
		}
	})
}
