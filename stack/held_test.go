package stack

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
)

// frames returns what the host with address addr says from now on, as "PF len=10" and so on.
func (n *network) frames(from *Host) (got func() []string) {
	var list []string
	mac := from.Stats().Interfaces[1].MAC
	stop := n.wire.Tap(func(r sim.Record) {
		var seg wire.TCP
		p, ok := segmentOf(r.Frame)
		if !ok || link.MAC(r.Frame[6:12]) != mac {
			return
		}
		text, err := seg.Parse(p.Payload)
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
		n.b.tcp.holdOutput(n.b.clock.Now())
		n.write(server, "one ")
		n.write(server, "two ")
		n.write(server, "three")
		n.must(server.Close())
		n.b.tcp.releaseOutput()
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
		n.b.tcp.holdOutput(n.b.clock.Now())
		n.write(server, strings.Repeat("x", maxHeld+1))
		n.b.flush()
		if len(got()) == 0 {
			t.Error("nothing has left")
		}
		n.b.tcp.releaseOutput()
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

// crowd is a few connections whose clients speak at once, so that a burst wakes enough for the loop of the servers'
// host to give its turn away.
type crowd struct {
	*network
	clients, servers [2 * turnFrom]*TCPConn
}

// inCrowd runs body on one processor, where it is certain that those who were woken have answered by the burst's end.
func inCrowd(t *testing.T, name string, body func(cr *crowd)) {
	t.Helper()
	inNetwork(t, name, sim.Config{}, func(n *network) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		cr := &crowd{network: n}
		for i := range cr.clients {
			cr.clients[i], cr.servers[i] = n.connect()
		}
		settle()
		body(cr)
	})
}

// ask has each client write its number, all in one batch of frames.
func (cr *crowd) ask() {
	cr.Helper()
	q := cr.a.ip.Interfaces()[1].Queues()[0]
	q.BeginBurst()
	for i, c := range cr.clients {
		cr.write(c, fmt.Sprint(i))
	}
	q.EndBurst()
	cr.a.flush()
}

// serve runs handle for each server on a goroutine of its own.
func (cr *crowd) serve(handle func(i int, c *TCPConn)) {
	for i, c := range cr.servers {
		go handle(i, c)
	}
	settle()
}

// TestTurns has bursts wake so many that the receive loop gives its turn to its twin.
func TestTurns(t *testing.T) {
	inCrowd(t, "each answer leaves with the acknowledgment and the FIN", func(cr *crowd) {
		cr.serve(func(i int, c *TCPConn) {
			cr.write(c, cr.read(c)) // the first read tells the peer of a larger window
			cr.write(c, cr.read(c))
			cr.write(c, " is ")
			cr.write(c, "fine")
			cr.must(c.Close())
		})
		cr.ask()
		var want []string
		for i, c := range cr.clients {
			cr.reads(c, fmt.Sprint(i))
			want = append(want, fmt.Sprintf("FP. %d is fine", i))
		}
		settle()
		got := cr.frames(cr.b)
		cr.ask()
		list := got()
		slices.Sort(list)
		cr.wantFrames(list, want...)
		for i, c := range cr.clients {
			cr.reads(c, fmt.Sprint(i, " is fine"), "EOF")
			cr.must(c.Close())
		}
	})
	inCrowd(t, "the twins take turns, and no answer waits for a timer", func(cr *crowd) {
		start := time.Now()
		cr.serve(func(i int, c *TCPConn) {
			for {
				text := cr.read(c)
				if text == "EOF" {
					cr.must(c.Close())
					return
				}
				cr.write(c, text)
			}
		})
		for range 1000 {
			cr.ask()
			for i, c := range cr.clients {
				cr.reads(c, fmt.Sprint(i))
			}
		}
		if d := time.Since(start); d != 0 {
			cr.Errorf("1000 rounds took %v of fake time, want none", d)
		}
		for _, c := range cr.clients {
			cr.must(c.Close())
		}
		settle()
	})
	inCrowd(t, "who blocks elsewhere stops neither the loop nor the others", func(cr *crowd) {
		start := time.Now()
		release := make(chan struct{})
		cr.serve(func(i int, c *TCPConn) {
			text := cr.read(c)
			if i%2 == 0 {
				<-release
			}
			cr.write(c, text)
			cr.must(c.Close())
		})
		cr.ask()
		for i, c := range cr.clients {
			if i%2 != 0 {
				cr.reads(c, fmt.Sprint(i), "EOF")
			}
		}
		late, server := cr.connect()
		cr.write(late, "late")
		cr.reads(server, "late")
		close(release)
		for i, c := range cr.clients {
			if i%2 == 0 {
				cr.reads(c, fmt.Sprint(i), "EOF")
			}
			cr.must(c.Close())
		}
		if d := time.Since(start); d != 0 {
			cr.Errorf("it took %v of fake time, want none", d)
		}
		cr.must(late.Close())
		cr.must(server.Close())
	})
	inCrowd(t, "who was woken may close the host", func(cr *crowd) {
		cr.serve(func(i int, c *TCPConn) {
			cr.read(c)
			if i == 0 {
				cr.must(cr.b.Close())
			}
		})
		cr.ask()
		settle()
		for _, c := range cr.clients {
			_, err := c.Read(make([]byte, 1))
			cr.want("read", err, syscall.ECONNRESET)
			cr.must(c.Close())
		}
	})
}
