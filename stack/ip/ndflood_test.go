package ip

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// madeUp returns the n-th made-up neighbour.
func madeUp(n int) (netip.Addr, link.MAC) {
	return scanned(family6, n), link.MAC{2, 9, 9, byte(n >> 16), byte(n >> 8), byte(n)}
}

// Made-up hosts, 100,000 of them in the first test, of the link's network neither take the neighbour of a flow away nor keep a new one out.
func TestNDFlood(t *testing.T) {
	const room = 512
	for _, tt := range []struct {
		name    string
		hosts   int
		message func(a netip.Addr, mac link.MAC) message
		entries int
	}{
		{"B-ND-16 D-MISC-2 solicitations", 100_000, func(a netip.Addr, mac link.MAC) message {
			return message{from: mac, src: a, dst: ndOur, body: ns(ndOur, sourceOption(mac))}
		}, room},
		{"B-ND-16 D-MISC-2 solicitations that do not say where their senders are", 20_000, func(a netip.Addr, mac link.MAC) message {
			return message{from: mac, src: a, dst: ndOur, body: ns(ndOur)}
		}, 1},
		{"B-ND-16 D-MISC-2 echo requests", 20_000, func(a netip.Addr, mac link.MAC) message {
			return message{from: mac, src: a, dst: ndOur, body: []byte{wire.ICMPv6EchoRequest, 0, 0, 0, 0, 0, 0, 1}}
		}, room},
		{"B-ND-16 D-MISC-2 advertisements", 20_000, func(a netip.Addr, mac link.MAC) message {
			return message{from: mac, src: a, dst: ndOur, body: na("SO", a, targetOption(mac))}
		}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			settled(t, Config{MaxNeighbors: room}, func(n *nodes) {
				n.know(ndPeer, peerMAC)
				r := n.sendUDP(ndPeer)
				n.sent()
				for i := range tt.hosts {
					a, mac := madeUp(i)
					n.take(tt.message(a, mac))
					if i%1000 == 0 {
						n.sleep(10 * time.Millisecond)
						r.Confirm(n.l.now())
						n.sendBy(r)
						if got := n.neighbor(ndPeer); got != "REACHABLE 02:00:00:00:00:01" {
							t.Fatalf("the neighbour of a flow is %s after %d", got, i)
						}
					}
					if i%64 == 0 {
						n.l.Flush()
						n.dev.take()
					}
				}
				s := n.l.Stats().Interfaces[1]
				if s.Neighbors > room || s.Neighbors < tt.entries || s.Held > room+heldTotal {
					t.Errorf("%d neighbours, %d packets held", s.Neighbors, s.Held)
				}
				newcomer := netip.MustParseAddr("2001:db8::77")
				n.sendUDP(newcomer)
				n.give(message{from: strangerMAC, src: newcomer, dst: ndOur, body: na("S", newcomer, targetOption(strangerMAC))})
				if got := n.neighbor(newcomer); got != "REACHABLE 02:00:00:00:06:06" {
					t.Errorf("a new neighbour is %s", got)
				}
			})
		})
	}
}

// take has the host take a message in the middle of a burst.
func (n *nodes) take(m message) {
	m.to = ourMAC
	f := m.frame()
	n.in.Begin()
	n.in.Frame(f)
	n.in.End()
	f.Release()
}

