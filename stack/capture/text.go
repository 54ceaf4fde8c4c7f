package capture

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/unet-go/unet/stack/link"
)

// text writes lines.
type text struct {
	w       io.Writer
	printer *Printer
}

func (t *text) write(at time.Time, frame []byte, _ direction) error {
	_, err := io.WriteString(t.w, t.printer.Line(at, frame)+"\n")
	return err
}

func (t *text) flush() error { return nil }

// Numbers of protocols, as IANA has them.
const (
	etherIPv4 = 0x0800
	etherARP  = 0x0806
	etherIPv6 = 0x86dd

	etherVLAN, etherServiceVLAN = 0x8100, 0x88a8

	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
)

// Printer turns frames into lines of text as tcpdump -n prints them: TCP's sequence and acknowledgment
// numbers are relative from the segment after a SYN-ACK on or, where it saw none, after the first segment
// with an ACK. It remembers up to 65,536 conversations for that; when there are more it forgets all of them.
// A Printer is for one goroutine at a time.
type Printer struct {
	kind  link.Kind
	flows map[flow]base
}

// NewPrinter returns a Printer for frames of a device of the given kind.
func NewPrinter(kind link.Kind) *Printer {
	return &Printer{kind: kind, flows: make(map[flow]base)}
}

// Line returns the line for a frame that passed at the given time, whose local time of day it shows,
// without a newline. For a header that is cut off or has a wrong length it prints what tcpdump prints: "[|tcp]".
func (p *Printer) Line(at time.Time, frame []byte) string {
	return at.Format("15:04:05.000000 ") + p.frame(frame)
}

func (p *Printer) frame(b []byte) string {
	if p.kind == link.IP {
		if len(b) > 0 && b[0]>>4 == 6 {
			return p.ipv6(b)
		}
		return p.ipv4(b)
	}
	if len(b) < 14 {
		return "[|ether]"
	}
	kind, body, tags := binary.BigEndian.Uint16(b[12:]), b[14:], ""
	for kind == etherVLAN || kind == etherServiceVLAN {
		if len(body) < 4 {
			return tags + "[|vlan]"
		}
		tags += tag(binary.BigEndian.Uint16(body))
		kind, body = binary.BigEndian.Uint16(body[2:]), body[4:]
	}
	switch kind {
	case etherIPv4:
		return tags + p.ipv4(body)
	case etherIPv6:
		return tags + p.ipv6(body)
	case etherARP:
		return tags + arp(body)
	default:
		return fmt.Sprintf("%v > %v, %sethertype Unknown (0x%04x), length %d",
			net.HardwareAddr(b[6:12]), net.HardwareAddr(b[:6]), tags, kind, len(b))
	}
}

// tag prints the control information of an IEEE 802.1Q tag. tcpdump does so with -e alone; here it is in every line,
// since it decides whether a host takes the frame.
func tag(control uint16) string {
	eligible := ""
	if control&0x1000 != 0 {
		eligible = ", DEI"
	}
	return fmt.Sprintf("vlan %d, p %d%s, ", control&0xfff, control>>13, eligible)
}

func arp(b []byte) string {
	if len(b) < 28 || binary.BigEndian.Uint32(b[2:]) != etherIPv4<<16|6<<8|4 {
		return "[|ARP]"
	}
	sender, target := netip.AddrFrom4([4]byte(b[14:])), netip.AddrFrom4([4]byte(b[24:]))
	switch op := binary.BigEndian.Uint16(b[6:]); op {
	case 1:
		// In a request the target's hardware address is zero, or of no meaning.
		asked := ""
		if mac := [6]byte(b[18:]); mac != [6]byte{} && mac != [6]byte{255, 255, 255, 255, 255, 255} {
			asked = fmt.Sprintf(" (%v)", net.HardwareAddr(b[18:24]))
		}
		return fmt.Sprintf("ARP, Request who-has %v%s tell %v, length %d", target, asked, sender, len(b))
	case 2:
		return fmt.Sprintf("ARP, Reply %v is-at %v, length %d", sender, net.HardwareAddr(b[8:14]), len(b))
	default:
		return fmt.Sprintf("ARP, Unknown (%d), length %d", op, len(b))
	}
}

