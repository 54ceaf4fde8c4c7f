package ip

import (
	"net/netip"
	"slices"
	"syscall"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/link"
)

// topology is an immutable snapshot of interfaces, addresses and routes.
type topology struct {
	ifaces  []*Interface // loopback's first
	addrs   [][]address  // by Interface.index
	classes map[netip.Addr]addrClass
	routes  []hop // most specific first, then by metric, then in the order in which they came
	// redirects has the first hops of destinations for which a router has named a better one than routes has. It is
	// replaced, not changed. See redirect.go.
	redirects map[netip.Addr]hop
	ends      mono.Time // when the lifetime of an address ends first; 0 for never
	lost      bool      // there was a device beside loopback's, and all have failed
	silent    bool      // there is a silent hop
}

// addrClass says what a destination address is to this host.
type addrClass uint8

const (
	foreign   addrClass = iota
	own                 // one of our unicast addresses
	broadcast           // the directed broadcast address of a connected network
)

// hop is one entry of the routing table.
type hop struct {
	dst   netip.Prefix // masked
	via   netip.Addr   // not valid: dst is directly connected
	iface *Interface
	// onLink says that the route alone, and no address, puts via or else dst on the link.
	onLink bool
	silent bool // via does not answer; see gateway.go
	// advised says that a router has advertised it, who takes it away as well.
	advised bool
	metric  uint32
}

// hasMAC says whether an interface of the host has the Ethernet address. Where two are on one link, what comes from the
// other is no other host's claim. It may be another host's all the same if they are on two links; so this is not the question
// whether there can be such a neighbour, which is Input.impossible.
func (t *topology) hasMAC(mac link.MAC) bool {
	return slices.ContainsFunc(t.ifaces, func(ifc *Interface) bool { return ifc.info.Kind == link.Ethernet && ifc.info.MAC == mac })
}

func (t *topology) class(a netip.Addr) addrClass { return t.classes[a] }

// clone returns a copy that may be changed until it is stored.
func (t *topology) clone() *topology {
	n := &topology{ifaces: slices.Clone(t.ifaces), addrs: slices.Clone(t.addrs), routes: slices.Clone(t.routes),
		classes: make(map[netip.Addr]addrClass, len(t.classes)+4), ends: t.ends, lost: t.lost,
		silent: t.silent, redirects: t.redirects}
	for a, c := range t.classes {
		n.classes[a] = c
	}
	return n
}

// addInterface adds an interface with its addresses and connected networks. EADDRINUSE when an address is
// already ours.
func (t *topology) addInterface(ifc *Interface, addrs []address) error {
	ifc.index = len(t.ifaces)
	t.ifaces = append(t.ifaces, ifc)
	t.addrs = append(t.addrs, nil)
	for _, a := range addrs {
		if err := t.addAddress(ifc, a); err != nil {
			return err
		}
	}
	return nil
}

// addAddress gives an interface an address, and a route to its network. EADDRINUSE when it is already ours.
func (t *topology) addAddress(ifc *Interface, a address) error {
	if t.classes[a.addr] == own || t.hasAddr(ifc, a.addr) {
		return syscall.EADDRINUSE
	}
	t.addrs[ifc.index] = append(slices.Clip(t.addrs[ifc.index]), a)
	t.note(a)
	t.classify(a)
	if !a.noRoute {
		t.insert(hop{dst: a.prefix.Masked(), iface: ifc})
	}
	return nil
}

// classify makes an address ours, and its network's broadcast address one.
func (t *topology) classify(a address) {
	if a.state == AddrTentative {
		return
	}
	t.classes[a.addr] = own
	if b, ok := directedBroadcast(a.prefix); ok && t.classes[b] == foreign {
		t.classes[b] = broadcast
	}
}

// reclassify works classes out again from the addresses that there are.
//
//go:noinline
func (t *topology) reclassify() {
	t.classes = make(map[netip.Addr]addrClass)
	for _, addrs := range t.addrs {
		for _, a := range addrs {
			t.classify(a)
		}
	}
}

// removeInterface takes away the addresses and routes of an interface that has failed or is detached. It stays on the list.
func (t *topology) removeInterface(ifc *Interface) {
	t.dropRoutes(func(e *hop) bool { return e.iface == ifc })
	t.addrs[ifc.index] = nil
	t.redirects = nil
	t.reclassify()
	t.renote()
}

