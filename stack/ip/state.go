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
	// InterfaceDetached: the host has given the device up (Host.Detach), and has closed it. Its addresses and routes are gone.
	InterfaceDetached
)

// over says whether the device is closed for good.
func (s InterfaceState) over() bool { return s == InterfaceFailed || s == InterfaceDetached }

// String returns "up", "down", "failed" or "detached".
func (s InterfaceState) String() string {
	switch s {
	case InterfaceUp:
		return "up"
	case InterfaceDown:
		return "down"
	case InterfaceFailed:
		return "failed"
	case InterfaceDetached:
		return "detached"
	}
	return "invalid"
}

func (ifc *Interface) currentState() InterfaceState { return InterfaceState(ifc.state.Load()) }

// State returns the state of the interface.
func (ifc *Interface) State() InterfaceState { return ifc.currentState() }

// CarrierChanged takes over what the device says of its link (link.Carrier). It is not called twice at once.
func (ifc *Interface) CarrierChanged(up bool) {
	if ifc.core.setCarrier(ifc, up) && up {
		ifc.cameUp()
	}
}

// setCarrier notes whether the link is up. It is false where that was known, or the interface has failed.
func (c *core) setCarrier(ifc *Interface, up bool) (changed bool) {
	state := InterfaceUp
	if !up {
		state = InterfaceDown
	}
	c.links.Lock()
	defer c.links.Unlock()
	if before := ifc.currentState(); before == state || before.over() {
		return false
	}
	ifc.state.Store(uint32(state))
	_ = c.change(func(*topology) error { return nil }) // so that cached routes are not used again
	c.Log.Info("interface "+state.String(), "interface", ifc.info.Name)
	return true
}

// cameUp is called when the interface's link is up again after it was down, on a goroutine of the device and under no
// lock. The other end of the link may be another one than before: it learns our addresses (RFC 5227 3).
func (ifc *Interface) cameUp() {
	if ifc.detector != nil {
		ifc.detector.restart()
		ifc.groups.reportAll()
	}
	if c := ifc.configured(); c != nil {
		c.linkUp()
	}
	ifc.Announce()
	ifc.core.Flush()
}

// Loss says what a host has lost with a queue whose device has failed.
type Loss struct {
	// Interface has no queue left. nil: it has others.
	Interface *Interface
	// Left is the number of interfaces that have not failed, loopback's left out.
	Left int
	// Err is the device's error.
	Err error
}

// FailQueue takes a queue out of use whose device has failed for good, with err, and with the last one the interface. The
// queue's receive loop calls it, and ends.
func (ifc *Interface) FailQueue(q *Queue, err error) (loss Loss) {
	_ = q.dev.Close()
	if e := q.kill(); e != nil {
		err = e // what Read has returned is only that we closed the device
	}
	ifc.device.noteError(err)
	loss.Err = err
	last, left := ifc.core.loseQueue(ifc, err)
	if last {
		_ = ifc.dev.Close()
		loss.Interface, loss.Left = ifc, left
	}
	return loss
}

// loseQueue notes that an interface has a queue less. It says whether that was its last one, and how many interfaces
// there are still.
func (c *core) loseQueue(ifc *Interface, err error) (last bool, left int) {
	c.links.Lock()
	defer c.links.Unlock()
	if c.over() || ifc.currentState().over() {
		return false, 0
	}
	if ifc.live--; ifc.live > 0 {
		c.Log.Warn("queue failed", "interface", ifc.info.Name, "left", ifc.live, "err", err)
		return false, 0
	}
	ifc.state.Store(uint32(InterfaceFailed))
	_ = c.change(func(t *topology) error {
		t.removeInterface(ifc)
		t.lost = len(t.remaining()) == 0
		return nil
	})
	return true, len(c.topology.Load().remaining())
}
