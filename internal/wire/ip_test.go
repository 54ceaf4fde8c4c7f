package wire

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// ipv4 returns a packet with the checksum right.
func ipv4(h IPv4, payload ...byte) []byte {
	b := dirty(IPv4MaxLen)
	n := h.Marshal(b)
	h.TotalLen = n + len(payload)
	h.Marshal(b)
	return append(b[:n], payload...)
}

// checksummed returns a copy of the IPv4 packet b with the octets at i changed to v and the checksum right.
func checksummed(b []byte, i int, v ...byte) []byte {
	b = with(b, i, v...)
	n := min(len(b), int(b[0]&0xf)*4)
	if n < 12 {
		return b
	}
	binary.BigEndian.PutUint16(b[10:], 0)
	binary.BigEndian.PutUint16(b[10:], Checksum(b[:n], 0))
	return b
}

func TestIPv4(t *testing.T) {
	packet := octets(t, "45 b8 0016 1234 4000 40 11 13e9  0a000001 0a000002  aabb")
	want := IPv4{HeaderLen: 20, TOS: 0xb8, TotalLen: 22, ID: 0x1234, DF: true, TTL: 64, Protocol: ProtocolUDP,
		Src: [4]byte{10, 0, 0, 1}, Dst: [4]byte{10, 0, 0, 2}, Checksum: 0x13e9}
	var h IPv4
	payload, err := h.Parse(packet)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, h, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	if !bytes.Equal(payload, []byte{0xaa, 0xbb}) {
		t.Errorf("payload = %x", payload)
	}
	out := dirty(IPv4MaxLen)
	if n := h.Marshal(out); n != 20 || !bytes.Equal(out[:20], packet[:20]) || !bytes.Equal(out[20:], dirty(40)) {
		t.Errorf("Marshal = %d, %x", n, out)
	}

	t.Run("fragment fields", func(t *testing.T) {
		for _, c := range []struct {
			field [2]byte
			want  IPv4
		}{
			{[2]byte{0x20, 0x01}, IPv4{MF: true, FragmentOffset: 8}},
			{[2]byte{0x1f, 0xff}, IPv4{FragmentOffset: 65528}},
			{[2]byte{0x60, 0x00}, IPv4{DF: true, MF: true}},
			{[2]byte{0x80, 0x00}, IPv4{}}, // the reserved flag
			{[2]byte{0xff, 0xff}, IPv4{DF: true, MF: true, FragmentOffset: 65528}},
		} {
			var h IPv4
			if _, err := h.Parse(checksummed(packet, 6, c.field[:]...)); err != nil {
				t.Fatal(err)
			}
			got := IPv4{DF: h.DF, MF: h.MF, FragmentOffset: h.FragmentOffset}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%x: %s", c.field, diff)
			}
			out := dirty(IPv4MaxLen)
			h.Marshal(out)
			if out[6] != c.field[0]&0x7f || out[7] != c.field[1] {
				t.Errorf("Marshal wrote %x for %x", out[6:8], c.field)
			}
		}
	})

	t.Run("options are padded with zeros and cut at 40", func(t *testing.T) {
		h := want
		h.Options = []byte{IPv4OptRouterAlert, 4, 0, 0, IPv4OptNOP}
		out := dirty(IPv4MaxLen)
		if n := h.Marshal(out); n != 28 || !bytes.Equal(out[20:28], []byte{148, 4, 0, 0, 1, 0, 0, 0}) || out[28] != 0xdb {
			t.Errorf("Marshal = %d, %x", n, out)
		}
		h.Options = bytes.Repeat([]byte{IPv4OptNOP}, 41)
		if n := h.Marshal(out); n != IPv4MaxLen || !bytes.Equal(out[20:], h.Options[:40]) {
			t.Errorf("Marshal of 41 octets of options = %d, %x", n, out)
		}
	})
}

