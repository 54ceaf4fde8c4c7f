package wire

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestIPv6Extension(t *testing.T) {
	for _, c := range []struct {
		name          string
		b             []byte
		data, payload []byte
		err           error
	}{
		{"shortest", []byte{6, 0, 1, 4, 0, 0, 0, 0, 9}, []byte{1, 4, 0, 0, 0, 0}, []byte{9}, nil},
		{"nothing behind", []byte{6, 0, 1, 4, 0, 0, 0, 0}, []byte{1, 4, 0, 0, 0, 0}, nil, nil},
		{"seven octets", []byte{6, 0, 1, 4, 0, 0, 0}, nil, nil, ErrShort},
		{"empty", nil, nil, nil, ErrShort},
		{"length past the packet", []byte{6, 1, 1, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, nil, nil, ErrLength},
		{"length 255", []byte{6, 255, 1, 4, 0, 0, 0, 0}, nil, nil, ErrLength},
	} {
		t.Run(c.name, func(t *testing.T) {
			var h IPv6Extension
			payload, err := h.Parse(c.b)
			if err != c.err || !bytes.Equal(payload, c.payload) {
				t.Fatalf("Parse = %x, %v", payload, err)
			}
			if err == nil && (h.NextHeader != 6 || !bytes.Equal(h.Data, c.data)) {
				t.Errorf("Parse = %+v", h)
			}
		})
	}
}

func TestIPv6Options(t *testing.T) {
	for _, c := range []struct {
		name string
		data []byte
		want []IPv6Option
		bad  int
		err  error
	}{
		{name: "pads alone", data: []byte{0, 1, 3, 0, 0, 0}},
		{name: "PadN of length zero", data: []byte{1, 0, 1, 0, 1, 0}},
		{name: "router alert and pads", data: []byte{5, 2, 0, 0, 1, 0}, want: []IPv6Option{{5, 2, []byte{0, 0}}}},
		{name: "behind a Pad1", data: []byte{0, 0xc2, 3, 7, 8, 9}, want: []IPv6Option{{0xc2, 3, []byte{7, 8, 9}}}},
		{name: "options without data", data: []byte{7, 0, 8, 0, 9, 0}, want: []IPv6Option{{7, 2, nil}, {8, 4, nil}, {9, 6, nil}}},
		{name: "length one too large", data: []byte{7, 0, 8, 3, 0, 0}, want: []IPv6Option{{7, 2, nil}}, bad: 4, err: ErrOption},
		{name: "length 255", data: []byte{7, 255, 0, 0, 0, 0}, bad: 2, err: ErrOption},
		{name: "length missing", data: []byte{0, 0, 0, 0, 0, 7}, bad: 7, err: ErrOption},
		{name: "PadN past the end", data: []byte{0, 0, 0, 0, 1, 1}, bad: 6, err: ErrOption},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := (&IPv6Extension{Data: c.data}).ReadOptions()
			got, o, err := collect(t, len(c.data), r.Next)
			if err != c.err || err != nil && o.Pointer != c.bad {
				t.Errorf("walk ends with %v at %d, want %v at %d", err, o.Pointer, c.err, c.bad)
			}
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNDOptions(t *testing.T) {
	mac := NDOption{Type: NDOptSourceLinkAddr, Data: macA[:]}
	long := NDOption{Type: 200, Data: bytes.Repeat([]byte{3}, 14)}
	var b []byte
	for _, o := range []NDOption{mac, long} {
		out := dirty(16)
		b = append(b, out[:o.Marshal(out)]...)
	}
	for _, c := range []struct {
		name string
		b    []byte
		want []NDOption
		err  error
	}{
		{name: "none"},
		{name: "two", b: b, want: []NDOption{mac, long}},
		{name: "length zero", b: []byte{1, 0, 0, 0, 0, 0, 0, 0}, err: ErrOption},
		{name: "length zero behind a sound one", b: append(bytes.Clone(b[:8]), 1, 0, 0, 0, 0, 0, 0, 0), want: []NDOption{mac}, err: ErrOption},
		{name: "length past the message", b: b[:23], want: []NDOption{mac}, err: ErrOption},
		{name: "length 255", b: []byte{1, 255, 0, 0, 0, 0, 0, 0}, err: ErrOption},
		{name: "length missing", b: []byte{1}, err: ErrOption},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := ReadNDOptions(c.b)
			got, _, err := collect(t, len(c.b), r.Next)
			if err != c.err {
				t.Errorf("walk ends with %v, want %v", err, c.err)
			}
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("Marshal pads and cuts", func(t *testing.T) {
		out := dirty(2048)
		for _, c := range []struct{ data, want int }{{0, 8}, {1, 8}, {6, 8}, {7, 16}, {14, 16}, {2038, 2040}, {3000, 2040}} {
			o := NDOption{Type: 9, Data: bytes.Repeat([]byte{7}, c.data)}
			n := o.Marshal(out)
			if n != c.want || int(out[1])*8 != n || out[n] != 0xdb {
				t.Errorf("Marshal of %d octets = %d, length field %d", c.data, n, out[1])
			}
			if end := min(2+c.data, n); !bytes.Equal(out[2:end], o.Data[:end-2]) || len(bytes.Trim(out[end:n], "\x00")) != 0 {
				t.Errorf("Marshal of %d octets wrote %x", c.data, out[:n])
			}
		}
	})
}

// collect calls next until it says that there is no more, and fails if that takes more steps than there are
// octets. It returns what was found and how the walk ended; a call behind the end must find nothing.
func collect[O any](t *testing.T, octets int, next func(*O) (bool, error)) (found []O, last O, err error) {
	t.Helper()
	for steps := 0; ; steps++ {
		if steps > octets {
			t.Fatalf("the walk takes more steps than there are octets, %d", octets)
		}
		ok, err := next(&last)
		if ok && err != nil {
			t.Fatalf("an option beside %v", err)
		}
		if !ok {
			var behind O
			if ok, again := next(&behind); ok || again != nil {
				t.Fatalf("behind the end: %v, %v", ok, again)
			}
			return found, last, err
		}
		found = append(found, last)
	}
}

// TestWalkersEnd walks over octets that are hard on a walker: lengths of zero, one and 255, lists that end
// in the middle of an option, and chance.
func TestWalkersEnd(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	hard := func(yield func([]byte) bool) {
		for kind := range 256 {
			for _, length := range []byte{0, 1, 2, 3, 255} {
				for n := 1; n <= 40; n++ {
					if !yield(bytes.Repeat([]byte{byte(kind), length}, 20)[:n]) {
						return
					}
				}
			}
		}
		for range 20000 {
			b := randomBytes(r, r.IntN(41))
			for i := range b {
				if r.IntN(2) == 0 {
					b[i] %= 8
				}
			}
			if !yield(b) {
				return
			}
		}
	}
	legal := func(t *testing.T, err error) {
		if err != nil && err != ErrOption {
			t.Fatal(err)
		}
	}
	t.Run("D-PARSE-3 TCP options", func(t *testing.T) {
		for b := range hard {
			var o TCPOptions
			err := o.Parse(b)
			legal(t, err)
			if want := legalTCPOptions(b); want != (err == nil) {
				t.Fatalf("%x: %v", b, err)
			}
		}
	})
	t.Run("D-PARSE-3 IPv4 options", func(t *testing.T) {
		for b := range hard {
			h := IPv4{Options: b}
			reader := h.ReadOptions()
			_, _, err := collect(t, len(b), reader.Next)
			legal(t, err)
			if want := legalTCPOptions(b); want != (err == nil) { // the two lists have one form
				t.Fatalf("%x: %v", b, err)
			}
			_, _, checkErr := h.CheckOptions()
			if checkErr != err {
				t.Fatalf("%x: CheckOptions: %v, walk: %v", b, checkErr, err)
			}
		}
	})
	t.Run("D-PARSE-3 IPv6 options", func(t *testing.T) {
		for b := range hard {
			reader := (&IPv6Extension{Data: b}).ReadOptions()
			_, _, err := collect(t, len(b), reader.Next)
			legal(t, err)
		}
	})
	t.Run("D-PARSE-3 IPv6 extension headers", func(t *testing.T) {
		for b := range hard {
			var h IPv6Extension
			steps := 0
			for rest, err := h.Parse(b); err == nil; rest, err = h.Parse(rest) {
				if steps++; steps > len(b)/8 {
					t.Fatalf("%x: %d headers", b, steps)
				}
			}
		}
	})
	t.Run("D-PARSE-3 Neighbor Discovery options", func(t *testing.T) {
		for b := range hard {
			reader := ReadNDOptions(b)
			found, _, err := collect(t, len(b), reader.Next)
			legal(t, err)
			if size := 8 * len(found); size > len(b) {
				t.Fatalf("%x: %d options", b, len(found))
			}
		}
	})
}

func FuzzIPv6Options(f *testing.F) {
	f.Add([]byte{6, 0, 5, 2, 0, 0, 1, 0, 9})
	f.Add([]byte{6, 1, 0, 0xc2, 4, 0, 1, 0, 0, 1, 5, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bounded(b)
		var h IPv6Extension
		payload, err := h.Parse(b)
		if err != nil {
			refused(t, payload, err, ErrShort, ErrLength)
			return
		}
		within(t, b, payload)
		within(t, b, h.Data)
		if len(h.Data)+2+len(payload) != len(b) || (len(h.Data)+2)%8 != 0 {
			t.Fatalf("header of %d octets, %d behind, of %d", len(h.Data)+2, len(payload), len(b))
		}
		r := h.ReadOptions()
		found, _, err := collect(t, len(h.Data), r.Next)
		if err != nil {
			refused(t, nil, err, ErrOption)
		}
		for _, o := range found {
			within(t, h.Data, o.Data)
			if b[o.Pointer] != o.Type || int(b[o.Pointer+1]) != len(o.Data) || o.Type <= IPv6OptPadN {
				t.Fatalf("%x: option %+v", b, o)
			}
		}
	})
}

func FuzzNDOptions(f *testing.F) {
	f.Add([]byte{1, 1, 2, 0, 0, 0, 0, 1, 5, 1, 0, 0, 0, 0, 5, 0xdc})
	f.Add([]byte{3, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bounded(b)
		r := ReadNDOptions(b)
		found, _, err := collect(t, len(b), r.Next)
		if err != nil {
			refused(t, nil, err, ErrOption)
		}
		var again []byte
		for _, o := range found {
			within(t, b, o.Data)
			out := dirty(255 * 8)
			again = append(again, out[:o.Marshal(out)]...)
		}
		if !bytes.HasPrefix(b, again) || (len(again) == len(b)) != (err == nil) {
			t.Fatalf("%x read, written as %x, %v", b, again, err)
		}
	})
}
