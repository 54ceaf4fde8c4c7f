package wire

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// The second opinion: packets that gopacket writes are read here and the fields compared, and what Marshal
// makes of them is compared with gopacket's octets. The fuzzers compare arbitrary octets through the same
// functions.

var fixAll = gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}

// serialize returns the octets of the layers, written by gopacket.
func serialize(t testing.TB, parts ...gopacket.SerializableLayer) []byte {
	t.Helper()
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, fixAll, parts...); err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(b.Bytes())
}

func fromEthernet(l *layers.Ethernet) Ethernet {
	return Ethernet{Dst: MAC(l.DstMAC), Src: MAC(l.SrcMAC), Type: uint16(l.EthernetType)}
}

func fromARP(l *layers.ARP) ARP {
	return ARP{Op: l.Operation, SenderMAC: MAC(l.SourceHwAddress), SenderIP: [4]byte(l.SourceProtAddress),
		TargetMAC: MAC(l.DstHwAddress), TargetIP: [4]byte(l.DstProtAddress)}
}

func fromIPv4(l *layers.IPv4) IPv4 {
	return IPv4{HeaderLen: int(l.IHL) * 4, TOS: l.TOS, TotalLen: int(l.Length), ID: l.Id,
		DF: l.Flags&layers.IPv4DontFragment != 0, MF: l.Flags&layers.IPv4MoreFragments != 0,
		FragmentOffset: int(l.FragOffset) * 8, TTL: l.TTL, Protocol: uint8(l.Protocol),
		Src: [4]byte(l.SrcIP), Dst: [4]byte(l.DstIP), Options: l.Contents[IPv4Len:], Checksum: l.Checksum}
}

func fromIPv6(l *layers.IPv6) IPv6 {
	return IPv6{TrafficClass: l.TrafficClass, FlowLabel: l.FlowLabel, PayloadLen: int(l.Length),
		NextHeader: uint8(l.NextHeader), HopLimit: l.HopLimit, Src: [16]byte(l.SrcIP), Dst: [16]byte(l.DstIP)}
}

func fromICMPv4(l *layers.ICMPv4) ICMPv4 {
	h := ICMPv4{Type: l.TypeCode.Type(), Code: l.TypeCode.Code(), Checksum: l.Checksum}
	h.SetEcho(l.Id, l.Seq)
	return h
}

func fromICMPv6(l *layers.ICMPv6) ICMPv6 {
	return ICMPv6{Type: l.TypeCode.Type(), Code: l.TypeCode.Code(), Checksum: l.Checksum, Rest: [4]byte(l.Payload)}
}

func fromUDP(l *layers.UDP) UDP {
	return UDP{SrcPort: uint16(l.SrcPort), DstPort: uint16(l.DstPort), Length: int(l.Length), Checksum: l.Checksum}
}

// fromTCP returns the header without options.
func fromTCP(l *layers.TCP) TCP {
	h := TCP{SrcPort: uint16(l.SrcPort), DstPort: uint16(l.DstPort), Seq: l.Seq, Ack: l.Ack,
		Window: l.Window, Checksum: l.Checksum, Urgent: l.Urgent, HeaderLen: int(l.DataOffset) * 4}
	for i, set := range []bool{l.FIN, l.SYN, l.RST, l.PSH, l.ACK, l.URG, l.ECE, l.CWR, l.NS} {
		if set {
			h.Flags |= 1 << i
		}
	}
	return h
}

// fromTCPOptions reads the options that gopacket found.
func fromTCPOptions(options []layers.TCPOption) TCPOptions {
	var o TCPOptions
	for _, l := range options {
		d := l.OptionData
		switch l.OptionType {
		case layers.TCPOptionKindMSS:
			o.Has, o.MSS = o.Has|TCPOptMSS, binary.BigEndian.Uint16(d)
		case layers.TCPOptionKindWindowScale:
			o.Has, o.WScale = o.Has|TCPOptWScale, d[0]
		case layers.TCPOptionKindSACKPermitted:
			o.Has |= TCPOptSACKPermitted
		case layers.TCPOptionKindTimestamps:
			o.Has, o.TSVal, o.TSEcr = o.Has|TCPOptTimestamps, binary.BigEndian.Uint32(d), binary.BigEndian.Uint32(d[4:])
		case layers.TCPOptionKindSACK:
			o.Has, o.NumSACK, o.SACK = o.Has|TCPOptSACK, uint8(len(d)/8), [4]SACKBlock{}
			for i := range o.NumSACK {
				o.SACK[i] = SACKBlock{binary.BigEndian.Uint32(d[8*i:]), binary.BigEndian.Uint32(d[8*i+4:])}
			}
		case tcpKindFastOpen:
			o.Has, o.FastOpen = o.Has|TCPOptFastOpen, [16]byte{}
			o.FastOpenLen = uint8(copy(o.FastOpen[:], d))
		case tcpKindUserTimeout:
			o.Has, o.UserTimeout = o.Has|TCPOptUserTimeout, binary.BigEndian.Uint16(d)
		}
	}
	return o
}

