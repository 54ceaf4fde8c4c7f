package stack

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/link"
)

// A call of a device that fails is made again after a pause, of a millisecond first and then of twice the last. So
// many calls in a row may fail, which takes a second in all; the next one that does is the device's last.
const (
	deviceTries = 10
	firstPause  = time.Millisecond
	// closeTries is deviceTries for Writes while the host is being closed, which waits for them: 63 ms.
	closeTries = 6
	// idlePause is the longest pause after a Read of no frame, which is no failure.
	idlePause = 10 * time.Millisecond
)

// ErrClosed is what Host.Err returns after Close.
var ErrClosed = errors.New("stack: host closed")

var errFrameCount = errors.New("the device has moved fewer than no frames, or more than there were")

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
	}
	return "failed"
}

// final says whether no call of the device can succeed after one that has returned err.
func final(err error) bool { return errors.Is(err, link.ErrClosed) || errors.Is(err, link.ErrGone) }

// pauseAfter returns how long to wait after so many failures in a row, at least one.
func pauseAfter(failures int) time.Duration { return firstPause << (failures - 1) }

// pause waits, and says whether the host is still open.
func (h *Host) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-h.done:
		return false
	}
}

// over says whether Done's channel is closed.
func (h *Host) over() bool {
	select {
	case <-h.done:
		return true
	default:
		return false
	}
}

// end closes Done's channel with a reason. It is false when it was closed before.
func (h *Host) end(why error) (first bool) {
	h.ending.Do(func() {
		h.endedBy, first = why, true
		close(h.done)
	})
	return first
}

// Done returns a channel that is closed when the host can no longer be used: Close was called, or no device is left of
// those that were attached. Sockets on loopback addresses go on in the second case until Close.
func (h *Host) Done() <-chan struct{} { return h.done }

// Err returns nil as long as Done's channel is open, then why it was closed, and always the same from then on, as
// with a context. After Close that is ErrClosed; when the last device has failed, an error that wraps ENETDOWN and
// the device's own.
func (h *Host) Err() error {
	if !h.over() {
		return nil
	}
	return h.endedBy
}

// read reads a burst. It bears with failures for a while; ok is false when the device has had its last, of which the
// host then knows, or is closed.
func (rc *receiver) read() (n int, ok bool) {
	q, failures := rc.queue, 0
	idle := firstPause
	for {
		frames := rc.frames[:rc.room]
		n, err := q.read(frames)
		if n > 0 && n <= len(frames) {
			return n, true // an error beside them the next Read returns again
		}
		if n != 0 {
			err = errFrameCount
			for i := range frames {
				frames[i].Release()
			}
		}
		if err == nil {
			if !rc.host.pause(idle) {
				return 0, false
			}
			idle = min(2*idle, idlePause)
			continue
		}
		failures++
		if rc.host.over() {
			return 0, false
		}
		if final(err) || failures > deviceTries {
			rc.host.queueFailed(q, err)
			return 0, false
		}
		q.iface.noteError(err)
		if !rc.host.pause(pauseAfter(failures)) {
			return 0, false
		}
	}
}

// failedWriteLocked decides what becomes of the queue after a Write that has returned err. again says that the frames are
// to be kept, at when the clock's goroutine must look after the queue, 0 for never. The caller tells the clock when it
// no longer holds q.mu. While the host is being closed the pause is made here, without the lock.
func (q *txQueue) failedWriteLocked(err error) (at mono.Time, again bool) {
	h := q.iface.host
	q.iface.counters.writeErrors.Add(1)
	q.iface.noteError(err)
	q.failures++
	switch {
	case q.dead || q.fatal != nil:
		return 0, false
	case h.over():
		if final(err) || q.failures > closeTries {
			return 0, false
		}
		q.mu.Unlock()
		time.Sleep(pauseAfter(q.failures))
		q.mu.Lock()
		return 0, !q.dead
	}
	now := h.clock.Now()
	if final(err) || q.failures > deviceTries {
		// The device is closed by the clock's goroutine: whoever wrote may be amid a read of the same device, which
		// its Close waits for. The receive loop then learns of it.
		q.fatal = err
		at = now
	} else {
		at = now.Add(pauseAfter(q.failures))
		again = true
	}
	q.retryAt.Store(int64(at))
	return at, again
}

// NextDeadline implements clock.Source: a queue has a deadline while it waits to write again.
func (q *txQueue) NextDeadline() (mono.Time, bool) {
	at := mono.Time(q.retryAt.Load())
	return at, at != 0
}

// Advance implements clock.Source.
func (q *txQueue) Advance(mono.Time) {
	q.mu.Lock()
	q.retryAt.Store(0)
	fatal := q.fatal
	q.mu.Unlock()
	if fatal != nil {
		_ = q.dev.Close()
		return
	}
	q.flush()
}

