package wire

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// syn returns a SYN with the options, which it pads with pad to a multiple of 4.
func syn(pad byte, options ...byte) []byte {
	for len(options)%4 != 0 {
		options = append(options, pad)
	}
	b := make([]byte, TCPLen, TCPMaxLen)
	(&TCP{SrcPort: 1, DstPort: 2, Seq: 3, Flags: TCPSyn}).Marshal(b)
	b[12] = byte(len(b)+len(options)) / 4 << 4
	return append(b, options...)
}

func TestTCPOptionsParse(t *testing.T) {
	ts := []byte{8, 10, 0, 0, 0, 1, 0, 0, 0, 2}
	wantTS := TCPOptions{Has: TCPOptTimestamps, TSVal: 1, TSEcr: 2}
	mss := []byte{2, 4, 5, 0xb4}
	wantMSS := TCPOptions{Has: TCPOptMSS, MSS: 1460}
	both := TCPOptions{Has: TCPOptMSS | TCPOptTimestamps, MSS: 1460, TSVal: 1, TSEcr: 2}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	nop := func(n int) []byte { return bytes.Repeat([]byte{1}, n) }
	unknown := func(kind, n byte) []byte {
		return append([]byte{kind, n}, bytes.Repeat([]byte{2}, int(n)-2)...)
	}
	blocks := func(n int) []byte {
		b := []byte{5, byte(2 + 8*n)}
		for i := range 2 * n {
			b = binary.BigEndian.AppendUint32(b, uint32(i+1))
		}
		return b
	}

	for _, c := range []struct {
		name    string
		options []byte
		want    TCPOptions
	}{
		{"MUST-4 EOL, NOP and MSS", join(nop(2), mss, []byte{0, 0}), wantMSS},
		{"MUST-4 MSS alone", mss, wantMSS},
		{"MUST-4 NOPs alone", nop(40), TCPOptions{}},
		{"MUST-4 EOL ends the list", join([]byte{0}, mss, nop(3)), TCPOptions{}},
		{"MUST-4 octets past EOL are not options", join(mss, []byte{0, 2, 0, 3}), wantMSS},
		{"MUST-6 kind 254 of length 6 before MSS", join(unknown(254, 6), mss), wantMSS},
		{"MUST-6 kind 253 of length 2 before MSS", join(unknown(253, 2), mss), wantMSS},
		{"MUST-6 accurate ECN before MSS", join(unknown(172, 11), unknown(174, 5), mss), wantMSS},
		{"MUST-6 multipath of length 36 before MSS", join(unknown(30, 36), mss), wantMSS},
		{"MUST-6 unknown option alone fills all 40", unknown(200, 40), TCPOptions{}},
		{"MUST-64 MSS at an odd octet", join(nop(1), mss), wantMSS},
		{"MUST-64 timestamps at offset 0", ts, wantTS},
		{"MUST-64 timestamps at offset 1", join(nop(1), ts), wantTS},
		{"MUST-64 timestamps at offset 2", join(nop(2), ts), wantTS},
		{"MUST-64 timestamps at offset 3", join(nop(3), ts), wantTS},
		{"MUST-64 NOP, MSS and timestamps unaligned", join(nop(1), mss, ts), both},
		{"MUST-64 timestamps then MSS to the last octet", join(nop(26), ts, mss), both},
		{"window scale", []byte{3, 3, 14}, TCPOptions{Has: TCPOptWScale, WScale: 14}},
		{"window scale past the limit comes as it is", []byte{3, 3, 255}, TCPOptions{Has: TCPOptWScale, WScale: 255}},
		{"SACK permitted", []byte{4, 2}, TCPOptions{Has: TCPOptSACKPermitted}},
		{"one SACK block", blocks(1), TCPOptions{Has: TCPOptSACK, NumSACK: 1, SACK: [4]SACKBlock{{1, 2}}}},
		{"four SACK blocks", blocks(4), TCPOptions{Has: TCPOptSACK, NumSACK: 4, SACK: [4]SACKBlock{{1, 2}, {3, 4}, {5, 6}, {7, 8}}}},
		{"three SACK blocks and timestamps", join(ts, blocks(3)),
			TCPOptions{Has: TCPOptSACK | TCPOptTimestamps, TSVal: 1, TSEcr: 2, NumSACK: 3, SACK: [4]SACKBlock{{1, 2}, {3, 4}, {5, 6}}}},
		{"cookie request", []byte{34, 2}, TCPOptions{Has: TCPOptFastOpen}},
		{"cookie of 8", join([]byte{34, 10}, []byte("abcdefgh")),
			TCPOptions{Has: TCPOptFastOpen, FastOpenLen: 8, FastOpen: [16]byte{'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'}}},
		{"cookie of 16", join([]byte{34, 18}, []byte("0123456789abcdef")),
			TCPOptions{Has: TCPOptFastOpen, FastOpenLen: 16, FastOpen: [16]byte([]byte("0123456789abcdef"))}},
		{"user timeout", []byte{28, 4, 0x80, 5}, TCPOptions{Has: TCPOptUserTimeout, UserTimeout: 0x8005}},
		{"a repeated option counts as it stands last", join([]byte{2, 4, 1, 1}, mss, blocks(2), blocks(1)),
			TCPOptions{Has: TCPOptMSS | TCPOptSACK, MSS: 1460, NumSACK: 1, SACK: [4]SACKBlock{{1, 2}}}},
		{"a shorter cookie leaves nothing of a longer one", join([]byte{34, 10}, []byte("abcdefgh"), []byte{34, 6}, []byte("ABCD")),
			TCPOptions{Has: TCPOptFastOpen, FastOpenLen: 4, FastOpen: [16]byte{'A', 'B', 'C', 'D'}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, flags := range []byte{TCPSyn, TCPAck} { // options may stand in any segment
				var h TCP
				segment := append(with(syn(tcpKindNOP, c.options...), 13, flags), "text"...)
				text, err := h.Parse(segment)
				if err != nil || string(text) != "text" {
					t.Errorf("Parse = %q, %v", text, err)
				}
				if diff := cmp.Diff(c.want, h.Options); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// TestTCPOptionsForeignLength: a length that is not the kind's own makes an option that is skipped, and what
// stands behind it is read.
func TestTCPOptionsForeignLength(t *testing.T) {
	own := map[byte]func(length int) bool{
		tcpKindMSS:           func(n int) bool { return n == 4 },
		tcpKindWScale:        func(n int) bool { return n == 3 },
		tcpKindSACKPermitted: func(n int) bool { return n == 2 },
		tcpKindSACK:          func(n int) bool { return n == 10 || n == 18 || n == 26 || n == 34 },
		tcpKindTimestamps:    func(n int) bool { return n == 10 },
		tcpKindUserTimeout:   func(n int) bool { return n == 4 },
		tcpKindFastOpen: func(n int) bool {
			return n == 2 || n == 6 || n == 8 || n == 10 || n == 12 || n == 14 || n == 16 || n == 18
		},
	}
	for kind, is := range own {
		behind, bit := []byte{2, 4, 5, 0xb4}, uint16(TCPOptMSS)
		if kind == tcpKindMSS {
			behind, bit = []byte{4, 2}, TCPOptSACKPermitted
		}
		for n := 2; n <= TCPOptionsMaxLen-len(behind); n++ {
			b := append(append([]byte{kind, byte(n)}, make([]byte, n-2)...), behind...)
			var o TCPOptions
			if err := o.Parse(b); err != nil {
				t.Errorf("kind %d of length %d: %v", kind, n, err)
			}
			if (o.Has != bit) != is(n) || o.Has&bit == 0 {
				t.Errorf("kind %d of length %d: has %#x", kind, n, o.Has)
			}
		}
	}
}

func TestTCPOptionsIllegalLength(t *testing.T) {
	pad := func(b ...byte) []byte { return b }
	for _, c := range []struct {
		name    string
		options []byte
	}{
		{"MUST-7 MSS of length zero", pad(2, 0, 5, 0xb4)},
		{"MUST-7 timestamps of length one", pad(8, 1, 1, 1)},
		{"MUST-7 window scale of length 40 in 4 octets", pad(3, 40, 7, 1)},
		{"MUST-7 one octet past the end", pad(2, 5, 5, 0xb4)},
		{"MUST-7 past the end of 40", append(bytes.Repeat([]byte{1}, 38), 2, 4)},
		{"MUST-7 length 255", pad(254, 255, 0, 0)},
		{"MUST-7 unknown kind of length zero", pad(254, 0, 0, 0)},
		{"MUST-7 unknown kind of length one", pad(254, 1, 0, 0)},
		{"MUST-7 behind a sound option", pad(2, 4, 5, 0xb4, 4, 0, 1, 1)},
		{"MUST-68 MSS without a length", pad(1, 1, 1, 2)},
		{"MUST-68 unknown kind without a length", pad(1, 1, 1, 254)},
	} {
		t.Run(c.name, func(t *testing.T) {
			var h TCP
			text, err := h.Parse(append(syn(tcpKindNOP, c.options...), "text"...))
			if err != ErrOption || text != nil {
				t.Errorf("Parse = %q, %v; want %v", text, err, ErrOption)
			}
			// The caller has to find the connection.
			if h.SrcPort != 1 || h.DstPort != 2 || h.Seq != 3 || h.Flags != TCPSyn {
				t.Errorf("header beside ErrOption = %+v", h)
			}
		})
	}
	t.Run("MUST-68 every kind but EOL and NOP carries a length", func(t *testing.T) {
		for kind := range 256 {
			// The octet behind the kind is either a length, here zero, or the next kind, here EOL.
			err := new(TCPOptions).Parse([]byte{byte(kind), 0, 0, 0})
			want := ErrOption
			if kind == tcpKindEnd || kind == tcpKindNOP {
				want = nil
			}
			if err != want {
				t.Errorf("kind %d: %v, want %v", kind, err, want)
			}
		}
	})
}

func TestTCPOptionsMarshal(t *testing.T) {
	cookie := [16]byte([]byte("0123456789abcdef"))
	four := [4]SACKBlock{{1, 2}, {3, 4}, {5, 6}, {7, 8}}
	for _, c := range []struct {
		name string
		in   TCPOptions
		want string
	}{
		{"none", TCPOptions{MSS: 9, NumSACK: 3, FastOpenLen: 4}, ""},
		{"Linux's SYN", TCPOptions{Has: TCPOptMSS | TCPOptSACKPermitted | TCPOptTimestamps | TCPOptWScale, MSS: 1460, WScale: 7, TSVal: 1},
			"020405b4 0402080a 00000001 00000000 01030307"},
		{"Linux's SYN without timestamps", TCPOptions{Has: TCPOptMSS | TCPOptSACKPermitted | TCPOptWScale, MSS: 1460, WScale: 7},
			"020405b4 01010402 01030307"},
		{"MSS", TCPOptions{Has: TCPOptMSS, MSS: 536}, "02040218"},
		{"timestamps", TCPOptions{Has: TCPOptTimestamps, TSVal: 1, TSEcr: 2}, "0101080a 00000001 00000002"},
		{"timestamps without SACK in a SYN", TCPOptions{Has: TCPOptMSS | TCPOptTimestamps, MSS: 536, TSVal: 1},
			"02040218 0101080a 00000001 00000000"},
		{"timestamps and two blocks", TCPOptions{Has: TCPOptTimestamps | TCPOptSACK, TSVal: 1, TSEcr: 2, NumSACK: 2, SACK: four},
			"0101080a 00000001 00000002 01010512 00000001 00000002 00000003 00000004"},
		{"timestamps leave room for three of four blocks", TCPOptions{Has: TCPOptTimestamps | TCPOptSACK, NumSACK: 4, SACK: four},
			"0101080a 00000000 00000000 0101051a 00000001 00000002 00000003 00000004 00000005 00000006"},
		{"four blocks", TCPOptions{Has: TCPOptSACK, NumSACK: 4, SACK: four},
			"01010522 00000001 00000002 00000003 00000004 00000005 00000006 00000007 00000008"},
		{"more blocks than there are", TCPOptions{Has: TCPOptSACK, NumSACK: 255, SACK: four},
			"01010522 00000001 00000002 00000003 00000004 00000005 00000006 00000007 00000008"},
		{"no block", TCPOptions{Has: TCPOptSACK}, ""},
		{"cookie request", TCPOptions{Has: TCPOptFastOpen}, "01012202"},
		{"cookie of 8", TCPOptions{Has: TCPOptFastOpen, FastOpenLen: 8, FastOpen: cookie}, "0101220a 30313233 34353637"},
		{"cookie of 6", TCPOptions{Has: TCPOptFastOpen, FastOpenLen: 6, FastOpen: cookie}, "22083031 32333435"},
		{"user timeout", TCPOptions{Has: TCPOptUserTimeout, UserTimeout: 0x8005}, "1c048005"},
		{"all of a SYN with the longest cookie fills 40; the user timeout stays behind",
			TCPOptions{Has: 0xffff &^ TCPOptSACK, MSS: 1460, WScale: 7, TSVal: 1, UserTimeout: 5, FastOpenLen: 99, FastOpen: cookie},
			"020405b4 0402080a 00000001 00000000 01030307 01012212 30313233 34353637 38396162 63646566"},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := octets(t, c.want)
			out := dirty(TCPMaxLen)
			n := (&TCP{Options: c.in}).Marshal(out)
			if n != TCPLen+len(want) || c.in.Len() != len(want) || int(out[12]>>4)*4 != n {
				t.Errorf("Marshal = %d, data offset %d, Len = %d, want %d octets", n, out[12]>>4, c.in.Len(), len(want))
			}
			if !bytes.Equal(out[TCPLen:n], want) || !bytes.Equal(out[n:], dirty(TCPMaxLen-n)) {
				t.Errorf("Marshal wrote %x, want %x", out[TCPLen:], want)
			}
		})
	}
}

// randomOptions returns options of which every field may be anything.
func randomOptions(r *rand.Rand) TCPOptions {
	o := TCPOptions{Has: uint16(r.Uint32()), MSS: uint16(r.Uint32()), WScale: uint8(r.Uint32()), NumSACK: uint8(r.IntN(7)),
		FastOpenLen: uint8(r.IntN(20)), UserTimeout: uint16(r.Uint32()), TSVal: r.Uint32(), TSEcr: r.Uint32()}
	for i := range o.SACK {
		o.SACK[i] = SACKBlock{r.Uint32(), r.Uint32()}
	}
	copy(o.FastOpen[:], randomBytes(r, 16))
	return o
}

func TestTCPBuilder(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	headers := func(yield func(h TCP, out []byte) bool) {
		for range 20000 {
			h := TCP{Flags: uint16(r.Uint32()), Options: randomOptions(r)}
			out := dirty(TCPMaxLen)
			if !yield(h, out[:h.Marshal(out)]) {
				return
			}
		}
	}
	t.Run("MUST-69 a multiple of 4, zero past EOL", func(t *testing.T) {
		for h, out := range headers {
			if len(out)%4 != 0 || len(out) > TCPMaxLen || int(out[12]>>4)*4 != len(out) || len(out) != TCPLen+h.Options.Len() {
				t.Fatalf("%+v: %d octets, data offset %d", h, len(out), out[12]>>4)
			}
			if rest := walkTCPOptions(t, out[TCPLen:]); len(bytes.Trim(rest, "\x00")) != 0 {
				t.Fatalf("%+v: %x behind EOL", h, rest)
			}
		}
	})
	t.Run("MUST-68 every option written carries its length", func(t *testing.T) {
		for h, out := range headers {
			var got TCP
			if _, err := got.Parse(out); err != nil {
				t.Fatalf("%+v: %x: %v", h, out, err)
			}
			// Marshal of what was read gives the same octets: nothing was lost but what Parse refuses.
			if n := got.Options.FastOpenLen; n != 0 && (n < 4 || n%2 != 0) {
				t.Fatalf("cookie of %d octets", n)
			}
			again := dirty(TCPMaxLen)
			if cookie := h.Options.FastOpenLen; h.Options.Has&TCPOptFastOpen == 0 || cookie == 0 || cookie >= 4 && cookie%2 == 0 {
				if n := got.Marshal(again); !bytes.Equal(again[:n], out) {
					t.Fatalf("%+v: %x, read and written again %x", h, out, again[:n])
				}
			}
		}
	})
}

// walkTCPOptions walks over options with a loop of its own and returns EOL and what is behind it.
func walkTCPOptions(t *testing.T, b []byte) (rest []byte) {
	t.Helper()
	for i := 0; i < len(b); {
		switch b[i] {
		case 0:
			return b[i:]
		case 1:
			i++
		default:
			if i+1 >= len(b) || b[i+1] < 2 || i+int(b[i+1]) > len(b) {
				t.Fatalf("option at %d of %x has no legal length", i, b)
			}
			i += int(b[i+1])
		}
	}
	return nil
}

func BenchmarkTCPParse(b *testing.B) {
	for _, c := range []struct {
		name string
		in   TCPOptions
	}{
		{"none", TCPOptions{}},
		{"timestamps", TCPOptions{Has: TCPOptTimestamps}},
		{"SYN", TCPOptions{Has: TCPOptMSS | TCPOptSACKPermitted | TCPOptTimestamps | TCPOptWScale}},
		{"timestamps, 3 blocks", TCPOptions{Has: TCPOptTimestamps | TCPOptSACK, NumSACK: 3}},
	} {
		segment := make([]byte, TCPMaxLen)
		segment = segment[:(&TCP{Options: c.in}).Marshal(segment)]
		b.Run(c.name, func(b *testing.B) {
			var h TCP
			for b.Loop() {
				if _, err := h.Parse(segment); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkTCPMarshal(b *testing.B) {
	h := TCP{Options: TCPOptions{Has: TCPOptTimestamps}}
	out := make([]byte, TCPMaxLen)
	for b.Loop() {
		h.Marshal(out)
	}
}