// gopacketOptions returns random options of at most 40 octets, among them unknown ones.
func gopacketOptions(r *rand.Rand) []layers.TCPOption {
	sizes := map[layers.TCPOptionKind]int{2: 2, 3: 1, 4: 0, 8: 8, 28: 2, 172: 9, 174: 3, 254: 4}
	kinds := []layers.TCPOptionKind{1, 1, 2, 3, 4, 5, 8, 28, 34, 172, 174, 254}
	var options []layers.TCPOption
	room := 40
	for range r.IntN(8) {
		kind := kinds[r.IntN(len(kinds))]
		if kind == 1 {
			if room--; room < 0 {
				break
			}
			options = append(options, layers.TCPOption{OptionType: kind, OptionLength: 1})
			continue
		}
		n, fixed := sizes[kind]
		switch {
		case !fixed && kind == 5:
			n = 8 * (1 + r.IntN(4))
		case !fixed:
			n = []int{0, 4, 6, 8, 16}[r.IntN(5)]
		}
		if room -= 2 + n; room < 0 {
			break
		}
		options = append(options, layers.TCPOption{OptionType: kind, OptionLength: uint8(2 + n), OptionData: randomBytes(r, n)})
	}
	return options
}

func TestOracleEthernetARP(t *testing.T) {
	r := rand.New(rand.NewPCG(10, 1))
	for range 500 {
		arp := &layers.ARP{AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4,
			Operation: uint16(1 + r.IntN(2)), SourceHwAddress: randomBytes(r, 6), SourceProtAddress: randomBytes(r, 4),
			DstHwAddress: randomBytes(r, 6), DstProtAddress: randomBytes(r, 4)}
		eth := &layers.Ethernet{SrcMAC: randomBytes(r, 6), DstMAC: randomBytes(r, 6), EthernetType: layers.EthernetTypeARP}
		frame := serialize(t, eth, arp)

		var gotEth Ethernet
		payload, err := gotEth.Parse(frame)
		if err != nil || gotEth != fromEthernet(eth) {
			t.Fatalf("%x: %+v, %v", frame, gotEth, err)
		}
		var gotARP ARP
		if err := gotARP.Parse(payload); err != nil || gotARP != fromARP(arp) {
			t.Fatalf("%x: %+v, %v", payload, gotARP, err)
		}
		out := dirty(EthernetLen + ARPLen)
		gotARP.Marshal(out[gotEth.Marshal(out):])
		if !bytes.HasPrefix(frame, out) {
			t.Fatalf("Marshal wrote %x, want %x", out, frame)
		}
	}
}

