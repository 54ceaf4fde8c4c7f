package wire

import (
	"slices"
	"strings"
	"testing"
)

// servers reads all of an option, as text.
func namesOf(o *NDOption) (names []string, lifetime uint32, err error) {
	var d NDDomains
	if err := d.Parse(o); err != nil {
		return nil, 0, err
	}
	for {
		name, ok, err := d.Next()
		if !ok {
			return names, d.Lifetime, err
		}
		names = append(names, name)
	}
}

func TestNDServers(t *testing.T) {
	var s NDServers
	if err := s.Parse(&NDOption{Data: joined(0, 0, 0, 0, 1, 2, nodeA, nodeB)}); err != nil || s.Lifetime != 0x102 {
		t.Fatalf("%+v, %v", s, err)
	}
	a, one := s.Next()
	b, two := s.Next()
	_, three := s.Next()
	if a != nodeA || b != nodeB || !one || !two || three {
		t.Errorf("%x %v, %x %v, %v", a, one, b, two, three)
	}
	for _, n := range []int{0, 6, 14, 21, 23, 30} {
		if err := s.Parse(&NDOption{Data: make([]byte, n)}); err != ErrLength {
			t.Errorf("%d octets: %v", n, err)
		}
	}
}

func TestNDDomains(t *testing.T) {
	long := strings.Repeat("\x3f"+strings.Repeat("a", 63), 4)
	for _, c := range []struct {
		name, data string
		want       []string
		err        error
	}{
		{"two and padding", "\x03lan\x00\x07example\x03com\x00\x00\x00", []string{"lan", "example.com"}, nil},
		{"none", "\x00\x00\x00\x00\x00\x00\x00\x00", nil, nil},
		{"no end", "\x07example", nil, ErrFormat},
		{"cut off", "\x03lan\x00\x09example", []string{"lan"}, ErrFormat},
		{"a compressed name", "\xc0\x0caaaaaa", nil, ErrFormat},
		{"what no name has", "\x03l n\x00\x00\x00\x00", nil, ErrFormat},
		{"a new line", "\x03l\nn\x00\x00\x00\x00", nil, ErrFormat},
		{"too long", long + "\x00", nil, ErrFormat},
		{"as long as can be", long[:192] + "\x3d" + long[193:193+61] + "\x00", []string{strings.Repeat(strings.Repeat("a", 63)+".", 3) + strings.Repeat("a", 61)}, nil},
	} {
		got, lifetime, err := namesOf(&NDOption{Data: []byte("\x00\x00\x00\x00\x00\x07" + c.data)})
		if !slices.Equal(got, c.want) || err != c.err || lifetime != 7 {
			t.Errorf("%s: %q, %d, %v; want %q, %v", c.name, got, lifetime, err, c.want, c.err)
		}
	}
	if _, _, err := namesOf(&NDOption{Data: make([]byte, 6)}); err != ErrLength {
		t.Errorf("no room: %v", err)
	}
}

func FuzzNDNames(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x00\x07\x03lan\x00\x07example\x03com\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		o := &NDOption{Data: data}
		names, _, _ := namesOf(o)
		for _, n := range names {
			if len(n) == 0 || len(n) > maxDomain || strings.ContainsAny(n, "\x00 \n\\") || strings.HasSuffix(n, ".") {
				t.Errorf("name %q", n)
			}
		}
		var s NDServers
		if s.Parse(o) == nil {
			n := 0
			for _, ok := s.Next(); ok; _, ok = s.Next() {
				n++
			}
			if n*16+6 != len(data) {
				t.Errorf("%d servers in %d octets", n, len(data))
			}
		}
	})
}
