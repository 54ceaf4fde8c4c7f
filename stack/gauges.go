package stack

import (
	"reflect"

	"github.com/unet-go/unet/stack/tcp"
)

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

// stats returns the sum of the shards' counters, and the gauges.
func (l *tcpLayer) stats() (total tcp.Counters, g TCPGauges) {
	sum := reflect.ValueOf(&total).Elem()
	for i := range l.shards {
		shard := &l.shards[i]
		shard.mu.Lock()
		counters, events, states := shard.env.Counters, shard.events, shard.states
		g.States[tcp.TimeWaitState] += shard.timeWaits.len
		g.Buffered += shard.env.Buffered
		shard.mu.Unlock()
		one := reflect.ValueOf(counters)
		for f := range one.NumField() {
			sum.Field(f).SetUint(sum.Field(f).Uint() + one.Field(f).Uint())
		}
		for state, n := range states {
			g.States[state] += n
		}
		g.ListenOverflows += events.listenOverflows
		g.SYNCookies += events.synCookies
		g.CookiesOK += events.synCookiesOK
		g.OrphansReset += events.orphansReset
		g.TimeWaitOverflows += events.timeWaitOverflows
		g.ResetsHeldBack += events.resetsHeldBack
		g.FastOpens += events.fastOpens
		g.FastOpenCookies += events.fastOpenCookies
		g.FastOpenOverflows += events.fastOpenOverflows
		g.FastOpenLost += events.fastOpenLost
	}
	listeners := l.listen.all()
	g.States[tcp.Listen] = len(listeners)
	for _, listener := range listeners {
		listener.mu.Lock()
		g.AcceptQueue += listener.queue.Len()
		listener.mu.Unlock()
	}
	g.HalfOpen, g.Orphans = int(l.halfOpens.Load()), int(l.orphans.Load())
	l.ports.mu.Lock()
	g.Bindings = l.ports.count
	l.ports.mu.Unlock()
	g.Malformed, g.BadChecksum, g.Dropped = l.malformed.Load(), l.badChecksum.Load(), l.dropped.Load()
	return total, g
}
