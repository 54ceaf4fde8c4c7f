package stack

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// fuzzed6 are the addresses of FuzzHostInput's host and of its peer.
var fuzzed6 = struct{ our, peer, ourLink, peerLink, group netip.Addr }{
	netip.MustParseAddr("fd00::2"), netip.MustParseAddr("fd00::1"), linkLocal(ourMAC), linkLocal(peerMAC), netip.MustParseAddr("ff02::1"),
}

// linkLocal returns the link-local address that a MAC makes (RFC 4291 A).
func linkLocal(m link.MAC) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 8: m[0] ^ 2, 9: m[1], 10: m[2], 11: 0xff, 12: 0xfe, 13: m[3], 14: m[4], 15: m[5]})
}

// kinds of frames that dress6 makes.
const (
	raw6 = 8 + iota
	any6
	chain6
	fragment6
	icmp6
	nd6
	tcp6
	udp6
)

// dress6 is dress for IPv6.
func dress6(kind byte, body []byte) []byte {
	at := func(i int) byte {
		if i < len(body) {
			return body[i]
		}
		return 0
	}
	rest := func(n int) []byte { return body[min(n, len(body)):] }
	src, dst := fuzzed6.peer, fuzzed6.our
	in6 := func(next uint8, payload []byte) []byte {
		return ethFrame(ourMAC, peerMAC, wire.EtherTypeIPv6, frames.IP(src, dst, next, payload))
	}
	longer := func(n int) []byte {
		return append(make([]byte, 0, len(body)+n), append(body, make([]byte, max(n-len(body), 0))...)...)
	}
	switch kind | 8 {
	case raw6:
		return ethFrame(ourMAC, peerMAC, wire.EtherTypeIPv6, body)
	case any6:
		return in6(at(0), rest(1))
	case chain6: // extension headers, whose lengths are mostly right
		next := [...]uint8{wire.IPv6HopByHop, wire.IPv6Routing, wire.IPv6Fragments, wire.IPv6DestinationOptions}
		first, b := next[at(0)&3], bytes.Clone(rest(1))
		for i := 0; i+8 <= len(b) && at(0)&4 != 0; i += 8 {
			b[i] = [...]uint8{0, 43, 44, 60, wire.ProtocolUDP, wire.ProtocolTCP, wire.ProtocolICMPv6, wire.IPv6NoNext}[b[i]&7]
			b[i+1] &= 1
		}
		return in6(first, b)
	case fragment6:
		b := make([]byte, wire.IPv6FragmentLen)
		f := wire.IPv6Fragment{Offset: 8 * int(at(1)), More: at(2)&1 != 0, ID: uint32(at(0) & 3),
			NextHeader: [...]uint8{wire.ProtocolTCP, wire.ProtocolUDP, wire.ProtocolICMPv6, wire.IPv6DestinationOptions}[at(2)>>1&3]}
		f.Marshal(b)
		return in6(wire.IPv6Fragments, append(b, rest(3)...))
	case icmp6:
		b := longer(wire.ICMPLen)
		wire.PutICMPv6Checksum(b, src.As16(), dst.As16())
		return in6(wire.ProtocolICMPv6, b)
	case nd6: // from the link: with a hop limit of 255, or MLD's
		src = fuzzed6.peerLink
		if at(1)&1 != 0 {
			dst = fuzzed6.group
		}
		b := longer(wire.ICMPLen)
		b[0] = [...]uint8{130, 131, 132, 133, 134, 135, 136, 137, 143}[b[0]%9]
		h := wire.IPv6{Src: src.As16(), Dst: dst.As16(), NextHeader: wire.ProtocolICMPv6, HopLimit: 255}
		b[1] = 0
		wire.PutICMPv6Checksum(b, h.Src, h.Dst)
		if b[0] < 133 || b[0] == 143 {
			h.HopLimit, h.NextHeader = 1, wire.IPv6HopByHop
			b = append([]byte{wire.ProtocolICMPv6, 0, 5, 2, 0, 0, 1, 0}, b...)
		}
		return ethFrame(ourMAC, peerMAC, wire.EtherTypeIPv6, frames.IPv6(h, b))
	case tcp6:
		b := longer(wire.TCPLen)
		b[2], b[3], b[12] = 0, 80, b[12]|0x50
		b[16], b[17] = 0, 0
		c := wire.Checksum(b, wire.PseudoHeader(src, dst, wire.ProtocolTCP, len(b)))
		b[16], b[17] = byte(c>>8), byte(c)
		return in6(wire.ProtocolTCP, b)
	}
	return in6(wire.ProtocolUDP, frames.UDP(src, dst, 5, 7, body))
}