// dropRoutes removes the entries of which gone is true. It asks in the order of the table. Like the other parts of a change it
// is not copied to where it is called: changes are rare.
//
//go:noinline
func (t *topology) dropRoutes(gone func(e *hop) bool) {
	kept := make([]hop, 0, len(t.routes))
	for i := range t.routes {
		if !gone(&t.routes[i]) {
			kept = append(kept, t.routes[i])
		}
	}
	t.routes = kept
}

// remaining returns the interfaces that have not failed and are not detached, loopback's left out.
func (t *topology) remaining() (list []*Interface) {
	for _, ifc := range t.ifaces[1:] {
		if !ifc.currentState().over() {
			list = append(list, ifc)
		}
	}
	return list
}

func (t *topology) insert(e hop) {
	i := 0
	for i < len(t.routes) && (t.routes[i].dst.Bits() > e.dst.Bits() ||
		t.routes[i].dst.Bits() == e.dst.Bits() && t.routes[i].metric <= e.metric) {
		i++
	}
	t.routes = insert(t.routes, i, e)
}

// insert puts e at its place in a list. slices.Insert, which takes several, makes code of six times the size for
// each type of element.
func insert[T any](list []T, at int, e T) []T {
	list = append(list, e)
	copy(list[at+1:], list[at:])
	list[at] = e
	return list
}

// lookup returns the entry for a destination. Routes over an interface that is not up are none, as on Linux.
func (t *topology) lookup(a netip.Addr) (hop, bool) { return t.lookupFrom(netip.Addr{}, a) }

// lookupFrom is lookup for packets from an address of ours. A link-local one is in no packet on another link than its own
// (RFC 4007 9).
func (t *topology) lookupFrom(local, a netip.Addr) (hop, bool) {
	if zone := a.Zone(); zone != "" { // on the link of its zone, and nowhere else
		ifc := t.inZone(zone)
		return hop{iface: ifc}, ifc != nil
	}
	zone := local.Zone()
	if e, ok := t.redirects[a]; ok && e.iface.currentState() == InterfaceUp && (zone == "" || e.iface.info.Name == zone) {
		return e, true
	}
	var mute hop // the first one whose gateway does not answer, in case that there is no other
	for _, e := range t.routes {
		if !e.dst.Contains(a) || e.iface.currentState() != InterfaceUp || zone != "" && e.iface.info.Name != zone {
			continue
		}
		if mute.iface != nil && e.dst.Bits() < mute.dst.Bits() {
			break
		}
		if !e.silent {
			return e, true
		}
		if mute.iface == nil {
			mute = e
		}
	}
	return mute, mute.iface != nil
}

// inZone returns the interface of a zone, if it is up and has an address of IPv6; else nil.
func (t *topology) inZone(zone string) *Interface {
	for _, ifc := range t.ifaces[1:] {
		if ifc.info.Name == zone && ifc.currentState() == InterfaceUp && anyIPv6(t.addrs[ifc.index]) {
			return ifc
		}
	}
	return nil
}

// zoneNumber returns the number of the interface of a zone, 0 where there is none.
func (t *topology) zoneNumber(zone string) uint32 {
	for _, ifc := range t.ifaces[1:] {
		if ifc.info.Name == zone && ifc.currentState() != InterfaceFailed {
			return uint32(ifc.index)
		}
	}
	return 0
}

// onLink says whether a is a neighbour on the interface: in the network of one of its addresses, or by a route.
func (t *topology) onLink(ifc *Interface, a netip.Addr) bool {
	if zone := a.Zone(); zone != "" {
		return zone == ifc.info.Name
	}
	if slices.ContainsFunc(t.addrs[ifc.index], func(own address) bool { return !own.noRoute && own.prefix.Contains(a) }) {
		return true
	}
	return slices.ContainsFunc(t.routes, func(e hop) bool {
		return e.iface == ifc && e.onLink && (e.via == a || !e.via.IsValid() && e.dst.Contains(a))
	})
}

// device returns the interface of a name, or the only one besides loopback's where the name is empty.
func (t *topology) device(name string) (*Interface, error) {
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
