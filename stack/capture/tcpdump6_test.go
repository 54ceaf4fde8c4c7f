package capture_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"

	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/wire"
)

var (
	linkA     = netip.MustParseAddr("fe80::1")
	linkB     = netip.MustParseAddr("fe80::2")
	allNodes  = netip.MustParseAddr("ff02::1")
	groupA    = netip.MustParseAddr("ff02::fb").As16()
	mldRouter = netip.MustParseAddr("ff02::16")
)

// header6 returns an extension header with the data, which Pad1 fills up.
func header6(next uint8, data ...byte) []byte {
	b := append([]byte{next, 0}, data...)
	for len(b)%8 != 0 {
		b = append(b, wire.IPv6OptPad1)
	}
	b[1] = uint8(len(b)/8 - 1)
	return b
}

func fragment6(next uint8, offset int, more bool) []byte {
	b := make([]byte, wire.IPv6FragmentLen)
	(&wire.IPv6Fragment{NextHeader: next, Offset: offset, More: more, ID: 0x1234}).Marshal(b)
	return b
}

// headers6 returns a packet of headers, of which the first is of the kind next.
func headers6(next uint8, headers ...[]byte) []byte {
	e := families["IPv6"]
	return frames.IP(e.src, e.dst, next, bytes.Join(headers, nil))
}

// message6 returns an ICMPv6 message without a checksum in a packet on a link.
func message6(dst netip.Addr, b []byte, options ...wire.NDOption) []byte {
	for _, o := range options {
		room := make([]byte, 2048)
		b = append(b, room[:o.Marshal(room)]...)
	}
	wire.PutICMPv6Checksum(b, linkA.As16(), dst.As16())
	return frames.IPv6(wire.IPv6{NextHeader: wire.ProtocolICMPv6, HopLimit: 255, Src: linkA.As16(), Dst: dst.As16()}, b)
}

// reported returns an MLD message behind a router alert.
func reported(b []byte) []byte {
	wire.PutICMPv6Checksum(b, linkA.As16(), mldRouter.As16())
	return frames.IPv6(wire.IPv6{NextHeader: wire.IPv6HopByHop, HopLimit: 1, Src: linkA.As16(), Dst: mldRouter.As16()},
		append(header6(wire.ProtocolICMPv6, 5, 2, 0, 0, 1, 0), b...))
}

func written(n int, marshal func([]byte) int) []byte {
	b := make([]byte, n)
	return b[:marshal(b)]
}

