package ip

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// octets returns what hexadecimal digits with any spaces stand for.
func octets(text string) string {
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		panic(err)
	}
	return string(b)
}

// The messages that the host sends, octet for octet.
func TestNDOctets(t *testing.T) {
	one := func(n *nodes, want string) {
		n.Helper()
		out := n.dev.take()
		if len(out) != 1 || string(out[0]) != octets(want) {
			n.Errorf("sent\n%x\nwant\n%x", out, octets(want))
		}
	}
	settled(t, Config{}, func(n *nodes) {
		n.sendUDP(ndPeer)
		one(n, `3333ff000001 020000000002 86dd 60000000 0020 3a ff 20010db8000000000000000000000002 ff0200000000000000000001ff000001
			87 00 1c27 00000000 20010db8000000000000000000000001 0101 020000000002`)
		n.give(message{src: ndPeer, dst: ourSolicited, body: ns(ndOur, sourceOption(peerMAC))})
		_ = n.dev.take()[0] // what waited
		n.give(message{src: ndPeer, dst: ourSolicited, body: ns(ndOur, sourceOption(peerMAC))})
		one(n, `020000000001 020000000002 86dd 60000000 0020 3a ff 20010db8000000000000000000000002 20010db8000000000000000000000001
			88 00 8a71 60000000 20010db8000000000000000000000002 0201 020000000002`)
	})
}

func TestNDForm(t *testing.T) {
	ra := []byte{wire.ICMPv6RouterAdvertisement, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0}
	redirect := append(make([]byte, wire.NDRedirectLen), targetOption(strangerMAC)...)
	(&wire.NDRedirect{Target: peerLink.As16(), Dst: netip.MustParseAddr("2001:db8:1::9").As16()}).Marshal(redirect)
	kinds := []struct {
		name string
		m    message
	}{
		{"router advertisement", message{src: routerLink, dst: allNodes, body: ra}},
		{"solicitation", message{src: ndPeer, dst: ndOur, body: ns(ndOur, sourceOption(strangerMAC))}},
		{"advertisement", message{src: ndPeer, dst: ndOur, body: na("SO", ndPeer, targetOption(strangerMAC))}},
		{"redirect", message{src: routerLink, dst: ndOur, body: redirect}},
	}
	faults := []struct {
		name   string
		change func(m *message)
		reason drop.Reason
	}{
		{"B-ND-1 hop limit 254", func(m *message) { m.hops = 254 }, drop.NDMalformed},
		{"B-ND-1 code 1", func(m *message) { m.body[1] = 1 }, drop.NDMalformed},
		{"B-ND-1 a wrong checksum", func(m *message) { m.spoiled = true }, drop.ICMPMalformed},
		{"B-ND-2 an option of no length", func(m *message) { m.body = append(m.body, 200, 0, 0, 0, 0, 0, 0, 0) }, drop.NDMalformed},
		{"B-ND-2 an option beyond the end", func(m *message) { m.body = append(m.body, 200, 2, 0, 0, 0, 0, 0, 0) }, drop.NDMalformed},
		{"B-ND-2 an option without a length", func(m *message) { m.body = append(m.body, 200) }, drop.NDMalformed},
		{"B-ND-2 a link address of another length", func(m *message) { m.body = append(m.body, append([]byte{2, 2}, make([]byte, 14)...)...) }, drop.NDMalformed},
		{"B-ND-15 in one fragment", func(m *message) { m.before, m.next = []byte{58, 0, 0, 0, 0, 0, 0, 9}, wire.IPv6Fragments }, drop.NDMalformed},
	}
	for _, kind := range kinds {
		for _, fault := range faults {
			t.Run(fault.name+", "+kind.name, func(t *testing.T) {
				settled(t, Config{AcceptRedirects: true}, func(n *nodes) {
					n.know(ndPeer, peerMAC)
					m := kind.m
					m.body = append([]byte(nil), m.body...)
					fault.change(&m)
					n.give(m)
					n.want()
					n.dropped(fault.reason, 1)
					if got := n.neighbor(ndPeer); got != "REACHABLE "+peerMAC.String() {
						t.Errorf("the neighbour is %s", got)
					}
				})
			})
		}
	}
	t.Run("B-ND-15 in two fragments", func(t *testing.T) {
		settled(t, Config{}, func(n *nodes) {
			m := message{src: ndPeer, dst: ndOur, body: ns(ndOur, sourceOption(peerMAC))}
			whole := m.frame()
			b := append([]byte(nil), whole.Header[wire.EthernetLen+wire.IPv6Len:]...)
			whole.Release()
			for i, part := range [][]byte{b[:16], b[16:]} {
				head := []byte{58, 0, 0, uint8(16*i | 1 - i), 0, 0, 0, 9}
				n.giveRaw(ndPeer, ndOur, wire.IPv6Fragments, append(head, part...))
			}
			n.want()
			n.dropped(drop.NDMalformed, 1)
		})
	})
}

