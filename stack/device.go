package stack

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/unet-go/unet/stack/ip"
)

// Pauses after a Read of no frame, which is no failure: of the first length first, and then of twice the last one.
const (
	firstIdlePause = time.Millisecond
	maxIdlePause   = 10 * time.Millisecond
)

// ErrClosed is what Host.Err returns after Close.
var ErrClosed = errors.New("stack: host closed")

// InterfaceState says whether an interface is of use: its String is "up", "down", "failed" or "detached".
type InterfaceState = ip.InterfaceState

// The states of an interface.
const (
	// InterfaceUp: frames pass.
	InterfaceUp = ip.InterfaceUp
	// InterfaceDown: the device says that its link is down (link.Carrier). No route leads over it until the link is up
	// again; connections wait for that as long as they wait for their peers.
	InterfaceDown = ip.InterfaceDown
	// InterfaceFailed: the device has returned errors and is closed. Its addresses and routes are gone.
	InterfaceFailed = ip.InterfaceFailed
	// InterfaceDetached: the host has given the device up (Host.Detach), and has closed it. Its addresses and routes are gone.
	InterfaceDetached = ip.InterfaceDetached
)

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

// read reads a burst. It tries again for about a second when the device fails. ok is false when the device is given up,
// which the host has then been told, or when it is closed.
func (rc *receiver) read() (n int, ok bool) {
	q, failures := rc.queue, 0
	idle := firstIdlePause
	for {
		frames := rc.frames[:rc.room]
		n, err := q.Read(frames)
		if n > 0 && n <= len(frames) {
			return n, true // if there was an error too, the next Read returns it again
		}
		if n != 0 {
			err = ip.ErrFrameCount
			for i := range frames {
				frames[i].Release()
			}
		}
		if err == nil {
			if !rc.host.pause(idle) {
				return 0, false
			}
			idle = min(2*idle, maxIdlePause)
			continue
		}
		failures++
		if rc.host.over() {
			return 0, false
		}
		if ip.LastFailure(failures, err) {
			rc.host.queueFailed(rc.iface, q, err)
			return 0, false
		}
		q.NoteError(err)
		if !rc.host.pause(ip.PauseAfter(failures)) {
			return 0, false
		}
	}
}

// queueFailed takes a queue out of use whose device has failed for good, and with the last one its interface. It runs on
// the queue's receive loop, which ends.
func (h *Host) queueFailed(ifc *ip.Interface, q *ip.Queue, err error) {
	loss := ifc.FailQueue(q, err)
	if loss.Interface == nil {
		return
	}
	name := loss.Interface.Name()
	h.log.ErrorFirst("interface failed", "interface", name, "left", loss.Left, "err", loss.Err)
	if loss.Left == 0 {
		h.fail(fmt.Errorf("stack: no interface is left: %w: %s: %w", syscall.ENETDOWN, name, loss.Err))
	}
}

// fail ends everything that is not on loopback addresses: no device is left.
func (h *Host) fail(why error) {
	if !h.end(why) {
		return
	}
	h.tcp.fail()
	h.udp.fail()
	if raw := h.raw.Load(); raw != nil {
		(*raw).fail()
	}
}
