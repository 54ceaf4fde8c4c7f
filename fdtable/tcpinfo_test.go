package fdtable

import (
	"net/netip"
	"testing"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

func TestTCPInfoOptions(t *testing.T) {
	for _, test := range []struct {
		name string
		cfg  tcp.Config
		want uint8
	}{
		{"C-ECN-1 ECN only where it is agreed on", tcp.Config{}, TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE},
		{"C-ECN-1 ECN", tcp.Config{ECN: tcp.ECNActive}, TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE | TCPI_OPT_ECN},
	} {
		inWorld(t, test.name, sim.Config{}, func(t *testing.T, w *world) {
			h, err := stack.New(stack.Config{TCP: test.cfg})
			w.is(err, nil)
			w.is(h.Attach(w.segment.Port(), stack.Interface{Addrs: []netip.Prefix{w.third}, DADTransmits: -1}), nil)
			defer h.Close()
			asks := New(h)
			l := w.listen(80, 1)
			c := w.socket(asks, 0)
			w.is(asks.Connect(c, w.at(80)), nil)
			if got := w.info(asks, c).Options; got != test.want {
				t.Errorf("the host that asks has options %d, want %d", got, test.want)
			}
			if got := w.info(w.b, w.accept(l)).Options; got != test.want {
				t.Errorf("the host that is asked has options %d, want %d", got, test.want)
			}
		})
	}
}

func TestCongestionState(t *testing.T) {
	for want, i := range []tcp.Info{{}, {Disorder: true}, {Reduced: true}, {Recovering: true}, {TimedOut: true}} {
		if got := congestionState(&i); got != uint8(want) {
			t.Errorf("%+v: %d, want %d", i, got, want)
		}
	}
}
