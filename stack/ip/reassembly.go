package ip

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

const (
	// datagramCost and fragmentCost are what the records themselves are charged, in octets.
	datagramCost = 256
	fragmentCost = 64
)

// fragmentKey says which fragments belong together (RFC 791 3.2). It is a key of a Go map, whose hash is seeded.
type fragmentKey struct {
	src, dst netip.Addr
	proto    uint8
	id       uint32
}

// fragmentIn is what a packet that is a fragment says of its place.
type fragmentIn struct {
	id     uint32
	offset int // of its payload, in octets
	more   bool
}

// fragment is one piece of a datagram: a copy, so that a small one does not pin a frame.
type fragment struct {
	offset, length int
	buf            *link.Buffer
}

// datagram is a datagram that is not complete yet. After an overlap it never will be: the record stays until its time is
// over, so that later fragments are dropped with it (RFC 5722 4).
type datagram struct {
	key       fragmentKey
	iface     *Interface
	deadline  mono.Time
	fragments []fragment // by offset, none overlapping
	have      int        // octets in fragments
	length    int        // of the whole payload; -1 until the last fragment is there
	header    []byte     // the headers of the first fragment, IPv6's fragment header too; nil until it is there
	nextAt    int        // of header, the octet of IPv6's Next Header that names the fragment header
	tos       uint8
	ecn       uint8 // a bit for each ECN codepoint that was seen
	broadcast bool
	refused   bool
	charge    int
	source    *fragmentSource

	older, newer             *datagram // of all
	sourceOlder, sourceNewer *datagram // of the same source
}

// fragmentSource is what one source address has in the table: its share is bounded, so that it cannot
// push out the others' datagrams while there is room.
type fragmentSource struct {
	addr           netip.Addr
	charge         int
	oldest, newest *datagram
}

// reassembly puts fragmented datagrams together (RFC 791 3.2, RFC 1122 3.3.2, RFC 8200 4.5).
type reassembly struct {
	base *base

	mu        sync.Mutex
	datagrams map[fragmentKey]*datagram
	sources   map[netip.Addr]*fragmentSource
	ages      [2]fragmentAges // of IPv4 and of IPv6
	charge    int
}

// fragmentAges is the list of the incomplete datagrams of a family, all of which have the same time: the list by age is
// that by deadline.
type fragmentAges struct{ oldest, newest *datagram }

// agesOf returns the list of an address's family.
func (t *reassembly) agesOf(a netip.Addr) *fragmentAges {
	if a.Is4() {
		return &t.ages[0]
	}
	return &t.ages[1]
}

// oldest returns the incomplete datagram with the earliest deadline, nil if there is none.
func (t *reassembly) oldest() *datagram {
	d := t.ages[0].oldest
	if other := t.ages[1].oldest; d == nil || other != nil && other.deadline < d.deadline {
		d = other
	}
	return d
}

// eldest returns the incomplete datagram whose first fragment came first, nil if there is none. It is not always that with
// the earliest deadline: then any datagram of IPv6 would outlive all of IPv4 that are to give way.
func (t *reassembly) eldest() *datagram {
	began := func(d *datagram) mono.Time { return d.deadline.Add(-t.life(d.key.src)) }
	d, other := t.ages[0].oldest, t.ages[1].oldest
	if d == nil || other != nil && began(other) < began(d) {
		return other
	}
	return d
}

// life returns how long the fragments of a datagram may take. RFC 8200 4.5 gives IPv6's twice the time that IPv4's have.
func (t *reassembly) life(a netip.Addr) time.Duration {
	if a.Is4() {
		return t.base.ReassemblyTimeout
	}
	return 2 * t.base.ReassemblyTimeout
}

func (t *reassembly) init(b *base) {
	t.base = b
	t.datagrams = make(map[fragmentKey]*datagram)
	t.sources = make(map[netip.Addr]*fragmentSource)
}

func (t *reassembly) size() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.charge
}