// giveRaw hands the host a packet with hop limit 255.
func (n *nodes) giveRaw(src, dst netip.Addr, next uint8, payload []byte) {
	h := wire.IPv6{NextHeader: next, HopLimit: 255, Src: src.As16(), Dst: dst.As16(), PayloadLen: len(payload)}
	b := make([]byte, wire.EthernetLen+wire.IPv6Len, wire.EthernetLen+wire.IPv6Len+len(payload))
	eth := wire.Ethernet{Dst: ourMAC, Src: peerMAC, Type: wire.EtherTypeIPv6}
	eth.Marshal(b)
	h.Marshal(b[wire.EthernetLen:])
	f := link.Frame{Header: append(b, payload...)}
	n.in.Begin()
	n.in.Frame(&f)
	n.in.End()
	n.l.Flush()
}

// know makes a neighbour that has just answered.
func (n *nodes) know(a netip.Addr, mac link.MAC) {
	n.Helper()
	n.sendUDP(a)
	dst := ndOur
	if a.Zone() != "" {
		dst = ndOurLink
	}
	n.give(message{from: mac, src: a, dst: dst, body: na("S", a, targetOption(mac))})
	n.sent()
	if got := n.neighbor(a); got != "REACHABLE "+mac.String() {
		n.Fatalf("a neighbour that has answered is %s", got)
	}
}

