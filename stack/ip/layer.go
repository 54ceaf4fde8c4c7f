package ip

import (
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/unet-go/unet/internal/clock"
	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/internal/rate"
	"github.com/unet-go/unet/stack/link"
)

// Config has the limits of a layer. All of them are set: their defaults are the host's.
type Config struct {
	// TTL is the IPv4 TTL and the IPv6 hop limit of packets that say none.
	TTL uint8
	// MaxNeighbors caps the neighbour cache of each interface.
	MaxNeighbors int
	// NeighborReachable is how long a neighbour counts as reachable after it was heard (RFC 4861 10).
	NeighborReachable time.Duration
	// ReassemblyBytes caps the memory in octets of incomplete datagrams, ReassemblyTimeout the time that a datagram has.
	ReassemblyBytes   int
	ReassemblyTimeout time.Duration
	// ICMPRate is the largest number of ICMP errors each second, negative for no bound.
	ICMPRate int
	// QueueOctets bounds what the frames of one device queue pin, in octets, LoopbackOctets those within loopback's device.
	QueueOctets, LoopbackOctets int
}

// Log takes lines for those who run the host. It may be called under any lock and does not wait.
type Log interface {
	Info(msg string, args ...any)
	Warn(msg string, args ...any)
}

// Env is what a layer needs of its host.
type Env struct {
	Config
	Clock *clock.Clock
	Drops *drop.Counters
	Log   Log
	// Over is closed when the host is closed, or has no device left.
	Over <-chan struct{}
}

// Layer is the network layer of one host. Its methods may be called from any goroutine.
type Layer struct {
	env        Env
	reassembly reassembly
	routes     routeCache
	ids        identifier
	pathMTUs   pathMTUs
	errorLimit rate.Limit
	counters   counters

	topology atomic.Pointer[topology]
	arming   atomic.Int64 // see arm
	links    sync.Mutex   // serialises changes of interfaces' states; before topology
}

type counters struct {
	reassembled, fragmented               atomic.Uint64
	echoReplies, icmpErrors, icmpErrorsIn atomic.Uint64
}

// Stats are a layer's counters since it began, and its gauges.
type Stats struct {
	// Interfaces has one element for each interface, loopback's first.
	Interfaces []InterfaceStats
	// Reassembled counts the datagrams that were put together, Fragmented those that were cut.
	Reassembled, Fragmented uint64
	// ReassemblyBytes is the memory in octets that incomplete datagrams take now.
	ReassemblyBytes int
	// EchoReplies and ICMPErrors count the ICMP messages sent, ICMPErrorsIn the errors received about packets of ours.
	EchoReplies, ICMPErrors, ICMPErrorsIn uint64
}

// Init gives the layer its environment and its loopback interface.
func (l *Layer) Init(env Env) {
	l.env = env
	l.routes.init()
	l.ids.init()
	l.errorLimit.InitErrors(env.ICMPRate)
	l.reassembly.init(l)
	l.topology.Store(new(topology))
	lo := newLoopbackInterface(l)
	_ = l.change(func(t *topology) error { return t.addInterface(lo, nil) }) // it has no address that could be in use
}

// Stats returns the layer's counters and gauges at about one moment.
func (l *Layer) Stats() Stats {
	c := &l.counters
	s := Stats{
		Reassembled: c.reassembled.Load(), Fragmented: c.fragmented.Load(),
		ReassemblyBytes: l.reassembly.size(),
		EchoReplies:     c.echoReplies.Load(), ICMPErrors: c.icmpErrors.Load(), ICMPErrorsIn: c.icmpErrorsIn.Load(),
	}
	for _, ifc := range l.Interfaces() {
		s.Interfaces = append(s.Interfaces, ifc.stats())
	}
	return s
}

// Attach gives the layer an interface and returns it; its owner starts to receive from its queues, and then calls
// Announce. The errors are those of Host.Attach in package stack.
func (l *Layer) Attach(dev link.Device, config InterfaceConfig) (*Interface, error) {
	ifc, addrs, err := newInterface(l, dev, config)
	if err != nil {
		return nil, err
	}
	err = l.change(func(t *topology) error {
		if t.lost {
			return syscall.ENETDOWN
		}
		return t.addInterface(ifc, addrs)
	})
	if err != nil {
		return nil, err
	}
	l.env.Clock.Wake() // it looks at the new interface's deadlines
	if dev, ok := dev.(link.Carrier); ok {
		dev.WatchCarrier(ifc.CarrierChanged)
	}
	return ifc, nil
}

// change replaces the topology by a changed copy. f may be called several times.
func (l *Layer) change(f func(t *topology) error) error {
	for {
		before := l.topology.Load()
		after := before.clone()
		if err := f(after); err != nil {
			return err
		}
		if l.topology.CompareAndSwap(before, after) {
			return nil
		}
	}
}

// Interfaces returns the interfaces, loopback's first, those that have failed included. The caller does not change the
// slice.
func (l *Layer) Interfaces() []*Interface { return l.topology.Load().ifaces }

// Lost says whether there was a device beside loopback's, and all have failed.
func (l *Layer) Lost() bool { return l.topology.Load().lost }

func (l *Layer) drop(reason drop.Reason) { l.env.Drops.Add(reason) }

func (l *Layer) now() mono.Time { return l.env.Clock.Now() }

// over says whether the host is closed, or has no device left.
func (l *Layer) over() bool {
	select {
	case <-l.env.Over:
		return true
	default:
		return false
	}
}

// Flush writes out what Route.Send queued, unless a receive burst is in progress, whose loop then does, or another
// goroutine is flushing, which then takes ours too. Called with no lock held; cheap with nothing queued.
func (l *Layer) Flush() {
	if l.arming.Load() != 0 {
		if at := l.arming.Swap(0); at != 0 {
			l.env.Clock.Armed(mono.Time(at))
		}
	}
	for _, ifc := range l.topology.Load().ifaces {
		for _, q := range ifc.queues {
			q.flush()
		}
	}
}

// arm notes that a timer of the layer was armed; the next Flush tells the clock, which must not happen under a lock.
func (l *Layer) arm(at mono.Time) {
	for {
		old := l.arming.Load()
		if old != 0 && old <= int64(at) || l.arming.CompareAndSwap(old, int64(at)) {
			return
		}
	}
}

// Clear frees what waits for neighbours and for fragments. The host is closed.
func (l *Layer) Clear() {
	l.reassembly.clear()
	for _, ifc := range l.Interfaces() {
		if ifc.neighbors != nil {
			ifc.neighbors.clear()
		}
	}
}
