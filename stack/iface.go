package stack

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// iface is one attached device. It does not change after it is made; its caches, its counters and its state do.
type iface struct {
	host      *Host
	dev       link.Device
	info      link.Info
	loopback  bool
	mtu       int
	linkLen   int            // of the link header, 14 or 0
	addrs     []netip.Prefix // address and length, not masked
	queues    []*txQueue     // a power of two of them
	neighbors *neighborCache // nil where frames have no link address
	announcer *announcer     // likewise
	counters  ifaceCounters
	state     atomic.Uint32 // an InterfaceState; changes under Host.links
	live      int           // queues that have not failed, guarded by Host.links
	lastError atomic.Pointer[error]
}

type ifaceCounters struct {
	framesIn, octetsIn, framesOut, octetsOut, writeErrors atomic.Uint64
}

func newIface(h *Host, dev link.Device, ic Interface) (*iface, error) {
	info := dev.Info()
	ifc := &iface{host: h, dev: dev, info: info, mtu: info.MTU}
	if ic.MTU != 0 {
		ifc.mtu = min(ic.MTU, info.MTU)
	}
	if ic.Announce > AnnounceNever {
		return nil, syscall.EINVAL
	}
	if ifc.mtu < 68 || ifc.mtu > 65535 { // RFC 791 3.2: every link carries 68 octets
		return nil, syscall.EINVAL
	}
	for _, p := range ic.Addrs {
		a := p.Addr().Unmap().WithZone("")
		if !p.IsValid() || a.Is4() != p.Addr().Is4() || !isUnicast(a) || a.IsLoopback() {
			return nil, syscall.EINVAL
		}
		if a.Is6() { // whose packets are dropped
			return nil, syscall.EAFNOSUPPORT
		}
		ifc.addrs = append(ifc.addrs, netip.PrefixFrom(a, p.Bits()))
	}
	if info.Kind == link.Ethernet {
		if info.MAC == (link.MAC{}) || info.MAC[0]&1 != 0 {
			return nil, syscall.EINVAL
		}
		ifc.linkLen = wire.EthernetLen
		ifc.neighbors = newNeighborCache(ifc)
		ifc.announcer = newAnnouncer(ifc, ic.Announce)
	}
	devs := []link.Device{dev}
	if m, ok := dev.(link.MultiQueue); ok {
		devs = m.Queues()
	}
	for _, d := range devs {
		ifc.queues = append(ifc.queues, &txQueue{dev: d, iface: ifc, limit: h.config.queueOctets(maxQueuedOctets)})
	}
	ifc.live = len(ifc.queues)
	return ifc, nil
}

// isUnicast says whether a can be one host's address, by its own looks.
func isUnicast(a netip.Addr) bool {
	if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() {
		return false
	}
	return !a.Is4() || a.As4()[0] < 240 && a.As4()[0] != 0
}

// queueFor returns the queue for a packet of a flow, which stays on its queue: TCP's by their ports, all others by their
// addresses, since fragments have no ports but the first, and an ICMP message has none. Package tap has the kernel
// choose the same queue for the other direction, so that datagrams stay in order there too.
func (r *route) queueFor(p *outPacket) *txQueue {
	queues := r.iface.queues
	if len(queues) == 1 {
		return queues[0]
	}
	var h uint32
	if p.proto == wire.ProtocolTCP {
		h = binary.BigEndian.Uint32(p.header)
	} else {
		src, dst := r.local.As4(), r.remote.As4()
		h = binary.BigEndian.Uint32(src[:]) ^ binary.BigEndian.Uint32(dst[:])
	}
	h *= 0x9e3779b1
	n := len(queues)
	at := int(h>>16) % n
	for range n {
		if q := queues[at]; !q.gone.Load() {
			return q
		}
		at = (at + 1) % n
	}
	return queues[0]
}

// source returns the address to send from to an address on or behind this interface's network.
func (ifc *iface) source(nextHop netip.Addr) netip.Addr {
	var found netip.Addr
	for _, p := range ifc.addrs {
		if p.Addr().Is4() != nextHop.Is4() {
			continue
		}
		if p.Contains(nextHop) {
			return p.Addr()
		}
		if !found.IsValid() {
			found = p.Addr()
		}
	}
	return found
}

// onLink says whether a is a neighbour on the interface: in the network of one of its addresses, or by a route.
func (t *topology) onLink(ifc *iface, a netip.Addr) bool {
	if slices.ContainsFunc(ifc.addrs, func(p netip.Prefix) bool { return p.Contains(a) }) {
		return true
	}
	return slices.ContainsFunc(t.routes, func(e hop) bool {
		return e.iface == ifc && e.onLink && (e.via == a || !e.via.IsValid() && e.dst.Contains(a))
	})
}

