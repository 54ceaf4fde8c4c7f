package wire

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// The fuzzers hold every parser to the same: no panic; what it returns lies within its argument; an error
// is one of the package's and comes without a payload; Marshal of what was read gives the octets that were
// read; gopacket, given the same octets, agrees.

// within fails unless part, capacity included, is a piece of whole.
func within(t *testing.T, whole, part []byte) {
	t.Helper()
	if cap(part) == 0 {
		return
	}
	start := uintptr(unsafe.Pointer(unsafe.SliceData(whole)))
	first := uintptr(unsafe.Pointer(unsafe.SliceData(part)))
	if first < start || first+uintptr(cap(part)) > start+uintptr(len(whole)) {
		t.Fatalf("a slice of %d octets (capacity %d) reaches outside its packet of %d", len(part), cap(part), len(whole))
	}
}

// bounded returns b without spare capacity, so that within sees what leaves it.
func bounded(b []byte) []byte { return b[:len(b):len(b)] }

// refused fails unless err is one that the parser may return; a payload beside it is a fault.
func refused(t *testing.T, payload []byte, err error, may ...error) {
	t.Helper()
	if payload != nil {
		t.Fatalf("payload %x beside %v", payload, err)
	}
	for _, e := range may {
		if err == e {
			return
		}
	}
	t.Fatalf("unexpected error %v", err)
}

func FuzzEthernet(f *testing.F) {
	f.Add([]byte{})
	f.Add(append(dirty(12), 8, 0, 1, 2, 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bounded(b)
		var h Ethernet
		var l layers.Ethernet
		failed := l.DecodeFromBytes(b, gopacket.NilDecodeFeedback)
		payload, err := h.Parse(b)
		if (err != nil) != (failed != nil) {
			t.Fatalf("%v, gopacket: %v", err, failed)
		}
		if err != nil {
			refused(t, payload, err, ErrShort)
			return
		}
		within(t, b, payload)
		if want := fromEthernet(&l); h.Type >= 0x600 && h != want || h.Dst != want.Dst || h.Src != want.Src {
			t.Fatalf("%+v, gopacket: %+v", h, want)
		}
		out := dirty(EthernetLen)
		if n := h.Marshal(out); n+len(payload) != len(b) || !bytes.Equal(out, b[:n]) {
			t.Fatalf("%x written as %x", b, out)
		}
	})
}

func FuzzARP(f *testing.F) {
	request := dirty(ARPLen)
	(&ARP{Op: ARPRequest}).Marshal(request)
	f.Add(request)
	f.Add(with(request, 7, ARPReply))
	f.Add(request[:27])
	f.Fuzz(func(t *testing.T, b []byte) {
		var h ARP
		var l layers.ARP
		failed := l.DecodeFromBytes(b, gopacket.NilDecodeFeedback)
		err := h.Parse(b)
		ours := failed == nil && l.AddrType == layers.LinkTypeEthernet && l.Protocol == layers.EthernetTypeIPv4 &&
			l.HwAddressSize == 6 && l.ProtAddressSize == 4 && (l.Operation == 1 || l.Operation == 2)
		if ours != (err == nil) {
			t.Fatalf("%v, gopacket: %+v, %v", err, l, failed)
		}
		if err != nil {
			refused(t, nil, err, ErrShort, ErrFormat)
			return
		}
		out := dirty(ARPLen)
		if h.Marshal(out); h != fromARP(&l) || !bytes.Equal(out, b[:ARPLen]) {
			t.Fatalf("%x read as %+v, written as %x", b, h, out)
		}
	})
}

