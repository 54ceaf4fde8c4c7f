package stack

import (
	"math/bits"
	"runtime"
	"time"

	"github.com/unet-go/unet/internal/rate"
	"github.com/unet-go/unet/stack/tcp"
)

// ConfigError says that a field of Config has a value that it cannot have. For errors.Is it is EINVAL.
type ConfigError = tcp.ConfigError

const (
	// maxShards is the most that Config.Shards may come to.
	maxShards = 4096
)

// check returns a *ConfigError for the first field that has a value that means nothing.
func (c *Config) check() error {
	var k tcp.ConfigCheck
	k.Number("Shards", int64(c.Shards))
	k.Number("MaxNeighbors", int64(c.MaxNeighbors))
	k.Duration("NeighborReachable", c.NeighborReachable)
	k.Number("ReassemblyBytes", int64(c.ReassemblyBytes))
	k.Duration("ReassemblyTimeout", c.ReassemblyTimeout)
	k.Number("UDPBuffer", int64(c.UDPBuffer))
	k.Number("MaxHalfOpen", int64(c.MaxHalfOpen))
	k.Number("MaxTimeWait", int64(c.MaxTimeWait))
	k.Number("MaxOrphans", int64(c.MaxOrphans))
	k.Number("MaxBuffered", c.MaxBuffered)
	if k.Err != nil {
		return k.Err
	}
	return c.TCP.Check("TCP.")
}

// withDefaults returns a configuration that check finds nothing wrong with as the host has it.
func (c Config) withDefaults() Config {
	number := func(n *int, def int) {
		if *n == 0 {
			*n = def
		}
	}
	duration := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
		*d = max(*d, time.Millisecond)
	}
	number(&c.Shards, max(8, 4*runtime.GOMAXPROCS(0)))
	c.Shards = 1 << bits.Len(uint(min(c.Shards, maxShards)-1))
	if c.TTL == 0 {
		c.TTL = 64
	}
	number(&c.MaxNeighbors, 4096)
	duration(&c.NeighborReachable, 30*time.Second)
	duration(&c.ReassemblyTimeout, 30*time.Second)
	limit := func(n *int, def int) {
		number(n, def)
		*n = min(max(*n, -1), rate.Max)
	}
	limit(&c.ICMPRate, 1000)
	limit(&c.ResetRate, rate.DefaultResets)
	number(&c.UDPBuffer, 208<<10)
	number(&c.MaxHalfOpen, 1<<16)
	number(&c.MaxTimeWait, 1<<18)
	c.MaxTimeWait = max(c.MaxTimeWait/c.Shards, 1) * c.Shards
	number(&c.MaxOrphans, 1<<18)
	if c.MaxBuffered == 0 {
		c.MaxBuffered = defaultBuffered(memoryLimit())
	}
	number(&c.ReassemblyBytes, int(min(4<<20, max(c.MaxBuffered/reassemblyPart, 1))))
	c.TCP = c.TCP.WithDefaults()
	return c
}

// What incomplete datagrams, and each queue of frames, may take of what MaxBuffered is.
const (
	reassemblyPart = 16
	queuePart      = 4
	leastQueue     = 256 << 10 // octets: a few of the largest packets
)

// queueOctets returns the bound in octets of a queue of frames, at most most.
func (c *Config) queueOctets(most int64) int {
	return int(min(most, max(c.MaxBuffered/queuePart, leastQueue)))
}
