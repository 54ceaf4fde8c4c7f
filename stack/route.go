package stack

import (
	"hash/maphash"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/tcp"
)

// route is the way from an address of ours to a remote one. It is immutable but for the neighbour it
// remembers, and shared: everybody who asks for the same pair gets the same route as long as the cache
// remembers it.
type route struct {
	iface                  *iface
	local, remote, nextHop netip.Addr
	path                   tcp.Path

	topology *topology // that the route was made from
	group    bool      // remote is a broadcast or multicast address
	groupMAC link.MAC
	neighbor atomic.Pointer[neighbor]
}

// outPacket is a transport's packet on its way down. Everything in it is borrowed for the call of send.
type outPacket struct {
	proto, tos, ttl uint8      // ttl 0: the host's default
	header          []byte     // transport header, its checksum field zero
	sumOffset       int        // of the checksum field in header; negative: header needs none
	payload         []tcp.Span // gathered behind header
	payloadLen      int
	gsoSize         uint16 // payload of each segment of a super-segment; 0 for a plain packet
	df              bool
	mtu             int // of the path where it is less than the route's; 0 for the route's
}

// Route is a route of the host, as `ip route` of Linux shows it.
type Route struct {
	// Dst is the network that the route leads to.
	Dst netip.Prefix
	// Via is the gateway to it. The zero Addr: the hosts of Dst are neighbours on the link, and each is its own next hop.
	Via netip.Addr
	// Device is the name of the interface. Empty means the one whose network holds Via or, where Via is not valid or
	// OnLink is set, the host's only one besides loopback's. Host.Routes names the device of such routes only.
	Device string
	// OnLink says that Via is a neighbour on the link, although it is in no network of the host's, as with the addresses
	// of 32 bits that clouds and VPNs give out.
	OnLink bool
}

// AddRoute adds the route of dst through a gateway or, where via is not valid, on the link of the host's only device.
// Its errors are those of AddRoutes.
func (h *Host) AddRoute(dst netip.Prefix, via netip.Addr) error {
	return h.AddRoutes(Route{Dst: dst, Via: via})
}

// AddRoutes adds routes, all or none. Errors:
//
//   - EINVAL: destination and gateway are of different families, the gateway is not the address of one other host, or no
//     device is named where there are several;
//   - ENETUNREACH: a gateway without OnLink is in no directly connected network of the host, or of the named device;
//   - ENODEV: there is no device of that name;
//   - EEXIST: there is a route for the destination already;
//   - EAFNOSUPPORT: an IPv6 address.
func (h *Host) AddRoutes(routes ...Route) error {
	h.changing.Lock()
	defer h.changing.Unlock()
	return h.change(func(t *topology) error {
		for _, r := range routes {
			e, err := t.hopOf(r)
			if err != nil {
				return err
			}
			if slices.ContainsFunc(t.routes, func(o hop) bool { return o.dst == e.dst }) {
				return syscall.EEXIST
			}
			t.insert(e)
		}
		return nil
	})
}

// hopOf returns the entry of the routing table that r asks for.
func (t *topology) hopOf(r Route) (hop, error) {
	via := r.Via.Unmap()
	if !r.Dst.IsValid() || r.Dst.Addr().Is4In6() || r.OnLink && !via.IsValid() {
		return hop{}, syscall.EINVAL
	}
	if via.IsValid() && (!isUnicast(via) || via.IsLoopback() || r.Dst.Addr().Is4() != via.Is4()) {
		return hop{}, syscall.EINVAL
	}
	if !r.Dst.Addr().Is4() { // it leads nowhere: packets of IPv6 are dropped
		return hop{}, syscall.EAFNOSUPPORT
	}
	e := hop{dst: r.Dst.Masked(), via: via}
	if via.IsValid() && t.class(via) == foreign {
		gateway, ok := t.lookup(via)
		if ok && !gateway.via.IsValid() && (r.Device == "" || gateway.iface.info.Name == r.Device) {
			e.iface = gateway.iface
			return e, nil
		}
	}
	if via.IsValid() && !r.OnLink {
		return hop{}, syscall.ENETUNREACH
	}
	if t.class(via) != foreign {
		return hop{}, syscall.EINVAL
	}
	var err error
	e.iface, err = t.device(r.Device)
	e.onLink = true
	return e, err
}

