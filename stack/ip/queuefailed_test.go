package ip

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// queues is a device of several queues, the first of which is the device itself.
type queues struct {
	*device
	others []link.Device
}

func (q queues) Queues() []link.Device { return append([]link.Device{q.device}, q.others...) }

// TestQueueOfOwnMessages checks that what the host itself has to say on a link (ARP, neighbour discovery, MLD and
// announcements) leaves by a queue that works after the first one has failed.
func TestQueueOfOwnMessages(t *testing.T) {
	settled(t, Config{}, func(n *nodes) {
		info := link.Info{Name: "mem1", Kind: link.Ethernet, MAC: ourMAC, MTU: 1500}
		second := &device{info: info}
		first := queues{device: &device{info: info}, others: []link.Device{second}}
		ifc, err := n.l.Attach(first, InterfaceConfig{Announce: AnnounceAlways,
			Addrs: []netip.Prefix{netip.MustParsePrefix("10.7.0.2/24"), netip.MustParsePrefix("fd07::2/64")}})
		if err != nil {
			t.Fatal(err)
		}
		n.sleep(settledMoment)
		if len(first.take()) == 0 {
			t.Error("nothing has left by the first queue while it worked")
		}
		second.take()
		ifc.FailQueue(ifc.Queues()[0], errors.New("gone"))
		n.in.Init(n.l, ifc)
		for _, row := range []struct {
			what string
			do   func()
			want string // what each frame that is sent begins with, one of them at least
		}{
			{"ARP's question", func() { n.sendUDP(netip.MustParseAddr("10.7.0.9")) }, "ff:ff:ff:ff:ff:ff type 0806"},
			{"ARP's answer", func() {
				f := frames.Frame(frames.ARP(ourMAC, peerMAC, wire.ARP{Op: wire.ARPRequest, SenderMAC: peerMAC,
					SenderIP: [4]byte{10, 7, 0, 1}, TargetIP: [4]byte{10, 7, 0, 2}}))
				n.in.Begin()
				n.in.Frame(&f)
				f.Release()
				n.l.Flush()
			}, "02:00:00:00:00:01 type 0806"},
			{"a solicitation", func() { n.sendUDP(netip.MustParseAddr("fd07::9")) }, "33:33:ff:00:00:09 fd07::2 > ff02::1:ff00:9 NS"},
			{"an advertisement", func() {
				n.give(message{src: netip.MustParseAddr("fd07::1"), dst: netip.MustParseAddr("fd07::2"),
					body: ns(netip.MustParseAddr("fd07::2"), sourceOption(peerMAC))})
			}, "02:00:00:00:00:01 fd07::2 > fd07::1 NA SO"},
			{"what is said when the link comes up", func() { ifc.CarrierChanged(false); ifc.CarrierChanged(true) }, ""},
		} {
			n.sleep(10 * time.Second)
			second.take()
			row.do()
			n.sleep(100 * time.Millisecond)
			out := second.take()
			if len(out) == 0 || len(first.take()) > 0 {
				t.Fatalf("%s: %d frames by the second queue", row.what, len(out))
			}
			for _, f := range out {
				if got := describe(t, f); !strings.HasPrefix(got, row.want) {
					t.Errorf("%s: %s, want %s", row.what, got, row.want)
				}
			}
		}
	})
}
