package ip

import (
	"time"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/mono"
)

// Each family has a cache of its own, so that a scan of an IPv6 network, which has 2^64 addresses, cannot crowd out the
// neighbours of IPv4. Within a cache an entry that gives way is found by the ring that it is in (RFC 6583 6.2, 7.1). What
// a scan leaves, neighbours that have never answered, gives way first, so that established flows keep their entries, and a
// new neighbour gets one.

// recentlyUsed: an entry that was used later does not give way to one that another host has caused.
const recentlyUsed = time.Minute

// pendingShare is the part of a cache, as its divisor, that neighbours which have never answered may fill before they give
// way to each other rather than STALE entries to them.
const pendingShare = 4

// ring is a list of neighbours without end, from the one that came first. root is its head and no neighbour.
type ring struct {
	root neighbor
	len  int
}

// oldest returns the neighbour that came first, nil for none.
func (r *ring) oldest() *neighbor {
	if r.root.ringNext == &r.root {
		return nil
	}
	return r.root.ringNext
}

// rings sort the entries of a cache by what they are worth. An entry that is in none is in use.
type rings struct {
	failures ring // FAILED
	pending  ring // INCOMPLETE, or DELAY and PROBE with a MAC that has never answered
	stale    ring // STALE
}

func (r *rings) init() {
	for _, one := range [...]*ring{&r.failures, &r.pending, &r.stale} {
		one.root.ringNext, one.root.ringPrev = &one.root, &one.root
	}
}

// of returns the ring for n in its state.
func (r *rings) of(n *neighbor) *ring {
	switch n.state {
	case failed:
		return &r.failures
	case stale:
		return &r.stale
	case incomplete, delay, probe:
		if !n.proven {
			return &r.pending
		}
	case reachable:
	}
	return nil
}

// enter moves n, whose state has changed, to its ring. One that goes from state to state without an answer keeps its place.
func (r *rings) enter(n *neighbor) {
	to := r.of(n)
	if to != nil && to == n.ring && to == &r.pending {
		return
	}
	r.remove(n)
	if to == nil {
		return
	}
	n.ring = to
	n.ringNext, n.ringPrev = &to.root, to.root.ringPrev
	n.ringPrev.ringNext, to.root.ringPrev = n, n
	to.len++
}

func (r *rings) remove(n *neighbor) {
	if n.ring == nil {
		return
	}
	n.ringNext.ringPrev, n.ringPrev.ringNext = n.ringPrev, n.ringNext
	n.ring.len--
	n.ring, n.ringNext, n.ringPrev = nil, nil, nil
}

// forgetLocked removes an entry, and drops what waits for it.
func (c *neighborCache) forgetLocked(n *neighbor) {
	for i := range n.held {
		c.base.drop(drop.NeighborTable)
		n.held[i].frame.Release()
	}
	c.takenLocked(n)
	c.rings.remove(n)
	c.timers.Disarm(&n.timer)
	n.gone = true
	n.usable.Store(0)
	delete(c.entries, n.addr)
}

// makeOurRoomLocked makes room for a neighbour that we are going to send to. Whoever sends to us from made-up addresses of
// our network causes that too. So it is at the cost of others that have not answered, once there are many of them.
func (c *neighborCache) makeOurRoomLocked() bool {
	if len(c.entries) < c.maxCount {
		return true
	}
	n := c.rings.failures.oldest()
	if n == nil && c.rings.pending.len >= max(c.maxCount/pendingShare, 1) {
		n = c.oldestPendingLocked()
	}
	if n == nil {
		n = c.rings.stale.oldest()
	}
	if n == nil {
		n = c.oldestPendingLocked()
	}
	if n == nil {
		return false
	}
	c.forgetLocked(n)
	return true
}

// oldestPendingLocked returns the neighbour that has been waited for longest; nil for none. It takes those out of the ring
// that a higher layer has confirmed meanwhile.
func (c *neighborCache) oldestPendingLocked() *neighbor {
	for {
		n := c.rings.pending.oldest()
		if n == nil || n.confirmed.Load() == 0 {
			return n
		}
		n.proven = true
		c.rings.enter(n)
	}
}

// makeRoomLocked makes room for an entry that somebody else caused, never at the cost of one in use.
func (c *neighborCache) makeRoomLocked(now mono.Time) bool {
	if len(c.entries) < c.maxCount {
		return true
	}
	if n := c.rings.failures.oldest(); n != nil {
		c.forgetLocked(n)
		return true
	}
	n := c.rings.stale.oldest()
	for range 8 {
		if n == nil || n == &c.rings.stale.root {
			break
		}
		if n.lastUsed == 0 || now.Sub(n.lastUsed) > recentlyUsed {
			c.forgetLocked(n)
			return true
		}
		n = n.ringNext
	}
	return false
}
