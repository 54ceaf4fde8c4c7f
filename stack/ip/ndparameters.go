package ip

import (
	"sync/atomic"
	"time"
)

// retransInterval is the time between two questions for a neighbour, or for an address's other owner, where no router has
// advertised another one (RFC 4861 10, RETRANS_TIMER).
const retransInterval = time.Second

// ndParameters are what routers say of a link (RFC 4861 6.3.2): zero where they say nothing.
type ndParameters struct {
	hopLimit, mtu      atomic.Uint32
	reachable, retrans atomic.Int64 // nanoseconds
}

// retransTime returns the time between two questions for a neighbour.
func (p *ndParameters) retransTime() time.Duration {
	if p != nil {
		if d := p.retrans.Load(); d != 0 {
			return time.Duration(d)
		}
	}
	return retransInterval
}

// reachableTime returns how long a neighbour counts as reachable, def if no router says it.
func (p *ndParameters) reachableTime(def time.Duration) time.Duration {
	if p != nil {
		if d := p.reachable.Load(); d != 0 {
			return time.Duration(d)
		}
	}
	return def
}