func (ifc *iface) hasAddr(a netip.Addr) bool {
	return slices.ContainsFunc(ifc.addrs, func(p netip.Prefix) bool { return p.Addr() == a })
}

func (ifc *iface) stats() InterfaceStats {
	c := &ifc.counters
	s := InterfaceStats{Name: ifc.info.Name, MAC: ifc.info.MAC,
		FramesIn: c.framesIn.Load(), OctetsIn: c.octetsIn.Load(),
		FramesOut: c.framesOut.Load(), OctetsOut: c.octetsOut.Load(),
		WriteErrors: c.writeErrors.Load()}
	s.State = ifc.currentState()
	if err := ifc.lastError.Load(); err != nil {
		s.Err = *err
	}
	if ifc.neighbors != nil {
		s.Neighbors, s.Held = ifc.neighbors.size()
	}
	return s
}

// addrClass says what a destination address is to this host.
type addrClass uint8

const (
	foreign   addrClass = iota
	own                 // one of our unicast addresses
	broadcast           // the directed broadcast address of a connected network
)

// topology is an immutable snapshot of interfaces, addresses and routes.
type topology struct {
	ifaces  []*iface // loopback's first
	classes map[netip.Addr]addrClass
	routes  []hop // most specific first, then in the order in which they came
	lost    bool  // there was a device beside loopback's, and all have failed
}

// hop is one entry of the routing table.
type hop struct {
	dst   netip.Prefix // masked
	via   netip.Addr   // not valid: dst is directly connected
	iface *iface
	// onLink says that the route alone, and no address, puts via or else dst on the link.
	onLink bool
}

// hasMAC says whether an interface of the host has the Ethernet address.
func (t *topology) hasMAC(mac link.MAC) bool {
	return slices.ContainsFunc(t.ifaces, func(ifc *iface) bool { return ifc.neighbors != nil && ifc.info.MAC == mac })
}

func (t *topology) class(a netip.Addr) addrClass { return t.classes[a] }

// clone returns a copy that may be changed until it is stored.
func (t *topology) clone() *topology {
	n := &topology{ifaces: slices.Clone(t.ifaces), routes: slices.Clone(t.routes),
		classes: make(map[netip.Addr]addrClass, len(t.classes)+4), lost: t.lost}
	for a, c := range t.classes {
		n.classes[a] = c
	}
	return n
}

// addIface adds an interface with its addresses and connected networks. EADDRINUSE when an address is
// already ours.
func (t *topology) addIface(ifc *iface) error {
	t.ifaces = append(t.ifaces, ifc)
	for _, p := range ifc.addrs {
		if t.classes[p.Addr()] == own {
			return syscall.EADDRINUSE
		}
		t.addAddr(p)
		t.insert(hop{dst: p.Masked(), iface: ifc})
	}
	return nil
}

// addAddr makes an address ours, and its network's broadcast address one.
func (t *topology) addAddr(p netip.Prefix) {
	t.classes[p.Addr()] = own
	if b, ok := directedBroadcast(p); ok && t.classes[b] == foreign {
		t.classes[b] = broadcast
	}
}

// removeIface takes away the addresses and routes of an interface that has failed. It stays on the list.
func (t *topology) removeIface(ifc *iface) {
	var routes []hop
	for _, e := range t.routes {
		if e.iface != ifc {
			routes = append(routes, e)
		}
	}
	t.routes, t.classes = routes, make(map[netip.Addr]addrClass)
	left := t.remaining()
	for _, other := range left {
		for _, p := range other.addrs {
			t.addAddr(p)
		}
	}
	t.lost = len(left) == 0
}

// remaining returns the interfaces that have not failed, loopback's left out.
func (t *topology) remaining() (list []*iface) {
	for _, ifc := range t.ifaces[1:] {
		if ifc.currentState() != InterfaceFailed {
			list = append(list, ifc)
		}
	}
	return list
}

func (t *topology) insert(e hop) {
	i := 0
	for i < len(t.routes) && t.routes[i].dst.Bits() >= e.dst.Bits() {
		i++
	}
	t.routes = slices.Insert(t.routes, i, e)
}

// lookup returns the entry for a destination. Routes over an interface that is not up are none, as on Linux.
func (t *topology) lookup(a netip.Addr) (hop, bool) {
	for _, e := range t.routes {
		if e.dst.Contains(a) && e.iface.currentState() == InterfaceUp {
			return e, true
		}
	}
	return hop{}, false
}

// directedBroadcast returns the address of all hosts of an IPv4 network, where it has one (RFC 3021: a
// network of two addresses has none).
func directedBroadcast(p netip.Prefix) (netip.Addr, bool) {
	if !p.Addr().Is4() || p.Bits() > 30 {
		return netip.Addr{}, false
	}
	a := p.Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		a[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(a), true
}
