package wire

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestICMPv4(t *testing.T) {
	h := ICMPv4{Type: ICMPv4EchoRequest}
	h.SetEcho(0x1234, 7)
	message := append(dirty(ICMPLen), 'a', 'b', 'c')
	if n := h.Marshal(message); n != ICMPLen {
		t.Errorf("Marshal = %d", n)
	}
	PutICMPv4Checksum(message)
	if want := octets(t, "08 00 2162 1234 0007 616263"); !bytes.Equal(message, want) {
		t.Errorf("message = %x, want %x", message, want)
	}
	var got ICMPv4
	body, err := got.Parse(message)
	if err != nil || !bytes.Equal(body, []byte("abc")) {
		t.Errorf("Parse = %q, %v", body, err)
	}
	if got.ID() != 0x1234 || got.Seq() != 7 || got.Type != ICMPv4EchoRequest || got.Code != 0 || got.Checksum != 0x2162 {
		t.Errorf("Parse = %+v", got)
	}
	for i := range len(message) * 8 {
		if _, err := got.Parse(with(message, i/8, message[i/8]^1<<(i%8))); err != ErrChecksum {
			t.Errorf("bit %d flipped: %v", i, err)
		}
	}
	for n := range ICMPLen {
		if _, err := got.Parse(message[:n]); err != ErrShort {
			t.Errorf("Parse of %d octets: %v", n, err)
		}
	}
	// All zeros have the sum zero, whose complement is not the zero in the field.
	if _, err := got.Parse(make([]byte, ICMPLen)); err != ErrChecksum {
		t.Errorf("Parse of zeros: %v", err)
	}

	h = ICMPv4{}
	h.SetMTU(1400)
	if h.MTU() != 1400 || h.Rest != [4]byte{0, 0, 5, 0x78} {
		t.Errorf("MTU = %d, %x", h.MTU(), h.Rest)
	}
	h.SetPointer(21)
	if h.Pointer() != 21 || h.Rest != [4]byte{21, 0, 0, 0} {
		t.Errorf("Pointer = %d, %x", h.Pointer(), h.Rest)
	}
}

func TestICMPv6(t *testing.T) {
	src, dst := [16]byte{0xfe, 0x80, 15: 1}, [16]byte{0xfe, 0x80, 15: 2}
	h := ICMPv6{Type: ICMPv6EchoReply}
	h.SetEcho(0x1234, 7)
	message := append(dirty(ICMPLen), 'a', 'b', 'c')
	h.Marshal(message)
	PutICMPv6Checksum(message, src, dst)
	got, body, err := ParseICMPv6(message, src, dst)
	if err != nil || !bytes.Equal(body, []byte("abc")) || got.ID() != 0x1234 || got.Seq() != 7 || got.Type != ICMPv6EchoReply {
		t.Errorf("ParseICMPv6 = %+v, %q, %v", got, body, err)
	}
	if _, err := got.Parse(message, src, [16]byte{0xfe, 0x80, 15: 3}); err != ErrChecksum {
		t.Errorf("Parse for another destination: %v", err)
	}
	if _, err := got.Parse(append(bytes.Clone(message), 0, 0), src, dst); err != ErrChecksum {
		t.Errorf("Parse with another length: %v", err)
	}
	for i := range len(message) * 8 {
		if _, err := got.Parse(with(message, i/8, message[i/8]^1<<(i%8)), src, dst); err != ErrChecksum {
			t.Errorf("bit %d flipped: %v", i, err)
		}
	}
	for n := range ICMPLen {
		if _, err := got.Parse(message[:n], src, dst); err != ErrShort {
			t.Errorf("Parse of %d octets: %v", n, err)
		}
	}
	h = ICMPv6{}
	h.SetMTU(1 << 20)
	if h.MTU() != 1<<20 || h.Rest != [4]byte{0, 0x10, 0, 0} {
		t.Errorf("MTU = %d, %x", h.MTU(), h.Rest)
	}
	h.SetPointer(40)
	if h.Pointer() != 40 || h.Rest != [4]byte{0, 0, 0, 40} {
		t.Errorf("Pointer = %d, %x", h.Pointer(), h.Rest)
	}
}

