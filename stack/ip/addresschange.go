package ip

import (
	"net/netip"
	"syscall"
)

// AddAddr gives an interface an address. The errors are those of Host.AddAddr in package stack.
func (l *Layer) AddAddr(a Address) error { return l.giveAddr(a, false) }

// ReplaceAddr is AddAddr, or changes the lifetimes of an address that is there.
func (l *Layer) ReplaceAddr(a Address) error { return l.giveAddr(a, true) }

func (l *Layer) giveAddr(a Address, replace bool) error {
	if a.ValidFor < 0 || a.ValidFor > 0 && (a.PreferredFor == 0 || a.PreferredFor > a.ValidFor) {
		return syscall.EINVAL
	}
	var ifc *Interface
	var added []address
	err := l.change(func(t *topology) (err error) {
		if ifc, err = t.device(a.Device); err != nil {
			return err
		}
		added, err = t.give(ifc, a, l.now(), replace)
		return err
	})
	if err != nil {
		return err
	}
	l.Clock.Wake() // it looks at the lifetimes
	l.detect(ifc)
	for _, own := range added {
		ifc.Announce(own.addr)
	}
	return nil
}

// RemoveAddr takes an address away. The errors are those of Host.RemoveAddr in package stack.
func (l *Layer) RemoveAddr(device string, a netip.Addr) error {
	var ifc *Interface
	err := l.change(func(t *topology) error {
		found := false
		for _, ifc = range t.ifaces[1:] {
			own := scoped(a.Unmap().WithZone(""), ifc.info.Name)
			if (device == "" || device == ifc.info.Name) && (a.Zone() == "" || a.Zone() == ifc.info.Name) && indexOf(t.addrs[ifc.index], own) >= 0 {
				t.take(ifc, own)
				found = true
				break
			}
		}
		if !found {
			return syscall.EADDRNOTAVAIL
		}
		return nil
	})
	if err == nil {
		l.forgetAddr(ifc, a.Unmap())
	}
	return err
}

// forgetAddr ends what is going on for an address that the interface has no more.
func (l *Layer) forgetAddr(ifc *Interface, a netip.Addr) {
	a = scoped(a.WithZone(""), ifc.info.Name)
	if ifc.detector != nil {
		ifc.detector.conflict(a)
	}
	ifc.announcer.forget(a)
	l.joinGroups(ifc)
}

// Addresses returns the host's addresses, without loopback's.
func (l *Layer) Addresses() (list []Address) {
	t, now := l.topology.Load(), l.now()
	for i, addrs := range t.addrs {
		for _, own := range addrs {
			a := Address{Prefix: own.prefix, Device: t.ifaces[i].info.Name, State: own.state, Temporary: own.temporary, NoRoute: own.noRoute}
			if own.preferredUntil != 0 {
				a.PreferredFor = max(own.preferredUntil.Sub(now), 1)
			}
			if own.validUntil != 0 {
				a.ValidFor = max(own.validUntil.Sub(now), 1)
				if own.preferredUntil == 0 {
					a.PreferredFor = -1
				}
			}
			list = append(list, a)
		}
	}
	return list
}
