package stack

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

// TestRestart checks that a client which has restarted can dial from the port of a connection that the server has in
// TIME-WAIT, wherever its new numbers stand (RFC 9293 3.6.1, RFC 6191).
func TestRestart(t *testing.T) {
	old := tcp.Numbers{ISS: 1 << 30, Stamp: 1 << 30}
	for _, stamps := range []bool{true, false} {
		for _, iss := range []tcp.Seq{old.ISS - 1<<20, old.ISS, old.ISS + 4, old.ISS + 1<<20, old.ISS + 1<<31} {
			for _, stamp := range []uint32{old.Stamp - 1<<20, old.Stamp + 1<<20} {
				name := fmt.Sprintf("timestamps %v from %d, ISS %d", stamps, int32(stamp-old.Stamp), int32(iss-old.ISS))
				inNetwork4(t, name, sim.Config{Delay: time.Millisecond}, func(n *network) { // IPv6 finds its new Ethernet address later
					cfg := Config{TCP: tcp.Config{NoTimestamps: !stamps}, numbers: &old}
					first := n.host(cfg, n.addrC)
					l := n.listen(n.b, 80, 4)
					dial := func(h *Host) (client, server *TCPConn) {
						binding := n.bind(h, 4000)
						client, err := h.ConnectTCP(binding, netip.AddrPortFrom(n.addrB, 80), tcp.DefaultOptions())
						n.must(err)
						n.must(client.WaitConnect())
						server, err = l.Accept()
						n.must(err)
						return client, server
					}
					client, server := dial(first)
					n.must(server.Close())
					n.reads(client, "EOF")
					n.must(client.Close())
					time.Sleep(3 * time.Second)
					if got := n.b.Stats().TCPGauges.States[tcp.TimeWaitState]; got != 1 {
						n.Fatalf("%d in TIME-WAIT", got)
					}
					n.must(first.Close())

					cfg.numbers = &tcp.Numbers{ISS: iss, Stamp: stamp}
					second := n.host(cfg, n.addrC)
					began := time.Now()
					client, server = dial(second)
					if took := time.Since(began); took > 1100*time.Millisecond {
						n.Errorf("the dial takes %v", took)
					}
					n.write(client, "again")
					n.reads(server, "again")
					n.must(client.Close())
					n.must(server.Close())
					n.must(second.Close())
				})
			}
		}
	}
}
