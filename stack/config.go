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

// Config holds what a host is made with. The zero value of a field means its default. Negative values are errors, but
// where a field says what they mean.
type Config struct {
	// Name is the host's name for people.
	Name string
	// Shards is the number of independently locked parts of the flow table, rounded up to a power of two, at most 4096.
	// Default four for each processor that Go uses, at least 8.
	Shards int
	// TCP is what all TCP connections share.
	TCP tcp.Config
	// TTL is the IPv4 TTL and IPv6 hop limit of packets that say none. Default 64 (RFC 1700).
	TTL uint8
	// MaxNeighbors caps each of the two neighbour caches of an interface, that of IPv4 and that of IPv6. Default 4096 entries.
	MaxNeighbors int
	// NeighborReachable is how long a neighbour counts as reachable after it was heard; each period is
	// multiplied with a random factor from 0.5 to 1.5. Default 30 s (RFC 4861 10), at least 1 ms.
	NeighborReachable time.Duration
	// AcceptRedirects says that redirects are followed: a destination is reached by the first hop that its present one names
	// (RFC 4861 8.3, RFC 1122 3.2.2.2), as long as that answers; at most 256 destinations are remembered. Default false:
	// whoever can send frames on the link can forge them.
	AcceptRedirects bool
	// ReassemblyBytes caps the memory in octets that incomplete IP datagrams take. Default 4 MiB, but no more than a
	// sixteenth of MaxBuffered.
	ReassemblyBytes int
	// ReassemblyTimeout is how long the fragments of a datagram of IPv4 may take; those of IPv6 have twice that. Default 30 s
	// (ledger Z-3), at least 1 ms.
	ReassemblyTimeout time.Duration
	// ICMPRate is the number of ICMP errors that are sent each second at most (RFC 1812 4.3.2.8), a tenth of them to one
	// source. Default 1000; negative for no bound.
	ICMPRate int
	// ResetRate is the largest number of resets each second that answer segments of no connection, dials of a closed
	// port for instance. A tenth of it may go to one source (an IPv4 address, an IPv6 network of 64 bits, or a link-local
	// address), in bursts of 0.41 s' worth. Default 100,000, which is 10,000 for one source and 4096 at once; negative for
	// no bound. A reset is no larger than the segment that it answers, so there is no amplification.
	ResetRate int
	// UDPBuffer is the receive buffer of a UDP socket in octets. Default 208 KiB.
	UDPBuffer int
	// MaxHalfOpen caps the half-open TCP connections of the host, all listeners together; a SYN beyond is
	// answered with a SYN cookie. Default 65,536 records of 128 octets. Each listener has a bound of its own:
	// its backlog, at least 128 and at most 4096.
	MaxHalfOpen int
	// AbortOnOverflow resets a peer whose handshake finds the accept queue full, as Linux does with
	// tcp_abort_on_overflow. Default off: its acknowledgment is ignored, and the connection made a moment later.
	AbortOnOverflow bool
	// MaxTimeWait caps the TIME-WAIT records; beyond, the oldest goes (ledger D-TW-1). Default 262,144
	// records of 96 octets. The cap is divided evenly among the shards, at least one for each, and what does not divide
	// is left out.
	MaxTimeWait int
	// MaxOrphans caps the TCP connections that their owner has closed and whose end the peer has not yet
	// acknowledged; beyond, one that is closed is reset instead. Default 262,144 of 416 octets; what they have
	// still to send counts in MaxBuffered.
	MaxOrphans int
	// MaxBuffered is the storage in octets that the queues of all TCP connections and UDP sockets may hold together; one
	// connection's are bounded by TCP.MaxRecvBuffer and TCP.MaxSendBuffer. What changes as they fill:
	//
	//   - From three fifths on no buffer grows. A connection whose peer takes nothing queues at most 4608 octets to send,
	//     and one whose reader does not keep up offers its peer a window of four segments.
	//   - From four fifths on unread text beyond these four segments is dropped, and the peer sends it again. A UDP socket
	//     queues 4608 octets. The last fifth is for connections that move.
	//   - Beyond MaxBuffered each connection still has 2048 octets to send and one segment to read.
	//
	// Each queue of frames to a device holds, beside the text of TCP, at most a quarter of MaxBuffered and 32 MiB.
	//
	// Default 1 GiB, or a quarter of the memory that the process may have if that is less, but at least 1 MiB. That
	// memory is the least of GOMEMLIMIT and the limits of the process's control group and the groups above it, which are
	// read once for all hosts (memory.limit_in_bytes in version 1, memory.max and memory.high in version 2).
	MaxBuffered int64
	// Logger, a *slog.Logger for instance, gets a line about each event that an operator should know of: an interface
	// that fails, comes back or is given up, another host with an address of this one. nil: no lines. It is called on a
	// goroutine of its own, for which Close waits: it must not call Close.
	Logger Logger

	// For tests of what happens where a number begins again at zero: the time by which the host's clock is ahead at
	// its birth, and what connections begin with.
	clock   time.Duration
	numbers *tcp.Numbers
}
