package ip

import (
	"net/netip"
	"slices"
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/internal/wire"
)

// The metrics of routes that routers advertise, as on Linux: those that a program adds come first.
const (
	advisedNetMetric    = 256
	advisedRouterMetric = 1024 // one less for a router that is to be preferred, one more for one that is not (RFC 4191)
)

// What is believed of the parameters of a link. With a hop limit of 1 a single forged advertisement would cut the host off
// (CVE-2015-2922); the least times are Linux's.
const (
	leastHopLimit  = 32
	leastNDTime    = 100 * time.Millisecond
	mostReachable  = time.Hour // RFC 4861 6.2.1
	mostRetransmit = 10 * time.Second
)

// advisedRouter is a default router.
type advisedRouter struct {
	addr   netip.Addr
	metric uint32
	until  mono.Time
}

// routerLocked takes what a router says of itself. It is false where there are too many.
func (a *autoconf) routerLocked(from netip.Addr, m *wire.NDRouterAdvertisement, now mono.Time) bool {
	at := slices.IndexFunc(a.routers, func(r advisedRouter) bool { return r.addr == from })
	switch {
	case m.Lifetime == 0:
		if at >= 0 {
			a.routers = slices.Delete(a.routers, at, at+1)
		}
		return true
	case at < 0 && len(a.routers) >= maxRouters:
		return false
	case at < 0:
		at = len(a.routers)
		a.routers = append(a.routers, advisedRouter{addr: from})
	}
	r := &a.routers[at]
	r.metric = uint32(advisedRouterMetric - int(m.Preference))
	r.until = now.Add(time.Duration(m.Lifetime) * time.Second)
	return true
}

// noRouter implements configurator (RFC 4861 7.2.5).
func (a *autoconf) noRouter(addr netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := len(a.routers)
	a.routers = slices.DeleteFunc(a.routers, func(r advisedRouter) bool { return r.addr == addr })
	if len(a.routers) != before {
		a.applyLocked(a.layer.now())
	}
}

// parametersLocked takes the parameters of the link that are in a router advertisement itself (RFC 4861 6.3.4).
func (a *autoconf) parametersLocked(m *wire.NDRouterAdvertisement) {
	p := &a.ifc.advised
	if m.HopLimit >= leastHopLimit {
		p.hopLimit.Store(uint32(m.HopLimit))
	}
	if d := time.Duration(m.Reachable) * time.Millisecond; d > 0 && d <= mostReachable {
		p.reachable.Store(int64(max(d, leastNDTime)))
	}
	if d := time.Duration(m.Retransmit) * time.Millisecond; d > 0 && d <= mostRetransmit {
		p.retrans.Store(int64(max(d, leastNDTime)))
	}
}

// mtuLocked takes the MTU of the link for IPv6, if that is one (RFC 4861 6.3.4).
func (a *autoconf) mtuLocked(mtu uint32) {
	if mtu < leastMTU6 || mtu > uint32(a.ifc.currentMTU()) || a.ifc.advised.mtu.Swap(mtu) == mtu {
		return
	}
	_ = a.layer.change(func(*topology) error { return nil }) // so that routes with the MTU of before are not used again
}

// onLinkLocked takes a network whose hosts are neighbours (RFC 4861 6.3.4). It is false where there are too many.
func (a *autoconf) onLinkLocked(p netip.Prefix, valid uint32, now mono.Time) bool {
	return keep(&a.nets, p, valid, maxAdvisedNets, now)
}

// keep takes something with its lifetime in seconds into a list of at most most of it; with a lifetime of 0 it is removed. It
// is false where the list is full.
func keep[T comparable](list *[]lasting[T], what T, lifetime uint32, most int, now mono.Time) bool {
	at := slices.IndexFunc(*list, func(l lasting[T]) bool { return l.what == what })
	switch {
	case lifetime == 0:
		if at >= 0 {
			*list = slices.Delete(*list, at, at+1)
		}
		return true
	case at >= 0:
		(*list)[at].until = until(lifetime, now)
		return true
	}
	*list = slices.DeleteFunc(*list, func(l lasting[T]) bool { return ended(l.until, now) })
	if len(*list) >= most {
		return false
	}
	*list = append(*list, lasting[T]{what, until(lifetime, now)})
	return true
}

// routesLocked makes the routes over the interface that routers have advertised those that they advertise now, and says whether
// others were there.
func (a *autoconf) routesLocked(t *topology) (changed bool) {
	var want []hop
	for _, r := range a.routers {
		want = append(want, hop{dst: netip.PrefixFrom(netip.IPv6Unspecified(), 0), via: r.addr, iface: a.ifc, onLink: true, metric: r.metric, advised: true})
	}
	for _, n := range a.nets {
		want = append(want, hop{dst: n.what, iface: a.ifc, onLink: true, metric: advisedNetMetric, advised: true})
	}
	before := len(t.routes)
	t.dropRoutes(func(e *hop) bool {
		if !e.advised || e.iface != a.ifc {
			return false
		}
		at := slices.IndexFunc(want, func(w hop) bool { w.silent = e.silent; return w == *e })
		if at >= 0 {
			want = slices.Delete(want, at, at+1) // it is there
		}
		return at < 0
	})
	changed = len(t.routes) != before || len(want) > 0
	for _, e := range want {
		t.insert(e)
	}
	return changed
}
