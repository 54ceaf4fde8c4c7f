package wire

import (
	"bytes"
	"testing"
)

var (
	nodeA = [16]byte{0: 0xfe, 1: 0x80, 15: 0xa}
	nodeB = [16]byte{0: 0x20, 1: 0x01, 15: 0xb}
)

// joined joins numbers and slices of octets.
func joined(parts ...any) (b []byte) {
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = append(b, byte(p))
		case [16]byte:
			b = append(b, p[:]...)
		case []byte:
			b = append(b, p...)
		}
	}
	return b
}

// written calls marshal, which must write exactly the octets that it says.
func written(t *testing.T, marshal func([]byte) int, want []byte) {
	t.Helper()
	b := dirty(len(want) + 8)
	n := marshal(b)
	if !bytes.Equal(b[:n], want) || !bytes.Equal(b[n:], dirty(len(b))[n:]) {
		t.Fatalf("written as %x, want %x", b[:n], want)
	}
}

// opened reads the ICMPv6 header of a message that Marshal wrote, after its checksum is there.
func opened(t *testing.T, b []byte) (ICMPv6, []byte) {
	t.Helper()
	b = bytes.Clone(b)
	PutICMPv6Checksum(b, nodeA, nodeB)
	h, body, err := ParseICMPv6(b, nodeA, nodeB)
	if err != nil {
		t.Fatal(err)
	}
	return h, body
}

func TestNDNeighbor(t *testing.T) {
	for _, c := range []struct {
		name string
		typ  uint8
		m    NDNeighbor
		rest int
	}{
		{"solicitation", ICMPv6NeighborSolicitation, NDNeighbor{Target: nodeB}, 0},
		{"router", ICMPv6NeighborAdvertisement, NDNeighbor{Router: true, Target: nodeB}, 0x80},
		{"solicited", ICMPv6NeighborAdvertisement, NDNeighbor{Solicited: true, Target: nodeB}, 0x40},
		{"override", ICMPv6NeighborAdvertisement, NDNeighbor{Override: true, Target: nodeB}, 0x20},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := joined(int(c.typ), 0, 0, 0, c.rest, 0, 0, 0, nodeB)
			written(t, func(b []byte) int { return c.m.Marshal(b, c.typ) }, want)
			h, body := opened(t, append(want, 2, 1, 0, 0, 0, 0, 0, 1))
			var m NDNeighbor
			options, err := m.Parse(&h, body)
			if err != nil || m != c.m || len(options) != 8 || h.Type != c.typ {
				t.Errorf("read as %+v, %x, %v", m, options, err)
			}
			if _, err := m.Parse(&h, body[:15]); err != ErrShort {
				t.Errorf("one octet too few: %v", err)
			}
		})
	}
}

func TestNDRouterAdvertisement(t *testing.T) {
	m := NDRouterAdvertisement{HopLimit: 64, Other: true, Lifetime: 0x708, Reachable: 0x01020304, Retransmit: 0x05060708}
	want := joined(134, 0, 0, 0, 64, 0x40, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8)
	written(t, m.Marshal, want)
	h, body := opened(t, append(want, 5, 1, 0, 0, 0, 0, 5, 0xdc))
	var got NDRouterAdvertisement
	options, err := got.Parse(&h, body)
	if err != nil || got != m || len(options) != 8 {
		t.Errorf("read as %+v, %x, %v", got, options, err)
	}
	if _, err := got.Parse(&h, body[:7]); err != ErrShort {
		t.Errorf("one octet too few: %v", err)
	}
	h.Rest[1] = 0x80
	if _, err := got.Parse(&h, body); err != nil || !got.Managed || got.Other {
		t.Errorf("flag M read as %+v, %v", got, err)
	}
}

func TestNDPreference(t *testing.T) {
	for bits, want := range map[uint8]int8{0: 0, 0x08: 1, 0x10: 0, 0x18: -1, 0xc8: 1, 0xe7: 0} {
		var m NDRouterAdvertisement
		if _, err := m.Parse(&ICMPv6{Rest: [4]byte{0, bits}}, make([]byte, 8)); err != nil || m.Preference != want {
			t.Errorf("%#x: %d, %v; want %d", bits, m.Preference, err, want)
		}
	}
	for preference, want := range map[int8]uint8{0: 0x40, 1: 0x48, -1: 0x58} {
		var b [NDRouterAdvertisementLen]byte
		(&NDRouterAdvertisement{Other: true, Preference: preference}).Marshal(b[:])
		if b[5] != want {
			t.Errorf("%d: %#x, want %#x", preference, b[5], want)
		}
	}
}