func FuzzIPv4(f *testing.F) {
	f.Add(ipv4(IPv4{TTL: 64, Protocol: ProtocolTCP}, 1, 2, 3), true)
	f.Add(ipv4(IPv4{Options: []byte{131, 7, 4, 10, 0, 0, 1}}, 1, 2, 3, 4, 5, 6, 7, 8), false)
	f.Add([]byte{0x46}, true)
	f.Fuzz(func(t *testing.T, b []byte, fix bool) {
		if fix && len(b) > 0 { // past the checksum, which would stop nearly all
			b = checksummed(b, 0, b[0])
		}
		b = bounded(b)
		var h, q IPv4
		quoted, quoteErr := q.ParseQuote(b)
		if quoteErr != nil {
			refused(t, quoted, quoteErr, ErrShort, ErrVersion, ErrLength)
		} else {
			within(t, b, quoted)
		}
		payload, err := h.Parse(b)
		if err != nil {
			refused(t, payload, err, ErrShort, ErrVersion, ErrLength, ErrChecksum)
			return
		}
		within(t, b, payload)
		within(t, b, h.Options)
		if quoteErr != nil || !bytes.Equal(quoted, payload) {
			t.Fatalf("ParseQuote = %x, %v; Parse = %x", quoted, quoteErr, payload)
		}
		if h.HeaderLen+len(payload) != h.TotalLen || h.TotalLen > len(b) {
			t.Fatalf("%d octets: %+v", len(b), h)
		}
		var l layers.IPv4
		_, _, optionErr := h.CheckOptions()
		if failed := l.DecodeFromBytes(b, gopacket.NilDecodeFeedback); (failed != nil) != (optionErr != nil) {
			t.Fatalf("%+v: gopacket: %v, CheckOptions: %v", h, failed, optionErr)
		} else if failed == nil {
			want := fromIPv4(&l)
			if !bytes.Equal(want.Options, h.Options) || !bytes.Equal(l.Payload, payload) {
				t.Fatalf("%+v, gopacket: %+v", h, want)
			}
			a, b := h, want
			a.Options, b.Options = nil, nil
			if !equalIPv4(a, b) {
				t.Fatalf("%+v, gopacket: %+v", a, b)
			}
		}
		out := dirty(IPv4MaxLen)
		n := h.Marshal(out)
		want := checksummed(b[:h.HeaderLen], 6, b[6]&0x7f) // the reserved flag goes out as zero
		if n != h.HeaderLen || !bytes.Equal(out[:n], want) {
			t.Fatalf("%x written as %x", want, out[:n])
		}
	})
}

func equalIPv4(a, b IPv4) bool {
	return a.HeaderLen == b.HeaderLen && a.TOS == b.TOS && a.TotalLen == b.TotalLen && a.ID == b.ID && a.DF == b.DF && a.MF == b.MF &&
		a.FragmentOffset == b.FragmentOffset && a.TTL == b.TTL && a.Protocol == b.Protocol && a.Src == b.Src && a.Dst == b.Dst &&
		a.Checksum == b.Checksum
}

func FuzzIPv4Options(f *testing.F) {
	f.Add([]byte{1, 131, 7, 4, 10, 0, 0, 1, 0})
	f.Add([]byte{222, 0, 0, 0})
	f.Add([]byte{222, 255})
	f.Add([]byte{222})
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bounded(b)
		h := IPv4{Options: b}
		var o IPv4Option
		var sourceRoute bool
		r := h.ReadOptions()
		end := IPv4Len
		for steps := 0; ; steps++ {
			if steps > len(b) {
				t.Fatalf("more steps than the %d octets of %x", len(b), b)
			}
			ok, err := r.Next(&o)
			if err != nil {
				refused(t, nil, err, ErrOption)
			}
			if gotRoute, pointer, gotErr := h.CheckOptions(); !ok && (gotErr != err || gotRoute != sourceRoute || err != nil && pointer != o.Pointer) {
				t.Fatalf("CheckOptions(%x) = %v, %d, %v; walk: %v, %d, %v", b, gotRoute, pointer, gotErr, sourceRoute, o.Pointer, err)
			}
			if !ok {
				break
			}
			within(t, b, o.Data)
			if o.Pointer < end || b[o.Pointer-IPv4Len] != o.Type || int(b[o.Pointer-IPv4Len+1]) != 2+len(o.Data) {
				t.Fatalf("%x: option %+v", b, o)
			}
			for _, between := range b[end-IPv4Len : o.Pointer-IPv4Len] {
				if between != IPv4OptNOP {
					t.Fatalf("%x: %d was passed over before %+v", b, between, o)
				}
			}
			end = o.Pointer + 2 + len(o.Data)
			sourceRoute = sourceRoute || o.Type == IPv4OptLooseSourceRoute || o.Type == IPv4OptStrictSourceRoute
		}
		if ok, err := r.Next(&o); ok || err != nil {
			t.Fatalf("Next behind the end = %v, %v", ok, err)
		}
	})
}

