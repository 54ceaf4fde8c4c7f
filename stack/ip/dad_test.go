package ip

import (
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/stack/link"
)

const (
	joinBoth = "33:33:00:00:00:16 :: > ff02::16 report 4(ff02::1:ff00:2)"
	askOur6  = "33:33:ff:00:00:02 :: > ff02::1:ff00:2 NS 2001:db8::2"
	askLink  = "33:33:ff:00:00:02 :: > ff02::1:ff00:2 NS fe80::ff:fe00:2"
)

// state returns the state of an address, and whether the host has it.
func (n *nodes) state(a netip.Addr) (AddrState, bool) {
	t := n.l.topology.Load()
	ifc := n.l.Interfaces()[1]
	return t.stateOf(ifc, a), t.hasAddr(ifc, a)
}

func TestDuplicateDetection(t *testing.T) {
	t.Run("B-SLA-1 B-ND-17 the group is joined, and each address asked for once from ::", func(t *testing.T) {
		onLink(t, Config{}, InterfaceConfig{}, func(n *nodes) {
			n.want(joinBoth, askOur6, askLink)
			if s, ok := n.state(ndOur); s != AddrOptimistic || !ok {
				t.Errorf("the address is in state %d, %v", s, ok)
			}
			if s, ok := n.state(ndOurLink); s != AddrOptimistic || !ok {
				t.Errorf("the link-local address is in state %d, %v", s, ok)
			}
			n.sleep(time.Second - time.Nanosecond)
			if s, _ := n.state(ndOur); s != AddrOptimistic {
				t.Error("it is known to be unique before a second is over")
			}
			n.sleep(time.Nanosecond)
			for _, a := range []netip.Addr{ndOur, ndOurLink} {
				if s, ok := n.state(a); s != AddrPreferred || !ok {
					t.Errorf("%v is in state %d after a second, %v", a, s, ok)
				}
			}
			for _, s := range n.sent() {
				if strings.Contains(s, " NS ") {
					t.Errorf("sent %s", s)
				}
			}
			if len(n.log.take()) != 0 {
				t.Error("there was something to log")
			}
		})
	})
	t.Run("B-SLA-1 an optimistic address is in use, but replaces nothing in others' caches", func(t *testing.T) {
		onLink(t, Config{}, InterfaceConfig{}, func(n *nodes) {
			n.sent()
			n.sendUDP(ndPeer)
			n.want("33:33:ff:00:00:01 2001:db8::2 > ff02::1:ff00:1 NS 2001:db8::1")
			n.give(message{src: ndPeer, dst: ourSolicited, body: ns(ndOur, sourceOption(peerMAC))})
			n.want(dataTo6, "02:00:00:00:00:01 2001:db8::2 > 2001:db8::1 NA S 2001:db8::2 target 02:00:00:00:00:02")
		})
	})
	t.Run("B-SLA-1 three questions, or none", func(t *testing.T) {
		onLink(t, Config{}, InterfaceConfig{DADTransmits: 3}, func(n *nodes) {
			count := 0
			for range 4 {
				for _, s := range n.sent() {
					if s == askOur6 {
						count++
					}
				}
				n.sleep(time.Second - time.Nanosecond)
				if s, _ := n.state(ndOur); s != AddrOptimistic && count < 3 {
					t.Errorf("it is unique after %d questions", count)
				}
				n.sleep(time.Nanosecond)
			}
			if s, _ := n.state(ndOur); count != 3 || s != AddrPreferred {
				t.Errorf("state %d after %d questions", s, count)
			}
		})
		onLink(t, Config{}, InterfaceConfig{DADTransmits: -1}, func(n *nodes) {
			if s, _ := n.state(ndOur); s != AddrPreferred {
				t.Errorf("state %d", s)
			}
			for _, s := range n.sent() {
				if strings.Contains(s, " NS ") {
					t.Errorf("sent %s", s)
				}
			}
		})
	})
	t.Run("B-SLA-1 while the link is down nothing is known, and it begins again", func(t *testing.T) {
		onLink(t, Config{}, InterfaceConfig{}, func(n *nodes) {
			ifc := n.l.Interfaces()[1]
			ifc.CarrierChanged(false)
			n.sleep(time.Minute)
			if s, _ := n.state(ndOur); s != AddrOptimistic {
				t.Errorf("it is in state %d", s)
			}
			n.sent()
			ifc.CarrierChanged(true)
			sent := n.sent()
			if !slices.Contains(sent, askOur6) || !slices.Contains(sent, askLink) {
				t.Errorf("sent %q", sent)
			}
			n.sleep(time.Second)
			if s, _ := n.state(ndOur); s != AddrPreferred {
				t.Errorf("it is in state %d", s)
			}
		})
	})
}

