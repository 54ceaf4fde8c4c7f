package stack

import (
	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/tcp"
)

// A large Write is transmitted from the caller's memory, as far as the windows allow. Only then is copied into the send
// queue what is not acknowledged yet. So the device reads octets that are still in the cache, which those of a long send
// queue are not: this is 12 to 17 % of a bulk transfer over TAP.

// lendLocked transmits as much from the front of p as may leave now, and returns how many octets that are; 0 where p has
// to go through the send queue. It gives the lock back in between. Then the bit writing, which it sets and leaves set,
// keeps other writers away. more says that more will be written after p.
func (c *TCPConn) lendLocked(p []byte, more bool, now mono.Time) int {
	if c.route.Load().MaxSuper() == 0 {
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
	for _, q := range c.route.Load().Interface().Queues() {
		q.FlushEarly()
	}
	wait := c.shard.layer.largeWrites.Load() >= lendWaitFrom
	if !wait {
		// The acknowledgments of a peer on this machine are there already: what they cover needs no copy.
		c.shard.layer.glance(c.route.Load().Interface())
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

// waitAckLocked waits until the peer has acknowledged most of what was lent. The peer may delay the acknowledgment of the
// rest, to cover more text with it. The wait ends early when it is woken without progress: by a timer, which means that
// the acknowledgment is late, by the end of the connection, or by a deadline.
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