func FuzzIPv6(f *testing.F) {
	b := dirty(IPv6Len)
	(&IPv6{PayloadLen: 3, NextHeader: ProtocolTCP}).Marshal(b)
	f.Add(append(b, 1, 2, 3, 4))
	f.Add(b[:39])
	f.Add(append(bytes.Clone(b), 1, 2))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bounded(b)
		var h, q IPv6
		quoted, quoteErr := q.ParseQuote(b)
		if quoteErr != nil {
			refused(t, quoted, quoteErr, ErrShort, ErrVersion)
		} else {
			within(t, b, quoted)
		}
		payload, err := h.Parse(b)
		if err != nil {
			refused(t, payload, err, ErrShort, ErrVersion, ErrLength)
			return
		}
		within(t, b, payload)
		if quoteErr != nil || q != h || !bytes.Equal(quoted, payload) || len(payload) != h.PayloadLen {
			t.Fatalf("ParseQuote = %x, %v; Parse = %x, %+v", quoted, quoteErr, payload, h)
		}
		var l layers.IPv6
		if err := l.DecodeFromBytes(b, gopacket.NilDecodeFeedback); err == nil && h != fromIPv6(&l) {
			t.Fatalf("%+v, gopacket: %+v", h, fromIPv6(&l))
		}
		out := dirty(IPv6Len)
		if h.Marshal(out); !bytes.Equal(out, b[:IPv6Len]) {
			t.Fatalf("%x written as %x", b, out)
		}
	})
}

func FuzzICMPv4(f *testing.F) {
	f.Add([]byte{8, 0, 0, 0, 1, 2, 3, 4, 5}, true)
	f.Add([]byte{3, 4, 0, 0}, false)
	f.Fuzz(func(t *testing.T, b []byte, fix bool) {
		b = bounded(bytes.Clone(b))
		if fix && len(b) >= ICMPLen {
			PutICMPv4Checksum(b)
		}
		var h ICMPv4
		body, err := h.Parse(b)
		if fix && len(b) >= ICMPLen && err != nil {
			t.Fatalf("%x with its checksum: %v", b, err)
		}
		if err != nil {
			refused(t, body, err, ErrShort, ErrChecksum)
			return
		}
		within(t, b, body)
		var l layers.ICMPv4
		if err := l.DecodeFromBytes(b, gopacket.NilDecodeFeedback); err != nil || h != fromICMPv4(&l) || !bytes.Equal(l.Payload, body) {
			t.Fatalf("%+v, gopacket: %+v, %v", h, l, err)
		}
		out := dirty(ICMPLen)
		if h.Marshal(out); !bytes.Equal(out, b[:ICMPLen]) {
			t.Fatalf("%x written as %x", b, out)
		}
	})
}

func FuzzICMPv6(f *testing.F) {
	f.Add([]byte{128, 0, 0, 0, 1, 2, 3, 4, 5}, true, uint64(1))
	f.Add([]byte{2, 0, 0, 0}, false, uint64(2))
	f.Fuzz(func(t *testing.T, b []byte, fix bool, addrs uint64) {
		b = bounded(bytes.Clone(b))
		r := rand.New(rand.NewPCG(addrs, 0))
		src, dst := [16]byte(randomBytes(r, 16)), [16]byte(randomBytes(r, 16))
		if fix && len(b) >= ICMPLen {
			PutICMPv6Checksum(b, src, dst)
		}
		h, body, err := ParseICMPv6(b, src, dst)
		if fix && len(b) >= ICMPLen && err != nil {
			t.Fatalf("%x with its checksum: %v", b, err)
		}
		if err != nil {
			refused(t, body, err, ErrShort, ErrChecksum)
			return
		}
		within(t, b, body)
		var l layers.ICMPv6
		if err := l.DecodeFromBytes(b, gopacket.NilDecodeFeedback); err != nil || h != fromICMPv6(&l) {
			t.Fatalf("%+v, gopacket: %+v, %v", h, l, err)
		}
		out := dirty(ICMPLen)
		if h.Marshal(out); !bytes.Equal(out, b[:ICMPLen]) {
			t.Fatalf("%x written as %x", b, out)
		}
	})
}

func FuzzUDP(f *testing.F) {
	f.Add([]byte{0, 1, 0, 2, 0, 9, 0, 0, 1, 2})
	f.Add([]byte{0, 1, 0, 2, 0, 7, 0, 0})
	f.Add([]byte{0, 1, 0, 2, 0xff, 0xff, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bounded(b)
		var h, q UDP
		quoteErr := q.ParseQuote(b)
		payload, err := h.Parse(b)
		if err != nil {
			refused(t, payload, err, ErrShort, ErrLength)
			if (err == ErrShort) != (quoteErr == ErrShort) {
				t.Fatalf("Parse: %v, ParseQuote: %v", err, quoteErr)
			}
			return
		}
		within(t, b, payload)
		if quoteErr != nil || q != h || len(payload) != h.Length-UDPLen {
			t.Fatalf("%x read as %+v with %d octets, quoted as %+v", b, h, len(payload), q)
		}
		var l layers.UDP
		if err := l.DecodeFromBytes(b, gopacket.NilDecodeFeedback); err != nil || h != fromUDP(&l) || !bytes.Equal(l.Payload, payload) {
			t.Fatalf("%+v, gopacket: %+v, %v", h, l, err)
		}
		out := dirty(UDPLen)
		if h.Marshal(out); !bytes.Equal(out, b[:UDPLen]) {
			t.Fatalf("%x written as %x", b, out)
		}
	})
}

