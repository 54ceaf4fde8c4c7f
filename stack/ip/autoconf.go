package ip

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// Autoconf says how an interface makes itself addresses of what routers advertise.
type Autoconf struct {
	// Secret is what the lower halves of stable addresses are made from (RFC 7217): with the same secret a device has the same
	// address in a network each time, and nobody can tell which it has in another one. It must not be known to others. Empty
	// for a random one, so that addresses are others each time.
	Secret []byte
	// Temporary says that there is a temporary address beside each stable one, and is the source of what the host
	// sends (RFC 8981): another one each day.
	Temporary bool
}

// The bounds of what an interface takes of routers. Everything beyond is dropped and counted (drop.RouterLimit), so that forged
// advertisements fill no memory and no routing table.
const (
	maxRouters        = 16
	maxAdvisedNets    = 16 // networks on the link
	maxFormed         = 16 // addresses, temporary ones among them
	maxAdvisedDNS     = 8
	maxAdvertisements = 50 // each second
)

// autoconf is router discovery and address configuration on one interface (RFC 4861 6.3, RFC 4862 5.5). Its lock comes before
// those of the detector and the announcer.
type autoconf struct {
	layer *Layer
	ifc   *Interface
	Autoconf

	mu      sync.Mutex
	ask     solicitations
	second  mono.Time // in which seen advertisements have come
	seen    int
	routers []advisedRouter
	nets    []lasting[netip.Prefix] // on the link
	formed  []formed
	advised RouterAdvice // of which DNS and Search are in dns and search
	dns     []lasting[netip.Addr]
	search  []lasting[string]
}

// lasting is something that a router has advertised, and the end of its lifetime: 0 for never.
type lasting[T comparable] struct {
	what  T
	until mono.Time
}

// Autoconfigure begins to configure an interface by what routers advertise. The errors are those of Host.Autoconfigure in
// package stack.
func (l *Layer) Autoconfigure(device string, config Autoconf) error {
	ifc, err := l.topology.Load().device(device)
	switch {
	case err != nil:
		return err
	case ifc.info.Kind != link.Ethernet:
		return syscall.EOPNOTSUPP
	case ifc.currentMTU() < leastMTU6:
		return syscall.EINVAL
	}
	a := &autoconf{layer: l, ifc: ifc, Autoconf: config}
	if len(config.Secret) == 0 {
		a.Secret = randomSecret()
	}
	var c configurator = a
	if !ifc.configurator.CompareAndSwap(nil, &c) {
		return syscall.EALREADY
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.ContainsFunc(l.topology.Load().addrs[ifc.index], func(own address) bool { return own.addr.Is6() && own.addr.IsLinkLocalUnicast() }) {
		a.formLocked(linkLocalPrefix, 0, 0)
	}
	now := l.now()
	a.ask.start(now)
	a.applyLocked(now)
	return nil
}

// linkUp implements configurator: what routers there are may be others now (RFC 4861 6.3.7).
func (a *autoconf) linkUp() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ask.start(a.layer.now())
	a.layer.arm(a.ask.at)
}

// nextDeadline implements configurator.
func (a *autoconf) nextDeadline() (mono.Time, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at := a.deadlineLocked()
	return at, at != 0
}

// deadlineLocked returns when there is something to do next, 0 for never.
func (a *autoconf) deadlineLocked() mono.Time {
	at := a.ask.at
	for i := range a.routers {
		at = sooner(at, a.routers[i].until)
	}
	for i := range a.nets {
		at = sooner(at, a.nets[i].until)
	}
	for i := range a.formed {
		at = sooner(at, a.formed[i].renewal())
	}
	return at
}

