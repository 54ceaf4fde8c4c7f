package ip

import (
	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/span"
	"github.com/unet-go/unet/stack/link"
)

// resolve returns the MAC of the route's next hop. While it is not known, f is taken, with references of
// its own to gather, and leaves once it is.
func (r *Route) resolve(q *Queue, f *link.Frame, gather []span.Span, proto uint8) (mac link.MAC, ok bool) {
	n := r.neighbor.Load()
	if n != nil {
		if mac, ok = n.address(); ok {
			return mac, true
		}
	}
	c := r.iface.neighbors[r.family.index]
	now := c.base.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if n == nil || n.gone {
		if n = c.needLocked(r.nextHop); n == nil {
			c.base.drop(drop.NeighborTable)
			f.Release()
			return mac, false
		}
		r.neighbor.Store(n)
	}
	n.lastUsed = now
	switch n.state {
	case failed:
		c.startLocked(n, now)
		c.holdLocked(n, heldFrame{queue: q, proto: proto, family: r.family}, f, gather)
		return mac, false
	case incomplete:
		if n.tries == 0 { // new
			c.startLocked(n, now)
		}
		c.holdLocked(n, heldFrame{queue: q, proto: proto, family: r.family}, f, gather)
		return mac, false
	case stale:
		c.enterLocked(n, delay, now, delayFirstProbe)
	case reachable, delay, probe:
	}
	return n.mac, true
}
