package stack

import (
	"net/netip"
	"sync/atomic"

	"github.com/unet-go/unet/internal/clock"
	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/stack/ip"
)

// core is what TCP and UDP of one host have below them and share: the IP layer and the clock, and what is counted for
// the host as a whole.
type core struct {
	ip        ip.Layer
	clock     clock.Clock
	drops     drop.Counters
	forgotten forgottenList
	// buffered is what the queues of all sockets hold in octets, as far as shards and UDP sockets have told. Near
	// bufferLimit connections save; beyond it only connections that move get more.
	buffered    atomic.Int64
	bufferLimit int64
	ended       atomic.Bool // nothing may come into the tables any more: the host is being closed
}

// drop counts a dropped packet.
func (c *core) drop(reason drop.Reason) { c.drops.Add(reason) }

// flush writes out what was queued for the devices, unless somebody else is about it or will be. No lock is held.
func (c *core) flush() { c.ip.Flush() }

// severed says whether sockets on a are without a network for good. The wildcard is no loopback address.
// It is called in many places, none of them hot, and is not copied to them.
//
//go:noinline
func (c *core) severed(a netip.Addr) bool { return c.ip.Lost() && !a.IsLoopback() }

// forget is called in many places, none of them hot, and is not copied to them.
//
//go:noinline
func (c *core) forget(what interface{ closeForgotten() }) {
	if !c.ended.Load() { // else Close has ended it
		c.forgotten.push(what)
	}
}
