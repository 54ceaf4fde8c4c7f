package tap_test

import (
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/unet-go/unet/tap"
	"github.com/unet-go/unet/tap/taptest"
)

func TestCarrier(t *testing.T) {
	forBackends(t, func(t *testing.T, cfg tap.Config) {
		dev := taptest.Open(t, cfg)
		other := taptest.Open(t, tap.Config{})
		l, err := netlink.LinkByName(dev.Info().Name)
		if err != nil {
			t.Fatal(err)
		}
		beside, err := netlink.LinkByName(other.Info().Name)
		if err != nil {
			t.Fatal(err)
		}
		set := func(l netlink.Link, up bool) {
			t.Helper()
			change := netlink.LinkSetDown
			if up {
				change = netlink.LinkSetUp
			}
			if err := change(l); err != nil {
				t.Fatal(err)
			}
		}
		told := make(chan bool, 100)
		set(l, false)
		dev.WatchCarrier(func(up bool) { told <- up })
		select {
		case up := <-told:
			if up {
				t.Error("told that the link is up, which it is not")
			}
		default:
			t.Error("not told that the link is down already")
		}
		for range 3 {
			set(beside, false)
			set(l, true)
			if !<-told {
				t.Error("told that the link is down, when it came up")
			}
			set(beside, true)
			set(l, false)
			if <-told {
				t.Error("told that the link is up, when it went down")
			}
		}
		// An interface that is gone is the reader's business.
		if err := netlink.LinkDel(l); err != nil {
			t.Fatal(err)
		}
		if !<-told {
			t.Error("a deleted interface counts as one that is down, and nobody would tell that it is up again")
		}
		if err := dev.Close(); err != nil {
			t.Error(err)
		}
		if len(told) != 0 {
			t.Errorf("%d words too many", len(told))
		}
		dev.WatchCarrier(func(bool) { t.Error("told of a closed device") })
	})
}
