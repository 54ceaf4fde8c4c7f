package stack

import (
	"context"
	"slices"
	"time"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/tcp"
)

// How many packets wait for neighbours. A SYN that is dropped costs a dial a second, so that TCP's have no bound but
// that of the interface, beyond which each neighbour keeps its newest packet.
const (
	heldPerNeighbor = 64 // other than TCP's: all fragments of one 64 KB datagram fit
	heldTotal       = 1024
)

// heldFrame waits for its link header.
type heldFrame struct {
	queue *txQueue
	frame link.Frame
}

// holdLocked keeps f until the neighbour answers, at the cost of the oldest that waits (RFC 1122 2.3.2.2).
func (c *neighborCache) holdLocked(n *neighbor, q *txQueue, f *link.Frame, gather []tcp.Span) {
	other := !c.isTCP(f)
	switch {
	case len(n.held) > 0 && c.heldAll >= heldTotal:
		c.dropHeldLocked(n, 0)
	case other && n.heldOther >= heldPerNeighbor:
		c.dropHeldLocked(n, slices.IndexFunc(n.held, func(h heldFrame) bool { return !c.isTCP(&h.frame) }))
	}
	if other {
		n.heldOther++
	}
	appendSpans(f, gather)
	f.Own() // it may be for long
	n.held = append(n.held, heldFrame{queue: q, frame: *f})
	*f = link.Frame{}
	c.heldAll++
}

// isTCP says whether f is a TCP segment.
func (c *neighborCache) isTCP(f *link.Frame) bool {
	at := c.iface.linkLen + 9 // IPv4's protocol
	return len(f.Header) > at && f.Header[at] == wire.ProtocolTCP
}

// dropHeldLocked drops the i-th packet that waits for n.
func (c *neighborCache) dropHeldLocked(n *neighbor, i int) {
	h := &n.held[i]
	if !c.isTCP(&h.frame) {
		n.heldOther--
	}
	h.frame.Release()
	n.held = slices.Delete(n.held, i, i+1)
	c.heldAll--
	c.host.drop(DropNeighborQueue)
}

// sendHeldLocked sends what waited for n, whose address is known.
func (c *neighborCache) sendHeldLocked(n *neighbor) {
	for i := range n.held {
		h := &n.held[i]
		putLinkHeader(&h.frame, n.mac, c.iface.info.MAC)
		h.queue.put(&h.frame, nil)
	}
	c.takenLocked(n)
}

// takenLocked notes that nothing of what waited for n waits any more.
func (c *neighborCache) takenLocked(n *neighbor) {
	c.heldAll -= len(n.held)
	n.held, n.heldOther = nil, 0
	if c.heldAll == 0 && c.settled != nil {
		close(c.settled)
		c.settled = nil
	}
}

// whenSettled returns a channel that is closed once no packet waits for a neighbour: those that were resolved have
// their packets, the others are known to be silent. nil: so it is now.
func (c *neighborCache) whenSettled() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.heldAll == 0 {
		return nil
	}
	if c.settled == nil {
		c.settled = make(chan struct{})
	}
	return c.settled
}

// awaitNeighbors waits until no packet of t's interfaces waits for a neighbour, or d has passed, or ctx is
// done. It says whether none waits.
func (t *topology) awaitNeighbors(ctx context.Context, d time.Duration) (settled bool) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for _, ifc := range t.ifaces {
		if ifc.neighbors == nil || ifc.currentState() == InterfaceFailed {
			continue
		}
		if settled := ifc.neighbors.whenSettled(); settled != nil {
			select {
			case <-settled:
			case <-ctx.Done():
				return false
			}
		}
	}
	return true
}
