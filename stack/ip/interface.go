package ip

import (
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// InterfaceConfig says how a device is attached.
type InterfaceConfig struct {
	// Addrs are the host's addresses on the interface. Each prefix is a route to its network as well, and
	// for IPv4 names the directed broadcast address. Where one is of IPv6, the interface gets a link-local address as well,
	// unless there is one among them.
	Addrs []netip.Prefix
	// MTU is the largest IP packet in octets; zero for the device's. It is never more than the device's.
	MTU int
	// DADTransmits is how often the host asks whether another one has an IPv6 address of the interface, a second apart
	// (RFC 4862 5.1, DupAddrDetectTransmits). Default 1. Negative: not at all. The address is
	// withdrawn if another host has it. There is no such question where frames have no link addresses.
	DADTransmits int
	// FullDAD says that an IPv6 address is of no use before the host has asked (RFC 4862 5.4). The default is that it is in
	// use meanwhile (RFC 4429), so that a connection need not wait a second.
	FullDAD bool
	// Announce says whether the host announces its addresses on the interface. Default AnnounceAuto: on TAP devices.
	// Of the other modes AnnounceNever alone keeps it from defending an address that another host has too.
	Announce AnnounceMode
}

// Interface is one attached device. It does not change after it is made; its caches, its counters and its state do. Its
// addresses are the topology's, since they may change.
type Interface struct {
	core      *core
	index     int // in topology.ifaces
	dev       link.Device
	info      link.Info
	loopback  bool
	mtu       atomic.Int32             // changes under core.links
	maxMTU    int                      // InterfaceConfig.MTU
	linkLen   int                      // of the link header, 14 or 0
	queues    []*Queue                 // a power of two of them
	neighbors [families]*neighborCache // nil where frames have no link address
	nd        *ndSender
	detector  *detector   // nil where frames have no link address
	groups    *membership // likewise
	announcer *announcer  // likewise
	// undetected is the state of an IPv6 address that another host may have.
	undetected   AddrState
	advised      ndParameters
	configurator atomic.Pointer[configurator] // nil for none
	device       deviceState
	state        atomic.Uint32 // an InterfaceState; changes under core.links
	live         int           // queues that have not failed, guarded by core.links
}

// InterfaceStats are the counters of one interface.
type InterfaceStats struct {
	// Name is the device's name, with a number behind it where another interface has that name too.
	Name string
	// MAC is the Ethernet address of the host's side; zero where frames have none.
	MAC link.MAC
	// FramesIn, OctetsIn, FramesOut and OctetsOut count what crossed the device; a super-segment is one frame.
	FramesIn, OctetsIn, FramesOut, OctetsOut uint64
	// WriteErrors counts the batches that the device refused, those that it took at another try among them.
	WriteErrors uint64
	// State says whether the interface is of use, Err what its device returned last beside success. nil: nothing yet.
	State InterfaceState
	Err   error
	// Neighbors is the number of entries in the neighbour cache, Held that of packets waiting for one.
	Neighbors, Held int
}

// configured returns what configures the interface, nil for nothing.
func (ifc *Interface) configured() configurator {
	if c := ifc.configurator.Load(); c != nil {
		return *c
	}
	return nil
}

// newInterface returns an interface that is no part of the topology yet, and its addresses.
func newInterface(c *core, dev link.Device, config InterfaceConfig) (*Interface, []address, error) {
	info := dev.Info()
	info.Name = c.unusedName(info.Name)
	ifc := &Interface{core: c, device: deviceState{base: &c.base}, dev: dev, info: info, maxMTU: config.MTU}
	ifc.setMTU(info.MTU)
	if config.Announce > AnnounceNever {
		return nil, nil, syscall.EINVAL
	}
	if config.MTU < 0 || ifc.currentMTU() < leastMTU || ifc.currentMTU() > maxPacket {
		return nil, nil, syscall.EINVAL
	}
	addrs, err := newAddresses(config.Addrs, &info)
	if err != nil {
		return nil, nil, err
	}
	if ifc.currentMTU() < leastMTU6 && anyIPv6(addrs) {
		return nil, nil, syscall.EINVAL
	}
	if info.Kind == link.Ethernet {
		if info.MAC == (link.MAC{}) || info.MAC[0]&1 != 0 {
			return nil, nil, syscall.EINVAL
		}
		ifc.linkLen = wire.EthernetLen
	}
	devs := []link.Device{dev}
	if m, ok := dev.(link.MultiQueue); ok {
		devs = m.Queues()
	}
	for _, d := range devs {
		ifc.addQueue(d)
	}
	return ifc, addrs, nil
}

// unusedName returns a name for another interface: that of its device, with a number behind it where an interface has that
// name already. The zone of a link-local address is an interface's name, so each has its own (RFC 4007 6).
func (c *core) unusedName(device string) string {
	if device == "" {
		device = "if"
	}
	name := device
	for n := 2; slices.ContainsFunc(c.Interfaces(), func(ifc *Interface) bool {
		return ifc.info.Name == name && !ifc.currentState().over()
	}); n++ {
		name = fmt.Sprintf("%s-%d", device, n)
	}
	return name
}

// currentMTU returns the largest packet in octets that the interface takes now.
func (ifc *Interface) currentMTU() int { return int(ifc.mtu.Load()) }

// mtuFor returns the largest packet of a family in octets that the interface takes now: a router may have advertised less for
// IPv6.
func (ifc *Interface) mtuFor(f *family) int {
	if advised := int(ifc.advised.mtu.Load()); f == family6 && advised != 0 {
		return min(advised, ifc.currentMTU())
	}
	return ifc.currentMTU()
}

// setMTU takes over the MTU that the device has, within that of InterfaceConfig.
func (ifc *Interface) setMTU(device int) {
	if ifc.maxMTU > 0 {
		device = min(device, ifc.maxMTU)
	}
	ifc.mtu.Store(int32(max(min(device, maxPacket+1), 0)))
}

// leastMTU is what every link carries (RFC 791 3.2).
const leastMTU = 68

// newLoopbackInterface returns the interface that leads back to the host itself.
func newLoopbackInterface(c *core) *Interface {
	dev := newLoopback(c.LoopbackOctets)
	ifc := &Interface{core: c, device: deviceState{base: &c.base}, loopback: true, dev: dev, info: dev.Info()}
	ifc.setMTU(loopbackMTU)
	ifc.addQueue(dev)
	return ifc
}

func (ifc *Interface) addQueue(dev link.Device) {
	q := &Queue{dev: dev, device: &ifc.device, limit: ifc.core.QueueOctets}
	q.glancer, _ = dev.(link.Glancer)
	ifc.queues = append(ifc.queues, q)
	ifc.live++
}

// Index is the interface's place in Layer.Interfaces, which it keeps.
func (ifc *Interface) Index() int { return ifc.index }

// Name returns the device's name.
func (ifc *Interface) Name() string { return ifc.info.Name }

// Loopback says whether the interface leads back to the host itself.
func (ifc *Interface) Loopback() bool { return ifc.loopback }

// Queues returns the queues of the device. The caller does not change the slice.
func (ifc *Interface) Queues() []*Queue { return ifc.queues }

// queueFrom returns the queue of the number, or the next one that works where that has failed.
func (ifc *Interface) queueFrom(at int) *Queue {
	n := len(ifc.queues)
	for range n {
		if q := ifc.queues[at]; !q.gone.Load() {
			return q
		}
		at = (at + 1) % n
	}
	return ifc.queues[0]
}

// workingQueue returns the queue for what the host itself has to say on the link, such as ARP.
func (ifc *Interface) workingQueue() *Queue { return ifc.queueFrom(0) }

// Received counts frames that came from the device, and their octets.
func (ifc *Interface) Received(frames, octets int) {
	ifc.device.counters.framesIn.Add(uint64(frames))
	ifc.device.counters.octetsIn.Add(uint64(octets))
}

// Device returns the device, which is the interface's own: only its owner closes it.
func (ifc *Interface) Device() link.Device { return ifc.dev }

func (ifc *Interface) stats() InterfaceStats {
	c := &ifc.device.counters
	s := InterfaceStats{Name: ifc.info.Name, MAC: ifc.info.MAC,
		FramesIn: c.framesIn.Load(), OctetsIn: c.octetsIn.Load(),
		FramesOut: c.framesOut.Load(), OctetsOut: c.octetsOut.Load(),
		WriteErrors: c.writeErrors.Load()}
	s.State = ifc.currentState()
	if err := ifc.device.lastError.Load(); err != nil {
		s.Err = *err
	}
	for _, c := range ifc.neighbors {
		if c != nil {
			entries, held := c.size()
			s.Neighbors, s.Held = s.Neighbors+entries, s.Held+held
		}
	}
	return s
}

// Neighbors returns the interface's neighbour caches, those of IPv4 first and else in no order.
func (ifc *Interface) Neighbors() (list []Neighbor) {
	for _, c := range ifc.neighbors {
		if c != nil {
			list = c.appendTo(list)
		}
	}
	return list
}

// Announce announces addresses of the interface, or all of them if none is named, if hosts do that on it: once now, and
// again after announceInterval. The caller flushes once it holds no lock.
func (ifc *Interface) Announce(addrs ...netip.Addr) {
	a := ifc.announcer
	if a == nil || a.mode != AnnounceAlways {
		return
	}
	t := ifc.core.topology.Load()
	if len(addrs) == 0 {
		for _, own := range t.addrs[ifc.index] {
			addrs = append(addrs, own.addr)
		}
	}
	now := ifc.core.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, addr := range addrs {
		if !t.stateOf(ifc, addr).detected() {
			continue // it is announced when it is known to be unique
		}
		due := a.due[:0]
		for _, d := range a.due {
			if d.addr != addr {
				due = append(due, d)
			}
		}
		a.due = due
		a.sendLocked(announcement{addr: addr, left: announceNum}, now)
	}
}
