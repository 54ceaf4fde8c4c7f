package stack

import (
	"strings"
	"testing"
	"time"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/wire"
)

// frames returns what the host with address addr says from now on, as "PF len=10" and so on.
func (n *network) frames(from *Host) (got func() []string) {
	var list []string
	mac := from.topology.Load().ifaces[1].info.MAC
	stop := n.wire.Tap(func(r sim.Record) {
		var eth wire.Ethernet
		var ip wire.IPv4
		var seg wire.TCP
		b, err := eth.Parse(r.Frame)
		if err != nil || eth.Src != mac || eth.Type != wire.EtherTypeIPv4 {
			return
		}
		if b, err = ip.Parse(b); err != nil {
			return
		}
		text, err := seg.Parse(b)
		if err != nil {
			return
		}
		var flags strings.Builder
		for _, f := range []struct {
			bit  uint16
			name string
		}{{wire.TCPSyn, "S"}, {wire.TCPFin, "F"}, {wire.TCPRst, "R"}, {wire.TCPPsh, "P"}, {wire.TCPAck, "."}} {
			if seg.Flags&f.bit != 0 {
				flags.WriteString(f.name)
			}
		}
		list = append(list, flags.String()+" "+string(text))
	})
	return func() []string {
		settle()
		stop()
		return list
	}
}

func (n *network) wantFrames(got []string, want ...string) {
	n.Helper()
	if strings.Join(got, "|") != strings.Join(want, "|") {
		n.Errorf("frames %q, want %q", got, want)
	}
}

// TestHeld looks at what leaves of answers that are given during a burst. The bursts here are begun by hand, so
// that they last as long as the test wants.
func TestHeld(t *testing.T) {
	inNetwork(t, "small writes and the FIN leave as one segment at the burst's end", sim.Config{}, func(n *network) {
		client, server := n.connect()
		settle() // the bursts of the handshake are over, and with them what they would release
		got := n.frames(n.b)
		n.b.tcp.beginBurst(n.b.clock.now())
		n.write(server, "one ")
		n.write(server, "two ")
		n.write(server, "three")
		n.must(server.Close())
		n.b.tcp.endBurst()
		n.b.flush()
		n.wantFrames(got(), "FP. one two three")
		n.reads(client, "one two three", "EOF")
		n.must(client.Close())
	})
	inNetwork(t, "a request without an answer is acknowledged at the burst's end", sim.Config{}, func(n *network) {
		client, server := n.connect()
		settle() // the bursts of the handshake are over, and with them what they would release
		got := n.frames(n.b)
		before := time.Now()
		n.write(client, "request")
		n.reads(server, "request")
		n.wantFrames(got(), ". ")
		if time.Since(before) >= 40*time.Millisecond {
			t.Error("the acknowledgment was delayed")
		}
		n.must(client.Close())
		n.must(server.Close())
	})
	inNetwork(t, "what is much leaves at once", sim.Config{}, func(n *network) {
		client, server := n.connect()
		settle() // the bursts of the handshake are over, and with them what they would release
		got := n.frames(n.b)
		n.b.tcp.beginBurst(n.b.clock.now())
		n.write(server, strings.Repeat("x", maxHeld+1))
		n.b.flush()
		if len(got()) == 0 {
			t.Error("nothing has left")
		}
		n.b.tcp.endBurst()
		n.b.flush()
		n.must(client.Close())
		n.must(server.Close())
	})
}

// TestHeldIsReleased answers requests while bursts begin and end. An answer that the end of a burst missed would
// wait for a timer, and fake time would show it.
func TestHeldIsReleased(t *testing.T) {
	inNetwork(t, "no answer waits for a timer", sim.Config{}, func(n *network) {
		client, server := n.connect()
		start := time.Now()
		go func() {
			var b [64]byte
			for {
				k, err := server.Read(b[:])
				if k == 0 || err != nil {
					_ = server.Close()
					return
				}
				_, _ = server.Write(b[:k])
			}
		}()
		for range 20_000 {
			n.write(client, "ping")
			n.reads(client, "ping")
		}
		if d := time.Since(start); d != 0 {
			n.Errorf("20,000 round trips took %v of fake time, want none", d)
		}
		n.must(client.Close())
		settle()
	})
}
