package capture_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/capture"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
)

func payload(n int) gopacket.Payload { return make(gopacket.Payload, n) }

func be16(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }

func be32(v ...uint32) (b []byte) {
	for _, v := range v {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

func option(kind layers.TCPOptionKind, data ...byte) layers.TCPOption {
	return layers.TCPOption{OptionType: kind, OptionLength: uint8(2 + len(data)), OptionData: data}
}

var nop = layers.TCPOption{OptionType: layers.TCPOptionKindNop, OptionLength: 1}

// segment is a TCP segment between a client, port 43210 of ipA, and a server, port 8080 of ipB.
func segment(t *testing.T, fromClient bool, n int, h layers.TCP) []byte {
	ip := ipv4(ipA, ipB, layers.IPProtocolTCP)
	h.SrcPort, h.DstPort = 43210, 8080
	if !fromClient {
		ip = ipv4(ipB, ipA, layers.IPProtocolTCP)
		h.SrcPort, h.DstPort = 8080, 43210
	}
	return packet(t, ether(layers.EthernetTypeIPv4), ip, &h, payload(n))
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// wantLines prints frames with one Printer and compares the lines without their times.
func wantLines(t *testing.T, kind link.Kind, frames [][]byte, want ...string) {
	t.Helper()
	p := capture.NewPrinter(kind)
	var got []string
	for _, f := range frames {
		got = append(got, strings.TrimPrefix(p.Line(noon, f), "12:00:00.000000 "))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestTCPConversation(t *testing.T) {
	ts := func(val, ecr uint32) layers.TCPOption {
		return option(layers.TCPOptionKindTimestamps, be32(val, ecr)...)
	}
	const c, s = 4294967290, 1000 // the client's numbers wrap
	frames := [][]byte{
		segment(t, true, 0, layers.TCP{SYN: true, Seq: c, Window: 64240, Options: []layers.TCPOption{
			option(layers.TCPOptionKindMSS, be16(1460)...), option(layers.TCPOptionKindSACKPermitted), ts(1, 0), nop,
			option(layers.TCPOptionKindWindowScale, 7)}}),
		segment(t, false, 0, layers.TCP{SYN: true, ACK: true, Seq: s, Ack: c + 1, Window: 65160}),
		segment(t, true, 0, layers.TCP{ACK: true, Seq: c + 1, Ack: s + 1, Window: 502, Options: []layers.TCPOption{nop, nop, ts(2, 1)}}),
		segment(t, true, 77, layers.TCP{ACK: true, PSH: true, Seq: c + 1, Ack: s + 1, Window: 502}),
	}
	var next uint32 = c // wraps at run time, not in a constant
	frames = append(frames,
		segment(t, false, 0, layers.TCP{ACK: true, Seq: s + 1, Ack: next + 78, Window: 501, Options: []layers.TCPOption{
			nop, nop, option(layers.TCPOptionKindSACK, be32(next+101, next+201, next+301, next+401)...)}}),
		segment(t, false, 100, layers.TCP{ACK: true, FIN: true, PSH: true, Seq: s + 1, Ack: next + 78, Window: 501}),
		segment(t, true, 0, layers.TCP{ACK: true, FIN: true, Seq: next + 78, Ack: s + 102, Window: 502}),
		segment(t, true, 0, layers.TCP{RST: true, Seq: next + 79}),
		segment(t, true, 0, layers.TCP{RST: true, ACK: true, Seq: next + 79, Ack: s + 102}),
	)
	wantLines(t, link.Ethernet, frames,
		"IP 10.0.0.1.43210 > 10.0.0.2.8080: Flags [S], seq 4294967290, win 64240, options [mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7], length 0",
		"IP 10.0.0.2.8080 > 10.0.0.1.43210: Flags [S.], seq 1000, ack 4294967291, win 65160, length 0",
		"IP 10.0.0.1.43210 > 10.0.0.2.8080: Flags [.], ack 1, win 502, options [nop,nop,TS val 2 ecr 1], length 0",
		"IP 10.0.0.1.43210 > 10.0.0.2.8080: Flags [P.], seq 1:78, ack 1, win 502, length 77",
		"IP 10.0.0.2.8080 > 10.0.0.1.43210: Flags [.], ack 78, win 501, options [nop,nop,sack 2 {101:201}{301:401}], length 0",
		"IP 10.0.0.2.8080 > 10.0.0.1.43210: Flags [FP.], seq 1:101, ack 78, win 501, length 100",
		"IP 10.0.0.1.43210 > 10.0.0.2.8080: Flags [F.], seq 78, ack 102, win 502, length 0",
		"IP 10.0.0.1.43210 > 10.0.0.2.8080: Flags [R], seq 73, win 0, length 0",
		"IP 10.0.0.1.43210 > 10.0.0.2.8080: Flags [R.], seq 79, ack 102, win 0, length 0",
	)
}

func TestTCPOddities(t *testing.T) {
	bad := segment(t, true, 0, layers.TCP{ACK: true, Seq: 9, Ack: 9, Options: []layers.TCPOption{option(28, 1, 2), option(34), option(99, 7)}})
	bad[14+20+20+1] = 1 // the first option's length
	header := segment(t, true, 4, layers.TCP{ACK: true, Ack: 9})
	header[14+20+12] = 0xf0 // a data offset of 60
	wantLines(t, link.Ethernet, [][]byte{
		segment(t, true, 0, layers.TCP{}),
		segment(t, true, 0, layers.TCP{URG: true, ECE: true, CWR: true, Urgent: 3, Window: 1}),
		// The first segment of a conversation that was not seen to begin is absolute.
		segment(t, false, 10, layers.TCP{ACK: true, Seq: 500, Ack: 700}),
		segment(t, true, 0, layers.TCP{ACK: true, Seq: 700, Ack: 510}),
		segment(t, false, 10, layers.TCP{ACK: true, Seq: 510, Ack: 700, Options: []layers.TCPOption{
			option(28, 1, 2), option(34), option(99, 7), option(34, 1, 2, 3, 4), {OptionType: 0, OptionLength: 1}}}),
		bad,
		header,
		segment(t, true, 0, layers.TCP{})[:14+20+19],
		packet(t, ether(layers.EthernetTypeIPv4), ipv4(ipA, ipB, layers.IPProtocolTCP), payload(19)),
	},
		"IP 10.0.0.1.43210 > 10.0.0.2.8080: Flags [none], win 0, length 0",
		"IP 10.0.0.1.43210 > 10.0.0.2.8080: Flags [UEW], win 1, urg 3, length 0",
		"IP 10.0.0.2.8080 > 10.0.0.1.43210: Flags [.], seq 500:510, ack 700, win 0, length 10",
		"IP 10.0.0.1.43210 > 10.0.0.2.8080: Flags [.], ack 10, win 0, length 0",
		"IP 10.0.0.2.8080 > 10.0.0.1.43210: Flags [.], seq 10:20, ack 1, win 0, options [uto 0x102,tfo cookiereq,unknown-99 0x07,tfo cookie 01020304,eol], length 10",
		"IP 10.0.0.1.43210 > 10.0.0.2.8080: Flags [.], ack 4294966805, win 0, options [[bad opt]], length 0",
		"IP 10.0.0.1.43210 > 10.0.0.2.8080: Flags [.] [bad hdr length 60 - too long, > 24]",
		"IP truncated-ip - 1 bytes missing! 10.0.0.1.43210 > 10.0.0.2.8080: [|tcp]",
		"IP 10.0.0.1.0 > 10.0.0.2.0: [|tcp]",
	)
}

func TestVLANLines(t *testing.T) {
	ping := packet(t, ether(layers.EthernetTypeARP), &layers.ARP{AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4,
		HwAddressSize: 6, ProtAddressSize: 4, Operation: 1, SourceHwAddress: macA, SourceProtAddress: []byte{10, 0, 0, 1},
		DstHwAddress: make([]byte, 6), DstProtAddress: []byte{10, 0, 0, 2}})
	tagged := func(f []byte, tag ...byte) []byte {
		return append(append(append([]byte(nil), f[:12]...), tag...), f[12:]...)
	}
	zero := tagged(ping, 0x81, 0, 0xa0, 0)
	five := tagged(ping, 0x81, 0, 0x10, 5)
	wantLines(t, link.Ethernet, [][]byte{zero, five, tagged(five, 0x88, 0xa8, 0, 7), zero[:17], tagged(five, 0x81, 0, 0, 0)[:20]},
		"vlan 0, p 5, ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 46",
		"vlan 5, p 0, DEI, ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 46",
		"vlan 7, p 0, vlan 5, p 0, DEI, ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 46",
		"[|vlan]",
		"vlan 0, p 0, [|vlan]")
}

func TestARPLines(t *testing.T) {
	arp := func(op uint16, target []byte, pad int) []byte {
		return packet(t, ether(layers.EthernetTypeARP), &layers.ARP{AddrType: layers.LinkTypeEthernet,
			Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4, Operation: op,
			SourceHwAddress: macA, SourceProtAddress: ipA, DstHwAddress: target, DstProtAddress: ipB}, payload(pad))[:14+28+pad]
	}
	nobody := make([]byte, 6)
	odd := arp(1, nobody, 0)
	odd[14+4] = 8
	wantLines(t, link.Ethernet, [][]byte{arp(1, nobody, 0), arp(1, macB, 18), arp(2, macB, 0), arp(9, macB, 0), odd, odd[:30]},
		"ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28",
		"ARP, Request who-has 10.0.0.2 (02:00:00:00:00:02) tell 10.0.0.1, length 46",
		"ARP, Reply 10.0.0.1 is-at 02:00:00:00:00:01, length 28",
		"ARP, Unknown (9), length 28",
		"[|ARP]",
		"[|ARP]",
	)
}

func TestICMPLines(t *testing.T) {
	quote := packet(t, ipv4(ipA, ipB, layers.IPProtocolUDP), &layers.UDP{SrcPort: 1000, DstPort: 53}, payload(1))[:28]
	icmp := func(kind, code uint8, id, seq uint16, body []byte) []byte {
		return packet(t, ether(layers.EthernetTypeIPv4), ipv4(ipB, ipA, layers.IPProtocolICMPv4),
			&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(kind, code), Id: id, Seq: seq}, gopacket.Payload(body))
	}
	var frames [][]byte
	for code := range uint8(6) {
		frames = append(frames, icmp(3, code, 0, 1400, quote))
	}
	frames = append(frames, icmp(3, 13, 0, 0, quote), icmp(3, 1, 0, 0, quote[:19]), icmp(8, 0, 7, 1, payload(56)), icmp(0, 0, 7, 1, payload(56)),
		icmp(11, 0, 0, 0, quote), icmp(11, 1, 0, 0, quote), icmp(12, 0, 0x0500, 0, quote), icmp(5, 1, 0x0a00, 9, quote),
		icmp(40, 2, 0, 0, nil), packet(t, ether(layers.EthernetTypeIPv4), ipv4(ipB, ipA, layers.IPProtocolICMPv4), payload(7)))
	wantLines(t, link.Ethernet, frames,
		"IP 10.0.0.2 > 10.0.0.1: ICMP net 10.0.0.2 unreachable, length 36",
		"IP 10.0.0.2 > 10.0.0.1: ICMP host 10.0.0.2 unreachable, length 36",
		"IP 10.0.0.2 > 10.0.0.1: ICMP 10.0.0.2 protocol 17 unreachable, length 36",
		"IP 10.0.0.2 > 10.0.0.1: ICMP 10.0.0.2 udp port 53 unreachable, length 36",
		"IP 10.0.0.2 > 10.0.0.1: ICMP 10.0.0.2 unreachable - need to frag (mtu 1400), length 36",
		"IP 10.0.0.2 > 10.0.0.1: ICMP 10.0.0.2 unreachable - source route failed, length 36",
		"IP 10.0.0.2 > 10.0.0.1: ICMP host 10.0.0.2 unreachable - admin prohibited filter, length 36",
		"IP 10.0.0.2 > 10.0.0.1: [|icmp]",
		"IP 10.0.0.2 > 10.0.0.1: ICMP echo request, id 7, seq 1, length 64",
		"IP 10.0.0.2 > 10.0.0.1: ICMP echo reply, id 7, seq 1, length 64",
		"IP 10.0.0.2 > 10.0.0.1: ICMP time exceeded in-transit, length 36",
		"IP 10.0.0.2 > 10.0.0.1: ICMP ip reassembly time exceeded, length 36",
		"IP 10.0.0.2 > 10.0.0.1: ICMP parameter problem - octet 5, length 36",
		"IP 10.0.0.2 > 10.0.0.1: ICMP redirect 10.0.0.2 to host 10.0.0.9, length 36",
		"IP 10.0.0.2 > 10.0.0.1: ICMP type-#40, length 8",
		"IP 10.0.0.2 > 10.0.0.1: [|icmp]",
	)
}

func TestIPv6Lines(t *testing.T) {
	quote := packet(t, ipv6(layers.IPProtocolTCP), payload(4))
	binary.BigEndian.PutUint16(quote[42:], 443)
	icmp := func(kind, code uint8, rest uint32, body []byte) []byte {
		return packet(t, ether(layers.EthernetTypeIPv6), ipv6(layers.IPProtocolICMPv6),
			&layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(kind, code)}, gopacket.Payload(append(be32(rest), body...)))
	}
	var frames [][]byte
	for _, code := range []uint8{0, 1, 3, 4, 5} {
		frames = append(frames, icmp(1, code, 0, quote))
	}
	frames = append(frames, icmp(1, 0, 0, quote[:39]), icmp(2, 0, 1280, quote), icmp(3, 0, 0, quote), icmp(3, 1, 0, quote), icmp(4, 1, 6, quote),
		icmp(128, 0, 1<<16|2, nil), icmp(129, 0, 1<<16|2, nil), icmp(133, 0, 0, nil), icmp(134, 0, 0, payload(8)),
		icmp(135, 0, 0, ip6B), icmp(136, 0, 0, ip6A), icmp(136, 0, 0, ip6A[:15]),
		packet(t, ether(layers.EthernetTypeIPv6), ipv6(layers.IPProtocolICMPv6), payload(7)),
		packet(t, ether(layers.EthernetTypeIPv6), ipv6(layers.IPProtocolUDP), &layers.UDP{SrcPort: 1000, DstPort: 53}, payload(3)),
		packet(t, ether(layers.EthernetTypeIPv6), ipv6(layers.IPProtocolTCP), &layers.TCP{SrcPort: 1, DstPort: 2, SYN: true, Seq: 5}),
		frames[0][:60],
	)
	const between = "IP6 2001:db8::1 > 2001:db8::2: "
	wantLines(t, link.Ethernet, frames,
		between+"ICMP6, destination unreachable, unreachable route 2001:db8::2, length 52",
		between+"ICMP6, destination unreachable, unreachable prohibited 2001:db8::2, length 52",
		between+"ICMP6, destination unreachable, unreachable address 2001:db8::2, length 52",
		between+"ICMP6, destination unreachable, unreachable port, 2001:db8::2 tcp port 443, length 52",
		between+"ICMP6, destination unreachable, unknown unreach code (5)",
		between+"ICMP6, destination unreachable, unreachable route [|icmp6]",
		between+"ICMP6, packet too big, mtu 1280, length 52",
		between+"ICMP6, time exceeded in-transit for 2001:db8::2, length 52",
		between+"ICMP6, time exceeded in-transit (reassembly), length 52",
		between+"ICMP6, parameter problem, next header - octet 6, length 52",
		between+"ICMP6, echo request, id 1, seq 2, length 8",
		between+"ICMP6, echo reply, id 1, seq 2, length 8",
		between+"ICMP6, router solicitation, length 8",
		between+"ICMP6, router advertisement, length 16, hop limit 0, Flags [none], pref medium, router lifetime 0s, reachable time 0ms, retrans timer 0ms",
		between+"ICMP6, neighbor solicitation, who has 2001:db8::2, length 24",
		between+"ICMP6, neighbor advertisement, tgt is 2001:db8::1, length 24, Flags [none]",
		between+"ICMP6, neighbor advertisement [|icmp6]",
		between+"ICMP6, unknown icmp6 type (0) [|icmp6]",
		"IP6 2001:db8::1.1000 > 2001:db8::2.53: UDP, length 3",
		"IP6 2001:db8::1.1 > 2001:db8::2.2: Flags [S], seq 5, win 0, length 0",
		"IP6 truncated-ip6 - 46 bytes missing!2001:db8::1 > 2001:db8::2: ICMP6, destination unreachable [|icmp6]",
	)
}

func TestOtherLines(t *testing.T) {
	fragment := ipv4(ipA, ipB, layers.IPProtocolUDP)
	fragment.FragOffset = 185
	short := udp(t, 4)
	binary.BigEndian.PutUint16(short[14+20+4:], 13)
	wantLines(t, link.Ethernet, [][]byte{
		udp(t, 4),
		short,
		packet(t, ether(layers.EthernetTypeIPv4), ipv4(ipA, ipB, layers.IPProtocolUDP), payload(7)),
		packet(t, ether(layers.EthernetTypeIPv4), fragment, payload(8)),
		packet(t, ether(layers.EthernetTypeIPv4), ipv4(ipA, ipB, 99), payload(8)),
		append(packet(t, ether(0x88b5), payload(0)), make([]byte, 46)...)[:60],
		make([]byte, 13),
		nil,
	},
		"IP 10.0.0.1.1000 > 10.0.0.2.53: UDP, length 4",
		"IP 10.0.0.1.1000 > 10.0.0.2.53: UDP, bad length 5 > 4",
		"IP 10.0.0.1.0 > 10.0.0.2.0: truncated-udp 7",
		"IP 10.0.0.1 > 10.0.0.2: ip-proto-17",
		"IP 10.0.0.1 > 10.0.0.2: ip-proto-99 8",
		"02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype Unknown (0x88b5), length 60",
		"[|ether]",
		"[|ether]",
	)
	wantLines(t, link.IP, [][]byte{udp(t, 4)[14:], packet(t, ipv6(layers.IPProtocol(98)), payload(2)), nil},
		"IP 10.0.0.1.1000 > 10.0.0.2.53: UDP, length 4",
		"IP6 2001:db8::1 > 2001:db8::2: ip-proto-98 2",
		"IP [|ip]",
	)
}

func TestNewTextWritesLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sim.NewSegment(sim.Config{Delay: 1500 * time.Microsecond})
		defer s.Close()
		var text bytes.Buffer
		start := time.Now()
		d, peer := capture.NewText(s.Port(), &text), s.Port()
		mustWrite(t, d, udp(t, 4), 4)
		answer := udp(t, 9)
		copy(answer, macA)
		mustWrite(t, peer, answer, 0)
		mustRead(t, d)
		want := start.Format("15:04:05") + ".000000 IP 10.0.0.1.1000 > 10.0.0.2.53: UDP, length 4\n" +
			start.Format("15:04:05") + ".001500 IP 10.0.0.1.1000 > 10.0.0.2.53: UDP, length 9\n"
		if diff := cmp.Diff(want, text.String()); diff != "" {
			t.Error(diff)
		}
		if err := d.Flush(); err != nil {
			t.Error(err)
		}
	})
}

