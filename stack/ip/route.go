package ip

import (
	"cmp"
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// Route is the way from an address of ours to a remote one. It is immutable but for the neighbour and the path's MTU that it
// remembers, and shared: all callers that ask for the same pair get the same route as long as the cache
// remembers it.
type Route struct {
	iface                  *Interface
	family                 *family
	local, remote, nextHop netip.Addr
	mtu                    int // of the interface
	super                  int // the longest packet that the device cuts into TCP segments; 0 for none

	topology *topology                // that the route was made from
	checked  atomic.Pointer[topology] // a later one, by which the route still leads to remote
	flowSeed uint64                   // of IPv6 flow labels
	zone     uint32                   // the number of the interface that link-local addresses of a route over loopback belong to, else 0
	addrSum  uint32                   // of the addresses in a pseudo-header
	group    bool                     // remote is a broadcast or multicast address
	groupMAC link.MAC
	neighbor atomic.Pointer[neighbor]

	path pathView // of what the layer knows of the way to remote
}

// Interface returns the interface that the route leads over.
func (r *Route) Interface() *Interface { return r.iface }

// Local returns the address that packets are sent from.
func (r *Route) Local() netip.Addr { return r.local }

// Remote returns the address that packets are sent to.
func (r *Route) Remote() netip.Addr { return r.remote }

// NextHop returns the address of the gateway, or the remote address where that is a neighbour.
func (r *Route) NextHop() netip.Addr { return r.nextHop }

// V6 says whether the packets are IPv6's.
func (r *Route) V6() bool { return r.family.version == 6 }

// HeaderLen returns the octets that the layer puts before a transport header.
func (r *Route) HeaderLen() int { return r.family.headerLen }

// MTU returns the largest packet in octets that the route's interface takes.
func (r *Route) MTU() int { return r.mtu }

// MaxSuper returns the largest packet in octets that the device cuts into TCP segments by itself; 0 where it does not.
func (r *Route) MaxSuper() int { return r.super }

// Group says whether the remote address is a broadcast or multicast address.
func (r *Route) Group() bool { return r.group }

// PathMTU returns the largest packet in octets that the path to the remote address is known to take, at most MTU. What is
// known is forgotten ten minutes after the last word about it.
func (r *Route) PathMTU() int {
	c := r.iface.core
	return c.pathMTUs.mtu(makePathKey(r.remote, r.iface.index), &r.path, r.mtu, c.Clock)
}

// LearnPathMTU notes that a router has asked for packets of at most mtu octets on the way to the remote address. No
// message raises what is known, or lowers it below what each path of the family must take (RFC 8201 4) or, for IPv4,
// what Linux believes: a forged one cannot have packets cut smaller. A path of IPv4 that is narrower still is locked.
func (r *Route) LearnPathMTU(mtu int) {
	if mtu < r.mtu {
		r.putPathMTU(mtu, false)
	}
}

// PathTooNarrow says whether the path is narrower than the least PathMTU that is believed, so that packets of PathMTU reach
// the remote address only if routers may cut them, as in Linux. It says what the last call of PathMTU has seen.
func (r *Route) PathTooNarrow() bool {
	p := r.path.entry.Load()
	return p != nil && p.locked
}

// SetPathMTU notes that packets of mtu octets reach the remote address and larger ones do not, as a connection has found
// out by trying, which counts for more than what was known before. With the route's MTU nothing is known any more.
func (r *Route) SetPathMTU(mtu int) { r.putPathMTU(mtu, true) }

func (r *Route) putPathMTU(mtu int, raise bool) {
	c := r.iface.core
	least := r.family.leastPathMTU
	p := pathMTU{mtu: max(mtu, least), locked: mtu < least && !r.V6()}
	c.pathMTUs.put(makePathKey(r.remote, r.iface.index), p, r.mtu, c.now(), raise)
}

// The route cache has sets of a few slots each; a slot remembers one route, and the cache is bounded by that.
// Connections hold on to their routes, so a cache that forgets too easily costs memory, not only time.
const (
	routeSets = 512
	routeWays = 4
)

// routeCache finds the shared route of a pair of addresses without a lock.
type routeCache struct {
	seed  maphash.Seed
	slots [routeSets][routeWays]atomic.Pointer[Route]
}

func (c *routeCache) init() { c.seed = maphash.MakeSeed() }

// set returns the slots for a pair, and the one that a new route replaces when none is free.
func (c *routeCache) set(local, remote netip.Addr) (slots *[routeWays]atomic.Pointer[Route], victim int) {
	type pair struct{ local, remote netip.Addr }
	hash := maphash.Comparable(c.seed, pair{local, remote})
	return &c.slots[hash%routeSets], int(hash >> 32 % routeWays)
}

// HostRoute finds the way to remote, which must be one host's address. Where local is not valid or
// unspecified it chooses the source address; an unspecified remote means local if both are of IPv4, and otherwise
// loopback, and Route.Remote says so (ledger E-CON-9). ENETUNREACH: no route, broadcast or multicast (MUST-46).
// It is also the error where local is not ours. EINVAL: a link-local address of IPv6 without a zone (RFC 4007). ENETDOWN: all devices have failed, and remote is no loopback address.
func (l *Layer) HostRoute(local, remote netip.Addr) (*Route, error) {
	r, err := l.Route(local, remote)
	if err == nil && r.group {
		return nil, syscall.ENETUNREACH
	}
	return r, err
}

// Route is HostRoute for broadcast and multicast addresses too.
func (l *Layer) Route(local, remote netip.Addr) (*Route, error) {
	t := l.topology.Load()
	if local, remote = local.Unmap(), remote.Unmap(); local.IsValid() && local.IsUnspecified() {
		local = netip.Addr{}
	}
	remote = specified(local, remote)
	if remote.Is6() {
		var ok bool
		if local, remote, ok = withZones(local, remote); !ok {
			return nil, syscall.EINVAL
		}
	}
	slots, victim := l.routes.set(local, remote)
	for i := range slots {
		r := slots[i].Load()
		if r == nil || r.topology != t {
			victim = i
			continue
		}
		if r.remote == remote && (r.local == local || !local.IsValid() && r.chosen()) {
			return r, nil
		}
	}
	r, err := l.makeRoute(t, local, remote, nil)
	if err == nil {
		slots[victim].Store(r)
	}
	return r, err
}

// chosen says whether the route's local address is the one that is chosen where the caller names none.
func (r *Route) chosen() bool {
	if r.iface.loopback {
		return r.local == loopbackSource(r.remote)
	}
	return r.local == r.topology.source(r.iface, r.nextHop, r.remote)
}

// makeRoute makes a route, over an interface if over is not nil.
func (l *Layer) makeRoute(t *topology, local, remote netip.Addr, over *Interface) (*Route, error) {
	if t.lost && !remote.IsLoopback() {
		return nil, syscall.ENETDOWN
	}
	if local.IsValid() && !l.IsLocal(local) {
		return nil, syscall.ENETUNREACH // as in Linux, for a socket that was bound before the address went
	}
	if local.IsValid() && local.Is4() != remote.Is4() {
		return nil, syscall.ENETUNREACH
	}
	r := &Route{topology: t, family: familyOf(remote), local: local, remote: remote, nextHop: remote}
	switch {
	case remote.IsLoopback() || t.class(remote) == own:
		r.iface = t.ifaces[0]
		if !local.IsValid() {
			r.local = loopbackSource(remote)
		}
	default:
		if err := r.chooseHop(t, over); err != nil {
			return nil, err
		}
		if local.IsLoopback() {
			return nil, syscall.EINVAL // every host drops a packet from such a source
		}
	}
	if r.iface.loopback {
		r.zone = t.zoneNumber(cmp.Or(r.local.Zone(), r.remote.Zone()))
	}
	r.mtu = r.iface.mtuFor(r.family)
	r.addrSum = wire.PseudoHeader(r.local, r.remote, 0, 0)
	r.flowSeed = maphash.Comparable(l.routes.seed, [2]netip.Addr{r.local, r.remote})
	if super := r.family.super(&r.iface.info); super > r.mtu {
		r.super = super
	}
	return r, nil
}

// pseudoHeader returns the sum of the pseudo-header of a packet that carries length octets of a protocol.
func (r *Route) pseudoHeader(proto uint8, length int) uint32 {
	return r.addrSum + uint32(proto) + uint32(length)>>16 + uint32(length)&0xffff
}

// chooseHop sets interface, next hop and source address for a remote host or group. Where over is not nil the interface is that.
func (r *Route) chooseHop(t *topology, over *Interface) error {
	limited := isLimitedBroadcast(r.remote)
	r.group = limited || r.remote.IsMulticast() || t.class(r.remote) == broadcast
	if limited || r.remote.IsMulticast() {
		r.iface = r.groupInterface(t, over)
	} else if !isUnicast(r.remote) {
		return syscall.ENETUNREACH
	} else if e, ok := t.hopFrom(r.local, r.remote, over); ok {
		r.iface = e.iface
		if e.via.IsValid() {
			r.nextHop = e.via
		}
	}
	if r.iface == nil {
		return syscall.ENETUNREACH
	}
	if !r.local.IsValid() {
		r.local = t.source(r.iface, r.nextHop, r.remote)
	}
	if !r.local.IsValid() {
		return syscall.EADDRNOTAVAIL
	}
	if r.group {
		r.groupMAC = groupMAC(r.remote)
	}
	return nil
}

// groupInterface returns the interface of the source address, or the first that there is for a packet to a group that
// is not one network's; nil for none. Where over is not nil it is that or none.
func (r *Route) groupInterface(t *topology, over *Interface) *Interface {
	for _, ifc := range t.ifaces[1:] {
		if over != nil && ifc != over {
			continue
		}
		if zone := r.remote.Zone(); ifc.currentState() != InterfaceUp || zone != "" && zone != ifc.info.Name {
			continue
		}
		if src := t.source(ifc, r.remote, r.remote); src.IsValid() && (!r.local.IsValid() || t.hasAddr(ifc, r.local)) {
			return ifc
		}
	}
	return nil
}

// Current says whether the route was made from the addresses and routes that there are now. If not, HostRoute may return
// another one.
func (r *Route) Current() bool { return r.topology == r.iface.core.topology.Load() }

// Usable says whether packets still reach remote over the route: its source address is the host's, its interface is up and has
// the same MTU, and there is an entry of the routing table that leads over it. Another entry may be better by now.
func (r *Route) Usable() bool {
	t := r.iface.core.topology.Load()
	if t == r.topology || t == r.checked.Load() {
		return true
	}
	if !t.leads(r) {
		return false
	}
	r.checked.Store(t)
	return true
}

// leads says whether packets may go on over r.
func (t *topology) leads(r *Route) bool {
	if r.iface.loopback {
		return r.remote.IsLoopback() || t.class(r.remote) == own
	}
	if t.class(r.local) != own || t.class(r.remote) == own || r.iface.currentState() != InterfaceUp || r.mtu != r.iface.mtuFor(r.family) {
		return false
	}
	over := func(e *hop) bool {
		return e.iface == r.iface && !e.silent && (e.via == r.nextHop || !e.via.IsValid() && r.nextHop == r.remote)
	}
	if e, ok := t.redirects[r.remote]; ok && over(&e) || r.remote.Zone() != "" {
		return true
	}
	for i := range t.routes {
		if e := &t.routes[i]; e.dst.Contains(r.remote) && over(e) {
			return true
		}
	}
	return false
}

// Confirm tells that something we sent over this route has arrived, as an acknowledgment of new data shows,
// so that its neighbour is reachable (RFC 4861 7.3.1). That the peer was heard is not enough: it may hear
// nothing of us. Cheap; callable under a shard's lock.
func (r *Route) Confirm(now mono.Time) {
	n := r.neighbor.Load()
	if n == nil || now.Sub(mono.Time(n.confirmed.Load())) < time.Millisecond {
		return // so that not all connections write it all the time
	}
	n.confirmed.Store(int64(now))
}

// Doubt tells that what we send over this route has not been acknowledged for a while: its neighbour may be gone,
// or have another link address now (RFC 9293 3.8.3, RFC 1122 2.3.2.1). Callable under a shard's lock.
func (r *Route) Doubt(now mono.Time) {
	if n := r.neighbor.Load(); n != nil {
		r.iface.neighbors[r.family.index].doubt(n, now)
	}
}