func TestSolicitations(t *testing.T) {
	group := netip.MustParseAddr("ff02::1:ff00:2")
	for _, tt := range []struct {
		name   string
		m      message
		sent   []string
		drop   drop.Reason // Reasons for none
		state  string
		source netip.Addr
	}{
		{"B-ND-6 asked of the group: an answer to the source, with the MAC",
			message{src: ndPeer, dst: group, body: ns(ndOur, sourceOption(peerMAC))},
			[]string{"02:00:00:00:00:01 2001:db8::2 > 2001:db8::1 NA SO 2001:db8::2 target 02:00:00:00:00:02"}, drop.Reasons, "STALE 02:00:00:00:00:01", ndPeer},
		{"B-ND-6 asked of the host alone", message{src: ndPeer, dst: ndOur, body: ns(ndOur, sourceOption(peerMAC))},
			[]string{"02:00:00:00:00:01 2001:db8::2 > 2001:db8::1 NA SO 2001:db8::2 target 02:00:00:00:00:02"}, drop.Reasons, "STALE 02:00:00:00:00:01", ndPeer},
		{"B-ND-6 asked for the link-local address", message{src: peerLink, dst: group, body: ns(ndOurLink, sourceOption(peerMAC))},
			[]string{"02:00:00:00:00:01 fe80::ff:fe00:2 > fe80::1 NA SO fe80::ff:fe00:2 target 02:00:00:00:00:02"}, drop.Reasons, "STALE 02:00:00:00:00:01", peerLink},
		{"B-ND-6 asked by a host that looks for a free address: all hear the answer, which is to nobody",
			message{src: unspecified, dst: group, body: ns(ndOur)},
			[]string{"33:33:00:00:00:01 2001:db8::2 > ff02::1 NA O 2001:db8::2 target 02:00:00:00:00:02"}, drop.Reasons, "none", ndPeer},
		{"B-ND-6 asked by a host that does not say where it is: where its frame came from", message{src: ndPeer, dst: ndOur, body: ns(ndOur)},
			[]string{"02:00:00:00:00:01 2001:db8::2 > 2001:db8::1 NA SO 2001:db8::2 target 02:00:00:00:00:02"}, drop.Reasons, "none", ndPeer},
		{"B-ND-8 a solicitation makes a neighbour STALE", message{src: ndPeer, dst: group, body: ns(ndOur, sourceOption(peerMAC))},
			[]string{"02:00:00:00:00:01 2001:db8::2 > 2001:db8::1 NA SO 2001:db8::2 target 02:00:00:00:00:02"}, drop.Reasons, "STALE 02:00:00:00:00:01", ndPeer},
		{"a stranger of another network is answered and not learned", message{src: netip.MustParseAddr("2001:db8:9::1"), dst: group,
			body: ns(ndOur, sourceOption(peerMAC))},
			[]string{"02:00:00:00:00:01 2001:db8::2 > 2001:db8:9::1 NA SO 2001:db8::2 target 02:00:00:00:00:02"}, drop.Reasons, "none", netip.MustParseAddr("2001:db8:9::1")},
		{"B-ND-3 a target that is a group", message{src: ndPeer, dst: ndOur, body: ns(group, sourceOption(peerMAC))}, nil, drop.NDMalformed, "none", ndPeer},
		{"B-ND-3 from :: to an address", message{src: unspecified, dst: ndOur, body: ns(ndOur)}, nil, drop.BadSource, "none", ndPeer},
		{"B-ND-3 from :: to all nodes", message{src: unspecified, dst: allNodes, body: ns(ndOur)}, nil, drop.NDMalformed, "none", ndPeer},
		{"B-ND-3 from :: with a link address", message{src: unspecified, dst: group, body: ns(ndOur, sourceOption(peerMAC))}, nil, drop.NDMalformed, "none", ndPeer},
		{"B-ND-3 too short", message{src: ndPeer, dst: ndOur, body: ns(ndOur)[:20]}, nil, drop.NDMalformed, "none", ndPeer},
		{"for another host's address", message{src: ndPeer, dst: group, body: ns(netip.MustParseAddr("2001:db8::1:2"), sourceOption(peerMAC))}, nil, drop.NotForUs, "none", ndPeer},
		{"from our address", message{src: ndOur, dst: group, body: ns(ndOur, sourceOption(peerMAC))}, nil, drop.NDSender, "none", ndOur},
		{"with a group's link address", message{src: ndPeer, dst: group, body: ns(ndOur, sourceOption(link.MAC{1, 0, 0, 0, 0, 1}))}, nil, drop.NDSender, "none", ndPeer},
		{"with no link address", message{src: ndPeer, dst: group, body: ns(ndOur, sourceOption(noMAC))}, nil, drop.NDSender, "none", ndPeer},
		{"with our link address", message{src: ndPeer, dst: group, body: ns(ndOur, sourceOption(ourMAC))}, nil, drop.NDSender, "none", ndPeer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			settled(t, Config{}, func(n *nodes) {
				if got := n.give(tt.m); got != Taken {
					t.Errorf("outcome %d", got)
				}
				n.want(tt.sent...)
				if tt.drop != drop.Reasons {
					n.dropped(tt.drop, 1)
				}
				if got := n.neighbor(tt.source); got != tt.state {
					t.Errorf("the neighbour is %s, want %s", got, tt.state)
				}
			})
		})
	}
	t.Run("B-ND-8 a solicitation with another link address does not replace the neighbour's that answers", func(t *testing.T) {
		settled(t, Config{}, func(n *nodes) {
			n.know(ndPeer, peerMAC)
			n.give(message{src: ndPeer, dst: ndOur, body: ns(ndOur, sourceOption(peerMAC))})
			if got := n.neighbor(ndPeer); got != "REACHABLE 02:00:00:00:00:01" {
				t.Errorf("after its own solicitation a neighbour is %s", got)
			}
			n.sent()
			n.give(message{from: strangerMAC, src: ndPeer, dst: ndOur, body: ns(ndOur, sourceOption(strangerMAC))})
			if got := n.neighbor(ndPeer); got != "PROBE 02:00:00:00:00:01" {
				t.Errorf("after another's solicitation a neighbour is %s", got)
			}
		})
	})
}