func TestUDP(t *testing.T) {
	datagram := octets(t, "1f90 0035 000b abcd 616263")
	want := UDP{SrcPort: 8080, DstPort: 53, Length: 11, Checksum: 0xabcd}
	var h UDP
	if _, err := h.Parse(datagram); err != nil || h != want {
		t.Errorf("Parse = %+v, %v", h, err)
	}
	out := dirty(UDPLen)
	if n := h.Marshal(out); n != UDPLen || !bytes.Equal(out, datagram[:8]) {
		t.Errorf("Marshal = %d, %x", n, out)
	}
	h = UDP{}
	if err := h.ParseQuote(datagram[:8]); err != nil || h != want {
		t.Errorf("ParseQuote = %+v, %v", h, err)
	}
	if err := h.ParseQuote(datagram[:7]); err != ErrShort {
		t.Errorf("ParseQuote of 7 octets: %v", err)
	}

	t.Run("B-UDP-4 length against the IP payload", func(t *testing.T) {
		for _, c := range []struct {
			name    string
			b       []byte
			payload string
			want    error
		}{
			{"exact", datagram, "abc", nil},
			{"shorter than the IP payload", with(datagram, 4, 0, 10), "ab", nil},
			{"header alone, octets behind", with(datagram, 4, 0, 8), "", nil},
			{"empty datagram", with(datagram, 4, 0, 8)[:8], "", nil},
			{"length 7", with(datagram, 4, 0, 7), "", ErrLength},
			{"length 0", with(datagram, 4, 0, 0), "", ErrLength},
			{"one past the IP payload", with(datagram, 4, 0, 12), "", ErrLength},
			{"length 65535", with(datagram, 4, 0xff, 0xff), "", ErrLength},
			{"seven octets", datagram[:7], "", ErrShort},
			{"empty", nil, "", ErrShort},
		} {
			t.Run(c.name, func(t *testing.T) {
				var h UDP
				payload, err := h.Parse(c.b)
				if err != c.want || string(payload) != c.payload {
					t.Errorf("Parse = %q, %v; want %q, %v", payload, err, c.payload, c.want)
				}
				if err == nil && cap(payload) != len(payload) {
					t.Errorf("the payload's capacity reaches %d octets past its end", cap(payload)-len(payload))
				}
			})
		}
	})

	t.Run("B-UDP-1 a checksum of zero is sent as ffff", func(t *testing.T) {
		src, dst := [4]byte{10, 0, 0, 1}, [4]byte{10, 0, 0, 2}
		b := append(dirty(UDPLen), 0, 0)
		(&UDP{SrcPort: 1024, DstPort: 53, Length: len(b)}).Marshal(b)
		initial := PseudoHeader4(src, dst, ProtocolUDP, len(b))
		// The payload that brings the sum to ffff, whose complement is zero.
		binary.BigEndian.PutUint16(b[8:], Checksum(b, initial))
		if got := Checksum(b, initial); got != 0 {
			t.Fatalf("Checksum = %#x, want 0", got)
		}
		if got := UDPChecksum(b, initial); got != 0xffff {
			t.Errorf("UDPChecksum = %#x, want 0xffff", got)
		}
		binary.BigEndian.PutUint16(b[6:], UDPChecksum(b, initial))
		if got := Checksum(b, initial); got != 0 {
			t.Errorf("the receiver's check gives %#x", got)
		}
		b[6], b[7], b[9] = 0, 0, b[9]^1
		if got, want := UDPChecksum(b, initial), ^slowSum(b, uint64(initial)); got != want || want == 0 {
			t.Errorf("UDPChecksum = %#x, want %#x", got, want)
		}
	})
}