// kill ends the queue: what waits in it and what comes is dropped. It returns the error of the writer that gave the
// device up, if it was one.
func (q *txQueue) kill() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dead = true
	q.gone.Store(true)
	q.retryAt.Store(0)
	for i := range q.pending {
		q.pending[i].Release()
	}
	q.pending, q.spare, q.octets = nil, nil, 0
	q.queued.Store(0)
	return q.fatal
}

// requeueLocked puts frames that were not written back to the front of the queue. It drops what that leaves no room for.
func (q *txQueue) requeueLocked(frames []link.Frame) {
	newer := q.pending
	room := max(maxQueuedFrames-len(frames), 0)
	q.pending = append(frames, newer[:min(room, len(newer))]...)
	for i := range newer {
		if i >= room {
			newer[i].Release()
			q.iface.host.drop(DropTxQueueFull)
		}
		newer[i] = link.Frame{}
	}
	q.octets = 0
	for i := range q.pending {
		if b := q.pending[i].Buffer(); b != nil {
			q.octets += b.Cap()
		}
	}
	q.queued.Store(int32(len(q.pending)))
}

// noteError keeps the last error for Stats.
func (ifc *iface) noteError(err error) { ifc.lastError.Store(&err) }

func (ifc *iface) currentState() InterfaceState { return InterfaceState(ifc.state.Load()) }

// queueFailed takes a queue out of use whose device has failed for good, and with the last one its interface. It runs on
// the queue's receive loop, which ends.
func (h *Host) queueFailed(q *txQueue, err error) {
	_ = q.dev.Close()
	if e := q.kill(); e != nil {
		err = e // what Read has returned is only that we closed the device
	}
	ifc := q.iface
	ifc.noteError(err)
	last, left := h.loseQueue(ifc, err)
	if !last {
		return
	}
	_ = ifc.dev.Close()
	h.logErrorFirst("interface failed", "interface", ifc.info.Name, "left", left, "err", err)
	if left == 0 {
		h.fail(fmt.Errorf("stack: no interface is left: %w: %s: %w", syscall.ENETDOWN, ifc.info.Name, err))
	}
}

// loseQueue notes that an interface has a queue less. It says whether that was its last one, and how many interfaces
// there are still.
func (h *Host) loseQueue(ifc *iface, err error) (last bool, left int) {
	h.links.Lock()
	defer h.links.Unlock()
	if h.over() {
		return false, 0
	}
	if ifc.live--; ifc.live > 0 {
		h.logWarn("queue failed", "interface", ifc.info.Name, "left", ifc.live, "err", err)
		return false, 0
	}
	ifc.state.Store(uint32(InterfaceFailed))
	_ = h.change(func(t *topology) error {
		t.removeIface(ifc)
		return nil
	})
	return true, len(h.topology.Load().remaining())
}

// fail ends everything that is not on loopback addresses: no device is left.
func (h *Host) fail(why error) {
	if !h.end(why) {
		return
	}
	h.tcp.fail()
	h.udp.fail()
}

// carrier takes over what the device says of its link. It is not called twice at once.
func (ifc *iface) carrier(up bool) {
	if ifc.host.setCarrier(ifc, up) && up {
		ifc.cameUp()
	}
}

// setCarrier says whether that is news.
func (h *Host) setCarrier(ifc *iface, up bool) (changed bool) {
	state := InterfaceUp
	if !up {
		state = InterfaceDown
	}
	h.links.Lock()
	defer h.links.Unlock()
	if before := ifc.currentState(); before == state || before == InterfaceFailed {
		return false
	}
	ifc.state.Store(uint32(state))
	_ = h.change(func(*topology) error { return nil }) // no route that was found before is used again
	h.logInfo("interface "+state.String(), "interface", ifc.info.Name)
	return true
}

// cameUp is called when the interface's link is up again after it was down, on a goroutine of the device and under no
// lock. The other end of the link may be another one than before: it learns our addresses (RFC 5227 3).
func (ifc *iface) cameUp() {
	ifc.announce()
	ifc.host.flush()
}

// write hands frames to the device in order, and returns how many it took.
func (q *txQueue) write(frames []link.Frame) (n int, err error) {
	for n < len(frames) && err == nil {
		var k int
		switch k, err = q.dev.Write(frames[n:]); {
		case k < 0:
			k, err = 0, errFrameCount
		case k > len(frames)-n:
			k, err = len(frames)-n, errFrameCount
		case k == 0 && err == nil:
			err = io.ErrShortWrite
		}
		n += k
		q.iface.counters.framesOut.Add(uint64(k)) // of each Write, so that Close sees whether the device goes on
	}
	return n, err
}
