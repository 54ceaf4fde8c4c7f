package ip

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	"github.com/unet-go/unet/internal/wire"
)

func TestIPv6Problems(t *testing.T) {
	a := netip.MustParseAddr
	for _, c := range []struct {
		name   string
		packet []byte
		want   string // type/code/pointer
	}{
		{"B-IP6-1 a jumbogram", packet6(peer6, our6, hbh, options(wire.ProtocolUDP, 0xc2, 4, 0, 1, 0, 0)), "4/2/42"},
		{"B-IP6-3 an unknown protocol behind the header", packet6(peer6, our6, 253, tcp20), "4/1/6"},
		{"B-IP6-3 an unknown protocol behind options", packet6(peer6, our6, dest, options(253, 1, 0), tcp20), "4/1/40"},
		{"B-IP6-4 a hop-by-hop option to be skipped, then nothing known", packet6(peer6, our6, hbh, options(253, 0x1e, 0)), "4/1/40"},
		{"B-IP6-4 hop-by-hop, action 01", packet6(peer6, our6, hbh, options(17, 0x5e, 0)), ""},
		{"B-IP6-4 hop-by-hop, action 10", packet6(peer6, our6, hbh, options(17, 0x9e, 0)), "4/2/42"},
		{"B-IP6-4 hop-by-hop, action 11", packet6(peer6, our6, hbh, options(17, 0xde, 0)), "4/2/42"},
		{"B-IP6-4 destination, action 01", packet6(peer6, our6, dest, options(17, 0x5e, 0)), ""},
		{"B-IP6-4 destination, action 10, behind another", packet6(peer6, our6, dest, options(17, 1, 0, 0x9e, 0)), "4/2/44"},
		{"B-IP6-4 destination, action 11", packet6(peer6, our6, dest, options(17, 0xde, 0)), "4/2/42"},
		{"B-IP6-4 to a group, hop-by-hop, action 10", packet6(peer6, a("ff02::1"), hbh, options(17, 0x9e, 0)), "4/2/42"},
		{"B-IP6-4 to a group, hop-by-hop, action 11", packet6(peer6, a("ff02::1"), hbh, options(17, 0xde, 0)), ""},
		{"B-IP6-4 to a group, destination, action 10", packet6(peer6, a("ff02::1"), dest, options(17, 0x9e, 0)), "4/2/42"},
		{"B-IP6-4 to a group, destination, action 11", packet6(peer6, a("ff02::1"), dest, options(17, 0xde, 0)), ""},
		{"B-IP6-5 hop-by-hop in the second place", packet6(peer6, our6, dest, options(hbh, 1, 0), options(17, 1, 0)), "4/1/40"},
		{"B-IP6-6 type 0 with segments left", packet6(peer6, our6, rout, []byte{17, 2, 0, 1, 0, 0, 0, 0}, make([]byte, 16)), "4/0/42"},
		{"B-IP6-11 a fragment whose length is no multiple of 8", packet6(peer6, our6, wire.IPv6Fragments, piece(17, 0, true, 1), make([]byte, 12)), "4/0/4"},
		{"B-IP6-11 a fragment that ends too far", packet6(peer6, our6, wire.IPv6Fragments, piece(17, 65528, false, 1), make([]byte, 8)), "4/0/42"},
		{"B-IP6-13 a first fragment without the upper header", packet6(peer6, our6, wire.IPv6Fragments, piece(6, 0, true, 1), make([]byte, 16)), "4/3/0"},
		{"B-IC6-2 about an error", packet6(peer6, our6, dest, options(58, 0xde, 0), icmp6(peer6, our6, []byte{1, 0, 0, 0, 0, 0, 0, 0})), ""},
		{"B-IC6-2 unknown protocol to a group", packet6(peer6, a("ff02::1"), 253, tcp20), ""},
		{"B-IC6-2 from no address", packet6(a("::"), a("ff02::1"), hbh, options(17, 0x9e, 0)), ""},
		{"B-IC6-2 from our own", packet6(our6, our6, hbh, options(17, 0x9e, 0)), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			onBed6(t, func(b *bed6) {
				if got := b.give(c.packet); got == ForTransport { // as package stack says of what it does not know
					b.l.SendError(&b.in.Packet, ProtocolUnreachable, 0)
				}
				if got := b.problem(); got != c.want {
					t.Errorf("sent %q, want %q; dropped: %v", got, c.want, b.l.Drops.Load())
				}
			})
		})
	}
}