// samples6 are packets that IPv4 does not have.
func samples6() (all []sample) {
	add := func(name string, packet []byte) { all = append(all, sample{name, packet}) }
	e := families["IPv6"]
	udp := frames.UDP(e.src, e.dst, 1000, 2000, make([]byte, 16))
	tcp := frames.TCP(e.src, e.dst, wire.TCP{SrcPort: 1, DstPort: 2, Flags: wire.TCPSyn}, nil)
	quote := e.udp(4)
	add("too big", e.message(wire.ICMPv6PacketTooBig, 0, 1280, quote))
	add("too big, a large MTU", e.message(wire.ICMPv6PacketTooBig, 0, 0xffffffff, quote))
	for code := range uint8(5) {
		add(fmt.Sprintf("time exceeded, code %d", code), e.message(wire.ICMPv6TimeExceeded, code, 0, quote))
		add(fmt.Sprintf("parameter problem, code %d", code), e.message(wire.ICMPv6ParameterProblem, code, 40, quote))
	}
	add("an unknown error", e.message(100, 3, 0, quote))
	add("a quote behind an extension header", e.message(1, 4, 0, headers6(60, header6(17), udp)))
	add("a quote of a fragment", e.message(1, 4, 0, headers6(44, fragment6(17, 8, false), udp)))
	add("a quote that is cut short", e.message(1, 4, 0, quote[:41]))
	add("a quote of half a header", e.message(1, 3, 0, quote[:20]))
	for name, packet := range map[string][]byte{
		"hop-by-hop": headers6(0, header6(17, 5, 2, 0, 0, 1, 0), udp), "destination options": headers6(60, header6(6, 1, 4), tcp),
		"routing 0": headers6(43, append([]byte{17, 2, 0, 1, 0, 0, 0, 0}, groupA[:]...), udp), "routing 2": headers6(43, append([]byte{17, 2, 2, 1, 0, 0, 0, 0}, groupA[:]...), udp),
		"routing 4": headers6(43, append([]byte{17, 2, 4, 1, 0, 0, 0, 0}, groupA[:]...), udp), "routing 3": headers6(43, append([]byte{17, 2, 3, 1, 0, 0, 0, 0}, groupA[:]...), udp),
		"routing 9":                    headers6(43, append([]byte{17, 2, 9, 1, 0, 0, 0, 0}, groupA[:]...), udp),
		"routing 0 without an address": headers6(43, []byte{17, 0, 0, 0, 0, 0, 0, 0}, udp),
		"the first fragment":           headers6(44, fragment6(17, 0, true), udp), "a later fragment": headers6(44, fragment6(17, 24, true), udp),
		"the last fragment": headers6(44, fragment6(17, 48, false), udp), "an atomic fragment": headers6(44, fragment6(6, 0, false), tcp),
		"a fragment of ICMPv6":        headers6(44, fragment6(58, 0, true), make([]byte, 16)),
		"a later fragment of options": headers6(44, fragment6(60, 8, true), udp),
		"all":                         headers6(0, header6(60), header6(43, 1, 4), []byte{44, 0, 0, 0, 0, 0, 0, 0}, fragment6(60, 0, true), header6(17), udp),
		"no next header":              headers6(59), "no next header with octets": headers6(59, make([]byte, 4)), "no next header behind options": headers6(60, header6(59)),
		"hop-by-hop again": headers6(60, header6(0), header6(17), udp), "an unknown protocol behind options": headers6(60, header6(253), make([]byte, 3)),
		"options without length":  headers6(60, header6(17, 7, 0, 8, 255), udp),
		"200 headers":             headers6(60, bytes.Repeat(header6(60), 199), header6(17), udp),
		"UDP in a first fragment": headers6(44, fragment6(17, 0, true), udp[:16]), "options and nothing": headers6(60, header6(6)), "options and TCP cut short": headers6(60, header6(6), tcp[:9]),
		"options and UDP cut short": headers6(60, header6(17), udp[:7]), "a fragment and nothing": headers6(44, fragment6(6, 0, true)), "a later fragment of nothing": headers6(44, fragment6(6, 8, false)),
		"routing 4 with flags": headers6(43, append([]byte{17, 2, 4, 1, 1, 9, 0xab, 0xcd}, groupA[:]...), udp), "routing of an odd length": headers6(43, []byte{17, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, udp),
		"routing 4 of an odd length": headers6(43, []byte{17, 1, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, udp), "routing past the end": headers6(43, []byte{17, 9, 0, 1, 0, 0, 0, 0}, udp), "routing 1": headers6(43, []byte{17, 0, 1, 0, 0, 0, 0, 0}, udp),
		"hop-by-hop past the end": headers6(0, []byte{17, 9, 0, 0, 0, 0, 0, 0}), "hop-by-hop of 7": headers6(0, header6(17)[:7]), "hop-by-hop of 1": headers6(0, []byte{17}), "routing of 7": headers6(43, header6(17)[:7]), "routing of 3": headers6(43, header6(17)[:3]), "routing of 1": headers6(43, header6(17)[:1]),
		"routing 0 past the end": headers6(43, []byte{17, 8, 0, 1, 0, 0, 0, 0}), "routing of 2": headers6(43, header6(17)[:2]),
		"options behind options cut short": headers6(60, header6(60), header6(17)[:5]), "options past the end behind options": headers6(60, header6(60), []byte{17, 9, 0, 0, 0, 0, 0, 0}),
		"SRH truncated":        headers6(43, []byte{17, 2, 4, 1}),
		"options past the end": headers6(60, []byte{17, 9, 0, 0, 0, 0, 0, 0}), "options cut short": headers6(60, []byte{17, 0, 1}),
		"a fragment cut short": headers6(44, []byte{17, 0, 1}), "routing cut short": headers6(43, []byte{17, 0, 1}), "TCP cut short": headers6(6, tcp[:19]),
		"UDP cut short": headers6(17, udp[:7]), "ICMPv6 cut short": headers6(58, []byte{128, 0, 0}), "ICMPv4 over IPv6": headers6(1, make([]byte, 9)),
	} {
		add(name, packet)
	}
	return slices.Concat(all, neighborSamples(), mldSamples())
}

func neighborSamples() (all []sample) {
	add := func(name string, packet []byte) { all = append(all, sample{name, packet}) }
	source := wire.NDOption{Type: wire.NDOptSourceLinkAddr, Data: macA}
	target := wire.NDOption{Type: wire.NDOptTargetLinkAddr, Data: macA}
	n := wire.NDNeighbor{Target: linkB.As16()}
	neighbor := func(typ uint8) []byte {
		return written(wire.NDNeighborLen, func(b []byte) int { return n.Marshal(b, typ) })
	}
	add("solicitation", message6(allNodes, neighbor(135), source))
	add("solicitation for DAD", message6(allNodes, neighbor(135)))
	add("solicitation with a nonce", message6(allNodes, neighbor(135), wire.NDOption{Type: 14, Data: []byte{1, 2, 3, 4, 5, 6}}))
	for flags := range 8 {
		n.Router, n.Solicited, n.Override = flags&1 != 0, flags&2 != 0, flags&4 != 0
		add(fmt.Sprintf("advertisement %d", flags), message6(linkB, neighbor(136), target))
	}
	add("solicitation cut short", message6(allNodes, neighbor(135)[:20]))
	add("advertisement cut short", message6(allNodes, neighbor(136)[:20]))
	add("an option of length zero", message6(allNodes, append(neighbor(135), 1, 0, 0, 0, 0, 0, 0, 0)))
	add("an option past the end", message6(allNodes, append(neighbor(135), 1, 2, 0, 0, 0, 0, 0, 0)))
	add("half an option", message6(allNodes, append(neighbor(135), 1)))
	add("a link-layer address of 14 octets", message6(allNodes, neighbor(135), wire.NDOption{Type: 1, Data: make([]byte, 14)}))
	solicit := []byte{133, 0, 0, 0, 0, 0, 0, 0}
	add("router solicitation", message6(allNodes, slices.Clone(solicit)))
	add("router solicitation with a source", message6(allNodes, slices.Clone(solicit), source))
	prefix := append([]byte{64, 0xc0, 0, 0, 0x0e, 0x10, 0, 0, 0, 9, 0, 0, 0, 0}, families["IPv6"].src.AsSlice()...)
	router := wire.NDRouterAdvertisement{HopLimit: 64, Other: true, Lifetime: 1800, Reachable: 1, Retransmit: 2}
	advertise := func() []byte { return written(wire.NDRouterAdvertisementLen, router.Marshal) }
	add("router advertisement", message6(allNodes, advertise()))
	add("router advertisement with options", message6(allNodes, advertise(), source, wire.NDOption{Type: 5, Data: []byte{0, 0, 0, 0, 5, 0xdc}},
		wire.NDOption{Type: 3, Data: prefix}, wire.NDOption{Type: 25, Data: append([]byte{0, 0, 0, 0, 1, 0}, groupA[:]...)}, wire.NDOption{Type: 99}))
	add("router advertisement cut short", message6(allNodes, advertise()[:12]))
	redirect := wire.NDRedirect{Target: linkB.As16(), Dst: families["IPv6"].dst.As16()}
	turned := func() []byte { return written(wire.NDRedirectLen, redirect.Marshal) }
	add("redirect", message6(linkB, turned()))
	add("redirect with options", message6(linkB, turned(), target, wire.NDOption{Type: 4, Data: append(make([]byte, 6), families["IPv6"].udp(8)...)}))
	add("redirect cut short", message6(linkB, turned()[:30]))
	return all
}

func mldSamples() (all []sample) {
	add := func(name string, b []byte) { all = append(all, sample{name, reported(b)}) }
	query := func(q wire.MLDQuery) []byte { return written(wire.MLDQueryLen+len(q.Sources), q.Marshal) }
	sources := append(linkA.AsSlice(), linkB.AsSlice()...)
	add("MLDv1 query", query(wire.MLDQuery{Version: 1, MaxResponse: 10000}))
	add("MLDv1 query for a group", query(wire.MLDQuery{Version: 1, MaxResponse: 1000, Group: groupA}))
	add("MLDv2 query", query(wire.MLDQuery{Version: 2, MaxResponse: 10000, Robustness: 2, Interval: 125}))
	add("MLDv2 query for sources", query(wire.MLDQuery{Version: 2, MaxResponse: 40000, Group: groupA, Suppress: true, Robustness: 2, Interval: 0x8f, Sources: sources}))
	group := wire.MLDGroup{Group: groupA}
	add("MLDv1 report", written(wire.MLDLen, func(b []byte) int { return group.Marshal(b, 131) }))
	add("MLDv1 done", written(wire.MLDLen, func(b []byte) int { return group.Marshal(b, 132) }))
	add("MLDv1 report cut short", written(wire.MLDLen, func(b []byte) int { return group.Marshal(b, 131) })[:20])
	report := func(records ...wire.MLDRecord) []byte {
		return written(2000, func(b []byte) int {
			n := wire.PutMLDReport(b, len(records))
			for _, r := range records {
				n += r.Marshal(b[n:])
			}
			return n
		})
	}
	for kind := range uint8(8) {
		add(fmt.Sprintf("MLDv2 report, type %d", kind), report(wire.MLDRecord{Type: kind, Group: groupA}))
	}
	two := report(wire.MLDRecord{Type: 4, Group: groupA}, wire.MLDRecord{Type: 5, Group: groupA, Sources: sources})
	add("MLDv2 report of two", two)
	add("MLDv2 report cut short", two[:40])
	return all
}