// FuzzLine finds frames that a Printer cannot stand.
func FuzzLine(f *testing.F) {
	f.Add(packet(f, ether(layers.EthernetTypeIPv4), ipv4(ipA, ipB, layers.IPProtocolTCP),
		&layers.TCP{ACK: true, Options: []layers.TCPOption{option(5, be32(1, 2)...)}}), false)
	for _, e := range families {
		for _, s := range e.samples() {
			f.Add(s.packet, true)
		}
	}
	for _, s := range samples6() {
		f.Add(s.packet, true)
	}
	printers := map[bool]*capture.Printer{false: capture.NewPrinter(link.Ethernet), true: capture.NewPrinter(link.IP)}
	f.Fuzz(func(t *testing.T, b []byte, bare bool) {
		line := printers[bare].Line(noon, b)
		if strings.ContainsAny(line, "\n\x00") {
			t.Errorf("%q", line)
		}
		if len(line) > 300+20*len(b) {
			t.Errorf("a line of %d octets for a frame of %d", len(line), len(b))
		}
	})
}

// TestLongChain: the time for a packet of extension headers, and the length of its line, grow as the packet does.
func TestLongChain(t *testing.T) {
	const headers = 65528 / 8
	for _, kind := range []uint8{wire.IPv6DestinationOptions, wire.IPv6Routing, wire.IPv6Fragments} {
		one := header6(kind)
		if kind == wire.IPv6Fragments {
			one = fragment6(kind, 0, false)
		}
		line := capture.NewPrinter(link.IP).Line(noon, headers6(kind, bytes.Repeat(one, headers)))
		if len(line) < 4*headers || len(line) > 60*headers {
			t.Errorf("a chain of kind %d is a line of %d octets", kind, len(line))
		}
	}
}