func TestICMPv6ErrorsOut(t *testing.T) {
	unreachable := func(b *bed6, p []byte) string {
		if got := b.give(p); got != ForTransport {
			return fmt.Sprint("outcome ", got)
		}
		b.l.SendError(&b.in.Packet, PortUnreachable, 0)
		return b.problem()
	}
	t.Run("B-IC6-5 a port that nobody has", func(t *testing.T) {
		onBed6(t, func(b *bed6) {
			if got := unreachable(b, packet6(peer6, our6, wire.ProtocolUDP, make([]byte, 8))); got != "1/4/0" {
				t.Errorf("sent %q", got)
			}
		})
	})
	t.Run("B-IC6-3 errors are at most 1280 octets", func(t *testing.T) {
		onBed6(t, func(b *bed6) {
			p := packet6(elsewhere6, our6, wire.ProtocolUDP, bytes.Repeat([]byte("0123456789"), 140))
			b.give(p)
			b.l.SendError(&b.in.Packet, PortUnreachable, 0)
			out := b.sent()
			if len(out) != 1 || len(out[0]) != leastMTU6 || !bytes.Equal(out[0][48:], p[:leastMTU6-48]) {
				t.Errorf("sent %x", out)
			}
		})
	})
	t.Run("B-IC6-3 errors are limited", func(t *testing.T) {
		onBed6(t, func(b *bed6) {
			for range 10_000 {
				b.give(packet6(elsewhere6, our6, wire.ProtocolUDP, make([]byte, 8)))
				b.l.SendError(&b.in.Packet, PortUnreachable, 0)
			}
			if n := len(b.sent()); n == 0 || n > 1000 {
				t.Errorf("%d errors at once", n)
			}
		})
	})
}

func TestICMPv6Reports(t *testing.T) {
	quote := packet6(our6, elsewhere6, wire.ProtocolUDP, []byte{0, 7, 0, 9, 0, 8, 1, 2})
	for _, c := range []struct {
		name  string
		typ   uint8
		code  uint8
		rest  uint32
		quote []byte
		want  string
	}{
		{"B-IC6-1 no route", 1, 0, 0, quote, fmt.Sprint(NetUnreachable, 0)},
		{"B-IC6-1 prohibited", 1, 1, 0, quote, fmt.Sprint(Prohibited, 0)},
		{"B-IC6-1 the port", 1, 4, 0, quote, fmt.Sprint(PortUnreachable, 0)},
		{"B-IC6-1 an unknown code", 1, 77, 0, quote, fmt.Sprint(HeaderProblem, 0)},
		{"B-IC6-1 an unknown error", 100, 0, 0, quote, fmt.Sprint(HeaderProblem, 0)},
		{"B-PMT-1 too big", 2, 0, 1400, quote, fmt.Sprint(PacketTooBig, 1400)},
		{"B-PMT-1 too big, with a number that is", 2, 0, 1 << 31, quote, fmt.Sprint(PacketTooBig, 65535)},
		{"B-IC6-1 the hop limit", 3, 0, 0, quote, fmt.Sprint(TimeExceeded, 0)},
		{"B-IC6-1 fragments", 3, 1, 0, quote, fmt.Sprint(ReassemblyTimeout, 0)},
		{"B-IC6-1 the next header", 4, 1, 6, quote, fmt.Sprint(ProtocolUnreachable, 0)},
		{"B-IC6-1 with options and a first fragment", 1, 4, 0, packet6(our6, elsewhere6, dest, options(wire.IPv6Fragments, 1, 0),
			piece(17, 0, true, 9), []byte{0, 7, 0, 9, 0, 8, 1, 2}), fmt.Sprint(PortUnreachable, 0)},
		{"B-IC6-1 a later fragment is not known", 1, 4, 0, packet6(our6, elsewhere6, wire.IPv6Fragments, piece(17, 8, true, 9), tcp20), ""},
		{"B-IC6-1 a packet of others", 1, 4, 0, packet6(elsewhere6, peer6, 17, tcp20), ""},
		{"B-IC6-1 a short quote", 1, 4, 0, quote[:39], ""},
		{"B-IC6-1 no quote", 1, 4, 0, nil, ""},
		{"B-IC6-1 options cut short", 1, 4, 0, packet6(our6, elsewhere6, dest, []byte{17, 3, 0, 0, 0, 0, 0, 0}), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			onBed6(t, func(b *bed6) {
				m := append([]byte{c.typ, c.code, 0, 0, 0, 0, 0, 0}, c.quote...)
				binary.BigEndian.PutUint32(m[4:], c.rest)
				got := ""
				if b.give(packet6(elsewhere6, our6, wire.ProtocolICMPv6, icmp6(elsewhere6, our6, m))) == AboutOurs {
					r := &b.in.Report
					got = fmt.Sprint(r.Reason, r.MTU)
					if r.Local != our6 || r.Remote != elsewhere6 || r.Protocol != 17 || !bytes.Equal(r.Transport, []byte{0, 7, 0, 9, 0, 8, 1, 2}) {
						t.Errorf("report %+v", r)
					}
				}
				if got != c.want {
					t.Errorf("reported %q, want %q", got, c.want)
				}
			})
		})
	}
}

// Each reason has a type and a code of ICMPv6, which mean it again; only IPv4 routes by the source.
func TestReasons6(t *testing.T) {
	for r := range reasons {
		m := wire.ICMPv6{Type: errors6[r].typ, Code: errors6[r].code}
		if got, _ := meaning6(&m); got != r && r != SourceRouteFailed {
			t.Errorf("reason %d is type %d code %d, which means %d", r, m.Type, m.Code, got)
		}
		if !family6.isICMPError([]byte{m.Type}) {
			t.Errorf("type %d counts as no error", m.Type)
		}
	}
}
