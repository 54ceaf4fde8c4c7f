package ip

// InterfaceState says whether an interface is of use.
type InterfaceState uint8

const (
	// InterfaceUp: frames pass.
	InterfaceUp InterfaceState = iota
	// InterfaceDown: the device says that its link is down (link.Carrier). No route leads over it until the link is up
	// again; connections wait for that as long as they wait for their peers.
	InterfaceDown
	// InterfaceFailed: the device has returned errors and is closed. Its addresses and routes are gone.
	InterfaceFailed
)

// String returns "up", "down" or "failed".
func (s InterfaceState) String() string {
	switch s {
	case InterfaceUp:
		return "up"
	case InterfaceDown:
		return "down"
	case InterfaceFailed:
		return "failed"
	}
	return "invalid"
}

func (ifc *Interface) currentState() InterfaceState { return InterfaceState(ifc.state.Load()) }

// CarrierChanged takes over what the device says of its link (link.Carrier). It is not called twice at once.
func (ifc *Interface) CarrierChanged(up bool) {
	if ifc.layer.setCarrier(ifc, up) && up {
		ifc.cameUp()
	}
}

// setCarrier says whether that is news.
func (l *Layer) setCarrier(ifc *Interface, up bool) (changed bool) {
	state := InterfaceUp
	if !up {
		state = InterfaceDown
	}
	l.links.Lock()
	defer l.links.Unlock()
	if before := ifc.currentState(); before == state || before == InterfaceFailed {
		return false
	}
	ifc.state.Store(uint32(state))
	_ = l.change(func(*topology) error { return nil }) // no route that was found before is used again
	l.env.Log.Info("interface "+state.String(), "interface", ifc.info.Name)
	return true
}

// cameUp is called when the interface's link is up again after it was down, on a goroutine of the device and under no
// lock. The other end of the link may be another one than before: it learns our addresses (RFC 5227 3).
func (ifc *Interface) cameUp() {
	ifc.Announce()
	ifc.layer.Flush()
}
