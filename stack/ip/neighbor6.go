package ip

import (
	"net/netip"

	"github.com/unet-go/unet/stack/link"
)

// neighborClaim is what a neighbour advertisement says of its target (RFC 4861 4.4).
type neighborClaim struct {
	mac                         link.MAC // where hasMAC is set
	hasMAC                      bool
	router, solicited, override bool
}

// advertised processes a neighbour advertisement (RFC 4861 7.2.5). It departs from the RFC where a claim with Override set
// would replace the MAC of a neighbour that is in use, or has answered there: the neighbour is asked first, as after an
// ARP packet (claimLocked). A neighbour in FAILED is none, for the RFC, and only its own solicitation makes it one again.
func (c *neighborCache) advertised(addr netip.Addr, a *neighborClaim) {
	now := c.base.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.entries[addr]
	if n == nil || n.state == failed {
		return
	}
	same := !a.hasMAC || a.mac == n.mac
	switch {
	case n.state == incomplete:
		if a.hasMAC && (a.solicited || !n.disputed) {
			n.router = a.router
			c.foundLocked(n, a.mac, a.solicited, now)
		}
	case !same && !a.override:
		if n.state == reachable {
			c.enterLocked(n, stale, now, staleLifetime)
		}
	case !same:
		if c.claimLocked(n, a.mac, now); n.mac == a.mac {
			n.router = a.router
		}
	default:
		n.router = a.router
		if a.solicited {
			c.answeredLocked(n, now)
		}
	}
}
