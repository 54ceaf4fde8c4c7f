package stack

import (
	"reflect"

	"github.com/unet-go/unet/stack/tcp"
)

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
		events.addTo(&g)
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
	l.invalid.addTo(&g)
	return total, g
}
