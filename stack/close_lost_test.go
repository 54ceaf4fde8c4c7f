package stack

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

// TestEndTellsWhoLacksTheRest ends a host whose last text and FIN were lost on the way to a peer that has ended its own
// side of the stream. ABORT says nothing in CLOSING and LAST-ACK (RFC 9293 3.10.5), since TCP would retransmit; nobody
// does any more, and a peer that waits for the rest must hear of it.
func TestEndTellsWhoLacksTheRest(t *testing.T) {
	wire := sim.Config{Delay: wireDelay}
	ends := []struct {
		name string
		act  func(n *network)
	}{
		{"Close", func(n *network) { n.must(n.b.Close()) }},
		{"Shutdown", func(n *network) {
			n.shutdown(time.Millisecond, time.Millisecond, &ShutdownError{1, 6, context.DeadlineExceeded})
		}},
	}
	lose := func(n *network) {
		n.wire.Update(func(c *sim.Config) {
			c.Filter = func(from *sim.Port, _ []byte) sim.Verdict {
				if from == n.cable(n.b) {
					return sim.Drop
				}
				return sim.Pass
			}
		})
	}
	for _, end := range ends {
		for _, lost := range []bool{true, false} {
			inNetwork(t, end.name+" in LAST-ACK", wire, func(n *network) {
				client, server := n.connect()
				n.must(client.CloseWrite())
				n.reads(server, "EOF")
				time.Sleep(time.Second)
				if lost {
					lose(n)
				}
				n.write(server, "answer")
				n.must(server.Close())
				n.state(server, tcp.LastAck)
				n.wire.Update(func(c *sim.Config) { c.Filter = nil })
				end.act(n)
				n.tells(client, lost)
			})
			inNetwork(t, end.name+" in CLOSING", wire, func(n *network) {
				client, server := n.connect()
				time.Sleep(time.Second)
				n.must(client.CloseWrite())
				time.Sleep(wireDelay / 2) // the FINs cross
				if lost {
					lose(n)
				}
				n.write(server, "answer")
				n.must(server.Close())
				time.Sleep(wireDelay * 3 / 4)
				n.state(server, tcp.Closing)
				n.wire.Update(func(c *sim.Config) { c.Filter = nil })
				end.act(n)
				n.tells(client, lost)
			})
		}
	}
}

// tells checks that a client learns of the loss of what was sent to it, or has it.
func (n *network) tells(client *TCPConn, lost bool) {
	n.Helper()
	n.must(client.SetReadDeadline(time.Now().Add(time.Hour)))
	if lost {
		n.reads(client, syscall.ECONNRESET.Error())
	} else {
		n.reads(client, "answer", "EOF")
	}
	n.must(client.Close())
}