func TestDuplicateAddress(t *testing.T) {
	for _, tt := range []struct {
		name string
		m    message
	}{
		{"B-SLA-2 another host asks whether it may have it", message{from: strangerMAC, src: unspecified, dst: ourSolicited, body: ns(ndOur)}},
		{"B-SLA-2 another host has it", message{from: strangerMAC, src: ndOur, dst: allNodes, body: na("O", ndOur, targetOption(strangerMAC))}},
		{"B-SLA-2 another host has it, and is not sure itself", message{from: strangerMAC, src: ndOur, dst: allNodes, body: na("", ndOur, targetOption(strangerMAC))}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onLink(t, Config{}, InterfaceConfig{}, func(n *nodes) {
				r := n.sendUDP(ndPeer)
				n.sent()
				n.give(tt.m)
				if _, ok := n.state(ndOur); ok {
					t.Fatal("the host has it still")
				}
				if _, err := n.l.HostRoute(r.Local(), ndPeer); err != syscall.ENETUNREACH {
					t.Errorf("a connection's way from it: %v, want ENETUNREACH", err)
				}
				if _, err := n.l.HostRoute(netip.Addr{}, ndPeer); err != syscall.ENETUNREACH {
					t.Errorf("the way to its network: %v, want ENETUNREACH", err)
				}
				n.dropped(drop.NDConflict, 1)
				want := "address withdrawn: another host has it interface mem0 address 2001:db8::2 mac 02:00:00:00:06:06 ours 02:00:00:00:00:02"
				if got := n.log.take(); len(got) != 1 || got[0] != want {
					t.Errorf("logged %q", got)
				}
				n.sent()
				n.sleep(settledMoment)
				if s, ok := n.state(ndOurLink); !ok || s != AddrPreferred {
					t.Error("the link-local address went with it")
				}
				n.sent()
				n.give(message{src: peerLink, dst: ourSolicited, body: ns(ndOur, sourceOption(peerMAC))})
				n.want()
			})
		})
	}
	t.Run("B-SLA-2 what is no conflict", func(t *testing.T) {
		onLink(t, Config{}, InterfaceConfig{}, func(n *nodes) {
			n.sent()
			n.give(message{from: ourMAC, src: unspecified, dst: ourSolicited, body: ns(ndOur)}) // our own question comes back
			n.give(message{src: unspecified, dst: ourSolicited, body: ns(netip.MustParseAddr("2001:db8::1:2"))})
			n.give(message{src: unspecified, dst: ourSolicited, body: ns(ndOur), hops: 64})
			n.give(message{src: ndPeer, dst: allNodes, body: na("O", ndPeer, targetOption(peerMAC))})
			n.want()
			n.sleep(time.Second)
			if s, ok := n.state(ndOur); s != AddrPreferred || !ok {
				t.Errorf("state %d, %v", s, ok)
			}
			n.dropped(drop.NDConflict, 0)
		})
	})
	t.Run("D-MISC-2 an attack when the address is known to be unique takes nothing: it is defended once in ten seconds", func(t *testing.T) {
		onLink(t, Config{}, InterfaceConfig{Announce: AnnounceAuto}, func(n *nodes) {
			n.sleep(settledMoment)
			n.sent()
			attack := message{from: strangerMAC, src: ndOur, dst: allNodes, body: na("O", ndOur, targetOption(strangerMAC))}
			defence := "33:33:00:00:00:01 2001:db8::2 > ff02::1 NA O 2001:db8::2 target 02:00:00:00:00:02"
			for i := range 1000 {
				n.give(attack)
				if i == 0 {
					n.want(defence)
				}
			}
			n.want()
			n.sleep(defendInterval)
			n.give(attack)
			n.want(defence)
			n.dropped(drop.NDConflict, 1001)
			if s, ok := n.state(ndOur); s != AddrPreferred || !ok {
				t.Errorf("state %d, %v", s, ok)
			}
			want := "another host uses our address interface mem0 address 2001:db8::2 mac 02:00:00:00:06:06 ours 02:00:00:00:00:02"
			if got := n.log.take(); !slices.Equal(got, []string{want, want}) {
				t.Errorf("logged %q", got)
			}
			n.give(message{from: strangerMAC, src: unspecified, dst: ourSolicited, body: ns(ndOur)})
			n.want(defence)
		})
	})
}

