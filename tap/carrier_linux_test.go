package tap_test

import (
	"net"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

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
			t.Error("a deleted interface counts as one that is down, and no message would say that it is up again")
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

func TestWatchMTU(t *testing.T) {
	forBackends(t, func(t *testing.T, cfg tap.Config) {
		dev := taptest.Open(t, cfg)
		l, err := netlink.LinkByName(dev.Info().Name)
		if err != nil {
			t.Fatal(err)
		}
		set := func(mtu int) {
			t.Helper()
			if err := netlink.LinkSetMTU(l, mtu); err != nil {
				t.Fatal(err)
			}
		}
		told := make(chan int, 100)
		set(1400)
		dev.WatchMTU(func(mtu int) { told <- mtu })
		for _, mtu := range []int{1300, 576, 1500} {
			if got := <-told; got != map[int]int{1300: 1400, 576: 1300, 1500: 576}[mtu] {
				t.Errorf("told of an MTU of %d", got)
			}
			set(mtu)
		}
		if got := <-told; got != 1500 {
			t.Errorf("told of an MTU of %d, want 1500", got)
		}
		if err := dev.Close(); err != nil {
			t.Error(err)
		}
		if len(told) != 0 {
			t.Errorf("%d words too many", len(told))
		}
	})
}

// The kernel drops messages for a reader that is too slow. It says so before it delivers those that it has kept,
// which are older: they must not decide the state of the interface.
func TestCarrierOfLostMessages(t *testing.T) {
	dev := taptest.Open(t, tap.Config{})
	l, err := netlink.LinkByName(dev.Info().Name)
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	told, busy := make(chan bool, 100), make(chan struct{})
	dev.WatchCarrier(func(up bool) {
		if now, err := netlink.LinkByName(l.Attrs().Name); err == nil && (now.Attrs().Flags&net.FlagUp != 0) != up {
			t.Errorf("told that the link is up: %v, which it is not", up)
		}
		told <- up
		<-busy
	})
	want := func(up bool) {
		t.Helper()
		select {
		case got := <-told:
			if got != up {
				t.Errorf("told that the link is up: %v, want %v", got, up)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("not told that the link is up: %v", up)
		}
	}
	must(netlink.LinkSetDown(l))
	want(false)
	for range 2000 { // more than a socket's buffer takes, all of a link that is down
		must(netlink.LinkSetARPOff(l))
		must(netlink.LinkSetARPOn(l))
	}
	must(netlink.LinkSetUp(l))
	close(busy)
	want(true)
	time.Sleep(50 * time.Millisecond) // while it reads the messages that the kernel has kept
	must(netlink.LinkSetDown(l))
	want(false)
	must(dev.Close())
	if len(told) != 0 {
		t.Errorf("told of %d changes too many", len(told))
	}
}

// A bridge that loses its port sends a message with the port's name. The port itself is not deleted.
func TestCarrierAfterBridge(t *testing.T) {
	dev := taptest.Open(t, tap.Config{})
	l, err := netlink.LinkByName(dev.Info().Name)
	if err != nil {
		t.Fatal(err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "br-carrier"
	bridge := &netlink.Bridge{LinkAttrs: attrs}
	if err := netlink.LinkAdd(bridge); err != nil {
		taptest.Lacking(t, "bridge", err, unix.EOPNOTSUPP)
	}
	t.Cleanup(func() { _ = netlink.LinkDel(bridge) })
	told := make(chan bool, 100)
	dev.WatchCarrier(func(up bool) { told <- up })
	for _, change := range []func() error{
		func() error { return netlink.LinkSetMaster(l, bridge) },
		func() error { return netlink.LinkSetNoMaster(l) },
		func() error { return netlink.LinkSetDown(l) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case up := <-told:
		if up {
			t.Error("told that the link is up, when it went down")
		}
	case <-time.After(10 * time.Second):
		t.Error("not told that the link is down")
	}
}
