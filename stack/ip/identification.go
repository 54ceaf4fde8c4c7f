package ip

import (
	"hash/maphash"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
)

// identSlots is the number of counters behind identifications.
const identSlots = 1024

// identifier makes the identifications of datagrams that may be cut. IPv4 has room for the lower half, which is a counter
// passed through a permutation of 16 bits that a secret and the packet's addresses and protocol choose: for one tuple no identification comes again within
// 65,536 (RFC 6864 4.3), and an observer cannot tell how many others were sent in between (RFC 7739's
// idle scan), although tuples share counters.
type identifier struct {
	seed  maphash.Seed
	slots [identSlots]atomic.Uint32
}

func (d *identifier) init() {
	d.seed = maphash.MakeSeed()
	for i := range d.slots {
		d.slots[i].Store(rand.Uint32())
	}
}

func (d *identifier) next(src, dst netip.Addr, proto uint8) uint32 {
	type tuple struct {
		src, dst netip.Addr
		proto    uint8
	}
	key := maphash.Comparable(d.seed, tuple{src, dst, proto})
	count := d.slots[key%identSlots].Add(1)
	upper := permute(uint16(count>>16), bits.RotateLeft64(key, 32))
	return uint32(upper)<<16 | uint32(permute(uint16(count), key))
}

// permute is a Feistel network of four rounds over two octets: a bijection, whatever the key is.
func permute(x uint16, key uint64) uint16 {
	l, r := uint8(x>>8), uint8(x)
	for i := range 4 {
		k := uint32(key>>(16*i)) & 0xffff
		f := (uint32(r) + k) * 0x9e3779b1
		f ^= f >> 15
		f *= 0x85ebca6b
		l, r = r, l^uint8(f>>24)
	}
	return uint16(l)<<8 | uint16(r)
}