// device returns the interface of a name, or the only one besides loopback's where the name is empty.
func (t *topology) device(name string) (*iface, error) {
	ifaces := t.remaining()
	if name == "" && len(ifaces) > 1 {
		return nil, syscall.EINVAL
	}
	for _, ifc := range ifaces {
		if name == "" || ifc.info.Name == name {
			return ifc, nil
		}
	}
	return nil, syscall.ENODEV
}

// Routes returns the host's routes, most specific first, without loopback's.
func (h *Host) Routes() []Route {
	var routes []Route
	for _, e := range h.topology.Load().routes {
		r := Route{Dst: e.dst, Via: e.via}
		if e.onLink {
			r.Device, r.OnLink = e.iface.info.Name, e.via.IsValid()
		}
		routes = append(routes, r)
	}
	return routes
}

// Addrs returns the host's addresses with the lengths of their networks, without loopback's.
func (h *Host) Addrs() []netip.Prefix {
	var addrs []netip.Prefix
	for _, ifc := range h.topology.Load().remaining() {
		addrs = append(addrs, ifc.addrs...)
	}
	return addrs
}

// isLocal says whether a is an address of this host.
func (h *Host) isLocal(a netip.Addr) bool {
	return a.IsLoopback() || h.topology.Load().class(a) == own
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
	slots [routeSets][routeWays]atomic.Pointer[route]
}

// set returns the slots for a pair, and the one that a new route replaces when none is free.
func (c *routeCache) set(local, remote netip.Addr) (slots *[routeWays]atomic.Pointer[route], victim int) {
	type pair struct{ local, remote netip.Addr }
	hash := maphash.Comparable(c.seed, pair{local, remote})
	return &c.slots[hash%routeSets], int(hash >> 32 % routeWays)
}

// routeTo finds the way to remote, which must be one host's address. Where local is not valid or
// unspecified it chooses the source address; an unspecified remote means local if both are of IPv4, and otherwise
// loopback, and route.remote says so (ledger E-CON-9). ENETUNREACH: no route, broadcast or multicast (MUST-46). EADDRNOTAVAIL: local is not ours.
// ENETDOWN: all devices have failed, and remote is no loopback address.
func (h *Host) routeTo(local, remote netip.Addr) (*route, error) {
	r, err := h.findRoute(local, remote)
	if err == nil && r.group {
		return nil, syscall.ENETUNREACH
	}
	return r, err
}

// findRoute is routeTo for broadcast and multicast addresses too.
func (h *Host) findRoute(local, remote netip.Addr) (*route, error) {
	t := h.topology.Load()
	if local, remote = local.Unmap(), remote.Unmap(); local.IsValid() && local.IsUnspecified() {
		local = netip.Addr{}
	}
	switch {
	case remote == netip.IPv4Unspecified() && local.Is4(): // as Linux has it
		remote = local
	case remote.IsUnspecified(): // of either family: IPv6 has no loopback yet
		remote = loopback4
	}
	slots, victim := h.routes.set(local, remote)
	for i := range slots {
		r := slots[i].Load()
		if r == nil || r.topology != t {
			victim = i
			continue
		}
		if r.remote == remote && (r.local == local || !local.IsValid() && h.chosen(r)) {
			return r, nil
		}
	}
	r, err := h.makeRoute(t, local, remote)
	if err == nil {
		slots[victim].Store(r)
	}
	return r, err
}

// chosen says whether r's local address is the one that is chosen when nobody names one.
func (h *Host) chosen(r *route) bool {
	if r.iface.loopback {
		return r.local == loopbackSource(r.remote)
	}
	return r.local == r.iface.source(r.nextHop)
}

// loopbackSource returns the source address for packets to an address of our own: the same address, but one
// address for all of 127/8.
func loopbackSource(remote netip.Addr) netip.Addr {
	if remote.IsLoopback() && remote.Is4() {
		return loopback4
	}
	return remote
}

var loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})

