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
// without a newline. For a header that is cut off or has a wrong length it prints what tcpdump prints: "[|tcp]". Behind a
// message of neighbour discovery and a report of MLD stands what tcpdump -v prints in lines of their own: flags, options,
// records.
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

func (p *Printer) ipv4(b []byte) string {
	pk, ok := parseIPv4(b)
	if !ok {
		return "IP [|ip]"
	}
	missing := ""
	if pk.missing > 0 {
		missing = fmt.Sprintf("truncated-ip - %d bytes missing! ", pk.missing)
	}
	return "IP " + missing + p.transport(&pk)
}

// transport returns the part of the line after "IP ".
func (p *Printer) transport(pk *packet) string {
	if pk.later {
		return between(pk) + fmt.Sprintf("ip-proto-%d", pk.proto)
	}
	switch {
	case pk.proto == protoTCP:
		return p.tcp(pk)
	case pk.proto == protoUDP:
		return udp(pk)
	case pk.proto == protoICMP && pk.src.Is4():
		return between(pk) + icmp(pk.body)
	case pk.proto == protoICMPv6 && pk.src.Is6():
		return between(pk) + icmp6(pk.body)
	case pk.proto == protoICMP:
		return between(pk) + "[ICMP requires IPv4] (invalid)"
	case pk.proto == protoICMPv6:
		return between(pk) + "[ICMPv6 requires IPv6] (invalid)"
	default:
		return between(pk) + fmt.Sprintf("ip-proto-%d %d", pk.proto, len(pk.body))
	}
}
