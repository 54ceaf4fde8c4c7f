package stack

import (
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

func TestTimeWaitReuse(t *testing.T) {
	type opener func(*Host, *Binding, netip.AddrPort, tcp.Options) (*TCPConn, error)
	// redialBy opens a connection of a's port 4000 to b, ends it from a's side, waits, and dials by open with the same
	// port. It returns the initial sequence numbers of both.
	redialBy := func(n *network, open opener, wait time.Duration) (iss []tcp.Seq, err error) {
		n.Helper()
		defer n.wire.Tap(func(r sim.Record) {
			if h, syn := tcpHeader(r.Frame); syn {
				iss = append(iss, tcp.Seq(h.Seq))
			}
		})()
		l := n.listen(n.b, 80, 4)
		dial := func(open opener) (*TCPConn, error) {
			binding := n.bind(n.a, 4000)
			c, err := open(n.a, binding, netip.AddrPortFrom(n.addrB, 80), tcp.DefaultOptions())
			if err != nil {
				n.must(binding.Close())
				return nil, err
			}
			return c, c.WaitConnect()
		}
		c, err := dial((*Host).ConnectTCP)
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
		if _, err = dial(open); err != nil {
			return iss, err
		}
		if got := n.a.Stats().TCPGauges.States[tcp.TimeWaitState]; got != 0 {
			n.Errorf("%d in TIME-WAIT", got)
		}
		return iss, nil
	}
	redial := func(n *network, wait time.Duration) (iss []tcp.Seq, err error) {
		n.Helper()
		return redialBy(n, (*Host).ConnectTCP, wait)
	}
	inScopes(t, "C-TW-4 after a second a dial takes the tuple of a TIME-WAIT over, from a later number", sim.Config{}, Config{}, func(n *network) {
		iss, err := redial(n, 1100*time.Millisecond)
		n.must(err)
		if len(iss) != 2 || !iss[0].Add(65536).LessThan(iss[1]) {
			n.Errorf("initial numbers %d", iss)
		}
	})
	inScopes(t, "C-TW-4 before that it may not", sim.Config{}, Config{}, func(n *network) {
		_, err := redial(n, 900*time.Millisecond)
		n.want("dial", err, syscall.EADDRINUSE)
	})
	inScopes(t, "C-TW-4 nor without timestamps", sim.Config{}, Config{TCP: tcp.Config{NoTimestamps: true}}, func(n *network) {
		_, err := redial(n, 30*time.Second)
		n.want("dial", err, syscall.EADDRINUSE)
	})
	inScopes(t, "C-TW-4 nor by Fast Open, whose text the peer might take for the old connection's", sim.Config{}, Config{}, func(n *network) {
		_, err := redialBy(n, (*Host).ConnectTCPFastOpen, 30*time.Second)
		n.want("dial", err, syscall.EADDRINUSE)
	})
}

// timeWait brings a connection of l with a port of the peer's into TIME-WAIT, and returns the FIN that the peer has sent.
func (b *bed) timeWait(l *Listener, peer uint16) (fin seg) {
	b.Helper()
	iss := b.send(seg{flags: "S", seq: 100, peer: peer})[0].seq
	b.send(seg{flags: "A", seq: 101, ack: iss + 1, peer: peer})
	c, err := l.TryAccept()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Close(); err != nil {
		b.Fatal(err)
	}
	b.take()
	fin = seg{flags: "FA", seq: 101, ack: iss + 2, peer: peer}
	b.expect("FIN", b.send(fin), seg{flags: "A", seq: iss + 2, ack: 102, peer: peer})
	return fin
}

// A FIN that comes again restarts 2MSL of its own record and holds up none of those that end before it.
func TestTimeWaitOrder(t *testing.T) {
	withPeers(t, "a FIN again holds up no other record", Config{Shards: 1, NeighborReachable: time.Hour}, func(b *bed) {
		l := b.listenTCP(80, 1)
		first := b.timeWait(l, 3000)
		time.Sleep(time.Second)
		second := b.timeWait(l, 3001)
		time.Sleep(29 * time.Second)
		b.expect("FIN again", b.send(first), seg{flags: "A", seq: first.ack, ack: 102, peer: 3000})
		time.Sleep(31 * time.Second)
		settle()
		if n := b.h.Stats().TCPGauges.States[tcp.TimeWaitState]; n != 1 {
			b.Errorf("%d records when the second one's 2MSL are over", n)
		}
		b.expect("the second's FIN", b.send(second), seg{flags: "R", seq: second.ack, peer: 3001})
		b.expect("the first's FIN", b.send(first), seg{flags: "A", seq: first.ack, ack: 102, peer: 3000})
		time.Sleep(time.Minute)
		settle()
		if n := b.h.Stats().TCPGauges.States[tcp.TimeWaitState]; n != 0 {
			b.Errorf("%d records at the end", n)
		}
	})
}

// A SYN that finds the accept queue full is ignored, and the record that it would have taken over stays.
func TestTimeWaitAndFullQueue(t *testing.T) {
	withPeers(t, "the record stays", Config{Shards: 1, NeighborReachable: time.Hour}, func(b *bed) {
		l := b.listenTCP(80, 1)
		fin := b.timeWait(l, 3000)
		for _, peer := range []uint16{3001, 3002} { // one more than the backlog
			iss := b.send(seg{flags: "S", seq: 100, peer: peer})[0].seq
			b.send(seg{flags: "A", seq: 101, ack: iss + 1, peer: peer})
		}
		syn := seg{flags: "S", seq: 5000, peer: 3000}
		b.expect("SYN with the queue full", b.send(syn))
		b.expect("FIN", b.send(fin), seg{flags: "A", seq: fin.ack, ack: 102, peer: 3000})
		if g := b.h.Stats().TCPGauges; g.States[tcp.TimeWaitState] != 1 || g.ListenOverflows != 1 {
			b.Errorf("%d records, %d overflows", g.States[tcp.TimeWaitState], g.ListenOverflows)
		}
		if _, err := l.TryAccept(); err != nil {
			b.Fatal(err)
		}
		out := b.send(syn)
		if len(out) != 1 || out[0].flags != "SA" || int32(out[0].seq-fin.ack) <= 0 {
			b.Errorf("SYN with room in the queue answered by %v, SND.NXT was %d", out, fin.ack)
		}
	})
}