// A fuzzer's octets say which messages arrive, from whom, and when.
func FuzzNeighborDiscovery(f *testing.F) {
	for _, b := range [][]byte{ns(ndOur, sourceOption(peerMAC)), na("SO", ndPeer, targetOption(strangerMAC)), na("O", ndOur, targetOption(strangerMAC)),
		append(make([]byte, wire.NDRedirectLen), targetOption(strangerMAC)...)} {
		for _, who := range []byte{0, 1, 2, 3} {
			f.Add(append([]byte{who, byte(len(b)), 1}, b...))
		}
	}
	sources := []netip.Addr{ndPeer, peerLink, unspecified, ndOur, routerLink, ndOurLink, netip.MustParseAddr("2001:db8:9::1"), peerLink}
	dests := []netip.Addr{ndOur, ndOurLink, ourSolicited, allNodes}
	f.Fuzz(func(t *testing.T, data []byte) {
		onLink(t, Config{MaxNeighbors: 8, AcceptRedirects: true}, InterfaceConfig{}, func(n *nodes) {
			if err := n.l.AddRoutes(RouteEntry{Dst: netip.MustParsePrefix("::/0"), Via: routerLink}); err != nil {
				t.Fatal(err)
			}
			n.sendUDP(netip.MustParseAddr("2001:db8:9::1"))
			for range 64 {
				if len(data) < 3 {
					break
				}
				who, length, pause := data[0], int(data[1]), data[2]
				body := data[3:min(3+length, len(data))]
				data = data[3+len(body):]
				body = append([]byte(nil), body...)
				for len(body) < wire.ICMPLen {
					body = append(body, 0)
				}
				body[0] = 133 + body[0]%5
				body[1] &= 1
				n.take(message{from: strangerMAC, src: sources[who&7], dst: dests[who>>3&3], body: body, hops: 255 - who>>7})
				n.l.Flush()
				n.sleep(time.Duration(pause) * 10 * time.Millisecond)
			}
			n.sound()
			n.sleep(time.Hour)
			n.sound()
			if t := n.l.Interfaces()[1].detector.tentative; len(t) != 0 {
				n.Errorf("an hour later %d addresses are tentative", len(t))
			}
		})
	})
}

// sound fails where the layer's tables have what they must not have.
func (n *nodes) sound() {
	n.Helper()
	t := n.l.topology.Load()
	for _, e := range n.l.Interfaces()[1].Neighbors() {
		if e.MAC[0]&1 != 0 || e.MAC == ourMAC || !isUnicast(e.Addr) || t.class(e.Addr) == own {
			n.Errorf("a neighbour %+v", e)
		}
	}
	if s := n.l.Stats().Interfaces[1]; s.Neighbors > 16 || s.Held > 16+heldTotal {
		n.Errorf("%d neighbours, %d packets held", s.Neighbors, s.Held)
	}
	if len(t.redirects) > maxRedirects || len(t.addrs[1]) > 3 {
		n.Errorf("%d redirects, %d addresses", len(t.redirects), len(t.addrs[1]))
	}
	for _, out := range n.dev.take() {
		describe(n.T, out)
	}
}

func FuzzMLD(f *testing.F) {
	q := query(2, 100, unspecified)
	f.Add(append([]byte{0, byte(len(q.body)), 1}, q.body...))
	q = query(1, 100, oneGroup)
	f.Add(append([]byte{1, byte(len(q.body)), 200}, q.body...))
	f.Fuzz(func(t *testing.T, data []byte) {
		onLink(t, Config{}, InterfaceConfig{}, func(n *nodes) {
			reports, begin := 0, time.Now()
			for range 64 {
				if len(data) < 3 {
					break
				}
				who, length, pause := data[0], int(data[1]), data[2]
				body := append(make([]byte, 0, 64), data[3:min(3+length, len(data))]...)
				data = data[3+len(body):]
				for len(body) < wire.ICMPLen {
					body = append(body, 0)
				}
				body[0] = []byte{wire.ICMPv6MLDQuery, wire.ICMPv6MLDv1Report, wire.ICMPv6MLDv1Done, wire.ICMPv6MLDv2Report}[who>>2&3]
				if who&0x40 != 0 { // mostly a short time to answer
					binary.BigEndian.PutUint16(body[4:], uint16(pause))
				}
				n.take(message{src: querier, dst: []netip.Addr{allNodes, oneGroup, ndOur, ndOurLink}[who&3], hops: 1 + who>>7, body: body,
					from: peerMAC, before: routerAlert[:], next: wire.IPv6HopByHop})
				n.l.Flush()
				n.sleep(time.Duration(pause) * 10 * time.Millisecond)
				reports += len(n.sent())
			}
			if most := 20 + int(time.Since(begin)/mldAnswers); reports > most {
				t.Errorf("%d packets in %v", reports, time.Since(begin))
			}
			n.sleep(4 * time.Hour)
			n.sent()
			if s := n.l.Interfaces()[1].groups; len(s.groups) != 1 || s.generalAt != 0 || s.changesAt != 0 {
				t.Errorf("in the end %+v", s.groups)
			}
			n.dropped(drop.NDMalformed, 0)
		})
	})
}