// add takes a fragment, whose payload it copies. When it was the last one missing, add makes p the whole
// datagram in a buffer of its own, which the caller releases, and returns true.
func (t *reassembly) add(f fragmentIn, p *Packet) (whole bool) {
	end := f.offset + len(p.Payload)
	if len(p.Payload) == 0 || p.family == family4 && end+len(p.header) > maxPacket || f.more && len(p.Payload)%8 != 0 || tiny(f, p) {
		t.base.drop(drop.Fragment)
		return false
	}
	key := fragmentKey{src: p.Src, dst: p.Dst, id: f.id}
	if p.family == family4 { // IPv6 tells datagrams apart without it
		key.proto = p.Protocol
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.datagrams[key]
	if d == nil {
		d = t.openLocked(key, p)
	}
	if d.refused {
		t.base.drop(drop.FragmentOverlap)
		return false
	}
	if !f.more {
		if d.length >= 0 && d.length != end {
			t.refuseLocked(d)
			return false
		}
		d.length = end
	}
	if d.length >= 0 && (end > d.length || d.last() > d.length) || !t.insertLocked(d, f.offset, p.Payload) {
		t.refuseLocked(d)
		return false
	}
	d.broadcast = d.broadcast || p.Broadcast
	if f.offset == 0 && d.header == nil {
		d.header, d.nextAt = bytes.Clone(p.header), p.nextAt
		d.tos |= p.TOS
	}
	const marked, unmarkable = 1 << CE, 1 << NotECT
	if d.ecn |= 1 << (p.TOS & ECNMask); d.ecn&marked != 0 {
		if d.ecn&unmarkable != 0 { // no marking of the whole says both (RFC 3168 5.3)
			t.refuseLocked(d)
			return false
		}
		d.tos |= CE
	}
	if p.family == family6 && d.have == d.length && len(d.header)-wire.IPv6FragmentLen-wire.IPv6Len+d.length > maxPacket {
		t.refuseLocked(d) // the first fragment had more headers than the others, so that each by itself seemed to fit
		return false
	}
	if d.have == d.length {
		t.completeLocked(d, p)
		return true
	}
	t.makeRoomLocked(d)
	return false
}

// The part of the traffic class that ECN uses: whether a router may mark the packet instead of dropping it, and whether
// one has. The codepoints are Not-ECT, ECT(0) and CE (RFC 3168 5).
const (
	ECNMask = 3
	NotECT  = 0
	ECT0    = 2
	CE      = 3
)

// tiny says whether a TCP fragment is cut such that a filter would not see the flags (RFC 3128).
func tiny(f fragmentIn, p *Packet) bool {
	return p.Protocol == wire.ProtocolTCP && (f.offset == 8 || f.offset == 0 && len(p.Payload) < wire.TCPLen)
}

// last returns where the fragments end.
func (d *datagram) last() int {
	if n := len(d.fragments); n > 0 {
		return d.fragments[n-1].offset + d.fragments[n-1].length
	}
	return 0
}

// insertLocked puts a copy of data in its place. An exact duplicate is ignored, any other overlap refuses
// the datagram (ledger Z-10).
func (t *reassembly) insertLocked(d *datagram, offset int, data []byte) bool {
	i, _ := slices.BinarySearchFunc(d.fragments, offset, func(f fragment, offset int) int {
		return cmp.Compare(f.offset, offset)
	})
	end := offset + len(data)
	if i < len(d.fragments) {
		next := &d.fragments[i]
		if next.offset == offset && next.length == len(data) {
			return bytes.Equal(next.buf.Bytes()[:next.length], data)
		}
		if next.offset < end {
			return false
		}
	}
	if i > 0 && d.fragments[i-1].offset+d.fragments[i-1].length > offset {
		return false
	}
	buf := link.NewBuffer(len(data))
	copy(buf.Bytes(), data)
	d.fragments = insert(d.fragments, i, fragment{offset: offset, length: len(data), buf: buf})
	d.have += len(data)
	t.chargeLocked(d, buf.Cap()+fragmentCost)
	return true
}

func (t *reassembly) chargeLocked(d *datagram, n int) {
	d.charge += n
	d.source.charge += n
	t.charge += n
}

// openLocked begins a datagram and its time.
func (t *reassembly) openLocked(key fragmentKey, p *Packet) *datagram {
	s := t.sources[key.src]
	if s == nil {
		s = &fragmentSource{addr: key.src}
		t.sources[key.src] = s
	}
	d := &datagram{key: key, iface: p.Interface, length: -1, source: s,
		deadline: t.base.now().Add(t.life(key.src))}
	ages := t.agesOf(key.src)
	if d.older = ages.newest; d.older != nil {
		d.older.newer = d
	} else {
		ages.oldest = d
		t.base.arm(d.deadline)
	}
	ages.newest = d
	if d.sourceOlder = s.newest; d.sourceOlder != nil {
		d.sourceOlder.sourceNewer = d
	} else {
		s.oldest = d
	}
	s.newest = d
	t.datagrams[key] = d
	t.chargeLocked(d, datagramCost)
	return d
}

// closeLocked takes a datagram out and frees what it holds.
func (t *reassembly) closeLocked(d *datagram) {
	t.freeLocked(d)
	delete(t.datagrams, d.key)
	ages := t.agesOf(d.key.src)
	if d.older != nil {
		d.older.newer = d.newer
	} else {
		ages.oldest = d.newer
	}
	if d.newer != nil {
		d.newer.older = d.older
	} else {
		ages.newest = d.older
	}
	s := d.source
	if d.sourceOlder != nil {
		d.sourceOlder.sourceNewer = d.sourceNewer
	} else {
		s.oldest = d.sourceNewer
	}
	if d.sourceNewer != nil {
		d.sourceNewer.sourceOlder = d.sourceOlder
	} else {
		s.newest = d.sourceOlder
	}
	t.chargeLocked(d, -d.charge)
	if s.oldest == nil {
		delete(t.sources, s.addr)
	}
}

// freeLocked frees the fragments and leaves the record.
func (t *reassembly) freeLocked(d *datagram) {
	for i := range d.fragments {
		d.fragments[i].buf.Release()
	}
	d.fragments, d.header, d.have = nil, nil, 0
	t.chargeLocked(d, datagramCost-d.charge)
}

func (t *reassembly) refuseLocked(d *datagram) {
	t.base.drop(drop.FragmentOverlap)
	t.freeLocked(d)
	d.refused = true
}

// makeRoomLocked gives up the oldest datagrams of a source that has more than a quarter of the memory, then the oldest of
// all (CVE-2018-5391).
func (t *reassembly) makeRoomLocked(d *datagram) {
	limit := t.base.ReassemblyBytes
	for s := d.source; s.charge > limit/4 && s.oldest != nil; {
		t.evictLocked(s.oldest)
	}
	for eldest := t.eldest(); t.charge > limit && eldest != nil; eldest = t.eldest() {
		t.evictLocked(eldest)
	}
}

func (t *reassembly) evictLocked(d *datagram) {
	t.base.drop(drop.ReassemblyMemory)
	t.closeLocked(d)
}

// completeLocked makes p, the fragment that came last, the whole datagram.
func (t *reassembly) completeLocked(d *datagram, p *Packet) {
	proto := d.key.proto
	if p.family == family6 {
		proto = d.dropFragmentHeader()
	}
	n := len(d.header)
	buf := link.NewBuffer(n + d.length)
	b := buf.Bytes()[: n+d.length : n+d.length]
	copy(b, d.header)
	for _, f := range d.fragments {
		copy(b[n+f.offset:], f.buf.Bytes()[:f.length])
	}
	*p = Packet{family: p.family, Src: d.key.src, Dst: d.key.dst, Protocol: proto, Interface: d.iface, header: b[:n:n],
		Payload: b[n:], Buffer: buf, TOS: d.tos, TTL: p.TTL, Broadcast: d.broadcast, fragmented: true}
	t.closeLocked(d)
	t.base.counters.reassembled.Add(1)
}

func (t *reassembly) nextDeadline() (mono.Time, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if oldest := t.oldest(); oldest != nil {
		return oldest.deadline, true
	}
	return 0, false
}

// expire gives up what is not complete in time. It returns the datagrams whose source is to be told, since the first
// fragment is there to be quoted (RFC 1122 3.3.2).
func (t *reassembly) expire(now mono.Time) (late []Packet) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for d := t.oldest(); d != nil && d.deadline <= now; d = t.oldest() {
		if d.header != nil && !d.refused {
			first, proto := d.fragments[0], d.key.proto
			if familyOf(d.key.src) == family6 {
				proto = d.header[len(d.header)-wire.IPv6FragmentLen]
			}
			late = append(late, Packet{family: familyOf(d.key.src), Src: d.key.src, Dst: d.key.dst, Protocol: proto,
				Interface: d.iface, header: d.header, Payload: bytes.Clone(first.buf.Bytes()[:first.length]),
				Broadcast: d.broadcast})
		}
		t.base.drop(drop.ReassemblyTimeout)
		t.closeLocked(d)
	}
	return late
}

// clear frees everything.
func (t *reassembly) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for d := t.oldest(); d != nil; d = t.oldest() {
		t.closeLocked(d)
	}
}
