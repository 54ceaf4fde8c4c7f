package stack

import (
	"hash/maphash"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/tcp"
)

// sendFragments cuts a packet that exceeds the MTU (RFC 791 2.3). The checksum is made here in any case: no
// device completes one over several frames. The fragments share one copy of the payload.
func (r *route) sendFragments(p *outPacket) {
	ifc := r.iface
	size := len(p.header) + p.payloadLen
	if wire.IPv4Len+size > 65535 {
		ifc.host.drop(DropTooBig)
		return
	}
	whole := link.NewBuffer(size)
	data := whole.Bytes()[:size]
	at := copy(data, p.header)
	for _, s := range p.payload {
		at += copy(data[at:], s.Data)
	}
	if p.sumOffset >= 0 {
		sum := wire.PseudoHeader4(r.local.As4(), r.remote.As4(), p.proto, size)
		putChecksum(data[p.sumOffset:], p, sum)
	}
	q := r.queueFor(p)
	step := (r.mtu(p) - wire.IPv4Len) &^ 7
	ip := r.header4(p, 0)
	ip.ID = ifc.host.ids.next(r.local, r.remote, p.proto)
	var gather [1]tcp.Span
	for offset := 0; offset < size; offset += step {
		n := min(step, size-offset)
		ip.TotalLen, ip.FragmentOffset, ip.MF = wire.IPv4Len+n, offset, offset+n < size
		front := ifc.linkLen + wire.IPv4Len
		buf := link.NewBuffer(link.Headroom + front)
		ip.Marshal(buf.Bytes()[link.Headroom+ifc.linkLen:])
		var f link.Frame
		f.Set(buf, link.Headroom, link.Headroom+front)
		gather[0] = tcp.Span{Data: data[offset : offset+n : offset+n], Owner: whole}
		r.transmit(q, &f, gather[:])
	}
	whole.Release()
	ifc.host.counters.fragmented.Add(1)
}

// identSlots is the number of counters behind identifications.
const identSlots = 1024

// identifier makes IPv4 identifications. Each is a counter passed through a permutation of 16 bits that a
// secret and the packet's addresses and protocol choose: for one tuple no identification comes again within
// 65,536 (RFC 6864 4.3), and nobody who sees them learns how many others were sent in between (RFC 7739's
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

func (d *identifier) next(src, dst netip.Addr, proto uint8) uint16 {
	type tuple struct {
		src, dst netip.Addr
		proto    uint8
	}
	key := maphash.Comparable(d.seed, tuple{src, dst, proto})
	return permute(uint16(d.slots[key%identSlots].Add(1)), key)
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
