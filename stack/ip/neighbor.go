package ip

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/internal/wheel"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// The constants of neighbour unreachability detection (RFC 4861 10), which serves ARP as well (RFC 1122
// 2.3.2.1: stale entries get flushed, and requests stay at about one each second).
const (
	resolveTries    = 3               // requests, a retransInterval apart, before a neighbour counts as failed
	delayFirstProbe = 5 * time.Second // in DELAY: time for a higher layer to confirm
	staleLifetime   = 5 * time.Minute // an unused entry is forgotten after that
	failedLifetime  = 20 * time.Second
)

// objectionTime is how long the owner of an address has that is not known to be unique before the host says its MAC with
// it. RFC 4429 3.2 would have it wait for the end of the detection.
const objectionTime = 50 * time.Millisecond

// neighborState is a state of RFC 4861 7.3.2; failed says that no answer came lately.
type neighborState uint8

const (
	incomplete neighborState = iota
	reachable
	stale
	delay
	probe
	failed
)

var neighborStates = [...]string{incomplete: "INCOMPLETE", reachable: "REACHABLE", stale: "STALE", delay: "DELAY",
	probe: "PROBE", failed: "FAILED"}

// neighbor is one entry of a cache. The cache's lock guards all fields but the atomics.
type neighbor struct {
	// usable is, while packets may be sent without a look at the state, the MAC in the upper 48 bits and 1 below; else 0.
	usable atomic.Uint64
	// confirmed is when a higher layer last knew that the neighbour was reachable.
	confirmed atomic.Int64
	addr      netip.Addr
	mac       link.MAC
	state     neighborState
	tries     uint8
	gone      bool // not in the cache any more
	again     bool // it is to be asked a second time in objectionTime
	router    bool // it said so in its last advertisement
	proven    bool // mac has answered a request of ours, or a higher layer has confirmed it
	claimed   bool // another MAC has claimed the address since mac was asked
	disputed  bool // another MAC has claimed the address, and mac has not answered since
	lastUsed  mono.Time
	asked     mono.Time // when it was asked last, first of its tries
	answered  mono.Time // when it answered last
	doubted   mono.Time // when a higher layer last thought that it might be gone
	held      []heldFrame
	heldOther int // of held, those that are not TCP's
	timer     wheel.Node[*neighbor]
	// The ring that the entry is in, from the one that came first; nil for none. See neighborroom.go.
	ring               *ring
	ringPrev, ringNext *neighbor
}

// address returns the MAC to send to, when nothing else has to be done.
func (n *neighbor) address() (mac link.MAC, ok bool) {
	v := n.usable.Load()
	for i := range mac {
		mac[i] = byte(v >> (56 - 8*i))
	}
	return mac, v != 0
}

// solicitor asks for the link address of target: all hosts on the link, or the one that had it last, at unicast. That is
// ARP's request or neighbour discovery's solicitation. first says that all are asked for the first time. soon says that
// the answer may not come although the target is there, and that it is to be asked again in a moment. It is called under
// the cache's lock.
type solicitor func(target netip.Addr, unicast *link.MAC, first bool) (soon bool)

// neighborCache holds what is known of the neighbours of one interface. Its lock comes before a transmit
// queue's: what waited for a neighbour must leave before anything newer.
type neighborCache struct {
	base    *base
	mac     link.MAC      // the interface's own
	zone    string        // its name
	advised *ndParameters // nil for IPv4, of which no router says anything
	solicit solicitor
	silent  func(netip.Addr) // if not nil called under no lock for a neighbour that has not answered
	// gateway, if not nil, is told of the neighbours that are heard and of those that do not answer. mu is held.
	gateway func(addr netip.Addr, answers bool)

	mu       sync.Mutex
	entries  map[netip.Addr]*neighbor
	timers   wheel.Wheel[*neighbor]
	expired  func(*neighbor) // expireLocked, made once
	now      mono.Time       // during advance
	heldAll  int
	rings    rings
	lost     []heldFrame
	gaveUp   []netip.Addr // during advance
	maxCount int
	settled  chan struct{} // closed when heldAll comes to 0; nil where no goroutine waits for that
}

func newNeighborCache(b *base, info *link.Info, solicit solicitor) *neighborCache {
	c := &neighborCache{base: b, mac: info.MAC, zone: info.Name, solicit: solicit, entries: make(map[netip.Addr]*neighbor),
		maxCount: b.MaxNeighbors}
	c.expired = c.expireLocked
	c.rings.init()
	return c
}

// Neighbor is what is known of a host on the link.
type Neighbor struct {
	Addr netip.Addr
	MAC  link.MAC
	// Router says that the last neighbour advertisement was that of a router (RFC 4861 4.4); always false for IPv4.
	Router bool
	// State is that of RFC 4861 7.3.2, "REACHABLE" for instance, or "FAILED" where no answer came lately.
	State string
}

// appendTo appends the entries to list.
func (c *neighborCache) appendTo(list []Neighbor) []Neighbor {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.entries {
		list = append(list, Neighbor{Addr: n.addr, MAC: n.mac, Router: n.router, State: neighborStates[n.state]})
	}
	return list
}

func (c *neighborCache) size() (entries, held int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.entries), c.heldAll
}

// needLocked returns the entry for addr, a new one if need be; nil when the cache is full of entries in use.
func (c *neighborCache) needLocked(addr netip.Addr) *neighbor {
	if n := c.entries[addr]; n != nil {
		return n
	}
	if !c.makeOurRoomLocked() {
		return nil
	}
	return c.addLocked(addr)
}

func (c *neighborCache) addLocked(addr netip.Addr) *neighbor {
	n := &neighbor{addr: addr}
	n.timer.Owner = n
	c.entries[addr] = n
	return n
}

