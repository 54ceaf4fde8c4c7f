package stack

import "github.com/unet-go/unet/stack/ip"

// glance takes the frames that wait at an interface's devices now, mostly acknowledgments, without waiting for the
// receive loops. Where a receive loop is reading a device it leaves that one alone. The caller holds no lock.
//
// A device is read by one goroutine at a time (link.Glancer), so that of the receivers that this is done with each
// is used by one goroutine at a time too.
func (h *Host) glance(ifc *ip.Interface) {
	list := *h.glancers.Load()
	if ifc.Index() >= len(list) { // the interface is being attached: a route may lead over it before its loops read
		return
	}
	for _, rc := range list[ifc.Index()] {
		rc.takeAtOnce()
	}
}

// takeAtOnce takes one burst of what waits at the device.
func (rc *receiver) takeAtOnce() {
	n := rc.queue.TryRead(rc.frames[:])
	if n == 0 {
		return
	}
	rc.beginBurst(n)
	wakes := wakeLists.Get().(*wakeList)
	*wakes, rc.segments.wakes = rc.segments.wakes, *wakes
	rc.queue.ReadDone()
	wakes.run()
	wakes.clear()
	wakeLists.Put(wakes)
	rc.endBurst()
}