func (h *Host) makeRoute(t *topology, local, remote netip.Addr) (*route, error) {
	if t.lost && !remote.IsLoopback() {
		return nil, syscall.ENETDOWN
	}
	if !remote.Is4() { // IPv6 has no interface yet
		return nil, syscall.ENETUNREACH
	}
	if local.IsValid() && !h.isLocal(local) {
		return nil, syscall.EADDRNOTAVAIL
	}
	if local.IsValid() && !local.Is4() {
		return nil, syscall.ENETUNREACH
	}
	r := &route{topology: t, local: local, remote: remote, nextHop: remote}
	switch {
	case remote.IsLoopback() || t.class(remote) == own:
		r.iface = t.ifaces[0]
		if !local.IsValid() {
			r.local = loopbackSource(remote)
		}
	default:
		if err := r.chooseHop(t); err != nil {
			return nil, err
		}
		if local.IsLoopback() {
			return nil, syscall.EINVAL // such a packet would be dropped by whoever gets it
		}
	}
	info := &r.iface.info
	r.path = tcp.Path{MTU: r.iface.mtu}
	if info.TSO4 && info.MaxPacket > r.path.MTU {
		r.path.MaxSuper = min(info.MaxPacket, 65535)
	}
	return r, nil
}

// chooseHop sets interface, next hop and source address for a remote host or group.
func (r *route) chooseHop(t *topology) error {
	limited := r.remote == limitedBroadcast
	r.group = limited || r.remote.IsMulticast() || t.class(r.remote) == broadcast
	if limited || r.remote.IsMulticast() {
		// The interface of the source address, else the first that there is.
		for _, ifc := range t.ifaces[1:] {
			if ifc.currentState() != InterfaceUp {
				continue
			}
			if src := ifc.source(r.remote); src.IsValid() && (!r.local.IsValid() || ifc.hasAddr(r.local)) {
				r.iface = ifc
				break
			}
		}
	} else if !isUnicast(r.remote) {
		return syscall.ENETUNREACH
	} else if e, ok := t.lookup(r.remote); ok {
		r.iface = e.iface
		if e.via.IsValid() {
			r.nextHop = e.via
		}
	}
	if r.iface == nil {
		return syscall.ENETUNREACH
	}
	if !r.local.IsValid() {
		r.local = r.iface.source(r.nextHop)
	}
	if !r.local.IsValid() {
		return syscall.EADDRNOTAVAIL
	}
	if r.group {
		r.groupMAC = groupMAC(r.remote)
	}
	return nil
}

// confirm tells that something we sent over this route has arrived, as an acknowledgment of new data shows,
// so that its neighbour is reachable (RFC 4861 7.3.1). That the peer was heard is not enough: it may hear
// nothing of us. Cheap; callable under a shard's lock.
func (r *route) confirm(now mono.Time) {
	n := r.neighbor.Load()
	if n == nil || now.Sub(mono.Time(n.confirmed.Load())) < time.Millisecond {
		return // lest all connections write it all the time
	}
	n.confirmed.Store(int64(now))
}

// doubt tells that what we send over this route has not been acknowledged for a while: its neighbour may be gone,
// or have another link address now (RFC 9293 3.8.3, RFC 1122 2.3.2.1). Callable under a shard's lock.
func (r *route) doubt(now mono.Time) {
	if n := r.neighbor.Load(); n != nil {
		r.iface.neighbors.doubt(n, now)
	}
}

// transmit puts a frame with room for its link header on the queue, gather behind it, once it is known where
// it goes. The spans of gather are all kept by buffers.
func (r *route) transmit(q *txQueue, f *link.Frame, gather []tcp.Span) {
	if r.iface.linkLen == 0 {
		q.put(f, gather)
		return
	}
	mac := r.groupMAC
	if !r.group {
		var ok bool
		if mac, ok = r.resolve(q, f, gather); !ok {
			return
		}
	}
	putLinkHeader(f, mac, r.iface.info.MAC)
	q.put(f, gather)
}

func putLinkHeader(f *link.Frame, dst, src link.MAC) {
	eth := wire.Ethernet{Dst: dst, Src: src, Type: wire.EtherTypeIPv4}
	eth.Marshal(f.Header)
}

// flush writes out what send queued, unless a receive burst is in progress, whose loop then does, or another
// goroutine is flushing, which then takes ours too. Called with no lock held; cheap with nothing queued.
func (h *Host) flush() {
	if h.arming.Load() != 0 {
		if at := h.arming.Swap(0); at != 0 {
			h.clock.Armed(mono.Time(at))
		}
	}
	for _, ifc := range h.topology.Load().ifaces {
		for _, q := range ifc.queues {
			q.flush()
		}
	}
}

// arm notes that a timer of the IP side was armed; the next flush tells the clock, which must not happen
// under a lock.
func (h *Host) arm(at mono.Time) {
	for {
		old := h.arming.Load()
		if old != 0 && old <= int64(at) || h.arming.CompareAndSwap(old, int64(at)) {
			return
		}
	}
}
