package stack

import "github.com/unet-go/unet/stack/link"

// glance is what a goroutine that is not the receive loop reads a device with (link.Glancer). It is that goroutine's
// from TryRead to ReadDone.
type glance struct {
	dev      link.Glancer
	receiver *receiver
}

// read reads the device for the receive loop, which calls readDone when it has taken the frames.
func (q *txQueue) read(frames []link.Frame) (int, error) {
	if g := q.glance.dev; g != nil {
		return g.ReadHeld(frames)
	}
	return q.dev.Read(frames)
}

func (q *txQueue) readDone() {
	if g := q.glance.dev; g != nil {
		g.ReadDone()
	}
}

// glance takes the frames that wait at the interface's devices now, unless its receive loops are about it. The caller
// holds no lock.
func (ifc *iface) glance() {
	for _, q := range ifc.queues {
		if q.glance.dev != nil {
			q.takeAtOnce()
		}
	}
}

// takeAtOnce takes one burst of what waits at the device.
func (q *txQueue) takeAtOnce() {
	rc, dev := q.glance.receiver, q.glance.dev
	n := dev.TryRead(rc.frames[:])
	if n == 0 {
		return
	}
	rc.beginBurst(n)
	wakes := wakeLists.Get().(*wakeList)
	*wakes, rc.segments.wakes = rc.segments.wakes, *wakes
	dev.ReadDone()
	wakes.run()
	wakes.clear()
	wakeLists.Put(wakes)
	rc.endBurst()
}
