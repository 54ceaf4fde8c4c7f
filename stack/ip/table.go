package ip

import (
	"net/netip"
	"syscall"
)

// RouteEntry is an entry of the host's routing table, as `ip route` of Linux shows it.
type RouteEntry struct {
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
	// Metric is what the route costs: of several routes to one network the one with the least is taken, and the next where
	// its gateway does not answer or its interface is down. Default 0, which is the least.
	Metric uint32
}

// AddRoutes adds routes, all or none. The errors are those of Host.AddRoutes in package stack.
func (l *Layer) AddRoutes(routes ...RouteEntry) error {
	return l.change(func(t *topology) error {
		for _, r := range routes {
			e, err := t.hopOf(r)
			if err != nil {
				return err
			}
			for i := range t.routes {
				if e.clashes(&t.routes[i]) {
					return syscall.EEXIST
				}
			}
			t.insert(e)
		}
		return nil
	})
}

// RemoveRoute removes a route. The errors are those of Host.RemoveRoute in package stack.
func (l *Layer) RemoveRoute(r RouteEntry) error {
	return l.change(func(t *topology) error {
		via, found := r.Via.Unmap(), false
		t.dropRoutes(func(e *hop) bool {
			if found || e.dst != r.Dst.Masked() || r.Metric != 0 && e.metric != r.Metric || r.Device != "" && e.iface.info.Name != r.Device {
				return false
			}
			found = !via.IsValid() || e.via == via || needsZone(via) && via.Zone() == "" && e.via.WithZone("") == via
			return found
		})
		if !found {
			return syscall.ESRCH
		}
		return nil
	})
}

// SetGateway puts a route in place of all others of its metric to the same network.
func (l *Layer) SetGateway(r RouteEntry) error {
	return l.change(func(t *topology) error {
		e, err := t.hopOf(r)
		if err != nil {
			return err
		}
		t.dropRoutes(func(o *hop) bool { return o.dst == e.dst && o.metric == e.metric })
		t.insert(e)
		return nil
	})
}

// clashes says whether e cannot stand beside o: they lead to the same network at the same cost, and not over two gateways.
func (e *hop) clashes(o *hop) bool {
	beside := e.via.IsValid() && o.via.IsValid() && (e.via != o.via || e.iface != o.iface)
	return o.dst == e.dst && o.metric == e.metric && !beside
}

// hopOf returns the entry of the routing table that r asks for.
func (t *topology) hopOf(r RouteEntry) (hop, error) {
	via := r.Via.Unmap()
	if needsZone(via) && via.Zone() == "" {
		ifc, err := t.device(r.Device)
		if err != nil {
			return hop{}, err
		}
		via = via.WithZone(ifc.info.Name)
	}
	if !r.Dst.IsValid() || r.Dst.Addr().Is4In6() || r.OnLink && !via.IsValid() {
		return hop{}, syscall.EINVAL
	}
	if via.IsValid() && (!isUnicast(via) || via.IsLoopback() || r.Dst.Addr().Is4() != via.Is4()) {
		return hop{}, syscall.EINVAL
	}
	e := hop{dst: r.Dst.Masked(), via: via, metric: r.Metric}
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

// Routes returns the routing table, most specific entries first, without loopback's.
func (l *Layer) Routes() []RouteEntry {
	var routes []RouteEntry
	for _, e := range l.topology.Load().routes {
		r := RouteEntry{Dst: e.dst, Via: e.via, Metric: e.metric}
		if e.onLink {
			r.Device, r.OnLink = e.iface.info.Name, e.via.IsValid()
		}
		routes = append(routes, r)
	}
	return routes
}
