package ip

import (
	"net/netip"
	"slices"
	"syscall"

	"github.com/unet-go/unet/stack/link"
)

// defaultDADTransmits is RFC 4862 5.1's default of DupAddrDetectTransmits.
const defaultDADTransmits = 1

// startDAD gives the interface what it sends with over IPv6 and, where hosts on its link have link addresses, what finds
// out whether its addresses are its own alone.
func (l *Layer) startDAD(ifc *Interface, config *InterfaceConfig) {
	ifc.nd = &ndSender{queue: ifc.workingQueue, mac: ifc.info.MAC, linkLen: ifc.linkLen, router: &ifc.core.forwarding, advised: &ifc.advised}
	ifc.undetected = AddrOptimistic
	if config.FullDAD {
		ifc.undetected = AddrTentative
	}
	if ifc.linkLen == 0 {
		return
	}
	transmits := config.DADTransmits
	if transmits == 0 {
		transmits = defaultDADTransmits
	}
	ifc.detector = &detector{base: &l.base, nd: ifc.nd, transmits: max(transmits, 0),
		up: func() bool { return ifc.currentState() == InterfaceUp }, unique: func(a netip.Addr) { l.settle(ifc, a) }}
	ifc.groups = newMembership(&l.base, ifc.nd, func() netip.Addr { return l.topology.Load().reportSource(ifc) })
}

// detect joins the groups of the interface's addresses, and finds out whether those that are optimistic are its own.
func (l *Layer) detect(ifc *Interface) {
	if ifc.detector == nil {
		return
	}
	l.joinGroups(ifc)
	for _, a := range l.topology.Load().addrs[ifc.index] {
		if !a.state.detected() {
			ifc.detector.start(a.addr)
		}
	}
}

// settle ends an address's being optimistic or tentative: no other host has it.
func (l *Layer) settle(ifc *Interface, a netip.Addr) {
	_ = l.change(func(t *topology) error {
		t.addrs[ifc.index] = slices.Clone(t.addrs[ifc.index])
		for i := range t.addrs[ifc.index] {
			if own := &t.addrs[ifc.index][i]; own.addr == a && !own.state.detected() {
				own.state = AddrPreferred
				t.classify(*own)
				t.note(*own)
			}
		}
		return nil
	})
	if a.IsLinkLocalUnicast() {
		ifc.groups.reportAll() // routers do not hear reports from an unspecified address (RFC 3590 4)
	}
	ifc.Announce(a)
}

// withdraw takes an address away from an interface since the host at mac has it too (RFC 4862 5.4.5). What is sent from it
// later fails as it does when an address's lifetime is over.
func (l *Layer) withdraw(ifc *Interface, a netip.Addr, mac link.MAC) {
	err := l.change(func(t *topology) error {
		if indexOf(t.addrs[ifc.index], a) < 0 { // another frame of the burst has had it withdrawn
			return syscall.EADDRNOTAVAIL
		}
		t.take(ifc, a)
		return nil
	})
	if err != nil {
		return
	}
	if c := ifc.configured(); c != nil {
		c.duplicate(a)
	}
	l.joinGroups(ifc)
	l.Log.Warn("address withdrawn: another host has it", "interface", ifc.info.Name, "address", a.String(),
		"mac", mac.String(), "ours", ifc.info.MAC.String())
}

// joinGroups joins the solicited-node groups of the interface's addresses, and leaves those of addresses that have gone.
func (l *Layer) joinGroups(ifc *Interface) {
	if ifc.groups == nil {
		return
	}
	var groups []netip.Addr
	for _, a := range l.topology.Load().addrs[ifc.index] {
		if a.addr.Is6() {
			groups = append(groups, solicitedNode(a.addr))
		}
	}
	ifc.groups.set(groups)
}

// reportSource returns the source of reports of groups: a link-local address that is known to be unique, or the unspecified
// address (RFC 3810 5.2.13).
func (t *topology) reportSource(ifc *Interface) netip.Addr {
	for _, a := range t.addrs[ifc.index] {
		if a.addr.IsLinkLocalUnicast() && a.addr.Is6() && a.state.detected() {
			return a.addr
		}
	}
	return netip.IPv6Unspecified()
}
