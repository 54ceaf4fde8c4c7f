package ip

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unet-go/unet/internal/clock"
	"github.com/unet-go/unet/internal/mono"
)

// pathMTUs remembers what routers have said about the paths of datagrams (RFC 1191). A connection keeps that itself. mu
// is a leaf. It is not taken while no path is remembered.
type pathMTUs struct {
	known atomic.Int32
	mu    sync.Mutex
	paths map[netip.Addr]pathMTU
}

type pathMTU struct {
	mtu   int
	until mono.Time
}

const (
	// pathMTULife is how long a path is believed to be narrow (RFC 1191 6.3).
	pathMTULife = 10 * time.Minute
	// maxPathMTUs bounds how many there are; beyond, any one is forgotten.
	maxPathMTUs = 1024
	// leastPathMTU is the least MTU that is believed, as in Linux: a forged message cannot have datagrams cut smaller.
	leastPathMTU = 552
)

// learn notes that packets to remote must not be larger than mtu octets. What is known is never raised by that.
func (m *pathMTUs) learn(remote netip.Addr, mtu int, now mono.Time) {
	mtu = max(mtu, leastPathMTU)
	m.mu.Lock()
	defer m.mu.Unlock()
	old, found := m.paths[remote]
	if found && now < old.until && old.mtu <= mtu {
		return
	}
	if !found && len(m.paths) >= maxPathMTUs {
		for victim := range m.paths {
			delete(m.paths, victim)
			break
		}
	}
	if m.paths == nil {
		m.paths = make(map[netip.Addr]pathMTU)
	}
	m.paths[remote] = pathMTU{mtu, now.Add(pathMTULife)}
	m.known.Store(int32(len(m.paths)))
}

// find returns the MTU of the path to remote. limit is the MTU of the route.
func (m *pathMTUs) find(remote netip.Addr, limit int, c *clock.Clock) int {
	if m.known.Load() == 0 {
		return limit
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	p, found := m.paths[remote]
	if !found {
		return limit
	}
	if c.Now() >= p.until {
		delete(m.paths, remote)
		m.known.Store(int32(len(m.paths)))
		return limit
	}
	return min(limit, p.mtu)
}

// LearnPathMTU notes that a router has asked for packets of at most mtu octets on the way to remote.
func (c *core) LearnPathMTU(remote netip.Addr, mtu int) { c.pathMTUs.learn(remote, mtu, c.now()) }
