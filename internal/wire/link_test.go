package wire

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// octets reads hex digits; blanks are for the reader.
func octets(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// with returns a copy of b in which the octets at i are v.
func with(b []byte, i int, v ...byte) []byte {
	b = bytes.Clone(b)
	copy(b[i:], v)
	return b
}

// dirty returns n octets that no Marshal may take for its own.
func dirty(n int) []byte { return bytes.Repeat([]byte{0xdb}, n) }

var (
	macA = MAC{2, 0, 0, 0, 0, 0xa}
	macB = MAC{2, 0, 0, 0, 0, 0xb}
)

func TestEthernet(t *testing.T) {
	frame := octets(t, "02000000000b 02000000000a 0800 4500")
	var h Ethernet
	payload, err := h.Parse(frame)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Ethernet{Dst: macB, Src: macA, Type: EtherTypeIPv4}); h != want {
		t.Errorf("Parse = %+v, want %+v", h, want)
	}
	if !bytes.Equal(payload, frame[14:]) {
		t.Errorf("payload = %x", payload)
	}
	out := dirty(EthernetLen)
	if n := h.Marshal(out); n != EthernetLen || !bytes.Equal(out, frame[:14]) {
		t.Errorf("Marshal = %d, %x", n, out)
	}
	for n := range EthernetLen {
		if _, err := h.Parse(frame[:n]); err != ErrShort {
			t.Errorf("Parse of %d octets: %v", n, err)
		}
	}
	if payload, err := h.Parse(frame[:EthernetLen]); err != nil || len(payload) != 0 {
		t.Errorf("Parse of a header alone = %x, %v", payload, err)
	}
	// A length field of IEEE 802.3 comes through as the type, for the caller to drop.
	if _, err := h.Parse(with(frame, 12, 0x00, 0x26)); err != nil || h.Type != 0x26 {
		t.Errorf("802.3 frame: type %#x, %v", h.Type, err)
	}
}

func TestVLANTag(t *testing.T) {
	b := octets(t, "e064 0800 4500")
	var tag VLANTag
	payload, err := tag.Parse(b)
	if want := (VLANTag{Priority: 7, ID: 100, Type: EtherTypeIPv4}); err != nil || tag != want || !bytes.Equal(payload, b[4:]) {
		t.Errorf("Parse = %+v, %x, %v; want %+v", tag, payload, err, want)
	}
	if _, err := tag.Parse(octets(t, "1fff 8100")); err != nil || tag != (VLANTag{ID: 4095, Type: EtherTypeVLAN}) {
		t.Errorf("Parse with the drop eligible bit = %+v, %v", tag, err)
	}
	for n := range VLANTagLen {
		if _, err := tag.Parse(b[:n]); err != ErrShort {
			t.Errorf("Parse of %d octets: %v", n, err)
		}
	}
}

func TestARP(t *testing.T) {
	request := octets(t, "0001 0800 06 04 0001  02000000000a 0a000001  000000000000 0a000002")
	want := ARP{Op: ARPRequest, SenderMAC: macA, SenderIP: [4]byte{10, 0, 0, 1}, TargetIP: [4]byte{10, 0, 0, 2}}
	for _, b := range [][]byte{request, append(bytes.Clone(request), make([]byte, 18)...)} {
		var h ARP
		if err := h.Parse(b); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, h); diff != "" {
			t.Error(diff)
		}
		out := dirty(ARPLen)
		if n := h.Marshal(out); n != ARPLen || !bytes.Equal(out, request) {
			t.Errorf("Marshal = %d, %x", n, out)
		}
	}
	reply := ARP{Op: ARPReply, SenderMAC: macB, SenderIP: want.TargetIP, TargetMAC: macA, TargetIP: want.SenderIP}
	out := dirty(ARPLen)
	reply.Marshal(out)
	if wantOut := octets(t, "0001 0800 06 04 0002  02000000000b 0a000002  02000000000a 0a000001"); !bytes.Equal(out, wantOut) {
		t.Errorf("Marshal of a reply = %x, want %x", out, wantOut)
	}

	t.Run("B-ARP-3 malformed packets are refused", func(t *testing.T) {
		for _, c := range []struct {
			name string
			b    []byte
			want error
		}{
			{"hardware type IEEE 802", with(request, 0, 0, 6), ErrFormat},
			{"hardware type high octet", with(request, 0, 1, 1), ErrFormat},
			{"protocol type IPv6", with(request, 2, 0x86, 0xdd), ErrFormat},
			{"protocol type low octet", with(request, 3, 1), ErrFormat},
			{"hardware address length 8", with(request, 4, 8), ErrFormat},
			{"hardware address length 0", with(request, 4, 0), ErrFormat},
			{"protocol address length 16", with(request, 5, 16), ErrFormat},
			{"protocol address length 0", with(request, 5, 0), ErrFormat},
			{"operation 0", with(request, 6, 0, 0), ErrFormat},
			{"operation 3, RARP", with(request, 6, 0, 3), ErrFormat},
			{"operation 0x101", with(request, 6, 1, 1), ErrFormat},
			{"operation 0x8001", with(request, 6, 0x80, 1), ErrFormat},
			{"empty", nil, ErrShort},
			{"one octet short", request[:ARPLen-1], ErrShort},
			{"fixed part alone", request[:8], ErrShort},
		} {
			t.Run(c.name, func(t *testing.T) {
				var h ARP
				if err := h.Parse(c.b); err != c.want {
					t.Errorf("Parse: %v, want %v", err, c.want)
				}
			})
		}
	})
}
