// Package frames builds and reads packets of either family for tests: Ethernet, IP, TCP, UDP and ICMP, with right lengths
// and checksums. The family is that of the addresses. Only tests use it.
package frames

import (
	"encoding/binary"
	"net/netip"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// usualTTL is the TTL or hop limit of a packet that does not say another one.
const usualTTL = 64

// Frame returns octets as a frame of a device, with headroom, in a buffer of its own.
func Frame(octets []byte) (f link.Frame) {
	b := link.NewBuffer(link.Headroom + len(octets))
	copy(b.Bytes()[link.Headroom:], octets)
	f.Set(b, link.Headroom, link.Headroom+len(octets))
	return f
}

// Ethernet puts an IP packet into an Ethernet frame, of the type that its version has.
func Ethernet(dst, src link.MAC, packet []byte) []byte {
	if packet[0]>>4 == 6 {
		return EthernetType(dst, src, wire.EtherTypeIPv6, packet)
	}
	return EthernetType(dst, src, wire.EtherTypeIPv4, packet)
}

// EthernetType puts a payload into an Ethernet frame of a type.
func EthernetType(dst, src link.MAC, typ uint16, payload []byte) []byte {
	b := make([]byte, wire.EthernetLen, wire.EthernetLen+len(payload))
	(&wire.Ethernet{Dst: dst, Src: src, Type: typ}).Marshal(b)
	return append(b, payload...)
}

// ARP returns an ARP message in an Ethernet frame.
func ARP(dst, src link.MAC, p wire.ARP) []byte {
	b := make([]byte, wire.ARPLen)
	p.Marshal(b)
	return EthernetType(dst, src, wire.EtherTypeARP, b)
}

// IP returns a packet with the usual header.
func IP(src, dst netip.Addr, protocol uint8, payload []byte) []byte {
	if src.Is4() {
		return IPv4(wire.IPv4{Src: src.As4(), Dst: dst.As4(), Protocol: protocol}, payload)
	}
	return IPv6(wire.IPv6{Src: src.As16(), Dst: dst.As16(), NextHeader: protocol}, payload)
}

// IPv4 returns a packet. A TTL and a TotalLen of zero become the usual ones.
func IPv4(h wire.IPv4, payload []byte) []byte {
	if h.TTL == 0 {
		h.TTL = usualTTL
	}
	if h.TotalLen == 0 {
		h.TotalLen = wire.IPv4Len + (len(h.Options)+3)&^3 + len(payload)
	}
	b := make([]byte, wire.IPv4MaxLen)
	return append(b[:h.Marshal(b)], payload...)
}

// IPv6 returns a packet, whose payload begins with the extension headers, if any. A HopLimit and a PayloadLen of zero
// become the usual ones.
func IPv6(h wire.IPv6, payload []byte) []byte {
	if h.HopLimit == 0 {
		h.HopLimit = usualTTL
	}
	if h.PayloadLen == 0 {
		h.PayloadLen = len(payload)
	}
	b := make([]byte, wire.IPv6Len, wire.IPv6Len+len(payload))
	h.Marshal(b)
	return append(b, payload...)
}

// TCP returns a segment between two addresses.
func TCP(src, dst netip.Addr, h wire.TCP, text []byte) []byte {
	const checksum = 16
	b := make([]byte, wire.TCPMaxLen)
	h.Checksum = 0
	b = append(b[:h.Marshal(b)], text...)
	binary.BigEndian.PutUint16(b[checksum:], wire.Checksum(b, wire.PseudoHeader(src, dst, wire.ProtocolTCP, len(b))))
	return b
}

// UDP returns a datagram between two addresses.
func UDP(src, dst netip.Addr, srcPort, dstPort uint16, data []byte) []byte {
	b := make([]byte, wire.UDPLen, wire.UDPLen+len(data))
	h := wire.UDP{SrcPort: srcPort, DstPort: dstPort, Length: wire.UDPLen + len(data)}
	h.Marshal(b)
	b = append(b, data...)
	h.Checksum = wire.UDPChecksum(b, wire.PseudoHeader(src, dst, wire.ProtocolUDP, len(b)))
	h.Marshal(b)
	return b
}

// ICMP returns an ICMP message, or between IPv6 addresses an ICMPv6 message, whose types are others.
func ICMP(src, dst netip.Addr, typ, code uint8, rest [4]byte, body []byte) []byte {
	b := make([]byte, wire.ICMPLen, wire.ICMPLen+len(body))
	(&wire.ICMPv4{Type: typ, Code: code, Rest: rest}).Marshal(b)
	b = append(b, body...)
	if src.Is4() {
		wire.PutICMPv4Checksum(b)
	} else {
		wire.PutICMPv6Checksum(b, src.As16(), dst.As16())
	}
	return b
}

// Packet is what tests ask of an IP packet of either family.
type Packet struct {
	Src, Dst netip.Addr
	Protocol uint8 // the next header of IPv6: extension headers are not opened
	TTL, TOS uint8 // the hop limit and the traffic class of IPv6
	Payload  []byte
}

// ParseIP reads a packet of either family.
func ParseIP(b []byte) (p Packet, err error) {
	if len(b) > 0 && b[0]>>4 == 6 {
		var h wire.IPv6
		p.Payload, err = h.Parse(b)
		p.Src, p.Dst = netip.AddrFrom16(h.Src), netip.AddrFrom16(h.Dst)
		p.Protocol, p.TTL, p.TOS = h.NextHeader, h.HopLimit, h.TrafficClass
		return p, err
	}
	var h wire.IPv4
	p.Payload, err = h.Parse(b)
	p.Src, p.Dst = netip.AddrFrom4(h.Src), netip.AddrFrom4(h.Dst)
	p.Protocol, p.TTL, p.TOS = h.Protocol, h.TTL, h.TOS
	return p, err
}

// TransportSum returns 0xffff if the checksum of the packet's transport header is right, of TCP, UDP or ICMP.
func (p *Packet) TransportSum() uint16 {
	pseudo := uint32(0)
	if p.Protocol != wire.ProtocolICMP {
		pseudo = wire.PseudoHeader(p.Src, p.Dst, p.Protocol, len(p.Payload))
	}
	return wire.Fold(wire.Sum(p.Payload, pseudo))
}
