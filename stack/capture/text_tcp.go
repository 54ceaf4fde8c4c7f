package capture

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

// flow is a conversation. The two ends are in the order of their addresses, so that both directions have the same flow.
type flow struct{ low, high netip.AddrPort }

// base holds the first sequence numbers of the low and the high end: their numbers are shown relative to these.
type base struct{ low, high uint32 }

const maxFlows = 65536

const (
	tcpFin = 1 << iota
	tcpSyn
	tcpRst
	tcpPsh
	tcpAck
	tcpUrg
	tcpEce
	tcpCwr
)

// tcp prints a segment with its endpoints.
func (p *Printer) tcp(pk *packet) string {
	if len(pk.body) < 4 {
		return fmt.Sprintf("%v > %v: [|tcp]", pk.src, pk.dst)
	}
	return endpoints(pk) + p.segment(pk)
}

func (p *Printer) segment(pk *packet) string {
	b := pk.body
	if len(b) < 20 {
		return "[|tcp]"
	}
	header := int(b[12]>>4) * 4
	flags, length := b[13], len(b)-header
	if header < 20 {
		return fmt.Sprintf("tcp %d [bad hdr length %d - too short, < 20]", length, header)
	}
	if length < 0 {
		return fmt.Sprintf("Flags [%s] [bad hdr length %d - too long, > %d]", flagNames(flags), header, len(b))
	}
	seq, ack := binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
	var peer uint32 // the base of the peer's numbers
	if flags&tcpAck != 0 {
		seq, ack, peer = p.relative(pk, flags, seq, ack)
	}
	var s strings.Builder
	fmt.Fprintf(&s, "Flags [%s]", flagNames(flags))
	switch {
	case length > 0:
		fmt.Fprintf(&s, ", seq %d:%d", seq, seq+uint32(length))
	case flags&(tcpSyn|tcpFin|tcpRst) != 0:
		fmt.Fprintf(&s, ", seq %d", seq)
	}
	if flags&tcpAck != 0 {
		fmt.Fprintf(&s, ", ack %d", ack)
	}
	fmt.Fprintf(&s, ", win %d", binary.BigEndian.Uint16(b[14:]))
	if flags&tcpUrg != 0 {
		fmt.Fprintf(&s, ", urg %d", binary.BigEndian.Uint16(b[18:]))
	}
	if header > 20 {
		fmt.Fprintf(&s, ", options [%s]", optionNames(b[20:header], peer))
	}
	fmt.Fprintf(&s, ", length %d", length)
	return s.String()
}

// relative returns the numbers of a segment with an ACK as they are shown, and the base of the peer's sequence
// numbers. The numbers of a conversation's first segment, and of a SYN-ACK, are absolute, and those of later segments are
// relative to them.
func (p *Printer) relative(pk *packet, flags byte, seq, ack uint32) (shownSeq, shownAck, peer uint32) {
	from := netip.AddrPortFrom(pk.src, binary.BigEndian.Uint16(pk.body))
	to := netip.AddrPortFrom(pk.dst, binary.BigEndian.Uint16(pk.body[2:]))
	key, swapped := flow{from, to}, from.Compare(to) > 0
	if swapped {
		key = flow{to, from}
	}
	known, ok := p.flows[key]
	if !ok || flags&tcpSyn != 0 {
		if !ok && len(p.flows) >= maxFlows {
			clear(p.flows)
		}
		b := base{low: seq, high: ack - 1}
		if swapped {
			b = base{low: ack - 1, high: seq}
		}
		p.flows[key] = b
		return seq, ack, 0
	}
	if swapped {
		return seq - known.high, ack - known.low, known.low
	}
	return seq - known.low, ack - known.high, known.high
}

func flagNames(flags byte) string {
	var s []byte
	for i, name := range []byte("FSRP.UEW") {
		if flags&(1<<i) != 0 {
			s = append(s, name)
		}
	}
	if len(s) == 0 {
		return "none"
	}
	return string(s)
}

// optionNames prints options in their order, up to the first one with a wrong length.
func optionNames(b []byte, peer uint32) string {
	var names []string
	for len(b) > 0 {
		switch b[0] {
		case 0:
			return strings.Join(append(names, "eol"), ",")
		case 1:
			names, b = append(names, "nop"), b[1:]
			continue
		}
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
			names = append(names, "[bad opt]")
			break
		}
		names = append(names, optionName(b[0], b[2:b[1]], peer))
		b = b[b[1]:]
	}
	return strings.Join(names, ",")
}

func optionName(kind byte, data []byte, peer uint32) string {
	be := binary.BigEndian
	switch {
	case kind == 2 && len(data) == 2:
		return fmt.Sprintf("mss %d", be.Uint16(data))
	case kind == 3 && len(data) == 1:
		return fmt.Sprintf("wscale %d", data[0])
	case kind == 4 && len(data) == 0:
		return "sackOK"
	case kind == 5 && len(data) > 0 && len(data)%8 == 0:
		s := fmt.Sprintf("sack %d ", len(data)/8)
		for ; len(data) > 0; data = data[8:] {
			s += fmt.Sprintf("{%d:%d}", be.Uint32(data)-peer, be.Uint32(data[4:])-peer)
		}
		return s
	case kind == 8 && len(data) == 8:
		return fmt.Sprintf("TS val %d ecr %d", be.Uint32(data), be.Uint32(data[4:]))
	case kind == 28 && len(data) == 2:
		return fmt.Sprintf("uto 0x%x", be.Uint16(data))
	case kind == 34 && len(data) == 0:
		return "tfo cookiereq"
	case kind == 34:
		return fmt.Sprintf("tfo cookie %x", data)
	default:
		return fmt.Sprintf("unknown-%d 0x%x", kind, data)
	}
}
