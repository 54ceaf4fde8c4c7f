package stack

import (
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
	raw    atomic.Pointer[rawReceiver] // nil until ListenRaw is called

	// glancers has, by Interface.Index, what takes the frames that wait at a device; see Host.glance.
	glancers atomic.Pointer[[][]*receiver]

	changing sync.Mutex // serialises Attach, Detach and Close
	closed   bool
	// loopsOf has, by Interface.Index, the receive loops of an interface; loops counts all of them.
	loopsOf []*sync.WaitGroup

	subscribing sync.Mutex
	// subscribers is nil before the first Subscribe, then a *watchers; its type is not named here, so that it is in no program
	// without subscribers.
	subscribers interface{ close() }
	lost        ShutdownError // of Close, without Err
	loops       sync.WaitGroup

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
	loops := new(sync.WaitGroup)
	h.loopsOf = append(h.loopsOf, loops)
	for _, q := range ifc.Queues() {
		newReceiver(h, ifc, q).start(loops)
	}
}

// Detach takes an interface away, the one whose device has the name, and closes the device. What is in its queues and what
// comes is dropped. Its addresses and routes are gone: see RemoveAddr for what becomes of the connections on them. A host
// without a device goes on, and another one may be attached. Detach returns when the last goroutine that reads the device
// has ended; it returns the error with which the device closes. ENODEV: the host has no such device. EINVAL: the name is
// empty, and the host has several devices. ENETDOWN: the host is closed, or all its devices have failed.
func (h *Host) Detach(device string) error {
	h.changing.Lock()
	defer h.changing.Unlock()
	if h.over() {
		return syscall.ENETDOWN
	}
	ifc, err := h.ip.Detach(device)
	if err != nil {
		return err
	}
	h.log.Info("interface detached", "interface", ifc.Name())
	err = ifc.Device().Close()
	h.loopsOf[ifc.Index()].Wait()
	return err
}

// ipTimers is the host as the clock's source of what the IP layer does in time.
type ipTimers Host

// NextDeadline implements clock.Source.
func (h *ipTimers) NextDeadline() (mono.Time, bool) { return h.ip.NextDeadline() }

// Advance implements clock.Source. Packets that no neighbour has taken are reported to their transports.
func (h *ipTimers) Advance(now mono.Time) {
	for _, r := range h.ip.Advance(now) {
		(*Host)(h).report(&r, nil)
	}
	h.ip.Flush()
}

// CongestionControl returns the name of the congestion control of connections that choose none themselves.
func (h *Host) CongestionControl() string { return h.config.TCP.CongestionControl }
