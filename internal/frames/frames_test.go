package frames

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// ends are two addresses of each family.
var ends = map[string][2]netip.Addr{
	"IPv4": {netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")},
	"IPv6": {netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")},
}

// What is built is what another reader and writer of packets takes for right, to the last octet.
func TestBuilders(t *testing.T) {
	text := []byte("an odd number of octets")
	for family, e := range ends {
		src, dst := e[0], e[1]
		echo, protocol := uint8(wire.ICMPv4EchoRequest), uint8(wire.ProtocolICMP)
		if src.Is6() {
			echo, protocol = wire.ICMPv6EchoRequest, wire.ProtocolICMPv6
		}
		segment := TCP(src, dst, wire.TCP{SrcPort: 1, DstPort: 2, Seq: 3, Ack: 4, Flags: wire.TCPAck, Window: 5, Checksum: 6}, text)
		for name, packet := range map[string][]byte{
			"TCP":  IP(src, dst, wire.ProtocolTCP, segment),
			"UDP":  IP(src, dst, wire.ProtocolUDP, UDP(src, dst, 1, 2, text)),
			"ICMP": IP(src, dst, protocol, ICMP(src, dst, echo, 0, [4]byte{1, 2, 3, 4}, text)),
		} {
			t.Run(family+" "+name, func(t *testing.T) {
				frame := Ethernet(link.MAC{2, 1}, link.MAC{2, 2}, packet)
				if again := rebuilt(t, frame); !bytes.Equal(again, frame) {
					t.Errorf("built is\n%x, want\n%x", frame, again)
				}
				p, err := ParseIP(packet)
				if err != nil || p.Src != src || p.Dst != dst || p.TTL != usualTTL || p.TOS != 0 || !bytes.HasSuffix(p.Payload, text) {
					t.Errorf("read back it is %+v, %v", p, err)
				}
				if sum := p.TransportSum(); sum != 0xffff {
					t.Errorf("the sum is %#x", sum)
				}
				p.Payload[len(p.Payload)-1] ^= 1
				if p.TransportSum() == 0xffff {
					t.Error("a wrong checksum is taken for right")
				}
			})
		}
	}
}

// rebuilt decodes a frame and writes it again, with lengths and checksums worked out anew.
func rebuilt(t *testing.T, frame []byte) []byte {
	t.Helper()
	p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
	if p.ErrorLayer() != nil {
		t.Fatal(p.ErrorLayer().Error())
	}
	var all []gopacket.SerializableLayer
	for _, l := range p.Layers() {
		if c, ok := l.(interface {
			SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
		}); ok {
			if err := c.SetNetworkLayerForChecksum(p.NetworkLayer()); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, l.(gopacket.SerializableLayer))
	}
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, all...); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// Fields that a test gives stay, also where they are wrong.
func TestGivenFieldsStay(t *testing.T) {
	four := IPv4(wire.IPv4{TTL: 9, TotalLen: 7, Options: []byte{1}, TOS: 3}, make([]byte, 5))
	if len(four) != 29 || four[3] != 7 || four[8] != 9 || four[1] != 3 {
		t.Errorf("IPv4: %x", four)
	}
	six := IPv6(wire.IPv6{HopLimit: 9, PayloadLen: 7, NextHeader: 59}, make([]byte, 5))
	if len(six) != 45 || six[5] != 7 || six[7] != 9 || six[6] != 59 {
		t.Errorf("IPv6: %x", six)
	}
	if _, err := ParseIP(six); err != wire.ErrLength {
		t.Errorf("a packet that is cut short: %v", err)
	}
	f := Frame(ARP(link.MAC{1}, link.MAC{2}, wire.ARP{Op: wire.ARPRequest}))
	defer f.Release()
	if len(f.Header) != wire.EthernetLen+wire.ARPLen || f.Header[12] != 8 || f.Header[13] != 6 || f.Prepend(link.Headroom) == nil {
		t.Errorf("ARP: %x", f.Header)
	}
}
