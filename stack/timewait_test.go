package stack

import (
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
	"github.com/unet-go/unet/stack/wire"
)

func TestTimeWaitReuse(t *testing.T) {
	// redial opens a connection of a's port 4000 to b, ends it from a's side, waits, and dials with the same port. It
	// returns the initial sequence numbers of both.
	redial := func(n *network, wait time.Duration) (iss []tcp.Seq, err error) {
		n.Helper()
		defer n.wire.Tap(func(r sim.Record) {
			var h wire.TCP
			if len(r.Frame) >= 54 && r.Frame[23] == wire.ProtocolTCP {
				if _, err := h.Parse(r.Frame[34:]); err == nil && h.Flags&0xff == wire.TCPSyn {
					iss = append(iss, tcp.Seq(h.Seq))
				}
			}
		})()
		l := n.listen(n.b, 80, 4)
		dial := func() (*TCPConn, error) {
			binding := n.bind(n.a, 4000)
			c, err := n.a.ConnectTCP(binding, netip.AddrPortFrom(addrB, 80), tcp.DefaultOptions())
			if err != nil {
				n.must(binding.Close())
				return nil, err
			}
			return c, c.WaitConnect()
		}
		c, err := dial()
		n.must(err)
		s, err := l.Accept()
		n.must(err)
		n.must(c.Close())
		time.Sleep(time.Millisecond)
		n.must(s.Close())
		time.Sleep(wait)
		if got := n.a.Stats().TCPGauges.States[tcp.TimeWaitState]; got != 1 {
			n.Fatalf("%d in TIME-WAIT", got)
		}
		if _, err = dial(); err != nil {
			return iss, err
		}
		if got := n.a.Stats().TCPGauges.States[tcp.TimeWaitState]; got != 0 {
			n.Errorf("%d in TIME-WAIT", got)
		}
		return iss, nil
	}
	inNetwork(t, "C-TW-4 after a second a dial takes the tuple of a TIME-WAIT over, from a later number", sim.Config{}, func(n *network) {
		iss, err := redial(n, 1100*time.Millisecond)
		n.must(err)
		if len(iss) != 2 || !iss[0].Add(65536).LessThan(iss[1]) {
			n.Errorf("initial numbers %d", iss)
		}
	})
	inNetwork(t, "C-TW-4 before that it may not", sim.Config{}, func(n *network) {
		_, err := redial(n, 900*time.Millisecond)
		n.want("dial", err, syscall.EADDRINUSE)
	})
	inHosts(t, "C-TW-4 nor without timestamps", sim.Config{}, Config{TCP: tcp.Config{NoTimestamps: true}}, func(n *network) {
		_, err := redial(n, 30*time.Second)
		n.want("dial", err, syscall.EADDRINUSE)
	})
}
