package capture

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/unet-go/unet/internal/wire"
)

// icmp6Names are the types of ICMPv6 messages.
var icmp6Names = map[uint8]string{
	wire.ICMPv6DestinationUnreachable: "destination unreachable", wire.ICMPv6PacketTooBig: "packet too big",
	wire.ICMPv6TimeExceeded: "time exceeded in-transit", wire.ICMPv6ParameterProblem: "parameter problem",
	wire.ICMPv6EchoRequest: "echo request", wire.ICMPv6EchoReply: "echo reply",
	wire.ICMPv6MLDQuery: "multicast listener query", wire.ICMPv6MLDv1Report: "multicast listener report",
	wire.ICMPv6MLDv1Done: "multicast listener done", wire.ICMPv6MLDv2Report: "multicast listener report v2",
	wire.ICMPv6RouterSolicitation: "router solicitation", wire.ICMPv6RouterAdvertisement: "router advertisement",
	wire.ICMPv6NeighborSolicitation: "neighbor solicitation", wire.ICMPv6NeighborAdvertisement: "neighbor advertisement",
	wire.ICMPv6Redirect: "redirect",
}

// icmp6 prints an ICMPv6 message.
func icmp6(b []byte) string {
	if len(b) == 0 {
		return "ICMP6, length 0 (invalid)"
	}
	name, known := icmp6Names[b[0]]
	if !known {
		name = fmt.Sprintf("unknown icmp6 type (%d)", b[0])
	}
	if len(b) < wire.ICMPLen {
		return "ICMP6, " + name + cut6
	}
	h := wire.ICMPv6{Type: b[0], Code: b[1], Rest: [4]byte(b[4:])}
	what, behind, whole := message6(&h, b[wire.ICMPLen:])
	if !whole {
		return "ICMP6, " + name + what
	}
	return fmt.Sprintf("ICMP6, %s%s, length %d%s", name, what, len(b), behind)
}

// message6 returns what stands behind the name of a message, and what stands behind its length. If it is not whole, what
// ends the line.
func message6(h *wire.ICMPv6, body []byte) (what, behind string, whole bool) {
	switch h.Type {
	case wire.ICMPv6DestinationUnreachable:
		what, whole = unreachable6(h.Code, body)
	case wire.ICMPv6PacketTooBig:
		return fmt.Sprintf(", mtu %d", h.MTU()), "", true
	case wire.ICMPv6TimeExceeded:
		what, whole = exceeded6(h.Code, body)
	case wire.ICMPv6ParameterProblem:
		names := []string{"erroneous", "next header", "option", "incomplete header chain"}
		if int(h.Code) >= len(names) {
			return fmt.Sprintf(", code-#%d", h.Code), "", true
		}
		return fmt.Sprintf(", %s - octet %d", names[h.Code], h.Pointer()), "", true
	case wire.ICMPv6EchoRequest, wire.ICMPv6EchoReply:
		return fmt.Sprintf(", id %d, seq %d", h.ID(), h.Seq()), "", true
	case wire.ICMPv6MLDQuery, wire.ICMPv6MLDv1Report, wire.ICMPv6MLDv1Done:
		return listener6(h, body), "", true
	case wire.ICMPv6MLDv2Report:
		what, behind = report6(h, body)
		return what, behind, true
	case wire.ICMPv6RouterSolicitation, wire.ICMPv6RouterAdvertisement, wire.ICMPv6NeighborSolicitation,
		wire.ICMPv6NeighborAdvertisement, wire.ICMPv6Redirect:
		return neighbor6(h, body)
	default:
		whole = true
	}
	return what, "", whole
}

// exceeded6 prints what stands behind the name of a Time Exceeded.
func exceeded6(code byte, quote []byte) (what string, whole bool) {
	switch code {
	case wire.ICMPv6HopLimitExceeded:
		pk, ok := parseIPv6(quote)
		if !ok {
			return cut6, false
		}
		return fmt.Sprintf(" for %v", pk.dst), true
	case wire.ICMPv6ReassemblyExceeded:
		return " (reassembly)", true
	}
	return fmt.Sprintf(", unknown code (%d)", code), true
}

