package stack

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
)

// flowKind is the type of the record that a flow is part of.
type flowKind uint8

const (
	connFlow flowKind = iota
	halfOpenFlow
	timeWaitFlow
)

// flow is the first field of everything that a table holds: connections, half-open records and TIME-WAIT records. It has
// 32 octets, because there may be millions. A host has few local addresses, so the local address with its scope is a number
// from the address book, which is valid as long as the flow is in a table.
type flow struct {
	next   *flow
	remote [16]byte
	ports  uint32 // local<<16 | remote
	local  uint16
	kind   flowKind
}

func (f *flow) localPort() uint16 { return uint16(f.ports >> 16) }

// family returns the family of the flow's addresses.
func (f *flow) family() families {
	if [12]byte(f.remote[:12]) == mappedPrefix {
		return v4
	}
	return v6
}

// mappedPrefix is what an IPv4 address in its mapped form begins with (RFC 4291 2.5.5.2).
var mappedPrefix = [12]byte{10: 0xff, 11: 0xff}

// flowKey is a four-tuple in the form in which tables hash it: local address with its scope, remote address, local port
// and remote port. IPv4 addresses are in their mapped form, and no address has a zone.
type flowKey [40]byte

// scopedAddr is the local address of a flow with its scope: the index of the interface if one of the flow's addresses is a
// link-local one of IPv6, which means another host on each interface (RFC 4007 6); 0 for all other flows.
type scopedAddr struct {
	addr  [16]byte
	scope uint32
}

// makeKey returns the key of a flow with a scope: see core.flowKey.
func makeKey(local, remote netip.AddrPort, scope uint32) (k flowKey) {
	k.set(local.Addr(), remote.Addr(), local.Port(), remote.Port(), scope)
	return k
}

func (k *flowKey) set(local, remote netip.Addr, localPort, remotePort uint16, scope uint32) {
	*k.localAddr(), *k.remoteAddr() = local.As16(), remote.As16()
	binary.BigEndian.PutUint32(k[16:], scope)
	binary.BigEndian.PutUint32(k[36:], uint32(localPort)<<16|uint32(remotePort))
}

func (k *flowKey) ports() uint32          { return binary.BigEndian.Uint32(k[36:]) }
func (k *flowKey) setLocalPort(p uint16)  { binary.BigEndian.PutUint16(k[36:], p) }
func (k *flowKey) localAddr() *[16]byte   { return (*[16]byte)(k[0:16]) }
func (k *flowKey) scope() uint32          { return binary.BigEndian.Uint32(k[16:]) }
func (k *flowKey) remoteAddr() *[16]byte  { return (*[16]byte)(k[20:36]) }
func (k *flowKey) remote() netip.AddrPort { return addrPort(k.remoteAddr(), uint16(k.ports())) }
func (k *flowKey) local() netip.AddrPort  { return addrPort(k.localAddr(), uint16(k.ports()>>16)) }

func addrPort(a *[16]byte, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(*a).Unmap(), port)
}

// addressBook gives numbers to the local addresses of flows. Reading takes no lock: a number stands for the same address as
// long as a flow uses it. The first lastingAddresses addresses keep their numbers for ever, so that a host with no more
// addresses than that need not count flows. The number of any other address is used again once no flow has it.
type addressBook struct {
	list  atomic.Pointer[[]scopedAddr]
	mu    sync.Mutex
	index map[scopedAddr]uint16
	flows []int32  // by number, how many flows have it
	spare []uint16 // numbers that none has
}

// lastingAddresses is how many addresses keep their numbers for ever.
const lastingAddresses = 4

func (b *addressBook) init() {
	b.list.Store(new([]scopedAddr))
	b.index = make(map[scopedAddr]uint16)
}

