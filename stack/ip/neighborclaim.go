package ip

import (
	"net/netip"
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/link"
)

// An ARP packet proves nothing: whoever sends one with the address of another host could have all that we send to that
// host. So a neighbour whose MAC is known keeps it, whatever other MAC claims its address, for as long as it answers
// there: it is asked, by unicast, and goes on being used meanwhile. One that does not answer is looked for by
// broadcast, which finds a host that has a new MAC, or an address that has gone to another host. One that has not been
// heard of lately is looked for so at once, and what is sent to it waits, so that nothing is lost where it has moved.

// contestTime is how long the owner of an address that another MAC claims may take to answer.
const contestTime = 250 * time.Millisecond

// heardLately is how long after the last answer or acknowledgment a neighbour is taken to be where it was. It is longer
// than retransInterval, so that one whose address is claimed all the time goes on being asked by unicast.
const heardLately = 2 * time.Second

// heard takes what an ARP packet says of its sender. answer says that it answers a request of ours, create
// that the sender may become a new entry: it asked for us, so we shall soon want to answer.
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
	c.idleRemove(n)
	n.mac, n.proven = mac, false
	switch {
	case answer:
		c.answeredLocked(n, now)
	case len(n.held) > 0:
		// It is there, but that it hears us is not known: use it and see.
		c.enterLocked(n, delay, now, delayFirstProbe)
	default:
		c.enterLocked(n, stale, now, staleLifetime)
	}
	c.sendHeldLocked(n)
}

// claimLocked takes the claim of another MAC than the one that n has. Where nobody uses n and its MAC is hearsay too, the
// later one is believed (RFC 826). Otherwise the owner is asked, at most once in retransInterval; a claim that comes
// too soon after that waits.
func (c *neighborCache) claimLocked(n *neighbor, mac link.MAC, now mono.Time) {
	idle := n.state == stale && (n.lastUsed == 0 || now.Sub(n.lastUsed) > recentlyUsed)
	switch {
	case idle && !n.proven:
		n.mac = mac
		c.idleRemove(n)
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

// contestLocked asks for the owner of an address that another MAC claims. One that has been heard of lately is asked where
// it was, and has lost the address if it does not answer in contestTime.
func (c *neighborCache) contestLocked(n *neighbor, now mono.Time) {
	c.idleRemove(n)
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

// hurryLocked has the timer fire at a time if it would later.
func (c *neighborCache) hurryLocked(n *neighbor, at mono.Time) {
	if n.timer.Deadline() > int64(at) {
		c.armLocked(n, at)
	}
}
