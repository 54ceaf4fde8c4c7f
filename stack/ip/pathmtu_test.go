package ip

import (
	"net/netip"
	"testing"
)

func TestPathMTUs(t *testing.T) {
	t.Run("B-PMT-9 the number of paths is bounded", func(t *testing.T) {
		var m pathMTUs
		a := netip.MustParseAddr("10.0.0.1")
		for range 2 * maxPathMTUs {
			m.learn(a, 1000, 1)
			a = a.Next()
		}
		if len(m.paths) != maxPathMTUs || m.known.Load() != maxPathMTUs {
			t.Errorf("%d paths", len(m.paths))
		}
	})
}
