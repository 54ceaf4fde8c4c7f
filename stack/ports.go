package stack

import (
	"hash/maphash"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
)

// The ephemeral ports are Linux's: 28,232 of them.
const (
	firstEphemeral = 32768
	ephemeralPorts = 60999 - firstEphemeral + 1
)

// BindOptions say how an address may be shared.
type BindOptions struct {
	// ReuseAddr lets a bind succeed while connections of an earlier one are still there, TIME-WAIT's
	// included, but not while there is a listener.
	ReuseAddr bool
	// ReusePort lets several sockets that all set it bind to one address and listen there. Connections are
	// distributed over them.
	ReusePort bool
	// V6Only keeps a socket that is bound to the IPv6 wildcard from IPv4 traffic.
	V6Only bool
	// LatePort leaves the choice of a port to ConnectTCP where the port is 0. Then only the four-tuple must be
	// unique, so that one address can have more connections than ports: Linux's IP_BIND_ADDRESS_NO_PORT.
	// No listener can take such a binding.
	LatePort bool
}

// Binding is a reserved local address.
type Binding struct {
	table   *portTable
	local   netip.AddrPort
	options BindOptions

	// Guarded by portTable.mu.
	taken     bool // it belongs to a listener or a connection
	listening bool
	gone      bool
}

// portTable holds the bindings, and how many flows use each local port.
type portTable struct {
	mu       sync.Mutex
	bindings map[uint16][]*Binding
	count    int
	bound    [bothFamilies]portBits // by family-1, the ports with a binding: read without the lock

	flows     [bothFamilies]portCounts // by family-1, of all kinds
	halfOpens portCounts               // of the flows, the half-open records

	seed   maphash.Seed
	offset [1024]atomic.Uint32 // where the search of a group of destinations goes on
}

func (t *portTable) init() {
	t.bindings = make(map[uint16][]*Binding)
	t.seed = maphash.MakeSeed()
	for i := range t.offset {
		t.offset[i].Store(rand.Uint32N(ephemeralPorts))
	}
}

// portCounts is a number for each port, in pages that are allocated as needed.
type portCounts struct {
	pages [256]atomic.Pointer[[256]atomic.Int32]
}

// of returns the number of a port.
func (c *portCounts) of(port uint16) *atomic.Int32 {
	page := c.pages[port>>8].Load()
	if page == nil {
		c.pages[port>>8].CompareAndSwap(nil, new([256]atomic.Int32))
		page = c.pages[port>>8].Load()
	}
	return &page[port&0xff]
}

// portBits is a set of ports.
type portBits [1 << 16 / 32]atomic.Uint32

func (b *portBits) has(port uint16) bool { return b[port>>5].Load()&(1<<(port&31)) != 0 }
func (b *portBits) add(port uint16)      { b[port>>5].Or(1 << (port & 31)) }
func (b *portBits) remove(port uint16)   { b[port>>5].And(^uint32(1 << (port & 31))) }

// isBound says whether a socket that takes packets of one of the families has bound the port, whatever the address.
func (t *portTable) isBound(port uint16, f families) bool {
	return f&v4 != 0 && t.bound[v4-1].has(port) || f&v6 != 0 && t.bound[v6-1].has(port)
}

// inUse says whether there are flows of one of the families at a local port.
func (t *portTable) inUse(port uint16, f families) bool {
	return f&v4 != 0 && t.flows[v4-1].of(port).Load() > 0 || f&v6 != 0 && t.flows[v6-1].of(port).Load() > 0
}

// portScan goes once through all ephemeral ports.
type portScan struct {
	start, tried uint32
	offset       *atomic.Uint32
}

// scan returns the ports to try for the four-tuple k, whose local port is not yet set. The beginning is a
// keyed hash of the addresses plus an offset that a secret group of destinations shares, so that the ports
// of one destination tell nothing about those of others (RFC 6056 3.3.4).
func (t *portTable) scan(k *flowKey) portScan {
	hash := maphash.Bytes(t.seed, k[:])
	offset := &t.offset[hash>>32%uint64(len(t.offset))]
	return portScan{start: uint32(hash)%ephemeralPorts + offset.Load(), offset: offset}
}

func (s *portScan) next() (port uint16, ok bool) {
	if s.tried == ephemeralPorts {
		return 0, false
	}
	port = uint16(firstEphemeral + (s.start+s.tried)%ephemeralPorts)
	s.tried++
	return port, true
}

