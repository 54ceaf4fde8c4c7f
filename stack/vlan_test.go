package stack

import (
	"testing"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// tagged puts a tag in front of a frame's EtherType.
func tagged(frame []byte, typ, control uint16) []byte {
	out := append([]byte(nil), frame[:12]...)
	out = append(out, byte(typ>>8), byte(typ), byte(control>>8), byte(control))
	return append(out, frame[12:]...)
}

const (
	ctag = wire.EtherTypeVLAN
	stag = wire.EtherTypeServiceVLAN
)

func TestVLANTags(t *testing.T) {
	t.Run("B-ETH-6 VLAN 0 counts as untagged, whatever priority the tag has", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			ping := in4(ip4(fromPeer(wire.ProtocolICMP), icmp4(8, 0, [4]byte{0, 1, 0, 1}, nil)))
			for _, f := range [][]byte{
				tagged(ping, ctag, 0), tagged(ping, ctag, 7<<13), tagged(ping, ctag, 1<<12), tagged(ping, stag, 0),
				tagged(tagged(ping, ctag, 3<<13), stag, 5<<13), tagged(tagged(ping, ctag, 0), ctag, 0),
			} {
				b.inject(f)
				b.want(out4(echoReply(b, icmp4(0, 0, [4]byte{0, 1, 0, 1}, nil))))
			}
		})
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
	t.Run("B-ETH-6 frames of other VLANs are counted drops", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			ping := in4(ip4(fromPeer(wire.ProtocolICMP), icmp4(8, 0, [4]byte{0, 1, 0, 1}, nil)))
			b.inject(
				tagged(ping, ctag, 1), tagged(ping, ctag, 4095), tagged(ping, ctag, 7<<13|100), tagged(ping, stag, 1),
				tagged(tagged(ping, ctag, 5), ctag, 0), tagged(tagged(ping, ctag, 0), ctag, 5),
				tagged(request(peerIP, otherMAC, ourIP), ctag, 2),
			)
			b.want()
			b.wantDrop(DropVLAN, 7)
			if mac, _, _ := b.entry(peerIP); mac != peerMAC {
				t.Errorf("another VLAN's ARP packet made the peer's entry %v", mac)
			}
		})
	})
	t.Run("B-ETH-6 a tag that is cut short, or has an unknown type behind it, is a counted drop", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			f := tagged(in4(ip4(fromPeer(wire.ProtocolICMP), icmp4(8, 0, [4]byte{0, 1, 0, 1}, nil))), ctag, 0)
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
	})
	t.Run("B-ETH-6 a tagged datagram whose checksum is left to the device", func(t *testing.T) {
		info := link.Info{Name: "mem0", Kind: link.Ethernet, MAC: ourMAC, MTU: 1500, Checksum: true, TSO4: true}
		onDevice(t, Config{}, info, func(b *bed) {
			s := b.listenUDP("10.0.0.2:7")
			d := udp4(peerIP, ourIP, 5, 7, octets(1000))
			d[6], d[7] = 0x12, 0x34 // begun only
			m := link.Meta{NeedsChecksum: true, ChecksumStart: 14 + 4 + 20, ChecksumOffset: 6}
			b.injectMeta(m, tagged(in4(ip4(fromPeer(wire.ProtocolUDP), d)), ctag, 0))
			b.wantDatagram(s, octets(1000))
		})
	})
	t.Run("B-ETH-6 a tagged super-segment", func(t *testing.T) {
		info := link.Info{Name: "mem0", Kind: link.Ethernet, MAC: ourMAC, MTU: 1500, Checksum: true, TSO4: true}
		onDevice(t, Config{}, info, func(b *bed) {
			b.h.findNeighbor(b, peerIP)
			l := b.listenTCP(80, 1)
			b.inject(tagged(seg{flags: "S", seq: 100}.frame(), ctag, 0))
			iss := b.segment().Seq
			b.inject(seg{flags: "A", seq: 101, ack: iss + 1}.frame())
			c, err := l.TryAccept()
			if err != nil {
				t.Fatal(err)
			}
			text := octets(20 * 1000)
			h := wire.TCP{SrcPort: 1000, DstPort: 80, Seq: 101, Ack: iss + 1, Flags: wire.TCPAck, Window: 65535}
			m := link.Meta{NeedsChecksum: true, ChecksumStart: 14 + 4 + 20, ChecksumOffset: 16,
				GSO: link.TCP4, GSOSize: 1000, HeaderLen: 14 + 4 + 20 + 20}
			b.injectMeta(m, tagged(in4(ip4(fromPeer(wire.ProtocolTCP), tcp4(peerIP, ourIP, h, text))), ctag, 0))
			got := make([]byte, len(text)+1)
			n, err := c.TryRead(got)
			if err != nil || string(got[:n]) != string(text) {
				t.Errorf("read %d octets, %v; want %d", n, err, len(text))
			}
		})
	})
}
