package ip

import (
	"net/netip"
	"syscall"
)

// RouteOver is Route for a packet that must leave over an interface, whatever other ways there are. Packets to the host's own
// addresses cross the loopback interface all the same. ENETUNREACH: no route leads to remote over the interface. A
// route to which Route would prefer another one is made anew by each call.
func (l *Layer) RouteOver(ifc *Interface, local, remote netip.Addr) (*Route, error) {
	if local.IsValid() && local.IsUnspecified() {
		local = netip.Addr{}
	}
	r, err := l.Route(local, remote)
	if err == nil && (r.iface == ifc || r.iface.loopback) {
		return r, nil
	}
	t := l.topology.Load()
	if ifc.loopback || ifc.index >= len(t.ifaces) || t.ifaces[ifc.index] != ifc {
		return nil, syscall.ENETUNREACH
	}
	if remote = remote.Unmap(); needsZone(remote) {
		if err == nil {
			err = syscall.EINVAL // the zone is another interface's
		}
		return nil, err
	}
	if isLimitedBroadcast(remote) || remote.IsMulticast() {
		if !local.IsValid() {
			local = t.source(ifc, remote, remote)
		}
		if !local.IsValid() {
			return nil, syscall.EADDRNOTAVAIL
		}
	}
	return l.makeRoute(t, local, remote, ifc)
}

// lookupOver returns the hop of the longest prefix for a that leads over an interface.
func (t *topology) lookupOver(ifc *Interface, a netip.Addr) (hop, bool) {
	for _, e := range t.routes {
		if e.iface == ifc && e.dst.Contains(a) && ifc.currentState() == InterfaceUp {
			return e, true
		}
	}
	return hop{}, false
}

// hopFrom is lookupFrom, or lookupOver where an interface is named.
func (t *topology) hopFrom(local, remote netip.Addr, over *Interface) (hop, bool) {
	if over != nil {
		return t.lookupOver(over, remote)
	}
	return t.lookupFrom(local, remote)
}