// found notes that the last port was free.
func (s *portScan) found() { s.offset.Store((s.offset.Load() + s.tried) % ephemeralPorts) }

// bind enters b, for which it chooses a port if it has none.
func (t *portTable) bind(b *Binding) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b.local.Port() == 0 {
		port, ok := t.chooseLocked(b.families())
		if !ok {
			return false
		}
		b.local = netip.AddrPortFrom(b.local.Addr(), port)
	} else if t.conflictsLocked(b) {
		return false
	}
	port := b.local.Port()
	t.bindings[port] = append(t.bindings[port], b)
	t.markLocked(port)
	t.count++
	return true
}

// markLocked works out again which families have bound a port.
func (t *portTable) markLocked(port uint16) {
	var all families
	for _, b := range t.bindings[port] {
		all |= b.families()
	}
	for _, f := range [...]families{v4, v6} {
		if bits := &t.bound[f-1]; all&f != 0 {
			bits.add(port)
		} else {
			bits.remove(port)
		}
	}
}

// chooseLocked returns a port without a binding and without a flow of the families.
func (t *portTable) chooseLocked(f families) (uint16, bool) {
	start := rand.Uint32N(ephemeralPorts)
	for i := range uint32(ephemeralPorts) {
		port := uint16(firstEphemeral + (start+i)%ephemeralPorts)
		if !t.isBound(port, f) && !t.inUse(port, f) {
			return port, true
		}
	}
	return 0, false
}

// conflictsLocked says whether other sockets keep b from its port.
func (t *portTable) conflictsLocked(b *Binding) bool {
	for _, other := range t.bindings[b.local.Port()] {
		if !b.overlaps(other) || b.options.ReusePort && other.options.ReusePort {
			continue
		}
		if !b.options.ReuseAddr || !other.options.ReuseAddr || other.listening {
			return true
		}
	}
	return !b.options.ReuseAddr && !b.options.ReusePort && t.inUse(b.local.Port(), b.families())
}

// overlaps says whether a packet could be for either of two bindings of one port.
func (b *Binding) overlaps(other *Binding) bool {
	return sharePackets(b.local.Addr(), b.options.V6Only, other.local.Addr(), other.options.V6Only)
}

// families says whose packets are for b.
func (b *Binding) families() families { return familiesOf(b.local.Addr(), b.options.V6Only) }

// Local returns the bound address with its port, which is 0 as long as LatePort leaves it open.
func (b *Binding) Local() netip.AddrPort { return b.local }

// Close frees the address. EBADF when it is closed already, or when a listener or a connection has taken the binding over,
// which then frees it.
func (b *Binding) Close() error {
	if !b.take() {
		return syscall.EBADF
	}
	b.release()
	return nil
}

// take gives the binding to a connection. It is false when it is closed or taken already.
func (b *Binding) take() bool {
	t := b.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if b.taken || b.gone {
		return false
	}
	b.taken = true
	return true
}

// takeToListen is take for a listener. It fails where another one listens, unless both share the port by ReusePort.
func (b *Binding) takeToListen() error {
	t := b.table
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case b.taken || b.gone:
		return syscall.EBADF
	case b.local.Port() == 0:
		return syscall.EINVAL
	}
	for _, other := range t.bindings[b.local.Port()] {
		if other.listening && b.overlaps(other) && !(b.options.ReusePort && other.options.ReusePort) {
			return syscall.EADDRINUSE
		}
	}
	b.taken, b.listening = true, true
	return nil
}

// giveBack undoes take.
func (b *Binding) giveBack() {
	t := b.table
	t.mu.Lock()
	defer t.mu.Unlock()
	b.taken, b.listening = false, false
}

// stopListening keeps the address, as shutdown does.
func (b *Binding) stopListening() {
	t := b.table
	t.mu.Lock()
	defer t.mu.Unlock()
	b.listening = false
}

// release ends the reservation.
func (b *Binding) release() {
	t := b.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if b.gone {
		return
	}
	b.gone = true
	port := b.local.Port()
	if port == 0 { // never entered
		return
	}
	rest := without(t.bindings[port], b)
	t.count--
	if t.bindings[port] = rest; len(rest) == 0 {
		delete(t.bindings, port)
	}
	t.markLocked(port)
}

// without returns a list without x, and leaves list as it is.
func without[T comparable](list []T, x T) []T {
	i := slices.Index(list, x)
	if i < 0 {
		return list
	}
	return append(list[:i:i], list[i+1:]...)
}
