package stack

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/ip"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/tcp"
)

// Interface says how a device is attached: Addrs are the host's addresses on it, MTU its largest packet and Announce
// whether the host announces its addresses. See the fields.
type Interface = ip.InterfaceConfig

// AnnounceMode says whether a host announces its addresses on an interface (RFC 5227 2.3): by ARP requests for its own
// address, which correct an older Ethernet address in the caches of its neighbours.
type AnnounceMode = ip.AnnounceMode

// The modes.
const (
	// AnnounceAuto leaves it to the device: a host does so on a TAP device, and on no other unless it is a link.Announcer
	// that asks for it.
	AnnounceAuto = ip.AnnounceAuto
	// AnnounceAlways has the host announce each address when the interface gets it, and all when the carrier returns.
	AnnounceAlways = ip.AnnounceAlways
	// AnnounceNever has the host announce nothing, not even in defence of an address that another host has too.
	AnnounceNever = ip.AnnounceNever
)

// Host is one userspace host. Its methods may be called from any goroutine.
type Host struct {
	core
	config Config
	log    hostLog
	tcp    tcpLayer
	udp    udpLayer

	// glancers has, by Interface.Index, what takes the frames that wait at a device; see Host.glance.
	glancers atomic.Pointer[[][]*receiver]

	changing sync.Mutex // serialises Attach, AddRoute and Close
	closed   bool
	lost     ShutdownError // of Close, without Err
	loops    sync.WaitGroup

	done    chan struct{}
	ending  sync.Once
	endedBy error // why done was closed, from then on
}

// New returns a host that has only its loopback interface. Close ends it. ENOENT: there is no congestion
// control of the name in cfg.TCP. A *ConfigError, which is EINVAL: a field of cfg is out of range.
func New(cfg Config) (*Host, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	h := &Host{config: cfg.withDefaults(), done: make(chan struct{})}
	if !tcp.HasCongestionControl(h.config.TCP.CongestionControl) {
		return nil, syscall.ENOENT
	}
	h.clock.Init(h.config.clock)
	h.log.start(h.config.Logger)
	h.forgotten.init(&h.clock)
	h.clock.Add(&h.forgotten)
	h.ip.Init(ip.Env{
		Config: ip.Config{TTL: h.config.TTL, MaxNeighbors: h.config.MaxNeighbors, NeighborReachable: h.config.NeighborReachable,
			AcceptRedirects: h.config.AcceptRedirects,
			ReassemblyBytes: h.config.ReassemblyBytes, ReassemblyTimeout: h.config.ReassemblyTimeout, ICMPRate: h.config.ICMPRate,
			QueueOctets:    h.config.queueOctets(ip.MaxQueueOctets),
			LoopbackOctets: h.config.queueOctets(ip.MaxLoopbackOctets)},
		Clock: &h.clock, Drops: &h.drops, Log: &h.log, Over: h.done,
	})
	h.bufferLimit = h.config.MaxBuffered / (movingReserve + 1) * movingReserve
	h.udp.init(&h.core)
	h.tcp.init(&h.core, &h.config)
	h.tcp.glance = h.glance
	h.clock.Add((*ipTimers)(h))
	go h.clock.Run()
	h.receive(h.ip.Interfaces()[0])
	return h, nil
}

// Config returns what the host was made with, with the defaults in place of zeros.
func (h *Host) Config() Config { return h.config }

// Attach gives the host an interface and takes ownership of the device, which Close closes. EINVAL: an
// address that no host can have, an MTU under 68, an Ethernet device without a MAC or an AnnounceMode that does not exist;
// EADDRINUSE: an address that the host has already; ENETDOWN: the host is closed, or all its devices have failed. After an error the device is the caller's.
func (h *Host) Attach(dev link.Device, ic Interface) error {
	ifc, err := h.addInterface(dev, ic)
	if err != nil {
		return err
	}
	ifc.Announce()
	h.flush()
	return nil
}

// addInterface attaches a device, and starts to receive from it.
func (h *Host) addInterface(dev link.Device, ic Interface) (*ip.Interface, error) {
	h.changing.Lock()
	defer h.changing.Unlock()
	if h.over() {
		return nil, syscall.ENETDOWN
	}
	ifc, err := h.ip.Attach(dev, ic)
	if err != nil {
		return nil, err
	}
	h.receive(ifc)
	return ifc, nil
}

// receive starts the interface's receive loops. The caller holds changing, or is New.
func (h *Host) receive(ifc *ip.Interface) {
	var glancers []*receiver
	for _, q := range ifc.Queues() {
		if q.CanTry() {
			glancers = append(glancers, newReceiver(h, ifc, q))
		}
	}
	list := make([][]*receiver, ifc.Index()+1)
	if old := h.glancers.Load(); old != nil {
		copy(list, *old)
	}
	list[ifc.Index()] = glancers
	h.glancers.Store(&list)
	for _, q := range ifc.Queues() {
		newReceiver(h, ifc, q).start()
	}
}

// ipTimers is the host as the clock's source of what the IP layer does in time.
type ipTimers Host

// NextDeadline implements clock.Source.
func (h *ipTimers) NextDeadline() (mono.Time, bool) { return h.ip.NextDeadline() }

// Advance implements clock.Source. Packets that no neighbour has taken are reported to their transports.
func (h *ipTimers) Advance(now mono.Time) {
	for _, r := range h.ip.Advance(now) {
		(*Host)(h).report(&r)
	}
	h.ip.Flush()
}

// AddRoute adds the route of dst through a gateway or, where via is not valid, on the link of the host's only device.
// Its errors are those of AddRoutes.
func (h *Host) AddRoute(dst netip.Prefix, via netip.Addr) error {
	return h.AddRoutes(Route{Dst: dst, Via: via})
}

// Route is a route of the host, as `ip route` of Linux shows it: Dst is where it leads, Via the gateway and Device the
// interface. See the fields.
type Route = ip.RouteEntry

// AddRoutes adds routes, all or none. A destination may have several gateways: the one that was added first is used as
// long as it answers ARP or neighbour discovery, then the next. Errors:
//
//   - EINVAL: destination and gateway are of different families, the gateway is not the address of one other host, or no
//     device is named where there are several;
//   - ENETUNREACH: a gateway without OnLink is in no directly connected network of the host, or of the named device;
//   - ENODEV: there is no device of that name;
//   - EEXIST: there is a route for the destination already, and not over another gateway.
func (h *Host) AddRoutes(routes ...Route) error {
	h.changing.Lock()
	defer h.changing.Unlock()
	return h.ip.AddRoutes(routes...)
}

// Routes returns the host's routes, most specific first, without loopback's.
func (h *Host) Routes() []Route { return h.ip.Routes() }

// Addrs returns the host's addresses with the lengths of their networks, without loopback's.
func (h *Host) Addrs() []netip.Prefix { return h.ip.Addrs() }

// InterfaceNames returns the names of the host's interfaces in the order of their numbers: lo, and then as they were
// attached. An interface keeps its place, also when its device has failed.
func (h *Host) InterfaceNames() (names []string) {
	for _, ifc := range h.ip.Interfaces() {
		names = append(names, ifc.Name())
	}
	return names
}

// CongestionControl returns the name of the congestion control of connections that choose none themselves.
func (h *Host) CongestionControl() string { return h.config.TCP.CongestionControl }
