package stack

import (
	"context"
	"syscall"

	"github.com/unet-go/unet/stack/ip"
)

// Close resets all connections, closes listeners, UDP sockets and devices, and waits for every goroutine of
// the host. What was queued before leaves, and then the resets, as far as the devices take it: Close waits for a slow
// device, but not longer than a second for one that takes nothing. A packet that waits for its neighbour's link
// address has a second too. The second call does nothing. Shutdown is the end that loses nothing.
func (h *Host) Close() error {
	h.changing.Lock()
	defer h.changing.Unlock()
	if h.closed {
		return nil
	}
	return h.closeLocked()
}

// closeLocked is Close of a host that is not closed. The caller holds changing.
func (h *Host) closeLocked() error {
	h.closed = true
	h.end(ErrClosed)
	h.ip.HoldFlushes()
	h.lost = h.tcp.close()
	h.udp.close()
	if raw := h.raw.Load(); raw != nil {
		(*raw).close()
	}
	h.ip.Finish(&h.loops)
	var first error
	for _, ifc := range h.ip.Interfaces() {
		if ifc.State() == ip.InterfaceDetached {
			continue
		}
		if err := ifc.Device().Close(); err != nil && first == nil {
			first = err
		}
	}
	h.loops.Wait()
	h.clock.Stop()
	h.subscribing.Lock()
	if h.subscribers != nil {
		h.subscribers.close()
	}
	h.subscribing.Unlock()
	h.ip.Clear()
	h.log.stop()
	return first
}

// Shutdown ends the host without a loss. It closes the listeners, which resets the connections that wait for Accept,
// and waits for all other connections: until their owners have closed them and the peers have acknowledged all that was
// written to them, and the FIN. A connection without an owner that waits for its peer's FIN, or is in TIME-WAIT, is not
// waited for. Then packets that wait for a neighbour's link address, datagrams for instance, have the 3 s in which a
// neighbour answers or counts as failed. Then, or when ctx is done, it is Close: what is left is reset. Until then
// everything but listening works, so that those who answer can still ask others; new connections are waited for too.
//
// It returns nil when nothing was lost, a *ShutdownError when there were connections left, or the error with which a
// device closes. Where somebody else closes the host meanwhile it returns when that is done. On a closed host it does
// nothing.
func (h *Host) Shutdown(ctx context.Context) error {
	h.changing.Lock()
	closed := h.closed
	h.changing.Unlock()
	if closed {
		return nil
	}
	select {
	case <-h.tcp.drain():
		h.ip.AwaitNeighbors(ctx, ip.NeighborTime)
	case <-ctx.Done():
	}
	h.changing.Lock()
	defer h.changing.Unlock()
	var err error
	if !h.closed {
		err = h.closeLocked()
	}
	if h.lost.Connections == 0 {
		return err
	}
	lost := h.lost
	if lost.Err = ctx.Err(); lost.Err == nil {
		lost.Err = syscall.ENETDOWN
	}
	return &lost
}