// TestLengthLies nests headers whose inner length claims more than the outer one gives.
func TestLengthLies(t *testing.T) {
	addrs := IPv4{TTL: 64, Src: [4]byte{10, 0, 0, 1}, Dst: [4]byte{10, 0, 0, 2}}
	packet := func(proto uint8, payload []byte, pad int) []byte {
		h := addrs
		h.Protocol = proto
		return append(ipv4(h, payload...), make([]byte, pad)...)
	}
	segment := dirty(TCPLen)
	(&TCP{Flags: TCPAck}).Marshal(segment)
	datagram := octets(t, "0400 0035 0009 0000 61")

	for _, c := range []struct {
		name   string
		packet []byte
		parse  func([]byte) error
		want   error
	}{
		{"D-PARSE-1 TCP data offset past the IP total length", packet(ProtocolTCP, with(segment, 12, 0x60), 40), parseTCP, ErrLength},
		{"D-PARSE-1 TCP data offset 60 past the IP total length", packet(ProtocolTCP, with(segment, 12, 0xf0), 40), parseTCP, ErrLength},
		{"D-PARSE-1 TCP data offset below the header", packet(ProtocolTCP, with(segment, 12, 0x40), 40), parseTCP, ErrLength},
		{"D-PARSE-1 TCP data offset zero", packet(ProtocolTCP, with(segment, 12, 0x00), 40), parseTCP, ErrLength},
		{"D-PARSE-1 IP total length ends in the TCP header", packet(ProtocolTCP, segment[:19], 40), parseTCP, ErrShort},
		{"D-PARSE-1 IP total length ends at the IP header", packet(ProtocolTCP, nil, 40), parseTCP, ErrShort},
		{"D-PARSE-1 UDP length past the IP total length", packet(ProtocolUDP, with(datagram, 4, 0, 10), 40), parseUDP, ErrLength},
		{"D-PARSE-1 UDP length 65535", packet(ProtocolUDP, with(datagram, 4, 0xff, 0xff), 40), parseUDP, ErrLength},
		{"D-PARSE-1 UDP length below the header", packet(ProtocolUDP, with(datagram, 4, 0, 7), 40), parseUDP, ErrLength},
		{"D-PARSE-1 IP total length ends in the UDP header", packet(ProtocolUDP, datagram[:7], 40), parseUDP, ErrShort},
		{"D-PARSE-1 ICMP shorter than its header", packet(ProtocolICMP, []byte{8, 0, 0xf7, 0xff, 0, 0, 0}, 40), parseICMPv4, ErrShort},
		{"D-PARSE-1 ICMP quotes an IP header that is not all there", packet(ProtocolICMP, quote(t, 0x4f), 40), parseQuote, ErrLength},
		{"D-PARSE-1 ICMP quotes seven octets of TCP", packet(ProtocolICMP, quote(t, 0x45), 40), parseQuote, ErrShort},
		{"sound TCP", packet(ProtocolTCP, segment, 40), parseTCP, nil},
		{"sound UDP", packet(ProtocolUDP, datagram, 40), parseUDP, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var ip IPv4
			payload, err := ip.Parse(c.packet)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.parse(payload); err != c.want {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

func parseTCP(b []byte) error    { _, err := new(TCP).Parse(b); return err }
func parseUDP(b []byte) error    { _, err := new(UDP).Parse(b); return err }
func parseICMPv4(b []byte) error { _, err := new(ICMPv4).Parse(b); return err }

// parseQuote reads an ICMP error down to the quoted TCP header.
func parseQuote(b []byte) error {
	body, err := new(ICMPv4).Parse(b)
	if err != nil {
		return err
	}
	payload, err := new(IPv4).ParseQuote(body)
	if err != nil {
		return err
	}
	return new(TCP).ParseQuote(payload)
}

// quote returns an ICMP error that quotes an IP header with a first octet and seven octets behind it.
func quote(t *testing.T, first byte) []byte {
	t.Helper()
	b := dirty(ICMPLen)
	(&ICMPv4{Type: ICMPv4DestinationUnreachable, Code: ICMPv4PortUnreachable}).Marshal(b)
	quoted := with(ipv4(IPv4{Protocol: ProtocolTCP}, make([]byte, 40)...), 0, first)
	b = append(b, quoted[:27]...)
	PutICMPv4Checksum(b)
	return b
}

func TestTCP(t *testing.T) {
	segment := octets(t, "1f90 c001 01020304 a1a2a3a4 8112 fff0 beef 0102 0101080a 00000001 00000002 6869")
	want := TCP{SrcPort: 8080, DstPort: 0xc001, Seq: 0x01020304, Ack: 0xa1a2a3a4, Flags: TCPAE | TCPAck | TCPSyn,
		Window: 0xfff0, Checksum: 0xbeef, Urgent: 0x0102, HeaderLen: 32,
		Options: TCPOptions{Has: TCPOptTimestamps, TSVal: 1, TSEcr: 2}}
	for _, reserved := range []byte{0, 0x0e} {
		h := TCP{HeaderLen: 1, Options: TCPOptions{Has: 0xffff, MSS: 1, NumSACK: 3}}
		text, err := h.Parse(with(segment, 12, segment[12]|reserved))
		if err != nil || !bytes.Equal(text, []byte("hi")) {
			t.Fatalf("Parse = %q, %v", text, err)
		}
		if diff := cmp.Diff(want, h); diff != "" {
			t.Error(diff)
		}
		out := dirty(TCPMaxLen)
		if n := h.Marshal(out); n != 32 || !bytes.Equal(out[:32], segment[:32]) {
			t.Errorf("Marshal = %d, %x", n, out)
		}
	}
	t.Run("every flag alone", func(t *testing.T) {
		flags := []uint16{TCPFin, TCPSyn, TCPRst, TCPPsh, TCPAck, TCPUrg, TCPEce, TCPCwr, TCPAE}
		for i, flag := range flags {
			if flag != 1<<i {
				t.Errorf("flag %d = %#x", i, flag)
			}
			out := dirty(TCPMaxLen)
			n := (&TCP{Flags: flag | 0xfe00}).Marshal(out)
			var h TCP
			if _, err := h.Parse(out[:n]); err != nil || h.Flags != flag || n != TCPLen {
				t.Errorf("flag %#x came back as %#x, %v", flag, h.Flags, err)
			}
		}
	})
	t.Run("data offset", func(t *testing.T) {
		for offset := range 16 {
			var h TCP
			_, err := h.Parse(with(make([]byte, 40), 12, byte(offset)<<4))
			want := error(nil)
			if offset < 5 || offset > 10 {
				want = ErrLength
			}
			if err != want {
				t.Errorf("offset %d: %v, want %v", offset, err, want)
			}
		}
		for n := range TCPLen {
			var h TCP
			if _, err := h.Parse(segment[:n]); err != ErrShort {
				t.Errorf("%d octets: %v", n, err)
			}
		}
	})
	t.Run("quote", func(t *testing.T) {
		h := want
		if err := h.ParseQuote(segment[:8]); err != nil || h != (TCP{SrcPort: 8080, DstPort: 0xc001, Seq: 0x01020304}) {
			t.Errorf("ParseQuote = %+v, %v", h, err)
		}
		if err := h.ParseQuote(segment[:7]); err != ErrShort {
			t.Errorf("ParseQuote of 7 octets: %v", err)
		}
	})
}