func TestIPv4Malformed(t *testing.T) {
	packet := ipv4(IPv4{TTL: 64, Protocol: ProtocolUDP, Src: [4]byte{10, 0, 0, 1}, Dst: [4]byte{10, 0, 0, 2}}, 1, 2, 3, 4)
	type row struct {
		name string
		b    []byte
		want error
	}
	run := func(name string, rows []row) {
		t.Run(name, func(t *testing.T) {
			for _, c := range rows {
				t.Run(c.name, func(t *testing.T) {
					var h IPv4
					payload, err := h.Parse(c.b)
					if err != c.want {
						t.Errorf("Parse: %v, want %v", err, c.want)
					}
					if err != nil && payload != nil {
						t.Errorf("payload %x beside an error", payload)
					}
				})
			}
		})
	}
	run("sound", []row{{"packet", packet, nil}, {"no payload", ipv4(IPv4{}), nil}})
	run("B-IP4-1 version is not 4", []row{
		{"5", checksummed(packet, 0, 0x55), ErrVersion},
		{"6", checksummed(packet, 0, 0x65), ErrVersion},
		{"0", checksummed(packet, 0, 0x05), ErrVersion},
		{"a short packet of version 6", []byte{0x60}, ErrVersion},
	})
	run("B-IP4-2 lengths that lie", []row{
		{"empty", nil, ErrShort},
		{"19 octets", packet[:19], ErrShort},
		{"IHL 4", checksummed(packet, 0, 0x44), ErrLength},
		{"IHL 0", checksummed(packet, 0, 0x40), ErrLength},
		{"IHL past the packet", checksummed(packet, 0, 0x47), ErrLength},
		{"IHL 15", checksummed(packet, 0, 0x4f), ErrLength},
		{"IHL past total length", checksummed(packet, 0, 0x46, 0, 0, 20), ErrLength},
		{"total length 0", checksummed(packet, 2, 0, 0), ErrLength},
		{"total length 19", checksummed(packet, 2, 0, 19), ErrLength},
		{"total length one past the packet", checksummed(packet, 2, 0, 25), ErrLength},
		{"total length 65535", checksummed(packet, 2, 0xff, 0xff), ErrLength},
	})
	var flips []row
	for i := range 20 * 8 {
		if i < 8 || i/8 == 2 || i/8 == 3 {
			continue // version, IHL and total length have answers of their own
		}
		flips = append(flips, row{"bit", with(packet, i/8, packet[i/8]^1<<(i%8)), ErrChecksum})
	}
	flips = append(flips, row{"zero checksum", with(packet, 10, 0, 0), ErrChecksum})
	run("B-IP4-3 header checksum", flips)

	t.Run("total length cuts the pad", func(t *testing.T) {
		var h IPv4
		payload, err := h.Parse(append(bytes.Clone(packet), make([]byte, 22)...))
		if err != nil || !bytes.Equal(payload, []byte{1, 2, 3, 4}) || cap(payload) != 4 {
			t.Errorf("Parse = %x (cap %d), %v", payload, cap(payload), err)
		}
	})
}