// seeds6 are frames of every kind, as fuzzFrames reads them.
func seeds6() (seeds [][]byte) {
	seed := func(kind byte, parts ...[]byte) {
		body := bytes.Join(parts, nil)
		body = append(body, make([]byte, -len(body)&7)...)
		seeds = append(seeds, append([]byte{kind, byte(len(body) / 8)}, body...))
	}
	our, peer := fuzzed6.our, fuzzed6.peer
	target, quoted := fuzzed6.our.As16(), frames.IP(our, peer, wire.ProtocolTCP, make([]byte, 20))
	mac := append([]byte{1, 1}, peerMAC[:]...)
	seed(raw6, frames.IP(peer, our, wire.ProtocolUDP, frames.UDP(peer, our, 5, 7, []byte("hello"))))
	seed(raw6, frames.IP(peer, our, wire.IPv6HopByHop, []byte{wire.IPv6NoNext, 0, 0xc2, 4, 0, 1, 0, 0})) // a jumbogram
	seed(any6, []byte{253})
	seed(chain6, []byte{0, 60, 0, 5, 2, 0, 0, 1, 0, 17, 0, 0x80, 4, 0, 0, 0, 0})
	seed(chain6, []byte{4}, bytes.Repeat([]byte{3, 0, 1, 4, 0, 0, 0, 0}, 30))
	seed(chain6, []byte{1, 17, 2, 0, 1, 0, 0, 0, 0}, target[:]) // a routing header of type 0
	seed(chain6, []byte{2, 17, 0, 0, 0, 0, 0, 0, 9}, frames.UDP(peer, our, 5, 7, []byte("atomic")))
	for _, third := range []byte{2 | 1, 2, 6 | 1} {
		seed(fragment6, []byte{1, 0, third}, make([]byte, 21))
		seed(fragment6, []byte{1, 2, third}, make([]byte, 21))
	}
	for _, message := range [][]byte{{128, 0, 0, 0, 0, 7, 0, 1}, {1, 4, 0, 0, 0, 0, 0, 0}, {2, 0, 0, 0, 0, 0, 5, 0}, {3, 0, 0, 0, 0, 0, 0, 0}, {4, 1, 0, 0, 0, 0, 0, 6}} {
		seed(icmp6, message, quoted)
	}
	for kind := range byte(9) {
		seed(nd6, []byte{kind, 0, 0, 0, 0xe0, 0, 0, 0}, target[:], mac)
		seed(nd6, []byte{kind, 1, 0, 0, 0, 0, 0, 1}, target[:], target[:], mac)
		seed(nd6, []byte{kind, 0, 0, 0, 0, 0, 0, 0}, target[:], make([]byte, 8)) // an option of length zero
	}
	seed(tcp6, frames.TCP(peer, our, wire.TCP{SrcPort: 5, DstPort: 80, Flags: wire.TCPSyn, Window: 1000}, nil))
	seed(udp6, []byte("hello"))
	return seeds
}

// checkSent6 says what is wrong with a packet that the host sent.
func checkSent6(t *testing.T, b []byte) {
	t.Helper()
	var h wire.IPv6
	_, err := h.Parse(b)
	src := netip.AddrFrom16(h.Src)
	if err != nil || h.HopLimit == 0 || src != fuzzed6.our && src != fuzzed6.ourLink && !src.IsUnspecified() {
		t.Fatalf("sent %x: %+v, %v", b, h, err)
	}
	c, problem, ok := wire.WalkIPv6(b[:wire.IPv6Len+h.PayloadLen])
	if !ok {
		t.Fatalf("sent %x: %+v", b, problem)
	}
	if c.Protocol == wire.IPv6Fragments {
		return
	}
	if p := b[c.At : wire.IPv6Len+h.PayloadLen]; wire.Checksum(p, wire.PseudoHeader6(h.Src, h.Dst, c.Protocol, len(p))) != 0 {
		t.Fatalf("sent %x with a wrong checksum", b)
	}
}