func TestOracleIPv4(t *testing.T) {
	r := rand.New(rand.NewPCG(10, 2))
	for range 2000 {
		ip := &layers.IPv4{Version: 4, TOS: uint8(r.Uint32()), Id: uint16(r.Uint32()), Flags: layers.IPv4Flag(r.IntN(4)),
			FragOffset: uint16(r.IntN(1 << 13)), TTL: uint8(r.Uint32()), Protocol: layers.IPProtocol(r.IntN(256)),
			SrcIP: randomBytes(r, 4), DstIP: randomBytes(r, 4)}
		var want []IPv4Option
		pointer := IPv4Len
		for room := 40; r.IntN(3) > 0; {
			n := 2 + r.IntN(12)
			if room -= n; room < 0 {
				break
			}
			o := layers.IPv4Option{OptionType: uint8(2 + r.IntN(254)), OptionLength: uint8(n), OptionData: randomBytes(r, n-2)}
			ip.Options = append(ip.Options, o)
			want = append(want, IPv4Option{Type: o.OptionType, Pointer: pointer, Data: o.OptionData})
			pointer += n
		}
		text := randomBytes(r, r.IntN(100))
		packet := serialize(t, ip, gopacket.Payload(text))
		ip.Contents = packet[:int(ip.IHL)*4]

		var got IPv4
		payload, err := got.Parse(packet)
		if err != nil || !bytes.Equal(payload, text) {
			t.Fatalf("%x: %x, %v", packet, payload, err)
		}
		if diff := cmp.Diff(fromIPv4(ip), got); diff != "" {
			t.Fatal(diff)
		}
		out := dirty(IPv4MaxLen)
		if n := got.Marshal(out); !bytes.Equal(out[:n], packet[:int(ip.IHL)*4]) {
			t.Fatalf("Marshal wrote %x, want %x", out[:n], packet)
		}
		reader := got.ReadOptions()
		options, _, err := collect(t, len(got.Options), reader.Next)
		if err != nil {
			t.Fatalf("%x: %v", got.Options, err)
		}
		if diff := cmp.Diff(want, options, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	}
}

// network has the addresses for a transport's checksum.
type network interface {
	gopacket.NetworkLayer
	gopacket.SerializableLayer
}

// randomNetworks returns an IPv4 and an IPv6 layer and the sum of their pseudo-headers.
func randomNetworks(r *rand.Rand, proto uint8, length int) ([]network, []uint32) {
	ip4 := &layers.IPv4{Version: 4, TTL: 1, Protocol: layers.IPProtocol(proto), SrcIP: randomBytes(r, 4), DstIP: randomBytes(r, 4)}
	ip6 := &layers.IPv6{Version: 6, NextHeader: layers.IPProtocol(proto), SrcIP: randomBytes(r, 16), DstIP: randomBytes(r, 16)}
	return []network{ip4, ip6}, []uint32{
		PseudoHeader4([4]byte(ip4.SrcIP), [4]byte(ip4.DstIP), proto, length),
		PseudoHeader6([16]byte(ip6.SrcIP), [16]byte(ip6.DstIP), proto, length),
	}
}

func TestOracleIPv6(t *testing.T) {
	r := rand.New(rand.NewPCG(10, 3))
	for range 1000 {
		text := randomBytes(r, r.IntN(100))
		ip := &layers.IPv6{Version: 6, TrafficClass: uint8(r.Uint32()), FlowLabel: uint32(r.IntN(1 << 20)), HopLimit: uint8(r.Uint32()),
			NextHeader: layers.IPProtocolUDP, SrcIP: randomBytes(r, 16), DstIP: randomBytes(r, 16)}
		packet := serialize(t, ip, gopacket.Payload(text))
		var got IPv6
		payload, err := got.Parse(packet)
		if err != nil || !bytes.Equal(payload, text) || got != fromIPv6(ip) {
			t.Fatalf("%x: %+v, %x, %v", packet, got, payload, err)
		}
		out := dirty(IPv6Len)
		if got.Marshal(out); !bytes.Equal(out, packet[:IPv6Len]) {
			t.Fatalf("Marshal wrote %x, want %x", out, packet)
		}
	}
}

func TestOracleICMP(t *testing.T) {
	r := rand.New(rand.NewPCG(10, 4))
	for range 1000 {
		text := randomBytes(r, r.IntN(100))
		icmp4 := &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(uint8(r.Uint32()), uint8(r.Uint32())), Id: uint16(r.Uint32()), Seq: uint16(r.Uint32())}
		message := serialize(t, icmp4, gopacket.Payload(text))
		var got4 ICMPv4
		body, err := got4.Parse(message)
		if err != nil || !bytes.Equal(body, text) || got4 != fromICMPv4(icmp4) {
			t.Fatalf("%x: %+v, %x, %v", message, got4, body, err)
		}
		out := append(dirty(ICMPLen), text...)
		got4.Marshal(out)
		if PutICMPv4Checksum(out); !bytes.Equal(out, message) {
			t.Fatalf("Marshal wrote %x, want %x", out, message)
		}

		src, dst := [16]byte(randomBytes(r, 16)), [16]byte(randomBytes(r, 16))
		rest := randomBytes(r, 4)
		icmp6 := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(uint8(r.Uint32()), uint8(r.Uint32()))}
		if err := icmp6.SetNetworkLayerForChecksum(&layers.IPv6{SrcIP: net.IP(src[:]), DstIP: net.IP(dst[:])}); err != nil {
			t.Fatal(err)
		}
		message = serialize(t, icmp6, gopacket.Payload(append(rest, text...)))
		icmp6.Payload = message[4:8]
		got6, body, err := ParseICMPv6(message, src, dst)
		if err != nil || !bytes.Equal(body, text) || got6 != fromICMPv6(icmp6) {
			t.Fatalf("%x: %+v, %x, %v", message, got6, body, err)
		}
		out = append(dirty(ICMPLen), text...)
		got6.Marshal(out)
		if PutICMPv6Checksum(out, src, dst); !bytes.Equal(out, message) {
			t.Fatalf("Marshal wrote %x, want %x", out, message)
		}
	}
}

