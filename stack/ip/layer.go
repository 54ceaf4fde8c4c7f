package ip

import (
	"sync/atomic"
	"syscall"

	"github.com/unet-go/unet/internal/rate"
	"github.com/unet-go/unet/stack/link"
)

// Layer is the network layer of one host. Its methods may be called from any goroutine.
type Layer struct {
	core
	reassembly reassembly
	routes     routeCache
	errorLimit rate.Limit
	tap        atomic.Pointer[func(*Packet) bool]
}

// Stats are a layer's counters since it began, and its gauges.
type Stats struct {
	// Interfaces has one element for each interface, loopback's first.
	Interfaces []InterfaceStats
	// Reassembled counts the datagrams that were put together, Fragmented those that were cut.
	Reassembled, Fragmented uint64
	// Forwarded counts the packets of others that were passed on.
	Forwarded uint64
	// ReassemblyBytes is the memory in octets that incomplete datagrams take now.
	ReassemblyBytes int
	// EchoReplies and ICMPErrors count the ICMP messages sent, ICMPErrorsIn the errors received about packets of ours.
	EchoReplies, ICMPErrors, ICMPErrorsIn uint64
}

// Init gives the layer its environment and its loopback interface.
func (l *Layer) Init(env Env) {
	l.Env = env
	l.routes.init()
	l.ids.init()
	l.errorLimit.InitErrors(env.ICMPRate)
	l.reassembly.init(&l.base)
	l.topology.Store(new(topology))
	lo := newLoopbackInterface(&l.core)
	_ = l.change(func(t *topology) error { return t.addInterface(lo, nil) }) // it has no address that could be in use
}

// Stats returns the layer's counters and gauges at about one moment.
func (l *Layer) Stats() Stats {
	c := &l.counters
	s := Stats{
		Reassembled: c.reassembled.Load(), Fragmented: c.fragmented.Load(), Forwarded: c.forwarded.Load(),
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
	ifc, addrs, err := newInterface(&l.core, dev, config)
	if err != nil {
		return nil, err
	}
	l.startDAD(ifc, &config)
	ifc.optimistically(addrs)
	if ifc.info.Kind == link.Ethernet {
		ifc.startARP(&l.base)
		ifc.startND(&l.base)
		l.watchRedirects(ifc)
		ifc.announcer = newAnnouncer(&l.base, &ifc.info, ifc.nd, dev, config.Announce)
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
	l.detect(ifc)
	l.Clock.Wake() // it looks at the new interface's deadlines
	if dev, ok := dev.(link.Carrier); ok {
		dev.WatchCarrier(ifc.CarrierChanged)
	}
	if dev, ok := dev.(link.Resizer); ok {
		dev.WatchMTU(func(mtu int) { l.mtuChanged(ifc, mtu) })
	}
	return ifc, nil
}

// Tap has f see each ICMP message that is addressed to the host before the layer itself does, if its checksum is right. f says
// whether anybody wanted it; a message of a type that the layer has no use for is then not counted as dropped. f borrows the packet and does not wait.
func (l *Layer) Tap(f func(*Packet) bool) { l.tap.Store(&f) }

// tapped shows a message to whoever has asked for all of them.
func (l *Layer) tapped(p *Packet) bool {
	f := l.tap.Load()
	return f != nil && (*f)(p)
}

// Clear frees what waits for neighbours and for fragments. The host is closed.
func (l *Layer) Clear() {
	l.reassembly.clear()
	for _, ifc := range l.Interfaces() {
		for _, c := range ifc.neighbors {
			if c != nil {
				c.clear()
			}
		}
	}
}