// startLocked begins to ask for a neighbour that is not known.
func (c *neighborCache) startLocked(n *neighbor, now mono.Time) {
	c.enterLocked(n, incomplete, now, c.advised.retransTime())
	n.tries = 1
	if n.again = c.solicit(n.addr, nil, true); n.again {
		c.armLocked(n, now.Add(objectionTime))
	}
}

// enterLocked changes the state and arms its timer.
func (c *neighborCache) enterLocked(n *neighbor, s neighborState, now mono.Time, d time.Duration) {
	n.state = s
	if s == reachable || s == failed {
		n.proven, n.disputed = s == reachable, false
	}
	var usable uint64
	switch s {
	case reachable, delay, probe:
		for _, b := range n.mac {
			usable = usable<<8 | uint64(b)
		}
		usable = usable<<16 | 1
	case incomplete, stale, failed:
	}
	n.usable.Store(usable)
	if c.gateway != nil && (s == reachable || s == stale || s == failed) {
		c.gateway(n.addr, s != failed)
	}
	c.rings.enter(n)
	c.armLocked(n, now.Add(d))
}

func (c *neighborCache) armLocked(n *neighbor, at mono.Time) {
	c.timers.Arm(&n.timer, int64(at))
	c.base.arm(at)
}

// reachableTime returns a randomised REACHABLE period (RFC 4861 6.3.2).
func (c *neighborCache) reachableTime() time.Duration {
	base := int64(c.advised.reachableTime(c.base.NeighborReachable))
	return time.Duration(base/2 + rand.Int64N(base))
}

// doubt asks a neighbour that counts as reachable whether it is still there, without the wait of DELAY. It is asked once
// in delayFirstProbe at most, however many connections doubt it.
func (c *neighborCache) doubt(n *neighbor, now mono.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n.gone || n.doubted != 0 && now.Sub(n.doubted) < delayFirstProbe {
		return
	}
	switch n.state {
	case reachable, stale, delay:
		n.doubted = now
		c.probeLocked(n, now)
	case incomplete, probe, failed: // being asked, or known to be silent
	}
}

// probeLocked asks the neighbour at its last address.
func (c *neighborCache) probeLocked(n *neighbor, now mono.Time) {
	c.enterLocked(n, probe, now, c.advised.retransTime())
	n.tries, n.asked, n.claimed = 1, now, false
	c.solicit(n.addr, &n.mac, false)
}

func (c *neighborCache) nextDeadline() (mono.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.timers.Next()
	return mono.Time(at), ok
}

// advance acts on the timers that have expired: requests are sent again. It returns a report for each packet that has
// waited for a neighbour which does not answer.
func (c *neighborCache) advance(now mono.Time) (reports []Report) {
	c.mu.Lock()
	c.now = now
	c.timers.Advance(int64(now), c.expired)
	lost, gaveUp := c.lost, c.gaveUp
	c.lost, c.gaveUp = nil, nil
	c.mu.Unlock()
	if c.silent != nil {
		for _, addr := range gaveUp {
			c.silent(addr)
		}
	}
	for i := range lost {
		c.base.drop(drop.NeighborFailed)
		r := Report{Reason: HostUnreachable, Neighbor: true}
		packet := lost[i].frame.Header[wire.EthernetLen:]
		quoted := r.quote(lost[i].family, packet, c.zone)
		r.Transport = bytes.Clone(r.Transport)
		if c.base.forwarding.Load() != nil {
			r.packet = quotable(packet)
		}
		if quoted || r.packet != nil {
			reports = append(reports, r)
		}
		lost[i].frame.Release()
	}
	return reports
}

func (c *neighborCache) expireLocked(n *neighbor) {
	now := c.now
	confirmed := mono.Time(n.confirmed.Load())
	if n.claimed && n.state != incomplete && n.state != failed {
		c.contestLocked(n, now)
		return
	}
	switch n.state {
	case incomplete:
		if n.again {
			n.again = false
			c.solicit(n.addr, nil, false)
			c.armLocked(n, now.Add(c.advised.retransTime()))
			return
		}
		if n.tries < resolveTries {
			n.tries++
			c.solicit(n.addr, nil, false)
			c.armLocked(n, now.Add(c.advised.retransTime()))
			return
		}
		c.lost = append(c.lost, n.held...)
		c.gaveUp = append(c.gaveUp, n.addr)
		c.takenLocked(n)
		c.enterLocked(n, failed, now, failedLifetime)
	case reachable:
		if period := c.advised.reachableTime(c.base.NeighborReachable); confirmed.Add(period) > now {
			c.armLocked(n, confirmed.Add(period))
			return
		}
		c.enterLocked(n, stale, now, staleLifetime)
	case delay:
		if confirmed.Add(delayFirstProbe) >= now && confirmed != 0 {
			c.enterLocked(n, reachable, now, c.reachableTime())
			return
		}
		c.probeLocked(n, now)
	case probe:
		if confirmed > n.asked {
			c.enterLocked(n, reachable, now, c.reachableTime())
			return
		}
		if n.tries < resolveTries {
			n.tries++
			c.solicit(n.addr, &n.mac, false)
			c.armLocked(n, now.Add(c.advised.retransTime()))
			return
		}
		// Its MAC may have changed: ask all hosts before giving up (RFC 1122 2.3.2.1).
		c.startLocked(n, now)
	case stale, failed:
		c.forgetLocked(n)
	}
}

// clear drops what waits for a neighbour.
func (c *neighborCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.entries {
		for i := range n.held {
			c.base.drop(drop.Closing)
			n.held[i].frame.Release()
		}
		c.takenLocked(n)
	}
}
