package tcp

import (
	"go/parser"
	"go/token"
	"net/netip"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/mono"
)

// TestSecret checks what keeps a stranger from computing the pseudo-random part of an initial sequence number.
func TestSecret(t *testing.T) {
	tuples := []Tuple{
		{netip.MustParseAddrPort("10.0.0.2:80"), netip.MustParseAddrPort("10.0.0.1:1000")},
		{netip.MustParseAddrPort("[2001:db8::2]:80"), netip.MustParseAddrPort("[2001:db8::1]:1000")},
		{netip.MustParseAddrPort("[fe80::2%eth0]:80"), netip.MustParseAddrPort("[fe80::1%eth0]:1000")},
	}
	now := mono.Time(time.Hour)
	t.Run("MUST-9 the key is of 128 bits at least, drawn anew for each host from crypto/rand", func(t *testing.T) {
		if bits := 8 * len(Secret{}); bits < 128 {
			t.Errorf("a key of %d bits", bits)
		}
		seen := make(map[Secret]bool)
		for range 100 {
			s := NewSecret()
			if seen[*s] || *s == (Secret{}) {
				t.Fatal("a key came twice, or is none")
			}
			seen[*s] = true
		}
		f, err := parser.ParseFile(token.NewFileSet(), "secret.go", nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		random := false
		for _, spec := range f.Imports {
			random = random || spec.Path.Value == `"crypto/rand"`
			if spec.Path.Value == `"math/rand/v2"` || spec.Path.Value == `"math/rand"` {
				t.Errorf("secret.go imports %s", spec.Path.Value)
			}
		}
		if !random {
			t.Error("secret.go does not import crypto/rand")
		}
	})
	t.Run("MUST-9 each bit of the key counts, and each of the tuple", func(t *testing.T) {
		for _, tuple := range tuples {
			key := *NewSecret()
			iss, offset := key.initial(tuple, now)
			differ := func(what string, n int, k *Secret, tuple Tuple) {
				if i, o := k.initial(tuple, now); i == iss && o == offset {
					t.Errorf("%s %d changes nothing", what, n)
				}
			}
			for bit := range 8 * len(key) {
				other := key
				other[bit/8] ^= 1 << (bit % 8)
				differ("key bit", bit, &other, tuple)
			}
			for bit := range 16 {
				other := tuple
				other.Remote = netip.AddrPortFrom(tuple.Remote.Addr(), tuple.Remote.Port()^1<<bit)
				differ("bit of the remote port", bit, &key, other)
				other = tuple
				other.Local = netip.AddrPortFrom(tuple.Local.Addr(), tuple.Local.Port()^1<<bit)
				differ("bit of the local port", bit, &key, other)
			}
			for bit := range tuple.Local.Addr().BitLen() {
				flip := func(a netip.Addr) netip.Addr {
					b := a.AsSlice()
					b[bit/8] ^= 1 << (bit % 8)
					flipped, _ := netip.AddrFromSlice(b)
					return flipped.WithZone(a.Zone())
				}
				other := tuple
				other.Remote = netip.AddrPortFrom(flip(tuple.Remote.Addr()), tuple.Remote.Port())
				differ("bit of the remote address", bit, &key, other)
				other = tuple
				other.Local = netip.AddrPortFrom(flip(tuple.Local.Addr()), tuple.Local.Port())
				differ("bit of the local address", bit, &key, other)
			}
			if zone := tuple.Local.Addr().Zone(); zone != "" {
				on := func(a netip.AddrPort) netip.AddrPort {
					return netip.AddrPortFrom(a.Addr().WithZone("eth1"), a.Port())
				}
				differ("zone", 1, &key, Tuple{on(tuple.Local), on(tuple.Remote)})
			}
		}
	})
}
