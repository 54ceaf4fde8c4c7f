package ip

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/unet-go/unet/internal/wire"
)

// What a queue is chosen by: the same numbers are in TestSpreadProgram of package tap, for the other direction.
func TestQueueOfFlow(t *testing.T) {
	queues := make([]Queue, 1<<16) // so that the number is seen whole
	ifc := &Interface{}
	for i := range queues {
		ifc.queues = append(ifc.queues, &queues[i])
	}
	for _, tt := range []struct {
		proto      uint8
		to         string
		ours, peer uint16
		want       int
	}{
		{wire.ProtocolTCP, "10.0.0.1", 80, 40000, 25430},
		{wire.ProtocolTCP, "10.0.0.1", 80, 40001, 397},
		{wire.ProtocolTCP, "10.0.0.1", 40000, 80, 47510},
		{wire.ProtocolTCP, "10.0.0.1", 443, 32768, 21027},
		{wire.ProtocolTCP, "192.0.2.1", 8080, 60999, 22293},
		{wire.ProtocolTCP, "10.0.0.1", 1, 65535, 21802},
		{wire.ProtocolUDP, "10.0.0.1", 7, 5, 55974},
		{wire.ProtocolUDP, "10.0.0.1", 53, 50000, 55974},
		{wire.ProtocolUDP, "10.0.0.3", 7, 5, 40503},
		{wire.ProtocolUDP, "10.0.0.9", 7, 5, 52322},
		{wire.ProtocolICMP, "192.0.2.77", 0, 0, 60433},
		{wire.ProtocolTCP, "2001:db8::1", 80, 40000, 25430},
		{wire.ProtocolTCP, "2001:db8:1::1", 8080, 60999, 22293},
		{wire.ProtocolUDP, "2001:db8::1", 7, 5, 55974},
		{wire.ProtocolUDP, "2001:db8::1", 53, 50000, 55974},
		{wire.ProtocolUDP, "2001:db8:7:1::9", 7, 5, 33281},
		{wire.ProtocolICMPv6, "2001:db8:7:1::9", 0, 0, 33281},
	} {
		r := &Route{iface: ifc, local: ourIP, remote: netip.MustParseAddr(tt.to)}
		if r.remote.Is6() {
			r.local = netip.MustParseAddr("2001:db8::2")
		}
		p := &OutPacket{Protocol: tt.proto, Header: []byte{byte(tt.ours >> 8), byte(tt.ours), byte(tt.peer >> 8), byte(tt.peer)}}
		if q := r.queueFor(p); q != &queues[tt.want] {
			t.Errorf("protocol %d to %s, ports %d and %d: not the queue %d", tt.proto, tt.to, tt.ours, tt.peer, tt.want)
		}
	}
}

// The flows of a queue that has failed go on over the next one that works; those of the others stay where they are.
func TestQueueOfFlowAfterFailures(t *testing.T) {
	const n = 4
	ifc := &Interface{}
	for range n {
		ifc.queues = append(ifc.queues, new(Queue))
	}
	r := &Route{iface: ifc, local: ourIP, remote: peerIP}
	fail := func(gone uint) {
		for i, q := range ifc.queues {
			q.gone.Store(gone>>i&1 != 0)
		}
	}
	seen := map[int]bool{}
	for port := range byte(64) {
		p := &OutPacket{Protocol: wire.ProtocolTCP, Header: []byte{0, 80, 0x9c, port}}
		fail(0)
		first := slices.Index(ifc.queues, r.queueFor(p))
		seen[first] = true
		for gone := range uint(1 << n) {
			fail(gone)
			want := 0 // whatever it is: none works
			for i := range n {
				if at := (first + i) % n; gone>>at&1 == 0 {
					want = at
					break
				}
			}
			if got := slices.Index(ifc.queues, r.queueFor(p)); got != want {
				t.Errorf("port %d of queue %d, failed %04b: queue %d, want %d", 0x9c00+int(port), first, gone, got, want)
			}
		}
	}
	if len(seen) != n {
		t.Errorf("the flows are on queues %v", seen)
	}
}
