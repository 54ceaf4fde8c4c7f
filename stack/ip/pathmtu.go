package ip

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unet-go/unet/internal/clock"
	"github.com/unet-go/unet/internal/mono"
)

// pathMTUs remembers what paths carry, as routers have said (RFC 1191, RFC 8201) or as connections have found out by
// what gets through (RFC 4821). The next connection to the same host begins with it. mu is a leaf. A route takes it only
// when something has changed since it looked last.
type pathMTUs struct {
	changes atomic.Uint32 // how often paths has changed
	mu      sync.Mutex
	paths   map[pathKey]*pathMTU
}

// pathKey is where a path leads: an address, which is another host's on each interface if it is a link-local one of IPv6
// (RFC 4007 6). ifc is that interface's index, and 0 for all other addresses.
type pathKey struct {
	remote netip.Addr
	ifc    int
}

func makePathKey(remote netip.Addr, ifc int) pathKey {
	if remote.Is4() || !remote.IsLinkLocalUnicast() {
		ifc = 0
	}
	return pathKey{remote, ifc}
}

// pathMTU is what is known of one path. It is immutable.
type pathMTU struct {
	mtu   int
	until mono.Time
	// locked says that the path is narrower than mtu, the least that is believed: packets may be cut there.
	locked bool
}

// pathView is what a route has seen of pathMTUs: the entry that there was after so many changes, nil for none. mu of
// pathMTUs guards changes of it.
type pathView struct {
	entry   atomic.Pointer[pathMTU]
	changes atomic.Uint32
}

const (
	// pathMTULife is how long a path is believed to be narrow (RFC 1191 6.3, RFC 8201 4: more than five minutes).
	pathMTULife = 10 * time.Minute
	// maxPathMTUs bounds how many there are; beyond, any one is forgotten.
	maxPathMTUs = 1024
)

// mtu returns the MTU of the path to k, at most limit. v is the view of it.
func (m *pathMTUs) mtu(k pathKey, v *pathView, limit int, c *clock.Clock) int {
	p := v.entry.Load()
	if m.changes.Load() != v.changes.Load() || p != nil && c.Now() >= p.until {
		p = m.find(k, v, c.Now())
	}
	if p == nil {
		return limit
	}
	return min(limit, p.mtu)
}

// find looks up what is known of the path to k, and lets v see it.
func (m *pathMTUs) find(k pathKey, v *pathView, now mono.Time) *pathMTU {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.paths[k]
	if p != nil && now >= p.until {
		delete(m.paths, k)
		p = nil
	}
	v.entry.Store(p)
	v.changes.Store(m.changes.Load())
	return p
}

// put remembers the MTU of the path to k; limit or more means that nothing is known of it but perhaps that it is locked.
// With raise it may be more than what was known.
func (m *pathMTUs) put(k pathKey, p pathMTU, limit int, now mono.Time, raise bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.paths[k]
	if old != nil && now < old.until && !raise {
		if old.mtu < p.mtu {
			return
		}
		p.locked = p.locked || old.locked
	}
	m.changes.Add(1)
	if p.mtu >= limit && !p.locked {
		delete(m.paths, k)
		return
	}
	if old == nil && len(m.paths) >= maxPathMTUs {
		for victim := range m.paths {
			delete(m.paths, victim)
			break
		}
	}
	if m.paths == nil {
		m.paths = make(map[pathKey]*pathMTU)
	}
	p.until = now.Add(pathMTULife)
	m.paths[k] = &p
}

// plateaus are the MTUs of links that there were when routers did not tell theirs (RFC 1191 7).
var plateaus = [...]int{65535, 32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68}

// plateau returns the MTU that a router may have meant who has called a packet of n octets too large and no MTU.
func plateau(n int) int {
	for _, mtu := range plateaus {
		if mtu < n {
			return mtu
		}
	}
	return plateaus[len(plateaus)-1]
}
