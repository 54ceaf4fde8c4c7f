package capture

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

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

// packet is an IP packet without its header.
type packet struct {
	src, dst netip.Addr
	proto    uint8
	body     []byte
	missing  int  // octets of the body that are not there
	fragment bool // one of several
	later    bool // a fragment, and not the first
	behind   bool // extension headers are in front of the body
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
	place := binary.BigEndian.Uint16(b[6:]) & 0x3fff
	return packet{
		src: netip.AddrFrom4([4]byte(b[12:])), dst: netip.AddrFrom4([4]byte(b[16:])),
		proto: b[9], body: b[header:min(total, len(b))], missing: max(total-len(b), 0),
		fragment: place != 0, later: place&0x1fff != 0,
	}, true
}

// parseIPv6 is parseIPv4 for IPv6. The body begins with the extension headers.
func parseIPv6(b []byte) (packet, bool) {
	if len(b) < 40 || b[0]>>4 != 6 {
		return packet{}, false
	}
	end := 40 + int(binary.BigEndian.Uint16(b[4:]))
	return packet{
		src: netip.AddrFrom16([16]byte(b[8:])), dst: netip.AddrFrom16([16]byte(b[24:])),
		proto: b[6], body: b[40:min(end, len(b))], missing: max(end-len(b), 0),
	}, true
}

// between prints the addresses, unless they stand in front of the extension headers.
func between(pk *packet) string {
	if pk.behind {
		return ""
	}
	return fmt.Sprintf("%v > %v: ", pk.src, pk.dst)
}

// endpoints prints addresses and ports, behind extension headers the ports alone; the caller has checked that the packet
// has ports.
func endpoints(pk *packet) string {
	from, to := binary.BigEndian.Uint16(pk.body), binary.BigEndian.Uint16(pk.body[2:])
	if pk.behind {
		return fmt.Sprintf("%d > %d: ", from, to)
	}
	return fmt.Sprintf("%v.%d > %v.%d: ", pk.src, from, pk.dst, to)
}

func udp(pk *packet) string {
	if len(pk.body) < 4 {
		return between(pk) + "[|udp]"
	}
	if len(pk.body) < 8 {
		return endpoints(pk) + fmt.Sprintf("truncated-udp %d", len(pk.body))
	}
	switch n := int(binary.BigEndian.Uint16(pk.body[4:])); {
	case n < 8:
		return endpoints(pk) + fmt.Sprintf("truncated-udp length %d", n)
	case n > len(pk.body)+pk.missing && !pk.fragment:
		return endpoints(pk) + fmt.Sprintf("UDP, bad length %d > %d", n-8, len(pk.body)-8)
	default:
		return endpoints(pk) + fmt.Sprintf("UDP, length %d", n-8)
	}
}

// protocol names the protocol of a port.
func protocol(number uint8) string {
	switch number {
	case protoTCP:
		return "tcp"
	case protoUDP:
		return "udp"
	default:
		return fmt.Sprintf("protocol %d", number)
	}
}
