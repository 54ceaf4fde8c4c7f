package ip

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/span"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// attachSecond gives the layer another Ethernet interface, mem1, with the MAC and addresses.
func (n *nodes) attachSecond(mac link.MAC, addrs ...string) (*device, *Input) {
	n.Helper()
	dev := &device{info: link.Info{Name: "mem1", Kind: link.Ethernet, MAC: mac, MTU: 1500}}
	config := InterfaceConfig{DADTransmits: -1, Announce: AnnounceNever}
	for _, a := range addrs {
		config.Addrs = append(config.Addrs, netip.MustParsePrefix(a))
	}
	ifc, err := n.l.Attach(dev, config)
	if err != nil {
		n.Fatal(err)
	}
	in := new(Input)
	in.Init(n.l, ifc)
	in.Begin()
	n.in.Begin()
	return dev, in
}

// TestMACOfAnotherInterface checks that a neighbour may have the Ethernet address that the host has on another interface:
// such addresses are unique within a link. On the link of the interface itself no neighbour has it.
func TestMACOfAnotherInterface(t *testing.T) {
	settled(t, Config{}, func(n *nodes) {
		second := link.MAC{2, 0, 0, 0, 0, 77}
		n.attachSecond(second, "10.7.0.2/24", "fd07::2/64")
		n.sleep(settledMoment)
		n.sent()
		for _, row := range []struct {
			mac   link.MAC // that the neighbour says is its own
			drops uint64
		}{{second, 0}, {ourMAC, 1}} {
			before := n.l.Drops.Load()
			f := frames.Frame(frames.ARP(ourMAC, peerMAC, wire.ARP{Op: wire.ARPRequest, SenderMAC: row.mac,
				SenderIP: peerIP.As4(), TargetIP: ourIP.As4()}))
			n.in.Frame(&f)
			f.Release()
			n.give(message{src: ndPeer, dst: ndOur, body: ns(ndOur, sourceOption(row.mac))})
			n.give(message{from: row.mac, src: ndPeer, dst: ndOur, body: na("SO", ndPeer, targetOption(peerMAC))})
			after := n.l.Drops.Load()
			for _, reason := range []drop.Reason{drop.ARPSender, drop.NDSender, drop.OwnMAC} {
				if k := after[reason] - before[reason]; k != row.drops {
					n.Errorf("a neighbour at %v: %d packets dropped as %v, want %d", row.mac.String(), k, reason, row.drops)
				}
			}
			if sent, want := len(n.sent()), int(2-2*row.drops); sent != want {
				n.Errorf("a neighbour at %v: %d answers, want %d", row.mac.String(), sent, want)
			}
		}
	})
}

// TestOneLinkLocalTwice checks that a packet to a link-local address that two interfaces of the host have is one of the
// interface that its zone names, also over loopback, and that so is what an error quotes.
func TestOneLinkLocalTwice(t *testing.T) {
	settled(t, Config{}, func(n *nodes) {
		n.attachSecond(link.MAC{2, 0, 0, 0, 0, 77}, "fe80::ff:fe00:2/64", "fd07::2/64")
		for _, zone := range []string{"mem0", "mem1"} {
			own := netip.MustParseAddr("fe80::ff:fe00:2%" + zone)
			for _, local := range []netip.Addr{own, netip.MustParseAddr("fd07::2")} {
				in := n.overLoopback(local, own)
				if p := &in.Packet; p.Src != local || p.Dst != own {
					n.Errorf("from %v to %v: it came from %v to %v", local, own, p.Src, p.Dst)
				}
				n.l.SendError(&in.Packet, PortUnreachable, 0)
				in = n.loopbackIn()
				if r := &in.Report; r.Local != local || r.Remote != own || r.Reason != PortUnreachable {
					n.Errorf("from %v to %v: an error about a packet from %v to %v, %v", local, own, r.Local, r.Remote, r.Reason)
				}
			}
		}
	})
}

// overLoopback sends a datagram and returns the Input that has taken it.
func (n *nodes) overLoopback(local, remote netip.Addr) *Input {
	n.Helper()
	r, err := n.l.HostRoute(local, remote)
	if err != nil {
		n.Fatal(err)
	}
	header := []byte{0, 7, 0, 9, 0, 12, 0, 0}
	r.Send(&OutPacket{Protocol: wire.ProtocolUDP, Header: header, ChecksumOffset: 6, PayloadLen: 4,
		Payload: []span.Span{{Data: bytes.Repeat([]byte{1}, 4)}}})
	return n.loopbackIn()
}

// loopbackIn has the layer take the one packet that is on its loopback interface.
func (n *nodes) loopbackIn() *Input {
	n.Helper()
	n.l.Flush()
	lo := n.l.Interfaces()[0]
	var list [2]link.Frame
	if k, err := lo.queues[0].Read(list[:]); k != 1 || err != nil {
		n.Fatalf("%d packets, %v", k, err)
	}
	n.Cleanup(list[0].Release)
	in := new(Input)
	in.Init(n.l, lo)
	in.Begin()
	if o := in.Frame(&list[0]); o == Taken {
		n.Fatal("it was not for a socket")
	}
	return in
}

// TestTwoInterfacesOnOneLink checks that the host does not take its other interface for another host that has its address.
func TestTwoInterfacesOnOneLink(t *testing.T) {
	onLink(t, Config{}, InterfaceConfig{}, func(n *nodes) {
		second := link.MAC{2, 0, 0, 0, 0, 77}
		n.attachSecond(second, "10.7.0.2/24")
		n.sent()
		n.log.take()
		group := netip.MustParseAddr("ff02::1:ff00:2")
		n.give(message{from: second, src: unspecified, dst: group, body: ns(ndOur)})
		n.give(message{from: second, src: ndOur, dst: allNodes, body: na("O", ndOur, targetOption(second))})
		f := frames.Frame(frames.ARP(ourMAC, second, wire.ARP{Op: wire.ARPRequest, SenderMAC: second,
			SenderIP: ourIP.As4(), TargetIP: peerIP.As4()}))
		n.in.Frame(&f)
		f.Release()
		n.dropped(drop.NDSender, 2)
		n.dropped(drop.ARPSender, 1)
		n.dropped(drop.NDConflict, 0)
		n.dropped(drop.ARPConflict, 0)
		if lines := n.log.take(); len(lines) > 0 {
			n.Errorf("logged %q", lines)
		}
	})
}