// sooner returns the earlier of two moments, of which 0 is never.
func sooner(a, b mono.Time) mono.Time {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// advance implements configurator.
func (a *autoconf) advance(now mono.Time) []Report {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ask.due(now) {
		a.solicit()
	}
	a.routers = slices.DeleteFunc(a.routers, func(r advisedRouter) bool { return ended(r.until, now) })
	a.nets = slices.DeleteFunc(a.nets, func(n lasting[netip.Prefix]) bool { return ended(n.until, now) })
	a.renewLocked(now)
	a.applyLocked(now)
	return nil
}

// ended says whether a lifetime is over.
func ended(until, now mono.Time) bool { return until != 0 && until <= now }

// until returns the end of a lifetime in seconds that begins now: 0 for never.
func until(seconds uint32, now mono.Time) mono.Time {
	if seconds == ^uint32(0) {
		return 0
	}
	return now.Add(time.Duration(seconds) * time.Second)
}

// advertised implements configurator.
func (a *autoconf) advertised(from netip.Addr, m *wire.NDRouterAdvertisement, options []byte) (taken bool) {
	now := a.layer.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Sub(a.second) >= time.Second {
		a.second, a.seen = now, 0
	}
	if a.seen++; a.seen > maxAdvertisements {
		return false
	}
	if m.Lifetime > 0 {
		a.ask.at = 0
	}
	a.advised.Managed, a.advised.Other = m.Managed, m.Other
	a.parametersLocked(m)
	taken = a.routerLocked(from, m, now)
	r := wire.ReadNDOptions(options)
	var o wire.NDOption
	for ok, _ := r.Next(&o); ok; ok, _ = r.Next(&o) {
		taken = a.optionLocked(&o, now) && taken
	}
	a.applyLocked(now)
	return taken
}

// optionLocked takes an option. One that is malformed is ignored.
func (a *autoconf) optionLocked(o *wire.NDOption, now mono.Time) (taken bool) {
	switch o.Type {
	case wire.NDOptMTU:
		if mtu, ok := o.MTU(); ok {
			a.mtuLocked(mtu)
		}
	case wire.NDOptPrefixInformation:
		var p wire.NDPrefix
		if p.Parse(o) == nil {
			return a.prefixLocked(&p, now)
		}
	case wire.NDOptRDNSS:
		return a.dnsLocked(o, now)
	case wire.NDOptDNSSL:
		return a.searchLocked(o, now)
	}
	return true
}

// applyLocked makes the interface's routes and addresses those that are advertised.
func (a *autoconf) applyLocked(now mono.Time) {
	added := false
	err := a.layer.change(func(t *topology) error {
		added = false
		changed := a.routesLocked(t)
		for i := range a.formed {
			is, isNew := a.formed[i].put(t, a.ifc, now)
			changed, added = changed || is, added || isNew
		}
		if !changed {
			return syscall.EALREADY // the topology stays
		}
		return nil
	})
	if at := a.deadlineLocked(); at != 0 {
		a.layer.arm(at)
	}
	if err != nil {
		return
	}
	if ends := a.layer.topology.Load().ends; ends != 0 {
		a.layer.arm(ends)
	}
	if added {
		a.layer.detect(a.ifc)
	}
}

// solicitations are the questions for routers that are still to be asked.
type solicitations struct {
	left int
	at   mono.Time // of the next one; 0 for none
}

// The constants of RFC 4861 10.
const (
	maxSolicitations     = 3
	solicitationInterval = 4 * time.Second
	maxSolicitationDelay = time.Second
)

// start begins to ask, after a delay so that not all hosts of a link ask at once when its power returns.
func (s *solicitations) start(now mono.Time) {
	s.left, s.at = maxSolicitations, now.Add(rand.N(maxSolicitationDelay))
}

// due says whether routers are to be asked now, and notes that they are.
func (s *solicitations) due(now mono.Time) bool {
	if s.at == 0 || s.at > now {
		return false
	}
	s.left--
	s.at = 0
	if s.left > 0 {
		s.at = now.Add(solicitationInterval)
	}
	return true
}

// solicit asks routers to advertise, from a link-local address that is known to be the host's alone, or else from none.
func (a *autoconf) solicit() {
	src := a.layer.topology.Load().reportSource(a.ifc)
	n := wire.NDRouterSolicitationLen
	var b [wire.NDRouterSolicitationLen + linkAddrLen]byte
	(&wire.ICMPv6{Type: wire.ICMPv6RouterSolicitation}).Marshal(b[:])
	if !src.IsUnspecified() {
		o := wire.NDOption{Type: wire.NDOptSourceLinkAddr, Data: a.ifc.info.MAC[:]}
		n += o.Marshal(b[n:])
	}
	wire.PutICMPv6Checksum(b[:n], src.As16(), allRouters.As16())
	a.ifc.nd.send(groupMAC6(allRouters), &wire.IPv6{NextHeader: wire.ProtocolICMPv6, HopLimit: ndHopLimit, Src: src.As16(),
		Dst: allRouters.As16()}, b[:n])
}