func TestIPv4Options(t *testing.T) {
	type option struct {
		Type    uint8
		Pointer int
		Data    []byte
	}
	for _, c := range []struct {
		name        string
		options     []byte
		want        []option
		sourceRoute bool
		pointer     int
		err         error
	}{
		{name: "B-IP4-10 none"},
		{name: "B-IP4-10 NOPs alone", options: []byte{1, 1, 1, 1}},
		{name: "B-IP4-10 unknown option is skipped",
			options: []byte{222, 4, 9, 9, 148, 4, 0, 0}, want: []option{{222, 20, []byte{9, 9}}, {148, 24, []byte{0, 0}}}},
		{name: "B-IP4-10 option without data", options: []byte{1, 222, 2, 0}, want: []option{{222, 21, nil}}},
		{name: "B-IP4-10 what follows the end is not read", options: []byte{148, 4, 0, 0, 0, 7, 0, 131},
			want: []option{{148, 20, []byte{0, 0}}}},
		{name: "B-IP4-10 length zero", options: []byte{1, 222, 0, 0}, pointer: 21, err: ErrOption},
		{name: "B-IP4-10 length one", options: []byte{222, 1, 0, 0}, pointer: 20, err: ErrOption},
		{name: "B-IP4-10 length one past the header", options: []byte{148, 4, 0, 0, 222, 5, 0, 0},
			want: []option{{148, 20, []byte{0, 0}}}, pointer: 24, err: ErrOption},
		{name: "B-IP4-10 length 255", options: []byte{7, 255, 4, 0}, pointer: 20, err: ErrOption},
		{name: "B-IP4-10 length missing", options: []byte{1, 1, 1, 7}, pointer: 23, err: ErrOption},
		{name: "B-IP4-10 length missing at the last octet of 40", options: append(bytes.Repeat([]byte{1}, 39), 131),
			pointer: 59, err: ErrOption},
		{name: "loose source route", options: []byte{1, 131, 7, 4, 10, 0, 0, 9}, sourceRoute: true, pointer: 21,
			want: []option{{131, 21, []byte{4, 10, 0, 0, 9}}}},
		{name: "strict source route behind another option", options: []byte{148, 4, 0, 0, 137, 3, 4, 0}, sourceRoute: true, pointer: 24,
			want: []option{{148, 20, []byte{0, 0}}, {137, 24, []byte{4}}}},
		{name: "record route is no source route", options: []byte{7, 3, 4, 0}, want: []option{{7, 20, []byte{4}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var h IPv4
			if _, err := h.Parse(ipv4(IPv4{Options: c.options})); err != nil {
				t.Fatal(err)
			}
			var got []option
			var o IPv4Option
			r := h.ReadOptions()
			for {
				ok, err := r.Next(&o)
				if !ok {
					if err != c.err {
						t.Errorf("walk ends with %v, want %v", err, c.err)
					}
					if err != nil && o.Pointer != c.pointer {
						t.Errorf("bad option at %d, want %d", o.Pointer, c.pointer)
					}
					break
				}
				got = append(got, option(o))
			}
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
			if ok, err := r.Next(&o); ok || err != nil {
				t.Errorf("Next behind the end = %v, %v", ok, err)
			}
			sourceRoute, pointer, err := h.CheckOptions()
			if sourceRoute != c.sourceRoute || pointer != c.pointer || err != c.err {
				t.Errorf("CheckOptions = %v, %d, %v", sourceRoute, pointer, err)
			}
		})
	}
}

func TestIPv4ParseQuote(t *testing.T) {
	packet := ipv4(IPv4{TTL: 1, Protocol: ProtocolTCP, Options: []byte{148, 4, 0, 0}}, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
	for _, c := range []struct {
		name    string
		b       []byte
		payload []byte
		want    error
	}{
		{"eight octets of the payload", packet[:32], []byte{1, 2, 3, 4, 5, 6, 7, 8}, nil},
		{"seven", packet[:31], []byte{1, 2, 3, 4, 5, 6, 7}, nil},
		{"header alone", packet[:24], []byte{}, nil},
		{"all", packet, packet[24:], nil},
		{"pad behind", append(bytes.Clone(packet), 0, 0), packet[24:], nil},
		{"checksum changed on the way", with(packet, 10, 0, 0), packet[24:], nil},
		{"options cut", packet[:23], nil, ErrLength},
		{"IHL 15", with(packet, 0, 0x4f), nil, ErrLength},
		{"total length below the header", with(packet, 2, 0, 23), nil, ErrLength},
		{"version 6", with(packet, 0, 0x66), nil, ErrVersion},
		{"short", packet[:19], nil, ErrShort},
	} {
		t.Run(c.name, func(t *testing.T) {
			var h IPv4
			payload, err := h.ParseQuote(c.b)
			if err != c.want || !bytes.Equal(payload, c.payload) {
				t.Errorf("ParseQuote = %x, %v", payload, err)
			}
		})
	}
}

func TestIPv6(t *testing.T) {
	packet := octets(t, `6ab54321 0003 11 40  20010db8000000000000000000000001 20010db8000000000000000000000002  010203`)
	want := IPv6{TrafficClass: 0xab, FlowLabel: 0x54321, PayloadLen: 3, NextHeader: ProtocolUDP, HopLimit: 64,
		Src: [16]byte{0x20, 1, 0xd, 0xb8, 15: 1}, Dst: [16]byte{0x20, 1, 0xd, 0xb8, 15: 2}}
	var h IPv6
	payload, err := h.Parse(append(bytes.Clone(packet), 0, 0, 0))
	if err != nil || !bytes.Equal(payload, []byte{1, 2, 3}) || cap(payload) != 3 {
		t.Fatalf("Parse = %x, %v", payload, err)
	}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Error(diff)
	}
	out := dirty(IPv6Len)
	if n := h.Marshal(out); n != IPv6Len || !bytes.Equal(out, packet[:40]) {
		t.Errorf("Marshal = %d, %x", n, out)
	}
	// A flow label has 20 bits, whatever the caller put there.
	h.FlowLabel |= 0xfff00000
	if h.Marshal(out); !bytes.Equal(out, packet[:40]) {
		t.Errorf("Marshal of a long flow label = %x", out)
	}
	for _, c := range []struct {
		name         string
		b            []byte
		parse, quote error
	}{
		{"version 4", with(packet, 0, 0x45), ErrVersion, ErrVersion},
		{"version 4, short", packet[:0:0], ErrShort, ErrShort},
		{"39 octets", packet[:39], ErrShort, ErrShort},
		{"payload one short", packet[:42], ErrLength, nil},
		{"payload length 65535", with(packet, 4, 0xff, 0xff), ErrLength, nil},
		{"payload length 0", with(packet, 4, 0, 0), nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var h IPv6
			if _, err := h.Parse(c.b); err != c.parse {
				t.Errorf("Parse: %v, want %v", err, c.parse)
			}
			payload, err := h.ParseQuote(c.b)
			if err != c.quote {
				t.Errorf("ParseQuote: %v, want %v", err, c.quote)
			}
			if err == nil && len(payload) != min(h.PayloadLen, len(c.b)-IPv6Len) {
				t.Errorf("ParseQuote returned %d octets", len(payload))
			}
		})
	}
}
