package stack

import (
	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/tcp"
)

// A large Write is transmitted from where it stands, as far as the windows allow, and only then copied into the send
// queue, as far as it is not acknowledged by then. So the device reads octets that are in the cache, which those of the
// send queue are no longer: 12 to 17 % of a bulk transfer over TAP.
const (
	// lendLeast is the number of octets from which that is worth the trouble.
	lendLeast = 32 << 10
	// lendMost is how many go at once: so many should be in the cache still when they are copied.
	lendMost = 256 << 10
	// lendWaitFrom is how many large Writes must be in progress for each to wait for its acknowledgment in place of
	// copying: the device has enough to do meanwhile. Fewer would let it run dry.
	lendWaitFrom = 3
)

// lendLocked transmits the front of p, as much as may leave now, and returns how much that is: 0 where p has to go
// through the send queue. It gives the lock back for a while, during which the bit writing, which it leaves set, keeps
// other writers away. more says that more follows behind p.
func (c *TCPConn) lendLocked(p []byte, more bool, now mono.Time) int {
	if c.route.MaxSuper() == 0 {
		return 0
	}
	p = p[:min(len(p), lendMost)]
	loan := link.Lend(p)
	c.setMoreLocked(more, now)
	n := c.tcp.Lend(tcp.Span{Data: p, Owner: loan.Buffer()}, now)
	if n == 0 {
		loan.Await()
		return 0
	}
	c.bits |= writing
	c.tcp.Output(now)
	c.afterLocked(now)
	c.unlock()
	for _, q := range c.route.Interface().Queues() {
		q.FlushEarly()
	}
	wait := c.shard.layer.bulk.Load() >= lendWaitFrom
	if !wait {
		// A near peer's acknowledgments are here already: what they cover needs no copy.
		c.shard.layer.host.glance(c.route.Interface())
	}
	c.lock()
	if wait && c.tcp.Prompt() {
		c.waitAckLocked(loan.Buffer())
	}
	c.tcp.Keep(loan.Buffer())
	c.unlock()
	loan.Await()
	c.lock()
	return n
}

// waitAckLocked waits until the peer has acknowledged most of what was lent; a peer may take its time over the rest,
// hoping for more to acknowledge with it. It gives up when it is woken in vain: by a timer, since the acknowledgment is
// late; by the end of the connection; by a deadline.
func (c *TCPConn) waitAckLocked(lent *link.Buffer) {
	for left := c.tcp.Lent(lent); left >= lendLeast; {
		c.bits |= awaitsAck
		c.waitWriteLocked(c.now())
		c.bits &^= awaitsAck
		now := c.tcp.Lent(lent)
		if now == left {
			return
		}
		left = now
	}
}