// number returns the number of a local address for one more flow, which must call release in the end. ok is false when all
// 65,536 numbers are in use for other addresses.
func (b *addressBook) number(a scopedAddr) (n uint16, ok bool) {
	for i, known := range *b.list.Load() {
		if i == lastingAddresses {
			break
		}
		if known == a {
			return uint16(i), true
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if n, ok := b.index[a]; ok {
		b.flows[n]++
		return n, true
	}
	old := *b.list.Load()
	switch last := len(b.spare) - 1; {
	case last >= 0:
		n = b.spare[last]
		b.spare = b.spare[:last]
		old[n] = a // no reader looks there: no flow has the number
	case len(old) > 0xffff:
		return 0, false
	default:
		// Readers hold shorter slices of the same array, and never look beyond them.
		n = uint16(len(old))
		list := append(old, a)
		b.list.Store(&list)
		b.flows = append(b.flows, 0)
	}
	b.index[a] = n
	b.flows[n]++
	return n, true
}

// release ends the use of a number by a flow.
func (b *addressBook) release(n uint16) {
	if n < lastingAddresses {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.flows[n]--; b.flows[n] == 0 {
		delete(b.index, (*b.list.Load())[n])
		b.spare = append(b.spare, n)
	}
}

// table finds flows by their four-tuple. It has a power of two of buckets, each a chain of flows. It grows and shrinks by a
// few buckets at a time, so that no single segment has to wait until all are moved. All calls are made under the shard's
// lock.
type table struct {
	book    *addressBook
	seed    maphash.Seed
	buckets []*flow
	// old is the array from which flows are being moved to buckets: those from index moved on still hold flows.
	old   []*flow
	moved int
	len   int
}

const (
	minBuckets = 16
	// moveBuckets is how many old buckets each insert and remove empties. So a table that grows has moved everything
	// long before it must grow again. A table that shrinks begins with an eighth of its buckets in use, and has moved
	// everything before a sixteenth is.
	moveBuckets = 16
	// keepBuckets is how many buckets an empty table keeps.
	keepBuckets = 1024
)

func (t *table) hash(k *flowKey) uint64 { return maphash.Bytes(t.seed, k[:]) }

// key returns the four-tuple of f.
func (t *table) key(f *flow) (k flowKey) {
	local := &(*t.book.list.Load())[f.local]
	copy(k[0:16], local.addr[:])
	binary.BigEndian.PutUint32(k[16:], local.scope)
	copy(k[20:36], f.remote[:])
	binary.BigEndian.PutUint32(k[36:], f.ports)
	return k
}

// find returns the flow with the four-tuple k, nil if there is none.
func (t *table) find(k *flowKey, hash uint64) *flow {
	if t.len == 0 {
		return nil
	}
	book, ports := *t.book.list.Load(), k.ports()
	for f := *t.bucket(hash); f != nil; f = f.next {
		if f.ports != ports || f.remote != *k.remoteAddr() {
			continue
		}
		if local := &book[f.local]; local.addr == *k.localAddr() && local.scope == k.scope() {
			return f
		}
	}
	return nil
}

// bucket returns the chain that flows with this hash are in at present.
func (t *table) bucket(hash uint64) **flow {
	if t.old != nil {
		if i := int(hash) & (len(t.old) - 1); i >= t.moved {
			return &t.old[i]
		}
	}
	return &t.buckets[int(hash)&(len(t.buckets)-1)]
}

// insert adds f with the four-tuple k, which must not be in the table. It is false when the host has no number left
// for the local address.
func (t *table) insert(f *flow, k *flowKey, hash uint64) bool {
	local, ok := t.book.number(scopedAddr{*k.localAddr(), k.scope()})
	if !ok {
		return false
	}
	f.local, f.remote, f.ports = local, *k.remoteAddr(), k.ports()
	t.resize(t.len + 1)
	b := t.bucket(hash)
	f.next, *b = *b, f
	t.len++
	return true
}

// remove takes f out of the table.
func (t *table) remove(f *flow) {
	if t.len == 0 {
		return
	}
	k := t.key(f)
	for at := t.bucket(t.hash(&k)); *at != nil; at = &(*at).next {
		if *at == f {
			*at = f.next
			f.next = nil
			t.len--
			t.resize(t.len)
			t.book.release(f.local)
			return
		}
	}
}

// replace puts f in the place of old, with the same four-tuple.
func (t *table) replace(old, f *flow) {
	f.local, f.remote, f.ports = old.local, old.remote, old.ports
	k := t.key(old)
	for at := t.bucket(t.hash(&k)); *at != nil; at = &(*at).next {
		if *at == old {
			f.next, *at = old.next, f
			old.next = nil
			return
		}
	}
}

// resize begins to move the flows to an array whose size suits n flows, or continues a move.
func (t *table) resize(n int) {
	if n == 0 && len(t.buckets) > keepBuckets {
		t.buckets, t.old = nil, nil
		return
	}
	if t.old == nil {
		switch {
		case t.buckets == nil:
			t.buckets = make([]*flow, minBuckets)
			return
		case n > len(t.buckets):
			t.old, t.buckets = t.buckets, make([]*flow, 2*len(t.buckets))
		case len(t.buckets) > minBuckets && n < len(t.buckets)/8:
			t.old, t.buckets = t.buckets, make([]*flow, len(t.buckets)/2)
		default:
			return
		}
		t.moved = 0
	}
	for range moveBuckets {
		if t.moved == len(t.old) {
			t.old = nil
			return
		}
		chain := t.old[t.moved]
		t.old[t.moved] = nil
		t.moved++
		for f := chain; f != nil; {
			next := f.next
			k := t.key(f)
			b := &t.buckets[int(t.hash(&k))&(len(t.buckets)-1)]
			f.next, *b = *b, f
			f = next
		}
	}
}

// all returns the flows for which match is true, in a list of its own, so that the caller may remove them.
func (t *table) all(match func(*flow) bool) []*flow {
	var list []*flow
	for _, chains := range [...][]*flow{t.buckets, t.old} {
		for _, f := range chains {
			for ; f != nil; f = f.next {
				if match(f) {
					list = append(list, f)
				}
			}
		}
	}
	return list
}
