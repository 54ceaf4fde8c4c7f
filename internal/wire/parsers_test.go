package wire

import (
	"math/rand/v2"
	"testing"
)

// Every parser, without the headers around it.
var parsers = map[string]func(b []byte) error{
	"Ethernet":  func(b []byte) error { _, err := new(Ethernet).Parse(b); return err },
	"VLANTag":   func(b []byte) error { _, err := new(VLANTag).Parse(b); return err },
	"ARP":       func(b []byte) error { return new(ARP).Parse(b) },
	"IPv4":      func(b []byte) error { _, err := new(IPv4).Parse(b); return err },
	"IPv6":      func(b []byte) error { _, err := new(IPv6).Parse(b); return err },
	"extension": func(b []byte) error { _, err := new(IPv6Extension).Parse(b); return err },
	"chain":     func(b []byte) error { WalkIPv6(b); return nil },
	"fragment":  func(b []byte) error { _, err := new(IPv6Fragment).Parse(b); return err },
	"neighbour": func(b []byte) error { _, err := new(NDNeighbor).Parse(&ICMPv6{}, b); return err },
	"router":    func(b []byte) error { _, err := new(NDRouterAdvertisement).Parse(&ICMPv6{}, b); return err },
	"redirect":  func(b []byte) error { _, err := new(NDRedirect).Parse(b); return err },
	"prefix":    func(b []byte) error { return new(NDPrefix).Parse(&NDOption{Data: b}) },
	"query":     func(b []byte) error { return new(MLDQuery).Parse(&ICMPv6{}, b) },
	"group":     func(b []byte) error { return new(MLDGroup).Parse(b) },
	"ICMPv4":    func(b []byte) error { _, err := new(ICMPv4).Parse(b); return err },
	"ICMPv6":    func(b []byte) error { _, err := new(ICMPv6).Parse(b, [16]byte{}, [16]byte{}); return err },
	"UDP":       func(b []byte) error { _, err := new(UDP).Parse(b); return err },
	"TCP":       func(b []byte) error { _, err := new(TCP).Parse(b); return err },
	"options":   func(b []byte) error { return new(TCPOptions).Parse(b) },
	"quote4":    func(b []byte) error { _, err := new(IPv4).ParseQuote(b); return err },
	"quote6":    func(b []byte) error { _, err := new(IPv6).ParseQuote(b); return err },
}

// TestParsers gives each parser random octets of every length up to 128: what the fuzzers of this package do for
// longer. No parser may panic, or take memory.
func TestParsers(t *testing.T) {
	for name, parse := range parsers {
		t.Run("F-FUZZ-1 "+name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, uint64(len(name))))
			var octets [128]byte
			one := func() {
				b := octets[:r.IntN(len(octets)+1)]
				for i := range b {
					b[i] = byte(r.Uint32())
					if r.IntN(3) == 0 { // lengths, versions and offsets are small numbers, or nearly right
						b[i] = []byte{0, 1, 2, 4, 5, 6, 8, 0x45, 0x50, 0x60, 0xff}[r.IntN(11)]
					}
				}
				_ = parse(b[:len(b):len(b)])
			}
			if n := testing.AllocsPerRun(4000, one); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}
