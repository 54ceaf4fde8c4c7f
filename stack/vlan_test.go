package stack

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// tagged puts a tag in front of a frame's EtherType.
func tagged(frame []byte, typ, control uint16) []byte {
	out := append([]byte(nil), frame[:12]...)
	out = append(out, byte(typ>>8), byte(typ), byte(control>>8), byte(control))
	return append(out, frame[12:]...)
}

// wantEcho checks that the answer to echoIn has left, and nothing else.
func (b *bed) wantEcho() {
	b.Helper()
	out := b.take()
	if len(out) != 1 || link.MAC(out[0][:6]) != peerMAC {
		b.Errorf("answered by %x", out)
		return
	}
	want := frames.ICMP(b.ours(), b.peer(), b.echoReply, 0, [4]byte{0, 1, 0, 1}, nil)
	if p := b.parsed(out[0]); p.Src != b.ours() || p.Dst != b.peer() || !bytes.Equal(p.Payload, want) {
		b.Errorf("answered by %x, want %x", out[0], want)
	}
}

const (
	ctag = wire.EtherTypeVLAN
	stag = wire.EtherTypeServiceVLAN
)

func TestVLANTags(t *testing.T) {
	withPeers(t, "B-ETH-6 VLAN 0 counts as untagged, whatever priority the tag has", Config{}, func(b *bed) {
		ping := b.echoIn(nil)
		for _, f := range [][]byte{
			tagged(ping, ctag, 0), tagged(ping, ctag, 7<<13), tagged(ping, ctag, 1<<12), tagged(ping, stag, 0),
			tagged(tagged(ping, ctag, 3<<13), stag, 5<<13), tagged(tagged(ping, ctag, 0), ctag, 0),
		} {
			b.inject(f)
			b.wantEcho()
		}
	})
	t.Run("B-ETH-6 an ARP request in VLAN 0 is answered and learned from", func(t *testing.T) {
		onBed(t, Config{}, func(b *bed) {
			b.inject(tagged(request(peerIP, peerMAC, ourIP), ctag, 5<<13))
			b.want(arpFrame(peerMAC, ourMAC, wire.ARP{Op: wire.ARPReply, SenderMAC: ourMAC, SenderIP: ourIP.As4(),
				TargetMAC: peerMAC, TargetIP: peerIP.As4()}))
			if mac, _, ok := b.entry(peerIP); !ok || mac != peerMAC {
				t.Errorf("the entry is %v, %v", mac, ok)
			}
		})
	})
	t.Run("B-ETH-6 a neighbour solicitation in VLAN 0 is answered and learned from", func(t *testing.T) {
		inBed(t, ipv6, Config{}, memInfo, []netip.Prefix{ipv6.net()}, func(b *bed) {
			b.inject(tagged(b.asked(), ctag, 5<<13))
			if out := b.take(); len(out) != 1 || link.MAC(out[0][:6]) != peerMAC || out[0][wire.EthernetLen+wire.IPv6Len] != wire.ICMPv6NeighborAdvertisement {
				t.Errorf("answered by %x", out)
			}
			if mac, _, ok := b.entry(b.peer()); !ok || mac != peerMAC {
				t.Errorf("the entry is %v, %v", mac, ok)
			}
		})
	})
	withPeers(t, "B-ETH-6 frames of other VLANs are counted drops", Config{}, func(b *bed) {
		ping := b.echoIn(nil)
		b.inject(
			tagged(ping, ctag, 1), tagged(ping, ctag, 4095), tagged(ping, ctag, 7<<13|100), tagged(ping, stag, 1),
			tagged(tagged(ping, ctag, 5), ctag, 0), tagged(tagged(ping, ctag, 0), ctag, 5),
			tagged(b.askedBy(otherMAC), ctag, 2),
		)
		b.want()
		b.wantDrop(DropVLAN, 7)
		if mac, _, _ := b.entry(b.peer()); mac != peerMAC {
			b.Errorf("another VLAN's question made the peer's entry %v", mac)
		}
	})
	withPeers(t, "B-ETH-6 a tag that is cut short, or has an unknown type behind it, is a counted drop", Config{}, func(b *bed) {
		f := tagged(b.echoIn(nil), ctag, 0)
		twice := tagged(f, ctag, 0)
		b.inject(f[:14], f[:15], f[:17], twice[:18], twice[:21])
		b.wantDrop(DropRunt, 5)
		b.inject(tagged(ethFrame(ourMAC, peerMAC, 0x1234, make([]byte, 46)), ctag, 0),
			tagged(ethFrame(ourMAC, peerMAC, 46, make([]byte, 46)), ctag, 0))
		b.wantDrop(DropEtherType, 2)
		b.inject(tagged(ethFrame(ourMAC, peerMAC, wire.EtherTypeIPv6, make([]byte, 46)), ctag, 0))
		b.wantDrop(DropIPVersion, 1)
		b.inject(f[:18], f[:19]) // no IP header behind the tag
		b.wantDrop(DropIPHeader, 2)
		b.want()
	})
	offloads := link.Info{Name: "mem0", Kind: link.Ethernet, MAC: ourMAC, MTU: 1500, Checksum: true, TSO4: true, TSO6: true}
	onDevices(t, "B-ETH-6 a tagged datagram whose checksum is left to the device", Config{}, offloads, func(b *bed) {
		s := b.bindUDP(b.here(7))
		d := frames.UDP(b.peer(), b.ours(), 5, 7, octets(1000))
		d[6], d[7] = 0x12, 0x34 // begun only
		m := link.Meta{NeedsChecksum: true, ChecksumStart: 14 + 4 + uint16(b.headerLen), ChecksumOffset: 6}
		b.injectMeta(m, tagged(b.in(wire.ProtocolUDP, d), ctag, 0))
		b.wantDatagram(s, octets(1000))
	})
	onDevices(t, "B-ETH-6 a tagged super-segment", Config{}, offloads, func(b *bed) {
		b.h.findNeighbor(b, b.peer())
		l := b.listenTCP(80, 1)
		b.inject(tagged(b.frame(seg{flags: "S", seq: 100}), ctag, 0))
		iss := b.segment().Seq
		b.inject(b.frame(seg{flags: "A", seq: 101, ack: iss + 1}))
		c, err := l.TryAccept()
		if err != nil {
			b.Fatal(err)
		}
		text := octets(20 * 1000)
		h := wire.TCP{SrcPort: 1000, DstPort: 80, Seq: 101, Ack: iss + 1, Flags: wire.TCPAck, Window: 65535}
		gso := link.TCP4
		if b.ours().Is6() {
			gso = link.TCP6
		}
		m := link.Meta{NeedsChecksum: true, ChecksumStart: 14 + 4 + uint16(b.headerLen), ChecksumOffset: 16,
			GSO: gso, GSOSize: 1000, HeaderLen: 14 + 4 + uint16(b.headerLen) + 20}
		b.injectMeta(m, tagged(b.tcpIn(h, text), ctag, 0))
		got := make([]byte, len(text)+1)
		n, err := c.TryRead(got)
		if err != nil || string(got[:n]) != string(text) {
			b.Errorf("read %d octets, %v; want %d", n, err, len(text))
		}
	})
}
