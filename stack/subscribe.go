package stack

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// ChangeKind says what has changed.
type ChangeKind uint8

// The kinds of changes.
const (
	// InterfaceChanged: an interface was attached, or its State or MTU is another one. Change.Interface has it.
	InterfaceChanged ChangeKind = iota
	// AddrAdded, AddrChanged and AddrRemoved: an address has come, has another State, or is gone. Change.Addr has it.
	AddrAdded
	AddrChanged
	AddrRemoved
	// RouteAdded and RouteRemoved: a route has come or is gone. Change.Route has it.
	RouteAdded
	RouteRemoved
	// ChangesLost: the subscriber was too slow, and changes are missing here. Interfaces, Addresses and Routes of the host
	// say what there is.
	ChangesLost
)

// String returns the kind in a few words, such as "address added".
func (k ChangeKind) String() string {
	names := [...]string{"interface changed", "address added", "address changed", "address removed", "route added", "route removed",
		"changes lost"}
	if int(k) < len(names) {
		return names[k]
	}
	return "invalid"
}

// Change is one change of a host's interfaces, addresses or routes. Kind says which of the other fields is set.
type Change struct {
	Kind      ChangeKind
	Interface InterfaceInfo
	Addr      Address
	Route     Route
}

// changesQueued is how many changes wait for a subscriber.
const changesQueued = 256

// Subscribe returns a channel with the changes of the host's interfaces, addresses and routes from now on, in their order. It is
// closed when ctx is done, or the host is closed. The host does not wait for a subscriber: 256 changes wait for it, and if
// there are more it gets ChangesLost in their place. Two changes at about the same time may be seen as one.
func (h *Host) Subscribe(ctx context.Context) <-chan Change {
	w := &watcher{changes: make(chan Change, changesQueued)}
	l := h.watchers()
	if !l.add(w) {
		close(w.changes)
		return w.changes
	}
	context.AfterFunc(ctx, func() { l.remove(w) })
	return w.changes
}

// watchers returns the subscribers to the host's changes.
func (h *Host) watchers() *watchers {
	h.subscribing.Lock()
	defer h.subscribing.Unlock()
	if h.subscribers == nil {
		l := &watchers{host: h, closed: h.Err() == ErrClosed}
		h.subscribers = l
		h.ip.Watch(l.tell)
	}
	return h.subscribers.(*watchers)
}

// watchers are the subscribers to a host's changes.
type watchers struct {
	host *Host
	any  atomic.Bool // there may be some

	mu     sync.Mutex
	list   []*watcher
	last   snapshot // that the subscribers know
	closed bool
}

// watcher is one subscriber.
type watcher struct {
	changes chan Change
	lost    bool // there was no room for a change
}

// snapshot is what subscribers are told of.
type snapshot struct {
	interfaces []InterfaceInfo
	addrs      []Address
	routes     []Route
}

func (h *Host) snapshot() snapshot {
	return snapshot{interfaces: h.ip.InterfaceInfos(), addrs: h.ip.Addresses(), routes: h.ip.Routes()}
}

// add adds a subscriber. It is false when the host is closed.
func (l *watchers) add(w *watcher) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.any.Store(true)
	if len(l.list) == 0 {
		l.last = l.host.snapshot()
	}
	l.list = append(l.list, w)
	return true
}

// remove ends a subscription.
func (l *watchers) remove(w *watcher) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at := slices.Index(l.list, w); at >= 0 {
		l.list = slices.Delete(l.list, at, at+1)
		close(w.changes)
	}
	l.any.Store(len(l.list) > 0)
}

// close ends all subscriptions.
func (l *watchers) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, w := range l.list {
		close(w.changes)
	}
	l.list = nil
	l.any.Store(false)
}

// tell tells subscribers what has changed since they were told last. It is called after each change, and does not wait.
func (l *watchers) tell() {
	if !l.any.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.host.snapshot()
	for _, c := range l.last.changes(&now) {
		for _, w := range l.list {
			w.tell(c)
		}
	}
	l.last = now
}

// tell hands over a change if there is room, and ChangesLost in the last place. The watchers' lock is held.
func (w *watcher) tell(c Change) {
	full := len(w.changes) >= cap(w.changes)-1
	if full && w.lost {
		return
	}
	if w.lost = full; full {
		c = Change{Kind: ChangesLost}
	}
	w.changes <- c
}

// changes returns what is different in b: what is gone first, and interfaces before what is on them.
func (a *snapshot) changes(b *snapshot) (list []Change) {
	for _, r := range missing(b.routes, a.routes, func(x, y Route) bool { return x == y }) {
		list = append(list, Change{Kind: RouteRemoved, Route: r})
	}
	for _, o := range missing(b.addrs, a.addrs, sameAddr) {
		list = append(list, Change{Kind: AddrRemoved, Addr: o})
	}
	for _, i := range missing(a.interfaces, b.interfaces, func(x, y InterfaceInfo) bool {
		return x.Index == y.Index && x.State == y.State && x.MTU == y.MTU
	}) {
		list = append(list, Change{Kind: InterfaceChanged, Interface: i})
	}
	for _, n := range b.addrs {
		at := slices.IndexFunc(a.addrs, func(o Address) bool { return sameAddr(o, n) })
		switch {
		case at < 0:
			list = append(list, Change{Kind: AddrAdded, Addr: n})
		case a.addrs[at].State != n.State:
			list = append(list, Change{Kind: AddrChanged, Addr: n})
		}
	}
	for _, r := range missing(a.routes, b.routes, func(x, y Route) bool { return x == y }) {
		list = append(list, Change{Kind: RouteAdded, Route: r})
	}
	return list
}

func sameAddr(x, y Address) bool { return x.Prefix == y.Prefix && x.Device == y.Device }

// missing returns those of b that are not in a.
func missing[T any](a, b []T, same func(x, y T) bool) (list []T) {
	for _, y := range b {
		if !slices.ContainsFunc(a, func(x T) bool { return same(x, y) }) {
			list = append(list, y)
		}
	}
	return list
}