func TestNDRedirect(t *testing.T) {
	m := NDRedirect{Target: nodeA, Dst: nodeB}
	want := joined(137, 0, 0, 0, 0, 0, 0, 0, nodeA, nodeB)
	written(t, m.Marshal, want)
	_, body := opened(t, append(want, 4, 1, 0, 0, 0, 0, 0, 0))
	var got NDRedirect
	options, err := got.Parse(body)
	if err != nil || got != m || len(options) != 8 {
		t.Errorf("read as %+v, %x, %v", got, options, err)
	}
	if _, err := got.Parse(body[:31]); err != ErrShort {
		t.Errorf("one octet too few: %v", err)
	}
}

func TestNDOptionKinds(t *testing.T) {
	six, seven := []byte{1, 2, 3, 4, 5, 6}, []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}
	if a, ok := (&NDOption{Data: six}).LinkAddr(); !ok || a != (MAC{1, 2, 3, 4, 5, 6}) {
		t.Errorf("LinkAddr = %v, %v", a, ok)
	}
	if a, ok := (&NDOption{Data: seven}).LinkAddr(); ok {
		t.Errorf("LinkAddr of 14 octets = %v", a)
	}
	if mtu, ok := (&NDOption{Data: six}).MTU(); !ok || mtu != 0x03040506 {
		t.Errorf("MTU = %#x, %v", mtu, ok)
	}
	if mtu, ok := (&NDOption{Data: seven}).MTU(); ok {
		t.Errorf("MTU of 14 octets = %v", mtu)
	}
	if quote := (&NDOption{Data: seven}).Quote(); !bytes.Equal(quote, seven[6:]) {
		t.Errorf("Quote = %x", quote)
	}
	data := joined(64, 0xc0, 0, 0, 0x0e, 0x10, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, nodeB)
	var p NDPrefix
	want := NDPrefix{Bits: 64, OnLink: true, Autonomous: true, Valid: 3600, Preferred: 0xffffffff, Prefix: nodeB}
	if err := p.Parse(&NDOption{Data: data}); err != nil || p != want {
		t.Errorf("prefix = %+v, %v", p, err)
	}
	if err := p.Parse(&NDOption{Data: data[:22]}); err != ErrLength {
		t.Errorf("a prefix of 24 octets: %v", err)
	}
	if err := p.Parse(&NDOption{Data: with(data, 0, 129)}); err != ErrFormat {
		t.Errorf("a prefix of 129 bits: %v", err)
	}
}

// FuzzND reads octets as the body of each Neighbor Discovery message and as each option, and writes them again.
func FuzzND(f *testing.F) {
	f.Add(joined(0xe0, 0, 0, 0, nodeA, nodeB, 3, 4, 64, 0xc0, 0, 0, 0x0e, 0x10, 0, 0, 0, 9, 0, 0, 0, 0, nodeB))
	f.Add(joined(64, 0x40, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 5, 1, 0, 0, 0, 0, 5, 0xdc))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bounded(b)
		if len(b) < 4 {
			return
		}
		h, body := ICMPv6{Rest: [4]byte(b)}, bounded(b[4:])
		var n NDNeighbor
		options, err := n.Parse(&h, body)
		checkND(t, body, options, err, NDNeighborLen, func(b []byte) int { return n.Marshal(b, 136) })
		var a NDRouterAdvertisement
		options, err = a.Parse(&h, body)
		checkND(t, body, options, err, NDRouterAdvertisementLen, a.Marshal)
		var r NDRedirect
		options, err = r.Parse(body)
		checkND(t, body, options, err, NDRedirectLen, r.Marshal)
		var o NDOption
		for w := ReadNDOptions(body); ; {
			if ok, _ := w.Next(&o); !ok {
				break
			}
			o.LinkAddr()
			o.MTU()
			within(t, body, o.Quote())
			var p NDPrefix
			if err := p.Parse(&o); err == nil && p.Bits > 128 {
				t.Fatalf("%x: a prefix of %d bits", b, p.Bits)
			}
		}
	})
}

// checkND fails unless a message of n octets without options was read as it should be, and is written as it was.
func checkND(t *testing.T, body, options []byte, err error, n int, marshal func([]byte) int) {
	t.Helper()
	if short := len(body) < n-ICMPLen; short || err != nil {
		if refused(t, options, err, ErrShort); !short {
			t.Fatalf("%x: %v", body, err)
		}
		return
	}
	within(t, body, options)
	out := dirty(n)
	if marshal(out) != n || len(options) != len(body)-n+ICMPLen || !bytes.Equal(out[ICMPLen:], body[:n-ICMPLen]) {
		t.Fatalf("%x written as %x, options %x", body, out, options)
	}
}
