package wire

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// slowSum is RFC 1071 word for word: big-endian words, one after the other.
func slowSum(b []byte, sum uint64) uint16 {
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint64(b[i])<<8 | uint64(b[i+1])
	}
	if len(b)%2 == 1 {
		sum += uint64(b[len(b)-1]) << 8
	}
	for sum>>16 != 0 {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestChecksumVectors(t *testing.T) {
	// RFC 1071 3 gives ddf2 for its example before the complement.
	example := []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}
	for _, c := range []struct {
		name    string
		b       []byte
		initial uint32
		want    uint16
	}{
		{"RFC 1071 section 3", example, 0, 0xddf2},
		{"odd length counts the last octet high", example[:7], 0, 0xdcfb},
		{"empty keeps initial", nil, 0x12345678, 0x68ac},
		{"zeros stay zero", make([]byte, 200), 0, 0},
		{"largest initial", nil, 0xffffffff, 0xffff},
		{"one octet", []byte{0xab}, 0xffff, 0xab00},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Sum(c.b, c.initial); got != uint32(c.want) {
				t.Errorf("Sum = %#x, want %#x", got, c.want)
			}
			if got := Checksum(c.b, c.initial); got != ^c.want {
				t.Errorf("Checksum = %#x, want %#x", got, ^c.want)
			}
		})
	}
}

func TestChecksumAgainstSlow(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	ones := make([]byte, 300)
	for i := range ones {
		ones[i] = 0xff
	}
	for n := range 300 {
		for align := range 9 {
			random := randomBytes(r, align+n)[align:]
			for _, b := range [][]byte{random, ones[:n]} {
				for _, initial := range []uint32{0, 1, 0xffff, 0x10000, r.Uint32(), 0xffffffff} {
					if got, want := Sum(b, initial), slowSum(b, uint64(initial)); got != uint32(want) {
						t.Fatalf("Sum of %d octets at %d with %#x = %#x, want %#x", n, align, initial, got, want)
					}
				}
			}
		}
	}
	large := randomBytes(r, 65535)
	if got, want := Sum(large, 7), slowSum(large, 7); got != uint32(want) {
		t.Errorf("Sum of 65535 octets = %#x, want %#x", got, want)
	}
}

func TestSumAtAddsPiecesOfAnyLength(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for range 2000 {
		b := randomBytes(r, r.IntN(400))
		initial := r.Uint32()
		want := Sum(b, initial)
		got, offset := initial, 0
		for offset < len(b) {
			n := 1 + r.IntN(len(b)-offset)
			got = SumAt(b[offset:offset+n], offset, got)
			offset += n
		}
		if Fold(got) != Fold(want) {
			t.Fatalf("sum of pieces of %d octets = %#x, want %#x", len(b), got, want)
		}
	}
}

func TestFold(t *testing.T) {
	for _, c := range []struct {
		sum  uint32
		want uint16
	}{{0, 0}, {0xffff, 0xffff}, {0x10000, 1}, {0x1ffff, 1}, {0xfffeffff, 0xfffe}, {0xffffffff, 0xffff}, {0xffff0001, 1}} {
		if got := Fold(c.sum); got != c.want {
			t.Errorf("Fold(%#x) = %#x, want %#x", c.sum, got, c.want)
		}
	}
}

func TestPseudoHeader(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	edge := func(b []byte, i int) {
		switch i {
		case 0:
			clear(b)
		case 1:
			for j := range b {
				b[j] = 0xff
			}
		default:
			copy(b, randomBytes(r, len(b)))
		}
	}
	for i := range 200 {
		var src4, dst4 [4]byte
		var src6, dst6 [16]byte
		edge(src4[:], i)
		edge(dst4[:], i)
		edge(src6[:], i)
		edge(dst6[:], i)
		proto, length := uint8(r.Uint32()), r.IntN(65536)

		// The 12 octets of RFC 9293 3.1 and the 40 of RFC 8200 8.1.
		plain4 := append(append(append([]byte{}, src4[:]...), dst4[:]...), 0, proto)
		plain4 = binary.BigEndian.AppendUint16(plain4, uint16(length))
		plain6 := append(append([]byte{}, src6[:]...), dst6[:]...)
		plain6 = append(binary.BigEndian.AppendUint32(plain6, uint32(length)), 0, 0, 0, proto)

		check := func(name string, got uint32, plain []byte) {
			if Fold(got) != slowSum(plain, 0) {
				t.Errorf("%s %x = %#x, want %#x", name, plain, got, slowSum(plain, 0))
			}
		}
		check("PseudoHeader4", PseudoHeader4(src4, dst4, proto, length), plain4)
		check("PseudoHeader6", PseudoHeader6(src6, dst6, proto, length), plain6)
		check("PseudoHeader v4", PseudoHeader(netip.AddrFrom4(src4), netip.AddrFrom4(dst4), proto, length), plain4)
		check("PseudoHeader v6", PseudoHeader(netip.AddrFrom16(src6), netip.AddrFrom16(dst6), proto, length), plain6)
	}
	if got := PseudoHeader(netip.Addr{}, netip.Addr{}, 0, 0); got != 0 {
		t.Errorf("PseudoHeader of no addresses = %#x, want 0", got)
	}
}

func BenchmarkChecksum(b *testing.B) {
	for _, n := range []int{20, 1460, 65536} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			data := randomBytes(rand.New(rand.NewPCG(4, 4)), n)
			b.SetBytes(int64(n))
			for b.Loop() {
				sink = Checksum(data, 0)
			}
		})
	}
}

var sink uint16