func TestOracleUDP(t *testing.T) {
	r := rand.New(rand.NewPCG(10, 5))
	for range 500 {
		text := randomBytes(r, r.IntN(100))
		nets, pseudo := randomNetworks(r, ProtocolUDP, UDPLen+len(text))
		for i, under := range nets {
			udp := &layers.UDP{SrcPort: layers.UDPPort(r.IntN(1 << 16)), DstPort: layers.UDPPort(r.IntN(1 << 16))}
			if err := udp.SetNetworkLayerForChecksum(under); err != nil {
				t.Fatal(err)
			}
			datagram := serialize(t, udp, gopacket.Payload(text))
			var got UDP
			payload, err := got.Parse(datagram)
			if err != nil || !bytes.Equal(payload, text) || got != fromUDP(udp) {
				t.Fatalf("%x: %+v, %x, %v", datagram, got, payload, err)
			}
			if c := Checksum(datagram[:got.Length], pseudo[i]); c != 0 {
				t.Fatalf("%x: the checksum gives %#x", datagram, c)
			}
			out := append(dirty(UDPLen), text...)
			got.Checksum = 0
			got.Marshal(out)
			got.Checksum = UDPChecksum(out, pseudo[i])
			if got.Marshal(out); !bytes.Equal(out, datagram) {
				t.Fatalf("Marshal wrote %x, want %x", out, datagram)
			}
		}
	}
}

func TestOracleTCP(t *testing.T) {
	r := rand.New(rand.NewPCG(10, 6))
	for range 2000 {
		text := randomBytes(r, r.IntN(100))
		flag := func() bool { return r.IntN(2) == 0 }
		tcp := &layers.TCP{SrcPort: layers.TCPPort(r.IntN(1 << 16)), DstPort: layers.TCPPort(r.IntN(1 << 16)), Seq: r.Uint32(), Ack: r.Uint32(),
			FIN: flag(), SYN: flag(), RST: flag(), PSH: flag(), ACK: flag(), URG: flag(), ECE: flag(), CWR: flag(), NS: flag(),
			Window: uint16(r.Uint32()), Urgent: uint16(r.Uint32()), Options: gopacketOptions(r)}
		if r.IntN(2) == 0 {
			tcp.Options = []layers.TCPOption{{OptionType: 1}, {OptionType: 1}, {OptionType: 8, OptionData: randomBytes(r, 8)}}
		}
		under, _ := randomNetworks(r, ProtocolTCP, 0)
		family := r.IntN(2)
		if err := tcp.SetNetworkLayerForChecksum(under[family]); err != nil {
			t.Fatal(err)
		}
		segment := serialize(t, tcp, gopacket.Payload(text))

		want := fromTCP(tcp)
		want.Options = fromTCPOptions(tcp.Options)
		var got TCP
		payload, err := got.Parse(segment)
		if err != nil || !bytes.Equal(payload, text) {
			t.Fatalf("%x: %x, %v", segment, payload, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%x: %s", segment, diff)
		}
		// The other way round: gopacket reads what Marshal writes.
		out := dirty(TCPMaxLen)
		n := got.Marshal(out)
		var back layers.TCP
		if err := back.DecodeFromBytes(append(out[:n], text...), gopacket.NilDecodeFeedback); err != nil {
			t.Fatalf("%x: %v", out[:n], err)
		}
		again := fromTCP(&back)
		again.Options = fromTCPOptions(back.Options)
		want.HeaderLen = n
		want.Options = thatFit(want.Options, again.Options)
		if diff := cmp.Diff(want, again); diff != "" {
			t.Fatalf("%x: %s", out[:n], diff)
		}
	}
}