// packet is an IP packet without its header.
type packet struct {
	src, dst netip.Addr
	proto    uint8
	body     []byte
	fragment bool // not the first
}

func (p *Printer) ipv4(b []byte) string {
	pk, ok := parseIPv4(b)
	if !ok || len(b) < int(binary.BigEndian.Uint16(b[2:])) {
		return "IP [|ip]"
	}
	return "IP " + p.transport(&pk)
}

// parseIPv4 reads a packet that may be cut off after its header, as those in ICMP errors are.
func parseIPv4(b []byte) (packet, bool) {
	if len(b) < 20 || b[0]>>4 != 4 {
		return packet{}, false
	}
	header, total := int(b[0]&0xf)*4, int(binary.BigEndian.Uint16(b[2:]))
	if header < 20 || total < header || len(b) < header {
		return packet{}, false
	}
	return packet{
		src: netip.AddrFrom4([4]byte(b[12:])), dst: netip.AddrFrom4([4]byte(b[16:])),
		proto: b[9], body: b[header:min(total, len(b))],
		fragment: binary.BigEndian.Uint16(b[6:])&0x1fff != 0,
	}, true
}

func (p *Printer) ipv6(b []byte) string {
	pk, ok := parseIPv6(b)
	if !ok || len(b) < 40+int(binary.BigEndian.Uint16(b[4:])) {
		return "IP6 [|ip6]"
	}
	return "IP6 " + p.transport(&pk)
}

// parseIPv6 is parseIPv4 for IPv6. It does not parse extension headers.
func parseIPv6(b []byte) (packet, bool) {
	if len(b) < 40 || b[0]>>4 != 6 {
		return packet{}, false
	}
	return packet{
		src: netip.AddrFrom16([16]byte(b[8:])), dst: netip.AddrFrom16([16]byte(b[24:])),
		proto: b[6], body: b[40:min(40+int(binary.BigEndian.Uint16(b[4:])), len(b))],
	}, true
}

// transport returns the part of the line after "IP ".
func (p *Printer) transport(pk *packet) string {
	between := fmt.Sprintf("%v > %v: ", pk.src, pk.dst)
	if pk.fragment {
		return between + protocol(pk.proto)
	}
	switch pk.proto {
	case protoTCP:
		if len(pk.body) < 20 {
			return between + "[|tcp]"
		}
		return endpoints(pk) + p.tcp(pk)
	case protoUDP:
		if len(pk.body) < 8 {
			return between + "[|udp]"
		}
		n := int(binary.BigEndian.Uint16(pk.body[4:]))
		if n < 8 || n > len(pk.body) {
			return endpoints(pk) + "[|udp]"
		}
		return endpoints(pk) + fmt.Sprintf("UDP, length %d", n-8)
	case protoICMP:
		return between + icmp(pk.body)
	case protoICMPv6:
		return between + icmpv6(pk.body)
	default:
		return between + fmt.Sprintf("%s, length %d", protocol(pk.proto), len(pk.body))
	}
}

// endpoints prints addresses and ports; the caller has checked that the packet has ports.
func endpoints(pk *packet) string {
	return fmt.Sprintf("%v.%d > %v.%d: ", pk.src, binary.BigEndian.Uint16(pk.body),
		pk.dst, binary.BigEndian.Uint16(pk.body[2:]))
}

func protocol(number uint8) string {
	switch number {
	case protoICMP:
		return "icmp"
	case protoTCP:
		return "tcp"
	case protoUDP:
		return "udp"
	case protoICMPv6:
		return "ipv6-icmp"
	default:
		return fmt.Sprintf("ip-proto-%d", number)
	}
}
