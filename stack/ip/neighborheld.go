package ip

import (
	"slices"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/span"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// How many packets may wait for neighbours. A SYN that is dropped delays a dial by a second, so TCP's packets have no bound
// but that of the interface, beyond which each neighbour keeps its newest packet.
const (
	heldPerNeighbor = 64 // other than TCP's: all fragments of one 64 KB datagram fit
	heldTotal       = 1024
)

// heldFrame waits for its link header.
type heldFrame struct {
	queue  *Queue
	frame  link.Frame
	family *family
	proto  uint8 // what the packet carries
}

func (h *heldFrame) isTCP() bool { return h.proto == wire.ProtocolTCP }

// holdLocked keeps f until the neighbour answers, at the cost of the oldest that waits (RFC 1122 2.3.2.2).
func (c *neighborCache) holdLocked(n *neighbor, held heldFrame, f *link.Frame, gather []span.Span) {
	other := !held.isTCP()
	switch {
	case len(n.held) > 0 && c.heldAll >= heldTotal:
		c.dropHeldLocked(n, 0)
	case other && n.heldOther >= heldPerNeighbor:
		c.dropHeldLocked(n, slices.IndexFunc(n.held, func(h heldFrame) bool { return !h.isTCP() }))
	}
	if other {
		n.heldOther++
	}
	appendSpans(f, gather)
	f.Own() // it may wait for long, and must not keep lent memory
	held.frame = *f
	n.held = append(n.held, held)
	*f = link.Frame{}
	c.heldAll++
}

// dropHeldLocked drops the i-th packet that waits for n.
func (c *neighborCache) dropHeldLocked(n *neighbor, i int) {
	h := &n.held[i]
	if !h.isTCP() {
		n.heldOther--
	}
	h.frame.Release()
	n.held = slices.Delete(n.held, i, i+1)
	c.heldAll--
	c.base.drop(drop.NeighborQueue)
}

// sendHeldLocked sends what waited for n, whose address is known.
func (c *neighborCache) sendHeldLocked(n *neighbor) {
	for i := range n.held {
		h := &n.held[i]
		putLinkHeader(&h.frame, n.mac, c.mac, h.family.etherType)
		h.queue.put(&h.frame, nil)
	}
	c.takenLocked(n)
}

// takenLocked empties the list of packets that wait for n, which the caller has taken.
func (c *neighborCache) takenLocked(n *neighbor) {
	c.heldAll -= len(n.held)
	n.held, n.heldOther = nil, 0
	if c.heldAll == 0 && c.settled != nil {
		close(c.settled)
		c.settled = nil
	}
}

// whenSettled returns a channel that is closed once no packet waits for a neighbour: each was sent, or dropped because the
// neighbour does not answer. It returns nil if none waits now.
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

// NeighborTime is how long it takes at most until a neighbour has answered or counts as failed.
const NeighborTime = resolveTries * retransInterval
