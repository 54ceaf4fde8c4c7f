package wire

import (
	"bytes"
	"testing"
)

// chained returns an IPv6 packet whose first header is of the kind next, behind the fixed one.
func chained(next uint8, headers ...[]byte) []byte {
	payload := bytes.Join(headers, nil)
	b := make([]byte, IPv6Len)
	(&IPv6{PayloadLen: len(payload), NextHeader: next, HopLimit: 64}).Marshal(b)
	return append(b, payload...)
}

// header6 returns an extension header with the data, which Pad1 fills up.
func header6(next uint8, data ...byte) []byte {
	b := append([]byte{next, 0}, data...)
	for len(b)%8 != 0 {
		b = append(b, IPv6OptPad1)
	}
	b[1] = uint8(len(b)/8 - 1)
	return b
}

func fragment(next uint8, offset int, more bool, id uint32) []byte {
	b := dirty(IPv6FragmentLen)
	(&IPv6Fragment{NextHeader: next, Offset: offset, More: more, ID: id}).Marshal(b)
	return b
}

func TestIPv6Fragment(t *testing.T) {
	b := []byte{17, 0, 0x12, 0x39, 0xde, 0xad, 0xbe, 0xef}
	if got := fragment(17, 0x1238, true, 0xdeadbeef); !bytes.Equal(got, b) {
		t.Errorf("written as %x", got)
	}
	var h IPv6Fragment
	b[1], b[3] = 0xff, b[3]|6 // the reserved fields are ignored (RFC 8200 4.5)
	data, err := h.Parse(append(b, 1, 2))
	if want := (IPv6Fragment{17, 0x1238, true, 0xdeadbeef}); err != nil || h != want || !bytes.Equal(data, []byte{1, 2}) {
		t.Errorf("Parse = %+v, %x, %v", h, data, err)
	}
	if _, err := h.Parse(b[:7]); err != ErrShort {
		t.Errorf("seven octets: %v", err)
	}
	for _, c := range []struct {
		h    IPv6Fragment
		want bool
	}{{IPv6Fragment{}, true}, {IPv6Fragment{More: true}, false}, {IPv6Fragment{Offset: 8}, false}} {
		if got := c.h.Atomic(); got != c.want {
			t.Errorf("Atomic of %+v = %v", c.h, got)
		}
	}
}

const (
	hop, routing, dst, frag = IPv6HopByHop, IPv6Routing, IPv6DestinationOptions, IPv6Fragments
	tcpNext, udpNext        = ProtocolTCP, ProtocolUDP
)