// A router advertisement is checked, and nothing is learned from it yet.
func TestRouterAdvertisements(t *testing.T) {
	body := []byte{wire.ICMPv6RouterAdvertisement, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0}
	for _, tt := range []struct {
		name   string
		m      message
		reason drop.Reason
	}{
		{"B-ND-5 from an address of another kind", message{src: ndPeer, dst: allNodes, body: body}, drop.NDMalformed},
		{"too short", message{src: routerLink, dst: allNodes, body: body[:15]}, drop.NDMalformed},
		{"from a router", message{src: routerLink, dst: allNodes, body: append(body[:16:16], sourceOption(strangerMAC)...)}, drop.ICMPType},
		{"a solicitation of another host", message{src: ndPeer, dst: allNodes, body: []byte{wire.ICMPv6RouterSolicitation, 0, 0, 0, 0, 0, 0, 0}}, drop.ICMPType},
	} {
		t.Run(tt.name, func(t *testing.T) {
			settled(t, Config{}, func(n *nodes) {
				routes := len(n.l.Routes())
				n.give(tt.m)
				n.want()
				n.dropped(tt.reason, 1)
				if len(n.l.Routes()) != routes || n.neighbor(routerLink) != "none" || len(n.l.Addrs()) != 3 {
					t.Error("the host has learned something")
				}
			})
		})
	}
}

func TestGroupFrames(t *testing.T) {
	for _, tt := range []struct {
		name   string
		to     link.MAC
		reason drop.Reason // Reasons for none
	}{
		{"B-ETH-3 all nodes", link.MAC{0x33, 0x33, 0, 0, 0, 1}, drop.Reasons},
		{"B-ETH-3 the group of an address", link.MAC{0x33, 0x33, 0xff, 0, 0, 2}, drop.Reasons},
		{"B-ETH-3 a group of IPv6 that the host is not in", link.MAC{0x33, 0x33, 0xff, 0, 0, 3}, drop.ForeignMAC},
		{"B-ETH-3 all routers", link.MAC{0x33, 0x33, 0, 0, 0, 2}, drop.ForeignMAC},
	} {
		t.Run(tt.name, func(t *testing.T) {
			settled(t, Config{}, func(n *nodes) {
				n.give(message{to: tt.to, src: ndPeer, dst: ndOur, body: ns(ndOur, sourceOption(peerMAC))})
				if got := len(n.sent()); got != 1 && tt.reason == drop.Reasons || got != 0 && tt.reason != drop.Reasons {
					t.Errorf("%d answers", got)
				}
				if tt.reason != drop.Reasons {
					n.dropped(tt.reason, 1)
				}
			})
		})
	}
	t.Run("B-ETH-3 a host without IPv6 is in no group of it", func(t *testing.T) {
		onLink(t, Config{}, InterfaceConfig{Addrs: []netip.Prefix{ourNet}}, func(n *nodes) {
			n.give(message{src: ndPeer, dst: allNodes, body: ns(ndOur, sourceOption(peerMAC))})
			n.dropped(drop.ForeignMAC, 1)
			n.sleep(time.Minute)
			n.want()
		})
	})
}
