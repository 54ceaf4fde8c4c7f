package ip

import (
	"sync/atomic"
	"time"

	"github.com/unet-go/unet/internal/clock"
	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/link"
)

// Config has the limits of a layer. All of them are set: their defaults are the host's.
type Config struct {
	// TTL is the IPv4 TTL and the IPv6 hop limit of packets that say none.
	TTL uint8
	// MaxNeighbors caps each neighbour cache: an interface has one for each family.
	MaxNeighbors int
	// NeighborReachable is how long a neighbour counts as reachable after it was heard (RFC 4861 10).
	NeighborReachable time.Duration
	// AcceptRedirects says that redirects of the first hop to a destination are followed.
	AcceptRedirects bool
	// ReassemblyBytes caps the memory in octets of incomplete datagrams, ReassemblyTimeout the time that a datagram has.
	ReassemblyBytes   int
	ReassemblyTimeout time.Duration
	// ICMPRate is the largest number of ICMP errors each second, negative for no bound.
	ICMPRate int
	// QueueOctets bounds what the frames of one device queue pin, in octets, LoopbackOctets those within loopback's device.
	QueueOctets, LoopbackOctets int
}

// Log takes lines for those who run the host. It may be called under any lock and does not wait.
type Log interface {
	Info(msg string, args ...any)
	Warn(msg string, args ...any)
}

// Env is what a layer needs of its host.
type Env struct {
	Config
	Clock *clock.Clock
	Drops *drop.Counters
	Log   Log
	// Over is closed when the host is closed, or has no device left.
	Over <-chan struct{}
}

// forwarder passes on packets of others. It is an interface so that its code, which is in forward.go and beside it, is in no
// program that does not ask for it.
type forwarder interface {
	// forward takes the frame that an *Input, which this file knows nothing of, has parsed.
	forward(input any, f *link.Frame)
	// tellSources takes the reports about packets of others out of a list.
	tellSources(reports []Report) []Report
}

// base is what all parts of the layer use, and uses none of them.
type base struct {
	Env
	counters counters
	arming   atomic.Int64 // see arm
	// forwarding is nil on a host that passes on no packets of others.
	forwarding atomic.Pointer[forwarder]
}

type counters struct {
	reassembled, fragmented, forwarded    atomic.Uint64
	echoReplies, icmpErrors, icmpErrorsIn atomic.Uint64
}

// drop counts a dropped packet. It stands in a hundred places, and inlining four calls into each would cost every program 5 KB.
//
//go:noinline
func (b *base) drop(reason drop.Reason) { b.Drops.Add(reason) }

func (b *base) now() mono.Time { return b.Clock.Now() }

// over says whether the host is closed, or has no device left.
func (b *base) over() bool {
	select {
	case <-b.Over:
		return true
	default:
		return false
	}
}

// arm notes that a timer of the layer was armed; the next Flush tells the clock, which must not happen under a lock.
func (b *base) arm(at mono.Time) {
	for {
		old := b.arming.Load()
		if old != 0 && old <= int64(at) || b.arming.CompareAndSwap(old, int64(at)) {
			return
		}
	}
}
