package stack

import (
	"sync/atomic"

	"github.com/unet-go/unet/stack/tcp"
)

// The counters of this package. Others are in internal/drop (packets by the reason for which they were dropped), in
// package tcp (Counters, which a shard's connections share) and in package ip (its interfaces, fragments and ICMP).
// Host.Stats returns all of them, each with a name.

// tcpEvents counts what happens to the flows of a shard outside of package tcp. The shard's lock guards it.
type tcpEvents struct {
	listenOverflows, synCookies, synCookiesOK, orphansReset, timeWaitOverflows, resetsHeldBack uint64
	fastOpens, fastOpenCookies, fastOpenOverflows, fastOpenLost                                uint64
}

// addTo adds the counters to the sum over all shards.
func (e *tcpEvents) addTo(g *TCPGauges) {
	g.ListenOverflows += e.listenOverflows
	g.SYNCookies += e.synCookies
	g.CookiesOK += e.synCookiesOK
	g.OrphansReset += e.orphansReset
	g.TimeWaitOverflows += e.timeWaitOverflows
	g.ResetsHeldBack += e.resetsHeldBack
	g.FastOpens += e.fastOpens
	g.FastOpenCookies += e.fastOpenCookies
	g.FastOpenOverflows += e.fastOpenOverflows
	g.FastOpenLost += e.fastOpenLost
}

// invalidSegments counts segments that come to no shard.
type invalidSegments struct{ malformed, badChecksum, dropped atomic.Uint64 }

func (i *invalidSegments) addTo(g *TCPGauges) {
	g.Malformed += i.malformed.Load()
	g.BadChecksum += i.badChecksum.Load()
	g.Dropped += i.dropped.Load()
}

// datagramCounters counts what UDP has delivered and sent.
type datagramCounters struct{ in, out atomic.Uint64 }

// TCPGauges are what TCP holds at one moment, and its counters outside of package tcp.
type TCPGauges struct {
	// States counts the connections by state, indexed by tcp.State. LISTEN counts listeners, SYN-RECEIVED
	// half-open records too, TIME-WAIT its records.
	States StateCounts
	// HalfOpen counts the half-open records, Orphans the connections that their owner has closed and that have not ended
	// yet.
	HalfOpen, Orphans int
	// Buffered is the memory in octets that the queues of all connections hold. A buffer counts as a whole.
	Buffered int64
	// AcceptQueue counts the connections that wait for Accept.
	AcceptQueue int
	// Bindings counts the local addresses that BindTCP has reserved: listeners and bound sockets.
	Bindings int
	// ListenOverflows counts the SYNs and final ACKs that a full accept queue ignored.
	ListenOverflows uint64
	// SYNCookies counts the SYNs that were answered with a SYN cookie, CookiesOK the connections that resulted.
	SYNCookies, CookiesOK uint64
	// FastOpens counts the connections whose SYN carried text that was accepted, by us or by our peers.
	// FastOpenCookies counts the Fast Open cookies given, FastOpenOverflows the SYNs that came when too many
	// connections were pending, FastOpenLost the SYNs that were lost on a path.
	FastOpens, FastOpenCookies, FastOpenOverflows, FastOpenLost uint64
	// OrphansReset counts the connections that were reset because there were too many orphans.
	OrphansReset uint64
	// TimeWaitOverflows counts the TIME-WAIT records that left early because there were too many.
	TimeWaitOverflows uint64
	// ResetsHeldBack counts the resets that were not sent because of Config.ResetRate.
	ResetsHeldBack uint64
	// Malformed counts segments whose header contradicts their length, or that have an option of illegal length.
	Malformed uint64
	// BadChecksum counts segments whose checksum is wrong.
	BadChecksum uint64
	// Dropped counts segments that no host may send: to broadcast addresses, or over the network from an address and
	// port to the same address and port.
	Dropped uint64
}

// Connections returns the number of connections, half-open ones included and TIME-WAIT left out.
func (g TCPGauges) Connections() int {
	n := 0
	for state, count := range g.States {
		if state != int(tcp.Listen) && state != int(tcp.TimeWaitState) {
			n += count
		}
	}
	return n
}
