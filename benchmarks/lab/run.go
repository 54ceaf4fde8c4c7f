package main

import (
	"fmt"
	"io"
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/sim"
)

// Cell is one path and one controller: a point of the grid.
type Cell struct {
	// Rate is the speed of the link each way in bits per second.
	Rate int64
	// RTT is the round-trip time of the path without queueing, in nanoseconds where it is stored.
	RTT time.Duration
	// Loss is the share of frames that are lost in each direction, Reorder the share that are held back by ReorderDelay.
	Loss, Reorder float64
	// Control is the congestion control's name.
	Control string
}

// Result is the result of a flow.
type Result struct {
	// Goodput is the rate at which the application received, in bits per second.
	Goodput uint64
	// Resent is the number of segments sent again, Timeouts that of the retransmission timer's expiries, both
	// from the flow's beginning.
	Resent, Timeouts uint64
}

// ReorderDelay is the time for which a path holds back frames that it reorders.
const ReorderDelay = 5 * time.Millisecond

// The flow runs for Warmup, and is measured over Measured.
const (
	Warmup   = 10 * time.Second
	Measured = 20 * time.Second
)

// buffers are the caps of autotuning, of both stacks: twice the largest product of bandwidth and delay, and the
// queue with it.
const buffers = 64 << 20

// path returns the cell's path for stack/sim. The queue in front of the link holds as much as the path (the product of
// bandwidth and delay), as is usual for routers, but at least 100 frames.
func (c *Cell) path(seed int64) sim.Config {
	frames := int(c.RTT.Seconds() * float64(c.Rate) / 8 / frameLen)
	return sim.Config{Seed: seed, Rate: c.Rate, Delay: c.RTT / 2, Queue: max(100, frames),
		Loss: c.Loss, Reorder: c.Reorder, ReorderDelay: ReorderDelay}
}

// The sizes of a full frame and of its parts.
const (
	mtu       = 1500
	etherLen  = 14
	headerLen = 20 // IPv4's, and TCP's without options
	frameLen  = etherLen + mtu
	buffer    = 2048 // the pool's storage for a frame
)

// Run measures one cell. The same cell and seed give the same result.
func Run(c Cell, seed int64, warmup, measured time.Duration) (Result, error) {
	n := newNetwork(c, seed)
	n.open()
	if !n.until(mono.Time(warmup)) {
		return Result{}, fmt.Errorf("%+v: the connection ended in %v: %v", c, n.client.conn.State(), n.client.conn.Err())
	}
	before := n.server.received
	if !n.until(mono.Time(warmup + measured)) {
		return Result{}, fmt.Errorf("%+v: the connection ended in %v: %v", c, n.client.conn.State(), n.client.conn.Err())
	}
	octets := n.server.received - before
	counters := n.client.env.Counters
	return Result{Goodput: bitRate(octets, measured), Resent: counters.Retransmitted, Timeouts: counters.Timeouts}, nil
}

// bitRate returns bits per second.
func bitRate(octets uint64, over time.Duration) uint64 {
	return uint64(float64(octets) * 8 / over.Seconds())
}

// write writes until the connection is closed.
func write(c io.Writer) {
	for {
		if _, err := c.Write(zeros[:]); err != nil {
			return
		}
	}
}
