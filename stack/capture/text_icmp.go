package capture

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

func icmp(b []byte) string {
	if len(b) < 8 {
		return "ICMP [|icmp]"
	}
	return fmt.Sprintf("ICMP %s, length %d", icmpWhat(b), len(b))
}

func icmpWhat(b []byte) string {
	be := binary.BigEndian
	switch kind, code := b[0], b[1]; {
	case kind == 0, kind == 8:
		return echo(kind == 8, b)
	case kind == 3:
		return unreachable(code, be.Uint16(b[6:]), b[8:])
	case kind == 5:
		return fmt.Sprintf("redirect to %v", netip.AddrFrom4([4]byte(b[4:])))
	case kind == 11 && code == 0:
		return "time exceeded in-transit"
	case kind == 11 && code == 1:
		return "ip reassembly time exceeded"
	case kind == 12:
		return fmt.Sprintf("parameter problem - octet %d", b[4])
	default:
		return fmt.Sprintf("type-#%d code-#%d", kind, code)
	}
}

func echo(request bool, b []byte) string {
	name := "reply"
	if request {
		name = "request"
	}
	return fmt.Sprintf("echo %s, id %d, seq %d", name, binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:]))
}

// unreachable prints a Destination Unreachable with the packet that it quotes.
func unreachable(code byte, mtu uint16, quote []byte) string {
	pk, ok := parseIPv4(quote)
	if !ok {
		return fmt.Sprintf("[|unreachable] code-#%d", code)
	}
	switch {
	case code == 0:
		return fmt.Sprintf("net %v unreachable", pk.dst)
	case code == 1:
		return fmt.Sprintf("host %v unreachable", pk.dst)
	case code == 2:
		return fmt.Sprintf("%v protocol %d unreachable", pk.dst, pk.proto)
	case code == 3 && len(pk.body) >= 4:
		return fmt.Sprintf("%v %s port %d unreachable", pk.dst, protocol(pk.proto), binary.BigEndian.Uint16(pk.body[2:]))
	case code == 4:
		return fmt.Sprintf("%v unreachable - need to frag (mtu %d)", pk.dst, mtu)
	case code == 9, code == 10, code == 13:
		return fmt.Sprintf("host %v unreachable - admin prohibited", pk.dst)
	default:
		return fmt.Sprintf("%v unreachable - #%d", pk.dst, code)
	}
}

func icmpv6(b []byte) string {
	if len(b) < 8 {
		return "ICMP6 [|icmp6]"
	}
	return fmt.Sprintf("ICMP6, %s, length %d", icmpv6What(b), len(b))
}

func icmpv6What(b []byte) string {
	be := binary.BigEndian
	switch kind, code := b[0], b[1]; {
	case kind == 1:
		return unreachableV6(code, b[8:])
	case kind == 2:
		return fmt.Sprintf("packet too big, mtu %d", be.Uint32(b[4:]))
	case kind == 3 && code == 0:
		return "time exceeded in-transit"
	case kind == 3:
		return "time exceeded in-reassembly"
	case kind == 4:
		return fmt.Sprintf("parameter problem, code-#%d - octet %d", code, be.Uint32(b[4:]))
	case kind == 128, kind == 129:
		return echo(kind == 128, b)
	case kind == 133:
		return "router solicitation"
	case kind == 134:
		return "router advertisement"
	case kind == 135 && len(b) >= 24:
		return fmt.Sprintf("neighbor solicitation, who has %v", netip.AddrFrom16([16]byte(b[8:])))
	case kind == 136 && len(b) >= 24:
		return fmt.Sprintf("neighbor advertisement, tgt is %v", netip.AddrFrom16([16]byte(b[8:])))
	default:
		return fmt.Sprintf("type-#%d code-#%d", kind, code)
	}
}

func unreachableV6(code byte, quote []byte) string {
	pk, ok := parseIPv6(quote)
	switch {
	case !ok:
		return fmt.Sprintf("destination unreachable, [|unreachable] code-#%d", code)
	case code == 0:
		return fmt.Sprintf("destination unreachable, unreachable route %v", pk.dst)
	case code == 1:
		return fmt.Sprintf("destination unreachable, unreachable prohibited %v", pk.dst)
	case code == 3:
		return fmt.Sprintf("destination unreachable, unreachable address %v", pk.dst)
	case code == 4 && len(pk.body) >= 4:
		return fmt.Sprintf("destination unreachable, unreachable port, %v %s port %d",
			pk.dst, protocol(pk.proto), binary.BigEndian.Uint16(pk.body[2:]))
	default:
		return fmt.Sprintf("destination unreachable, code-#%d %v", code, pk.dst)
	}
}