func FuzzTCP(f *testing.F) {
	f.Add(syn(1, 2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7))
	f.Add(syn(1, 1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2))
	f.Add(syn(1, 34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 28, 4, 0, 9))
	f.Add(syn(1, 2, 0))
	f.Add(syn(1, 254, 255))
	f.Add(with(syn(0), 12, 0x40))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bounded(b)
		var h TCP
		text, err := h.Parse(b)
		var l layers.TCP
		failed := l.DecodeFromBytes(b, gopacket.NilDecodeFeedback)
		if err == ErrShort || err == ErrLength {
			if refused(t, text, err, ErrShort, ErrLength); failed == nil {
				t.Fatalf("%x: %v, but gopacket reads it", b, err)
			}
			return
		}
		header := h
		header.Options = TCPOptions{}
		if header != fromTCP(&l) {
			t.Fatalf("%+v, gopacket: %+v", header, fromTCP(&l))
		}
		if legal := legalTCPOptions(b[TCPLen:h.HeaderLen]); legal != (err == nil) {
			t.Fatalf("%x: %v", b[TCPLen:h.HeaderLen], err)
		}
		if err != nil {
			refused(t, text, err, ErrOption)
			return
		}
		within(t, b, text)
		if h.HeaderLen+len(text) != len(b) {
			t.Fatalf("header of %d and text of %d in %d octets", h.HeaderLen, len(text), len(b))
		}
		checkTCPRoundTrip(t, &h, b)
	})
}

// legalTCPOptions says whether every option up to EOL has a length that it may have.
func legalTCPOptions(b []byte) bool {
	for i := 0; i < len(b) && b[i] != 0; {
		switch {
		case b[i] == 1:
			i++
		case i+1 == len(b) || b[i+1] < 2 || i+int(b[i+1]) > len(b):
			return false
		default:
			i += int(b[i+1])
		}
	}
	return true
}

// checkTCPRoundTrip writes h, which was read from b, and reads it again.
func checkTCPRoundTrip(t *testing.T, h *TCP, b []byte) {
	t.Helper()
	out := dirty(TCPMaxLen)
	n := h.Marshal(out)
	if n != TCPLen+h.Options.Len() || n > TCPMaxLen || !bytes.Equal(out[n:], dirty(TCPMaxLen-n)) {
		t.Fatalf("Marshal of %+v = %d, Len = %d: %x", h, n, h.Options.Len(), out)
	}
	offset := binary.BigEndian.Uint16(b[12:])&0x1ff | uint16(n/4)<<12
	fixed := binary.BigEndian.AppendUint16(bytes.Clone(b[:12]), offset)
	if fixed = append(fixed, b[14:20]...); !bytes.Equal(out[:TCPLen], fixed) {
		t.Fatalf("fixed header %x written as %x", fixed, out[:TCPLen])
	}
	var again TCP
	if _, err := again.Parse(out[:n]); err != nil {
		t.Fatalf("%+v written as %x: %v", h, out[:n], err)
	}
	want := *h
	want.HeaderLen = n
	want.Options = thatFit(want.Options, again.Options)
	if again != want {
		t.Fatalf("%+v written as %x, read as %+v", want, out[:n], again)
	}
	if lost := h.Options.Has &^ again.Options.Has; lost != 0 && n+4 <= TCPMaxLen-8 {
		t.Fatalf("%+v: options %#x left out of %d octets", h, lost, n)
	}
}

// thatFit returns options as they come back from Marshal as back. Packed by others they may fit into 40
// octets and, each aligned, do not: then a user timeout or the last SACK blocks stay behind. What does come
// back must be right.
func thatFit(options, back TCPOptions) TCPOptions {
	if back.Has&TCPOptUserTimeout == 0 {
		options.Has &^= TCPOptUserTimeout
		options.UserTimeout = 0
	}
	if back.NumSACK < options.NumSACK {
		options.NumSACK = back.NumSACK
		clear(options.SACK[back.NumSACK:])
	}
	if options.NumSACK == 0 {
		options.Has &^= TCPOptSACK
	}
	return options
}