// Addresses are announced as those of IPv4 are, once they are known to be unique.
func TestAnnounceND(t *testing.T) {
	announced := func(n *nodes) (count int) {
		for _, s := range n.sent() {
			if s == "33:33:00:00:00:01 2001:db8::2 > ff02::1 NA O 2001:db8::2 target 02:00:00:00:00:02" {
				count++
			}
		}
		return count
	}
	onLink(t, Config{}, InterfaceConfig{Announce: AnnounceAlways}, func(n *nodes) {
		ifc := n.l.Interfaces()[1]
		ifc.Announce()
		n.l.Flush()
		if announced(n) != 0 {
			t.Error("announced while it is optimistic")
		}
		n.sleep(time.Second)
		if announced(n) != 1 {
			t.Error("not announced when it is known to be unique")
		}
		n.sleep(announceInterval)
		if announced(n) != 1 {
			t.Error("not announced again")
		}
		n.sleep(time.Minute)
		ifc.CarrierChanged(false)
		n.sent()
		ifc.CarrierChanged(true)
		if announced(n) != 1 {
			t.Error("not announced when the carrier returned")
		}
	})
	settled(t, Config{}, func(n *nodes) {
		n.l.Interfaces()[1].Announce()
		n.l.Flush()
		n.want()
	})
}

// A device without link addresses has no question for addresses and reports no groups, but answers what it is asked.
func TestNDWithoutLinkAddresses(t *testing.T) {
	dev := &device{info: link.Info{Name: "tun0", Kind: link.IP, MTU: 1500}}
	onDevice(t, Config{}, InterfaceConfig{Addrs: []netip.Prefix{netip.PrefixFrom(ndOur, 64)}}, dev, func(n *nodes) {
		n.sleep(time.Minute)
		if out := dev.take(); len(out) != 0 {
			t.Fatalf("sent %x", out)
		}
		if s, _ := n.state(ndOur); s != AddrPreferred {
			t.Errorf("state %d", s)
		}
		for _, body := range [][]byte{ns(ndOur), ns(ndOur, sourceOption(peerMAC)), na("SO", ndOur), na("SO", ndPeer, targetOption(peerMAC))} {
			f := message{src: ndPeer, dst: ndOur, body: body}.frame()
			f.Header = f.Header[14:]
			n.in.Frame(f)
			n.l.Flush()
		}
		if out := dev.take(); len(out) != 2 || len(out[0]) != 64 || out[0][40] != 136 {
			t.Errorf("sent %x", out)
		}
	})
}

// A later address is asked for while the link-local one is known to be unique: solicitations come from that one.
func TestOptimisticSource(t *testing.T) {
	onLink(t, Config{}, InterfaceConfig{Addrs: []netip.Prefix{netip.MustParsePrefix("fe80::ff:fe00:2/64")}}, func(n *nodes) {
		n.sleep(settledMoment)
		n.sent()
		ifc := n.l.Interfaces()[1]
		a := newAddress(netip.MustParsePrefix("2001:db8:7::2/64"), "mem0")
		a.state = AddrOptimistic
		if err := n.l.change(func(t *topology) error { return t.addAddress(ifc, a) }); err != nil {
			t.Fatal(err)
		}
		n.sendUDP(netip.MustParseAddr("2001:db8:7::1"))
		n.want("33:33:ff:00:00:01 fe80::ff:fe00:2 > ff02::1:ff00:1 NS 2001:db8:7::1 source 02:00:00:00:00:02")
	})
}

// A neighbour that answers only who says where it is, as Linux does, is found while the address may still be another's:
// the owner would have objected by then.
func TestSolicitationWhileOptimistic(t *testing.T) {
	onLink(t, Config{}, InterfaceConfig{Addrs: []netip.Prefix{netip.PrefixFrom(ndOur, 64)}}, func(n *nodes) {
		n.sent()
		n.sendUDP(ndPeer)
		const question = "33:33:ff:00:00:01 2001:db8::2 > ff02::1:ff00:1 NS 2001:db8::1"
		n.wantND(question)
		n.sleep(objectionTime - time.Nanosecond)
		n.wantND()
		n.sleep(time.Nanosecond)
		n.wantND(question + " source 02:00:00:00:00:02")
		n.give(message{src: ndPeer, dst: ndOur, body: na("SO", ndPeer, targetOption(peerMAC))})
		if got := n.neighbor(ndPeer); got != "REACHABLE 02:00:00:00:00:01" {
			t.Errorf("the neighbour is %s", got)
		}
		if s, _ := n.state(ndOur); s != AddrOptimistic {
			t.Errorf("the address is in state %d", s)
		}
	})
}

// Of two conflicts in one burst of frames the second finds the address gone: there is one line about it.
func TestDuplicateAddressOfBurst(t *testing.T) {
	onLink(t, Config{}, InterfaceConfig{}, func(n *nodes) {
		n.in.Begin()
		for range 2 {
			m := message{from: strangerMAC, to: allNodesMAC, src: ndOur, dst: allNodes, body: na("O", ndOur, targetOption(strangerMAC))}
			f := m.frame()
			n.in.Frame(f)
			f.Release()
		}
		n.in.End()
		if got := n.log.take(); len(got) != 1 {
			t.Errorf("logged %q", got)
		}
	})
}
