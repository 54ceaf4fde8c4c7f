package stack

import (
	"net/netip"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

// TestCookiesUnderFlood floods a listener with SYNs of stations that do not exist, so that honest clients get SYN cookies:
// their connections work, and have the addresses of a connection without, with their zones.
func TestCookiesUnderFlood(t *testing.T) {
	inScopes(t, "D-SYN-3 an honest client gets a connection by a cookie", sim.Config{Delay: time.Millisecond}, Config{MaxHalfOpen: 1, ICMPRate: -1, ResetRate: -1}, func(n *network) {
		a := newAttacker(n)
		l := n.listen(n.b, 80, 64)
		for port := range uint16(200) {
			src := a.station(0x70 + byte(port%8))
			a.send(a.segment(src, wire.TCP{SrcPort: 1000 + port, Seq: 7, Flags: wire.TCPSyn, Window: 1000}, nil))
		}
		time.Sleep(10 * time.Millisecond)
		if g := n.b.Stats().TCPGauges; g.HalfOpen == 0 || g.SYNCookies == 0 {
			n.Fatalf("%d records, %d cookies: no flood", g.HalfOpen, g.SYNCookies)
		}
		for range 3 {
			before := n.b.Stats().TCPGauges.CookiesOK
			c, err := n.a.ConnectTCP(nil, netip.AddrPortFrom(n.addrB, 80), tcp.DefaultOptions())
			n.must(err)
			n.must(c.WaitConnect())
			n.write(c, "ping")
			s, err := l.Accept()
			n.must(err)
			n.reads(s, "ping")
			n.write(s, "pong")
			n.reads(c, "pong")
			if hasZone(n.addrB) {
				zone := n.b.InterfaceNames()[1]
				if s.Local().Addr() != n.addrB.WithZone(zone) || s.Remote().Addr() != n.addrA.WithZone(zone) {
					n.Errorf("the server's end has %v and %v", s.Local(), s.Remote())
				}
			}
			if got := n.b.Stats().TCPGauges.CookiesOK; got != before+1 {
				n.Errorf("%d cookies were good, want one", got-before)
			}
			n.must(c.Close())
			n.must(s.Close())
		}
		n.must(l.Close())
		n.must(a.port.Close())
		<-a.ended
	})
}
