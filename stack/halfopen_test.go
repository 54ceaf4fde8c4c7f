package stack

import (
	"testing"
	"time"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

// A listener that waits for text puts the timer of a half-open record off. It fires when it was first set to, and must
// be set again, for the record has nobody else: the SYN-ACK goes out once more, and its answer opens the connection.
func TestHalfOpenTimerPutOff(t *testing.T) {
	inNetwork4(t, "a connection without text is accepted when the time for it is up", sim.Config{Delay: wireDelay}, func(n *network) {
		const wait = 3 * time.Second // 1 s and 2 s: what two retransmissions of the SYN-ACK take
		o := tcp.DefaultOptions()
		o.DeferAccept = uint16(wait / time.Second)
		l, err := n.b.ListenTCP(n.bind(n.b, 80), 4, o)
		n.must(err)
		c := n.dial(80)
		n.must(c.WaitConnect())
		began := time.Now() // the SYN came, and was answered, two delays before the SYN-ACK is here
		n.must(l.SetDeadline(began.Add(time.Minute)))
		server, err := l.Accept()
		n.must(err)
		if took, want := time.Since(began), wait-wireDelay+2*wireDelay; took != want {
			n.Errorf("accepted after %v, want %v", took, want)
		}
		n.write(c, "late")
		n.reads(server, "late")
		c.Abort()
		time.Sleep(time.Second)
		n.must(server.Close())
		n.must(l.Close())
	})
	inNetwork(t, "a record whose peer is gone ends after all tries", sim.Config{Delay: wireDelay}, func(n *network) {
		o := tcp.DefaultOptions()
		o.DeferAccept = 3
		l, err := n.b.ListenTCP(n.bind(n.b, 80), 4, o)
		n.must(err)
		n.must(n.dial(80).WaitConnect())
		time.Sleep(wireDelay)
		settle()
		n.cable(n.a).Unplug(true)
		if g := n.b.Stats().TCPGauges; g.HalfOpen != 1 {
			n.Errorf("%d half-open records", g.HalfOpen)
		}
		time.Sleep(5 * time.Minute)
		if g := n.b.Stats().TCPGauges; g.HalfOpen != 0 || g.Connections() != 0 {
			n.Errorf("left: %+v", g)
		}
		n.must(l.Close())
	})
}
