package stack

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/unet-go/unet/internal/clock"
	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/internal/rate"
	"github.com/unet-go/unet/stack/ip"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/tcp"
)

// Config holds what a host is made with. The zero value of a field means its default. Negative values are errors, but
// where a field says what they mean.
type Config struct {
	// Name is the host's name for people.
	Name string
	// Shards is the number of independently locked parts of the flow table, rounded up to a power of two, at most 4096.
	// Default four for each processor that Go uses, at least 8.
	Shards int
	// TCP is what all TCP connections share.
	TCP tcp.Config
	// TTL is the IPv4 TTL and IPv6 hop limit of packets that say none. Default 64 (RFC 1700).
	TTL uint8
	// MaxNeighbors caps the neighbour cache of each interface. Default 4096 entries.
	MaxNeighbors int
	// NeighborReachable is how long a neighbour counts as reachable after it was heard; each period is
	// multiplied with a random factor from 0.5 to 1.5. Default 30 s (RFC 4861 10), at least 1 ms.
	NeighborReachable time.Duration
	// ReassemblyBytes caps the memory in octets that incomplete IP datagrams take. Default 4 MiB, but no more than a
	// sixteenth of MaxBuffered.
	ReassemblyBytes int
	// ReassemblyTimeout is how long the fragments of a datagram may take. Default 30 s (ledger Z-3), at least 1 ms.
	ReassemblyTimeout time.Duration
	// ICMPRate is the number of ICMP errors that are sent each second at most (RFC 1812 4.3.2.8), a tenth of them to one
	// source. Default 1000; negative for no bound.
	ICMPRate int
	// ResetRate is the largest number of resets each second that answer segments of no connection, dials of a closed
	// port for instance. A tenth of it may go to one source (an IPv4 address, or an IPv6 network of 64 bits), in bursts
	// of 0.41 s' worth. Default 100,000, which is 10,000 for one source and 4096 at once; negative for no bound. A reset
	// is no larger than the segment that it answers, so there is no amplification.
	ResetRate int
	// UDPBuffer is the receive buffer of a UDP socket in octets. Default 208 KiB.
	UDPBuffer int
	// MaxHalfOpen caps the half-open TCP connections of the host, all listeners together; a SYN beyond is
	// answered with a SYN cookie. Default 65,536 records of 128 octets. Each listener has a bound of its own:
	// its backlog, at least 128 and at most 4096.
	MaxHalfOpen int
	// AbortOnOverflow resets a peer whose handshake finds the accept queue full, as Linux does with
	// tcp_abort_on_overflow. Default off: its acknowledgment is ignored, and the connection made a moment later.
	AbortOnOverflow bool
	// MaxTimeWait caps the TIME-WAIT records; beyond, the oldest goes (ledger D-TW-1). Default 262,144
	// records of 96 octets. The cap is divided evenly among the shards, at least one for each, and what does not divide
	// is left out.
	MaxTimeWait int
	// MaxOrphans caps the TCP connections that their owner has closed and whose end the peer has not yet
	// acknowledged; beyond, one that is closed is reset instead. Default 262,144 of 416 octets; what they have
	// still to send counts in MaxBuffered.
	MaxOrphans int
	// MaxBuffered is the storage in octets that the queues of all TCP connections and UDP sockets may hold together; one
	// connection's are bounded by TCP.MaxRecvBuffer and TCP.MaxSendBuffer. What changes as they fill:
	//
	//   - From three fifths on no buffer grows. A connection whose peer takes nothing queues at most 4608 octets to send,
	//     and one whose reader does not keep up offers its peer a window of four segments.
	//   - From four fifths on unread text beyond these four segments is dropped, and the peer sends it again. A UDP socket
	//     queues 4608 octets. The last fifth is for connections that move.
	//   - Beyond MaxBuffered each connection still has 2048 octets to send and one segment to read.
	//
	// Each queue of frames to a device holds, beside the text of TCP, at most a quarter of MaxBuffered and 32 MiB.
	//
	// Default 1 GiB, or a quarter of the memory that the process may have if that is less, but at least 1 MiB. That
	// memory is the least of GOMEMLIMIT and the limits of the process's control group and the groups above it, which are
	// read once for all hosts (memory.limit_in_bytes in version 1, memory.max and memory.high in version 2).
	MaxBuffered int64
	// Logger, a *slog.Logger for instance, gets a line about each event that an operator should know of: an interface
	// that fails, comes back or is given up, another host with an address of this one. nil: no lines. It is called on a
	// goroutine of its own, for which Close waits: it must not call Close.
	Logger Logger

	// For tests of what happens where a number begins again at zero: the time by which the host's clock is ahead at
	// its birth, and what connections begin with.
	clock   time.Duration
	numbers *tcp.Numbers
}

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
	config     Config
	clock      clock.Clock
	log        hostLog
	ip         ip.Layer
	tcp        tcpLayer
	udp        udpLayer
	resetLimit rate.Limit
	drops      drop.Counters
	forgotten  forgottenList

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
	h.resetLimit.InitResets(h.config.ResetRate)
	h.ip.Init(ip.Env{
		Config: ip.Config{TTL: h.config.TTL, MaxNeighbors: h.config.MaxNeighbors, NeighborReachable: h.config.NeighborReachable,
			ReassemblyBytes: h.config.ReassemblyBytes, ReassemblyTimeout: h.config.ReassemblyTimeout, ICMPRate: h.config.ICMPRate,
			QueueOctets:    h.config.queueOctets(ip.MaxQueueOctets),
			LoopbackOctets: h.config.queueOctets(ip.MaxLoopbackOctets)},
		Clock: &h.clock, Drops: &h.drops, Log: &h.log, Over: h.done,
	})
	h.udp.init()
	h.tcp.init(h)
	h.clock.Add((*ipTimers)(h))
	go h.clock.Run()
	h.receive(h.ip.Interfaces()[0])
	return h, nil
}

// Config returns what the host was made with, with the defaults in place of zeros.
func (h *Host) Config() Config { return h.config }

// Attach gives the host an interface and takes ownership of the device, which Close closes. EINVAL: an
// address that no host can have, an MTU under 68, an Ethernet device without a MAC or an AnnounceMode that does not exist;
// EAFNOSUPPORT: an address of IPv6, until there is that; EADDRINUSE: an address that the host has already; ENETDOWN: the
// host is closed, or all its devices have failed. After an error the device is the caller's.
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
			glancers = append(glancers, newReceiver(h, q))
		}
	}
	list := make([][]*receiver, ifc.Index()+1)
	if old := h.glancers.Load(); old != nil {
		copy(list, *old)
	}
	list[ifc.Index()] = glancers
	h.glancers.Store(&list)
	for _, q := range ifc.Queues() {
		newReceiver(h, q).start()
	}
}

// flush writes out what was queued for the devices, unless somebody else is about it or will be. No lock is held.
func (h *Host) flush() { h.ip.Flush() }

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
	return h.ip.AddRoutes(routes...)
}

// Routes returns the host's routes, most specific first, without loopback's.
func (h *Host) Routes() []Route { return h.ip.Routes() }

// Addrs returns the host's addresses with the lengths of their networks, without loopback's.
func (h *Host) Addrs() []netip.Prefix { return h.ip.Addrs() }

// CongestionControl returns the name of the congestion control of connections that choose none themselves.
func (h *Host) CongestionControl() string { return h.config.TCP.CongestionControl }