func TestWalkIPv6(t *testing.T) {
	alert := []byte{5, 2, 0, 0, 1, 0}
	for _, c := range []struct {
		name   string
		packet []byte
		want   IPv6Chain
	}{
		{"no extension header", chained(tcpNext, dirty(20)), IPv6Chain{tcpNext, false, 40, 6, false}},
		{"an unknown protocol", chained(253), IPv6Chain{253, false, 40, 6, false}},
		{"B-IP6-8 next header 59", chained(59, dirty(3)), IPv6Chain{59, false, 40, 6, false}},
		{"B-IP6-8 next header 59 behind options", chained(dst, header6(59)), IPv6Chain{59, false, 48, 40, false}},
		{"a router alert of MLD", chained(hop, header6(58, alert...), dirty(24)), IPv6Chain{58, true, 48, 40, false}},
		{"a router alert of RSVP", chained(hop, header6(58, 5, 2, 0, 1, 1, 0), dirty(24)), IPv6Chain{58, false, 48, 40, false}},
		{"a router alert without a value", chained(hop, header6(58, 5, 0, 1, 2, 0, 0), dirty(24)), IPv6Chain{58, false, 48, 40, false}},
		{"an alert in destination options is skipped", chained(dst, header6(58, alert...)), IPv6Chain{58, false, 48, 40, false}},
		{"all of them in order", chained(hop, header6(dst, alert...), header6(routing, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), header6(frag, 4, 0), fragment(dst, 0, false, 7),
			header6(udpNext), dirty(8)), IPv6Chain{udpNext, true, 88, 80, true}},
		{"B-IP6-4 action 00 is skipped", chained(dst, header6(tcpNext, 0x3e, 4)), IPv6Chain{tcpNext, false, 48, 40, false}},
		{"B-IP6-6 type 0 without segments left", chained(routing, header6(tcpNext, 0, 0)), IPv6Chain{tcpNext, false, 48, 40, false}},
		{"B-IP6-7 eight headers", chained(dst, bytes.Repeat(header6(dst), 7), header6(tcpNext)), IPv6Chain{tcpNext, false, 104, 96, false}},
		{"B-IP6-12 an atomic fragment", chained(frag, fragment(tcpNext, 0, false, 9), dirty(20)), IPv6Chain{tcpNext, false, 48, 40, true}},
		{"the first fragment", chained(hop, header6(frag), fragment(udpNext, 0, true, 9), dirty(8)), IPv6Chain{frag, false, 48, 40, false}},
		{"a first fragment with options", chained(frag, fragment(dst, 0, true, 9), header6(udpNext), dirty(8)), IPv6Chain{frag, false, 40, 6, false}},
		{"a first fragment of an unknown protocol", chained(frag, fragment(253, 0, true, 9), dirty(8)), IPv6Chain{frag, false, 40, 6, false}},
		{"a first fragment of nothing", chained(frag, fragment(59, 0, true, 9)), IPv6Chain{frag, false, 40, 6, false}},
		{"a later fragment is not looked into", chained(frag, fragment(hop, 8, false, 9), dirty(3)), IPv6Chain{frag, false, 40, 6, false}},
		{"the last that fits", chained(frag, fragment(udpNext, 65528, false, 9), dirty(7)), IPv6Chain{frag, false, 40, 6, false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, problem, ok := WalkIPv6(c.packet)
			if !ok || got != c.want || problem != (IPv6Problem{}) {
				t.Errorf("%x: %+v, %+v, %v, want %+v", c.packet, got, problem, ok, c.want)
			}
		})
	}
}

