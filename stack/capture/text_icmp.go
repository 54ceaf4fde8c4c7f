package capture

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// icmp prints an ICMP message of IPv4.
func icmp(b []byte) string {
	if len(b) < 8 {
		return "[|icmp]"
	}
	what, ok := icmpWhat(b)
	if !ok {
		return "[|icmp]"
	}
	return fmt.Sprintf("ICMP %s, length %d", what, len(b))
}

// icmpWhat is not ok where the quoted packet is cut off too early.
func icmpWhat(b []byte) (what string, ok bool) {
	switch kind, code := b[0], b[1]; {
	case kind == 0, kind == 8:
		return echo(kind == 8, b), true
	case kind == 3:
		return unreachable(code, binary.BigEndian.Uint16(b[6:]), b[8:])
	case kind == 4:
		return "source quench", true
	case kind == 5:
		return redirect(code, netip.AddrFrom4([4]byte(b[4:])), b[8:])
	case kind == 11 && code == 0:
		return "time exceeded in-transit", true
	case kind == 11 && code == 1:
		return "ip reassembly time exceeded", true
	case kind == 11:
		return fmt.Sprintf("time exceeded-#%d", code), true
	case kind == 12 && code == 0:
		return fmt.Sprintf("parameter problem - octet %d", b[4]), true
	case kind == 12:
		return fmt.Sprintf("parameter problem - code %d", code), true
	default:
		return fmt.Sprintf("type-#%d", kind), true
	}
}

// echo prints an echo message of either family.
func echo(request bool, b []byte) string {
	name := "reply"
	if request {
		name = "request"
	}
	return fmt.Sprintf("echo %s, id %d, seq %d", name, binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:]))
}

// unreachables are the texts of Destination Unreachable by code, for the destination.
var unreachables = []string{
	0: "net %v unreachable", 1: "host %v unreachable", 5: "%v unreachable - source route failed", 6: "net %v unreachable - unknown",
	7: "host %v unreachable - unknown", 8: "%v unreachable - source host isolated", 9: "net %v unreachable - admin prohibited",
	10: "host %v unreachable - admin prohibited", 11: "net %v unreachable - tos prohibited", 12: "host %v unreachable - tos prohibited",
	13: "host %v unreachable - admin prohibited filter", 14: "host %v unreachable - host precedence violation",
	15: "host %v unreachable - precedence cutoff",
}

// unreachable prints a Destination Unreachable with the packet that it quotes.
func unreachable(code byte, mtu uint16, quote []byte) (what string, ok bool) {
	pk, ok := parseIPv4(quote)
	if !ok {
		return "", false
	}
	switch {
	case code == 2:
		return fmt.Sprintf("%v protocol %d unreachable", pk.dst, pk.proto), true
	case code == 3:
		if len(pk.body) < 4 {
			return "", false
		}
		return fmt.Sprintf("%v %s port %d unreachable", pk.dst, protocol(pk.proto), binary.BigEndian.Uint16(pk.body[2:])), true
	case code == 4 && mtu == 0:
		return fmt.Sprintf("%v unreachable - need to frag", pk.dst), true
	case code == 4:
		return fmt.Sprintf("%v unreachable - need to frag (mtu %d)", pk.dst, mtu), true
	case int(code) < len(unreachables):
		return fmt.Sprintf(unreachables[code], pk.dst), true
	default:
		return fmt.Sprintf("%v unreachable - #%d", pk.dst, code), true
	}
}

// redirect prints a Redirect with the destination of the packet that it quotes.
func redirect(code byte, gateway netip.Addr, quote []byte) (what string, ok bool) {
	pk, ok := parseIPv4(quote)
	if !ok {
		return "", false
	}
	kinds := []string{"redirect %v to net %v", "redirect %v to host %v", "redirect-tos %v to net %v", "redirect-tos %v to host %v"}
	if int(code) < len(kinds) {
		return fmt.Sprintf(kinds[code], pk.dst, gateway), true
	}
	return fmt.Sprintf("redirect-#%d %v to net %v", code, pk.dst, gateway), true
}
