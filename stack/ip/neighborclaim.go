package ip

import (
	"net/netip"
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/link"
)

// An ARP packet proves nothing: with a forged one any host on the link could redirect to itself what we send to another.
// Therefore a neighbour whose MAC is known keeps it as long as it answers there, whatever other MAC claims its address. When
// another MAC does, the known one is asked by unicast, and is used meanwhile. If it does not answer, a broadcast looks for
// the owner of the address: that finds a host that has a new MAC, and an address that has moved to another host. If the
// neighbour has not been heard of lately, the broadcast is sent at once, and packets to it wait, so that none is lost when
// it has moved.

// contestTime is how long the owner of an address that another MAC claims may take to answer.
const contestTime = 250 * time.Millisecond

// heardLately is how long a neighbour is assumed to have kept its MAC after its last answer or acknowledgment. It is longer
// than retransInterval, so that a neighbour whose address is claimed all the time is still asked by unicast.
const heardLately = 2 * time.Second

// heard processes the sender fields of an ARP packet. answer says that the packet answers a request of ours. create says
// that the sender may get a new entry: it has asked for us, so we shall soon send to it.
func (c *neighborCache) heard(addr netip.Addr, mac link.MAC, answer, create bool) {
	now := c.base.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.entries[addr]
	if n == nil {
		if !create || !c.makeRoomLocked(now) {
			return
		}
		n = c.addLocked(addr)
		n.mac = mac
		c.enterLocked(n, stale, now, staleLifetime)
		return
	}
	switch n.state {
	case incomplete:
		if n.disputed && !answer {
			return
		}
		c.foundLocked(n, mac, answer, now)
	case failed:
		c.foundLocked(n, mac, false, now)
	case reachable, stale, delay, probe:
		switch {
		case n.mac != mac:
			c.claimLocked(n, mac, now)
		case n.state == probe && answer:
			c.answeredLocked(n, now)
		}
	}
}

// answeredLocked notes an answer to our request.
func (c *neighborCache) answeredLocked(n *neighbor, now mono.Time) {
	n.answered = now
	c.enterLocked(n, reachable, now, c.reachableTime())
}

// foundLocked takes the MAC of a neighbour that has none, and sends what waits for it.
func (c *neighborCache) foundLocked(n *neighbor, mac link.MAC, answer bool, now mono.Time) {
	n.mac, n.proven = mac, false
	switch {
	case answer:
		c.answeredLocked(n, now)
	case len(n.held) > 0:
		// The neighbour is there, but may not hear us: use it, and probe it if no higher layer confirms it.
		c.enterLocked(n, delay, now, delayFirstProbe)
	default:
		c.enterLocked(n, stale, now, staleLifetime)
	}
	c.sendHeldLocked(n)
}

// claimLocked handles the claim of n's address by another MAC. If n is not in use and its own MAC was never proven, the
// later claim is believed (RFC 826). Otherwise the owner is asked, at most once in retransInterval; a claim that comes
// sooner waits.
func (c *neighborCache) claimLocked(n *neighbor, mac link.MAC, now mono.Time) {
	idle := n.state == stale && (n.lastUsed == 0 || now.Sub(n.lastUsed) > recentlyUsed)
	switch {
	case idle && !n.proven:
		n.mac = mac
		c.enterLocked(n, stale, now, staleLifetime)
	case n.state == probe: // it is being asked
		n.tries, n.disputed = resolveTries, true
		c.hurryLocked(n, now.Add(contestTime))
	case n.asked != 0 && now.Sub(n.asked) < retransInterval:
		n.claimed = true
		c.hurryLocked(n, n.asked.Add(retransInterval))
	default:
		c.contestLocked(n, now)
	}
}

// contestLocked asks who owns an address that another MAC claims. A neighbour that was heard of lately is asked at its
// MAC, and loses the address if it does not answer within contestTime.
func (c *neighborCache) contestLocked(n *neighbor, now mono.Time) {
	n.disputed = true
	if now.Sub(max(n.answered, mono.Time(n.confirmed.Load()))) > heardLately {
		n.asked, n.claimed = now, false
		c.startLocked(n, now)
		return
	}
	c.probeLocked(n, now)
	n.tries = resolveTries
	c.hurryLocked(n, now.Add(contestTime))
}

// hurryLocked moves the timer to an earlier time.
func (c *neighborCache) hurryLocked(n *neighbor, at mono.Time) {
	if n.timer.Deadline() > int64(at) {
		c.armLocked(n, at)
	}
}
