package ip

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/span"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// scanned returns the n-th address of a scan.
func scanned(f *family, n int) netip.Addr {
	if f == family4 {
		return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, 0x0a800000+uint32(n))))
	}
	b := netip.MustParseAddr("2001:db8::").As16()
	binary.BigEndian.PutUint32(b[12:], 0x80000000+uint32(n))
	return netip.AddrFrom16(b)
}

// cacheOf returns a cache that asks nobody.
func cacheOf(l *Layer, entries int) *neighborCache {
	c := newNeighborCache(&l.base, &link.Info{MAC: ourMAC}, func(netip.Addr, *link.MAC, bool) bool { return false })
	c.maxCount = entries
	return c
}

// sendTo sends a datagram to a neighbour by the cache, as a route does.
func sendTo(q *Queue, c *neighborCache, f *family, a netip.Addr) (sent bool) {
	r := &Route{family: f, nextHop: a, iface: &Interface{}}
	r.iface.neighbors[f.index] = c
	var frame link.Frame
	buf := link.NewBuffer(link.Headroom + 64)
	frame.Set(buf, link.Headroom, link.Headroom+64)
	if _, sent = r.resolve(q, &frame, []span.Span(nil), wire.ProtocolUDP); sent {
		frame.Release()
	}
	return sent
}

func (c *neighborCache) stateOf(a netip.Addr) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.entries[a]; n != nil {
		return neighborStates[n.state]
	}
	return "none"
}

// flow makes a neighbour that has answered, and whose flow goes on.
func flow(c *neighborCache, a netip.Addr) {
	c.heard(a, peerMAC, false, true)
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.entries[a]
	c.answeredLocked(n, c.base.now())
	n.lastUsed = c.base.now()
}

func TestNeighborScan(t *testing.T) {
	const room, scan = 256, 20_000
	for _, tt := range []struct {
		name string
		pace time.Duration // between the packets of the scan
		each func(q *Queue, c *neighborCache, f *family, a netip.Addr)
	}{
		{"packets from made-up addresses, each to be answered", 0, func(q *Queue, c *neighborCache, f *family, a netip.Addr) { sendTo(q, c, f, a) }},
		{"the same slowly, so that the addresses come to be known as silent", 20 * time.Millisecond,
			func(q *Queue, c *neighborCache, f *family, a netip.Addr) { sendTo(q, c, f, a) }},
		{"made-up neighbours ask for us", 0, func(_ *Queue, c *neighborCache, _ *family, a netip.Addr) {
			c.heard(a, link.MAC{2, 0, 0, 0, 9, 9}, false, true)
		}},
		{"made-up neighbours ask for us and then send", 0, func(q *Queue, c *neighborCache, f *family, a netip.Addr) {
			c.heard(a, link.MAC{2, 0, 0, 0, 9, 9}, false, true)
			sendTo(q, c, f, a)
		}},
	} {
		for _, f := range []*family{family4, family6} {
			t.Run("B-ND-16 "+tt.name, func(t *testing.T) {
				inBubble(t, func(l *Layer, _ *device) {
					c, q := cacheOf(l, room), l.Interfaces()[1].queues[0]
					defer c.clear()
					live, idle, honest := scanned(f, -1), scanned(f, -2), scanned(f, -3)
					flow(c, live)
					flow(c, idle)
					count := scan
					if tt.pace > 0 {
						count = 3000
					}
					for i := range count {
						tt.each(q, c, f, scanned(f, i))
						if tt.pace > 0 && i%50 == 49 {
							time.Sleep(50 * tt.pace)
							c.entries[live].confirmed.Store(int64(c.base.now()))
							c.advance(c.base.now())
						}
						if n, held := c.size(); n > room || held > room+heldTotal {
							t.Fatalf("%d entries and %d packets after %d", n, held, i)
						}
					}
					if got := c.stateOf(live); got != "REACHABLE" {
						t.Errorf("the neighbour of a flow is %s", got)
					}
					if got := c.stateOf(idle); got == "none" {
						t.Error("the neighbour of a flow that pauses was forgotten")
					}
					if sendTo(q, c, f, honest); c.stateOf(honest) != "INCOMPLETE" {
						t.Fatalf("a new neighbour is %s, want to be asked for", c.stateOf(honest))
					}
					c.heard(honest, peerMAC, true, false)
					if got := c.stateOf(honest); got != "REACHABLE" {
						t.Errorf("the new neighbour has answered and is %s", got)
					}
				})
			})
		}
	}
}

// What waits for a neighbour that gives way is counted, and a route whose neighbour has gone finds it again.
func TestNeighborGivesWay(t *testing.T) {
	inBubble(t, func(l *Layer, _ *device) {
		c, q := cacheOf(l, 2), l.Interfaces()[1].queues[0]
		defer c.clear()
		for i := range 3 {
			sendTo(q, c, family6, scanned(family6, i))
		}
		if n, held := c.size(); n != 2 || held != 2 || l.Drops.Load()[drop.NeighborTable] != 1 {
			t.Errorf("%d entries, %d packets, %d dropped", n, held, l.Drops.Load()[drop.NeighborTable])
		}
		if c.stateOf(scanned(family6, 0)) != "none" {
			t.Error("not the first gave way")
		}
		c.heard(scanned(family6, 1), peerMAC, false, false)
		time.Sleep(time.Millisecond)
		synctest.Wait()
	})
}
