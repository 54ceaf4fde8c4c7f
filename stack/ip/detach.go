package ip

import (
	"net/netip"
	"slices"

	"github.com/unet-go/unet/stack/link"
)

// Detach takes the interface of a name away. The caller closes its device. The errors are those of Host.Detach in package stack.
func (l *Layer) Detach(name string) (*Interface, error) {
	l.links.Lock()
	defer l.links.Unlock()
	var ifc *Interface
	err := l.change(func(t *topology) (err error) {
		if ifc, err = t.device(name); err != nil {
			return err
		}
		t.removeInterface(ifc)
		return nil
	})
	if err != nil {
		return nil, err
	}
	ifc.state.Store(uint32(InterfaceDetached))
	_ = l.change(func(*topology) error { return nil }) // so that nobody finds the interface in a route made before
	for _, q := range ifc.queues {
		q.kill()
	}
	for _, c := range ifc.neighbors {
		if c != nil {
			c.clear()
		}
	}
	return ifc, nil
}

// mtuChanged takes over what the device says of its MTU (link.Resizer). It is not called twice at once.
func (l *Layer) mtuChanged(ifc *Interface, mtu int) {
	if l.changeMTU(ifc, mtu) {
		l.joinGroups(ifc)
		l.Flush()
	}
}

// changeMTU sets the MTU of an interface, and lets routes be chosen anew. A link that carries less than IPv6 needs loses its
// IPv6 addresses, as on Linux.
func (c *core) changeMTU(ifc *Interface, mtu int) (changed bool) {
	c.links.Lock()
	defer c.links.Unlock()
	before := ifc.currentMTU()
	ifc.setMTU(max(mtu, leastMTU))
	now := ifc.currentMTU()
	if now == before || ifc.currentState().over() {
		return false
	}
	_ = c.change(func(t *topology) error {
		if now < leastMTU6 {
			for _, own := range slices.Clone(t.addrs[ifc.index]) {
				if own.addr.Is6() {
					t.take(ifc, own.addr)
				}
			}
		}
		return nil
	})
	c.Log.Info("interface has another MTU", "interface", ifc.info.Name, "mtu", now)
	return true
}

// InterfaceInfo says what an interface is.
type InterfaceInfo struct {
	// Name is the device's name, with a number behind it where another interface has that name too. It is the zone of
	// link-local addresses.
	Name string
	// Index is the interface's number, loopback's 0. It stays, also when the device has failed or is detached.
	Index int
	// Kind says whether frames have link addresses, and MAC is that of the host's side; zero where frames have none.
	Kind link.Kind
	MAC  link.MAC
	// MTU is the largest packet in octets.
	MTU int
	// State says whether the interface is of use.
	State InterfaceState
	// Addrs are the host's addresses there.
	Addrs []netip.Prefix
}

// InterfaceInfos describes the interfaces, loopback's first.
func (c *core) InterfaceInfos() (list []InterfaceInfo) {
	t := c.topology.Load()
	for _, ifc := range t.ifaces {
		info := InterfaceInfo{Name: ifc.info.Name, Index: ifc.index, Kind: ifc.info.Kind, MAC: ifc.info.MAC,
			MTU: ifc.currentMTU(), State: ifc.currentState()}
		for _, own := range t.addrs[ifc.index] {
			info.Addrs = append(info.Addrs, own.prefix)
		}
		list = append(list, info)
	}
	return list
}
