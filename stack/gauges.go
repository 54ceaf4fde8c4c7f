package stack

import (
	"reflect"

	"github.com/unet-go/unet/stack/tcp"
)

// TCPGauges are what TCP holds at one moment, and its counters outside of package tcp.
type TCPGauges struct {
	// States counts the connections by state, indexed by tcp.State. LISTEN counts listeners, SYN-RECEIVED
	// half-open records too, TIME-WAIT its records.
	States [11]int
	// HalfOpen counts the half-open records, Orphans the connections that their owner has closed and that
	// are not gone.
	HalfOpen, Orphans int
	// Buffered is the storage in octets that the queues of all connections hold, each buffer counted whole.
	Buffered int64
	// AcceptQueue counts the connections that wait for Accept.
	AcceptQueue int
	// Bindings counts the local addresses that BindTCP has reserved: listeners and bound sockets.
	Bindings int
	// ListenOverflows counts the SYNs and final ACKs that a full accept queue ignored.
	ListenOverflows uint64
	// SYNCookies counts the SYNs that a cookie answered, CookiesOK the connections that came of them.
	SYNCookies, CookiesOK uint64
	// FastOpens counts the connections on which text on the SYN was taken, ours and our peers'. Of Fast Open
	// too: FastOpenCookies counts the cookies given, FastOpenOverflows the SYNs that came when too many were
	// pending, FastOpenLost the SYNs that a path has swallowed.
	FastOpens, FastOpenCookies, FastOpenOverflows, FastOpenLost uint64
	// OrphansReset counts the connections that were reset because there were too many orphans.
	OrphansReset uint64
	// TimeWaitOverflows counts the TIME-WAIT records that left early because there were too many.
	TimeWaitOverflows uint64
	// ResetsHeldBack counts the resets for no connection that a limit held back.
	ResetsHeldBack uint64
	// Malformed counts segments with a header that lies or an option of illegal length.
	Malformed uint64
	// BadChecksum counts segments whose checksum is wrong.
	BadChecksum uint64
	// Dropped counts segments that nobody may send: to broadcast addresses, or from a host to itself over
	// the wire.
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
		g.AcceptQueue += listener.count
		listener.mu.Unlock()
	}
	g.HalfOpen, g.Orphans = int(l.halfOpens.Load()), int(l.orphans.Load())
	l.ports.mu.Lock()
	g.Bindings = l.ports.count
	l.ports.mu.Unlock()
	g.Malformed, g.BadChecksum, g.Dropped = l.malformed.Load(), l.badChecksum.Load(), l.dropped.Load()
	return total, g
}
