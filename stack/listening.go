package stack

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
)

// listenGroup holds the listeners of one address and port: one, or several that share it by ReusePort. In the group of
// IPv4's wildcard are those of the wildcard of both families too.
type listenGroup struct {
	listeners     atomic.Pointer[[]*Listener]
	first         atomic.Pointer[[]*Listener] // those that go before the others: of the group's own family, or else all
	lastSYNCookie atomic.Int64                // the mono.Time of the last SYN cookie sent; 0 for never
}

// pick returns the listener for a flow with this hash, nil when all are closed.
func (g *listenGroup) pick(hash uint64) *Listener {
	list := *g.first.Load()
	if len(list) == 0 {
		return nil
	}
	return list[hash>>16%uint64(len(list))]
}

// set replaces the group's listeners. at is its address.
func (g *listenGroup) set(list []*Listener, at netip.Addr) {
	var own []*Listener
	for _, l := range list {
		if l.binding.local.Addr().Is4() == at.Is4() {
			own = append(own, l)
		}
	}
	if len(own) == 0 {
		own = list
	}
	g.listeners.Store(&list)
	g.first.Store(&own)
}

// listenTable finds groups. Reading takes no lock: the map is an immutable snapshot.
type listenTable struct {
	layer    *tcpLayer
	changing sync.Mutex // held over shards' locks, never taken under one
	closed   bool       // no listener is added any more
	groups   atomic.Pointer[map[netip.AddrPort]*listenGroup]
}

func (t *listenTable) init(l *tcpLayer) {
	t.layer = l
	t.groups.Store(new(map[netip.AddrPort]*listenGroup))
}

// find returns the group for packets to local, which has its zone, nil if there is none. A group of that very address goes
// before one of the wildcard.
func (t *listenTable) find(local netip.AddrPort) *listenGroup {
	groups := *t.groups.Load()
	if len(groups) == 0 {
		return nil
	}
	if g := groups[local]; g != nil {
		return g
	}
	wildcard := netip.IPv6Unspecified()
	if local.Addr().Is4() {
		wildcard = netip.IPv4Unspecified()
	}
	return groups[netip.AddrPortFrom(wildcard, local.Port())]
}

// keys returns the addresses under which l is found.
func (l *Listener) keys() []netip.AddrPort {
	keys := []netip.AddrPort{l.binding.local}
	if l.binding.families() == v4|v6 {
		keys = append(keys, netip.AddrPortFrom(netip.IPv4Unspecified(), l.binding.local.Port()))
	}
	return keys
}

// add adds l. It is false when the host is closed, or has no network any more.
func (t *listenTable) add(l *Listener) bool {
	t.changing.Lock()
	defer t.changing.Unlock()
	if t.closed || t.layer.core.severed(l.binding.local.Addr()) {
		return false
	}
	groups := maps.Clone(*t.groups.Load())
	if groups == nil {
		groups = make(map[netip.AddrPort]*listenGroup)
	}
	for _, k := range l.keys() {
		g := groups[k]
		if g == nil {
			g = new(listenGroup)
			g.set(nil, k.Addr())
			groups[k] = g
		}
		g.set(append(slices.Clone(*g.listeners.Load()), l), k.Addr())
	}
	t.groups.Store(&groups)
	return true
}

// remove takes l out. The half-open connections of an address without another listener are reset.
func (t *listenTable) remove(l *Listener) {
	t.changing.Lock()
	defer t.changing.Unlock()
	groups := maps.Clone(*t.groups.Load())
	empty := false
	for _, k := range l.keys() {
		g := groups[k]
		if g == nil {
			continue
		}
		list := without(*g.listeners.Load(), l)
		g.set(list, k.Addr())
		if len(list) == 0 {
			delete(groups, k)
			empty = true
		}
	}
	t.groups.Store(&groups)
	if empty {
		t.purge(l.binding.local.Port())
	}
}

// purge resets the half-open connections of a port that have no listener any more.
func (t *listenTable) purge(port uint16) {
	// A segment that found a listener before it left the map was processed under a shard's lock. Once each lock has been
	// taken no such segment is left.
	for i := range t.layer.shards {
		t.layer.shards[i].lock()
		t.layer.shards[i].unlock()
	}
	for i := range t.layer.shards {
		if t.layer.ports.halfOpens.of(port).Load() == 0 {
			return
		}
		s := &t.layer.shards[i]
		s.lock()
		now := t.layer.core.clock.Now()
		stale := s.flows.all(func(f *flow) bool {
			return f.kind == halfOpenFlow && f.localPort() == port && t.find(s.tupleLocked(f).Local) == nil
		})
		for _, f := range stale {
			s.resetHalfOpenLocked(f.halfOpen(), now)
		}
		s.unlock()
	}
}

// all returns the listeners.
func (t *listenTable) all() []*Listener {
	t.changing.Lock()
	defer t.changing.Unlock()
	var list []*Listener
	for _, g := range *t.groups.Load() {
		for _, l := range *g.listeners.Load() {
			if !slices.Contains(list, l) {
				list = append(list, l)
			}
		}
	}
	return list
}

// closeAll closes all listeners, and lets none be added any more.
func (t *listenTable) closeAll() {
	t.changing.Lock()
	t.closed = true
	t.changing.Unlock()
	for _, l := range t.all() {
		_ = l.Close() // EBADF: it was closed meanwhile
	}
}