// unreachable6 prints what stands behind the name of a Destination Unreachable, with the packet that it quotes.
func unreachable6(code byte, quote []byte) (what string, whole bool) {
	names := []string{"unreachable route", "unreachable prohibited", "beyond scope", "unreachable address", "unreachable port"}
	if int(code) >= len(names) {
		return fmt.Sprintf(", unknown unreach code (%d)", code), false
	}
	what = ", " + names[code]
	pk, ok := parseIPv6(quote)
	switch {
	case !ok:
		return what + cut6, false
	case code == wire.ICMPv6BeyondScope:
		return what + fmt.Sprintf(" %v, source address %v", pk.dst, pk.src), true
	case code != wire.ICMPv6PortUnreachable:
		return what + fmt.Sprintf(" %v", pk.dst), true
	}
	proto, port, ok := quotedPort(&pk)
	if !ok {
		return what + cut6, false
	}
	return what + fmt.Sprintf(", %v %s port %d", pk.dst, protocol(proto), port), true
}

// quotedPort returns the protocol and the destination port of a packet that is quoted.
func quotedPort(pk *packet) (proto uint8, port uint16, ok bool) {
	next, b := pk.proto, pk.body
	for next == wire.IPv6HopByHop || next == wire.IPv6Routing || next == wire.IPv6DestinationOptions || next == wire.IPv6Fragments {
		var rest []byte
		if next == wire.IPv6Fragments {
			var h wire.IPv6Fragment
			data, err := h.Parse(b)
			if err != nil || h.Offset != 0 {
				return 0, 0, false
			}
			next, rest = h.NextHeader, data
		} else {
			var h wire.IPv6Extension
			behind, err := h.Parse(b)
			if err != nil {
				return 0, 0, false
			}
			next, rest = h.NextHeader, behind
		}
		b = rest
	}
	if next != protoTCP && next != protoUDP || len(b) < 4 {
		return 0, 0, false
	}
	return next, binary.BigEndian.Uint16(b[2:]), true
}

// listener6 prints what stands behind the name of an MLD query, or of an MLDv1 report or done.
func listener6(h *wire.ICMPv6, body []byte) string {
	if h.Type == wire.ICMPv6MLDQuery && len(body) >= wire.MLDQueryLen-wire.ICMPLen {
		var q wire.MLDQuery
		if q.Parse(h, body) != nil {
			return " v2 [invalid number of sources]"
		}
		if n := len(q.Sources) / 16; n > 0 {
			return fmt.Sprintf(" v2 [gaddr %v, %d source(s)]", netip.AddrFrom16(q.Group), n)
		}
		return fmt.Sprintf(" v2 [gaddr %v]", netip.AddrFrom16(q.Group))
	}
	var g wire.MLDGroup
	if g.Parse(body) != nil {
		return ""
	}
	return fmt.Sprintf(" max resp delay: %d addr: %v", h.ID(), netip.AddrFrom16(g.Group))
}

// report6 prints what stands behind the name of an MLDv2 report, and its records.
func report6(h *wire.ICMPv6, body []byte) (what, behind string) {
	kinds := []string{wire.MLDIsInclude: "is_in", wire.MLDIsExclude: "is_ex", wire.MLDToInclude: "to_in", wire.MLDToExclude: "to_ex",
		wire.MLDAllowNew: "allow", wire.MLDBlockOld: "block"}
	what = fmt.Sprintf(", %d group record(s)", h.Seq())
	records := []byte{}
	w := wire.ReadMLDRecords(h, body)
	for {
		var r wire.MLDRecord
		ok, err := w.Next(&r)
		if err != nil {
			return what, string(records) + " [invalid number of groups]"
		}
		if !ok {
			return what, string(records)
		}
		kind := fmt.Sprintf("[v2-report-#%d]", r.Type)
		if int(r.Type) < len(kinds) && r.Type > 0 {
			kind = kinds[r.Type]
		}
		records = fmt.Appendf(records, " [gaddr %v %s, %d source(s)]", netip.AddrFrom16(r.Group), kind, len(r.Sources)/16)
	}
}