func TestWalkIPv6Problems(t *testing.T) {
	silent := IPv6Problem{Silent: true}
	for _, c := range []struct {
		name   string
		packet []byte
		want   IPv6Problem
	}{
		{"no header", chained(tcpNext)[:39], silent},
		{"nothing", nil, silent},
		{"B-IP6-4 action 01", chained(dst, header6(tcpNext, 0x7f, 0)), silent},
		{"B-IP6-4 action 10", chained(dst, header6(tcpNext, 0, 0x80, 0)), IPv6Problem{Code: 2, Pointer: 43, Multicast: true}},
		{"B-IP6-4 action 11", chained(hop, header6(dst), header6(tcpNext, 1, 1, 0, 0xc3, 0)), IPv6Problem{Code: 2, Pointer: 53}},
		{"B-IP6-4 the first counts", chained(hop, header6(tcpNext, 0x3e, 0, 0x7f, 0, 0x80, 0)), silent},
		{"a jumbo payload", chained(hop, header6(tcpNext, 0xc2, 4, 0, 1, 0, 0)), IPv6Problem{Code: 2, Pointer: 42}},
		{"an option past its header", chained(dst, header6(tcpNext, 0x80, 5)), silent},
		{"an option without a length", chained(dst, header6(tcpNext, 0, 0, 0, 0, 0, 0x80)), silent},
		{"B-IP6-5 hop-by-hop in the second place", chained(dst, header6(hop), header6(tcpNext)), IPv6Problem{Code: 1, Pointer: 40}},
		{"B-IP6-5 hop-by-hop twice", chained(hop, header6(hop), header6(tcpNext)), IPv6Problem{Code: 1, Pointer: 40}},
		{"B-IP6-6 type 0", chained(routing, header6(tcpNext, 0, 1)), IPv6Problem{Code: 0, Pointer: 42}},
		{"B-IP6-6 type 4 behind options", chained(dst, header6(routing), header6(tcpNext, 4, 255)), IPv6Problem{Code: 0, Pointer: 50}},
		{"B-IP6-7 nine headers", chained(dst, bytes.Repeat(header6(dst), 8), header6(tcpNext)), silent},
		{"B-IP6-7 two hundred", chained(dst, bytes.Repeat(header6(dst), 200), header6(tcpNext)), silent},
		{"B-IP6-7 length 255", chained(dst, with(header6(tcpNext), 1, 255)), silent},
		{"B-IP6-7 seven octets", chained(dst, header6(tcpNext)[:7]), silent},
		{"B-IP6-7 seven octets of a fragment header", chained(frag, fragment(tcpNext, 0, false, 1)[:7]), silent},
		{"B-IP6-7 atomic fragments without end", chained(frag, bytes.Repeat(fragment(frag, 0, false, 1), 100)), silent},
		{"B-IP6-11 a length that is no multiple of 8", chained(dst, header6(frag), fragment(udpNext, 8, true, 1), dirty(9)), IPv6Problem{Code: 0, Pointer: 4}},
		{"B-IP6-11 one octet too far", chained(frag, fragment(udpNext, 65528, false, 1), dirty(8)), IPv6Problem{Code: 0, Pointer: 42}},
		{"B-IP6-11 too far with what is before", chained(dst, header6(frag), fragment(udpNext, 65520, false, 1), dirty(8)), IPv6Problem{Code: 0, Pointer: 50}},
		{"B-IP6-13 nothing of the upper layer", chained(frag, fragment(253, 0, true, 1)), IPv6Problem{Code: 3}},
		{"B-IP6-13 16 octets of TCP", chained(frag, fragment(tcpNext, 0, true, 1), dirty(16)), IPv6Problem{Code: 3}},
		{"B-IP6-13 options that go on", chained(frag, fragment(dst, 0, true, 1), with(header6(tcpNext), 1, 1)), IPv6Problem{Code: 3}},
		{"B-IP6-13 options alone", chained(frag, fragment(dst, 0, true, 1), header6(udpNext)), IPv6Problem{Code: 3}},
		{"B-IP6-13 more headers than are looked at", chained(frag, fragment(dst, 0, true, 1), bytes.Repeat(header6(dst), 9), dirty(8)), IPv6Problem{Code: 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, problem, ok := WalkIPv6(c.packet)
			if ok || problem != c.want {
				t.Errorf("%x: %+v, %v, want %+v", c.packet, problem, ok, c.want)
			}
		})
	}
}

func FuzzWalkIPv6(f *testing.F) {
	f.Add(chained(hop, header6(dst, 5, 2, 0, 0), header6(routing, 0xc2, 4), header6(frag, 4, 0), fragment(dst, 0, false, 7), header6(udpNext)))
	f.Add(chained(frag, fragment(dst, 0, true, 1), header6(udpNext), dirty(16)))
	f.Add(chained(dst, bytes.Repeat(header6(dst), 200)))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, p, ok := WalkIPv6(bounded(b))
		if ok != (p == IPv6Problem{}) {
			t.Fatalf("%x: ok %v beside %+v", b, ok, p)
		}
		if p.Silent && p != (IPv6Problem{Silent: true}) || p.Pointer < 0 || p.Pointer >= max(len(b), 1) || p.Code > ICMPv6IncompleteChain {
			t.Fatalf("%x: %+v", b, p)
		}
		if p.Multicast && (p.Code != ICMPv6UnknownOption || b[p.Pointer]>>6 != 2) {
			t.Fatalf("%x: %+v", b, p)
		}
		if !ok {
			return
		}
		if c.At < IPv6Len || c.At > len(b) || c.NextAt >= c.At || b[c.NextAt] != c.Protocol || c.At > IPv6Len+IPv6MaxHeaders*2048 {
			t.Fatalf("%x: %+v", b, c)
		}
		if c.Protocol == hop || c.Protocol == routing || c.Protocol == dst || c.Protocol == frag && (c.At+IPv6FragmentLen > len(b)) {
			t.Fatalf("%x: ends at %+v", b, c)
		}
	})
}
