package stack

import (
	"bytes"
	"io"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
)

// spy is a device that counts the octets that stand in memory, and waits before it writes them while gate is shut.
type spy struct {
	link.Device
	memory []byte
	seen   atomic.Int64
	gate   atomic.Pointer[chan struct{}]
	lose   atomic.Bool // whatever is written
}

func (d *spy) Write(frames []link.Frame) (int, error) {
	first := uintptr(unsafe.Pointer(&d.memory[0]))
	found := false
	for i := range frames {
		for _, s := range frames[i].Payload {
			if at := uintptr(unsafe.Pointer(&s.Data[0])); at >= first && at < first+uintptr(len(d.memory)) {
				d.seen.Add(int64(len(s.Data)))
				found = true
			}
		}
	}
	if g := d.gate.Load(); g != nil && found {
		<-*g
	}
	if d.lose.Load() {
		return len(frames), nil
	}
	return d.Device.Write(frames)
}

// spied returns the ends of a connection whose client's device looks for memory.
func spied(n *network, memory []byte) (d *spy, client, server *TCPConn) {
	n.Helper()
	h, err := New(Config{})
	n.must(err)
	d = &spy{Device: n.wire.Port(), memory: memory}
	n.must(h.Attach(d, Interface{Addrs: []netip.Prefix{netip.PrefixFrom(n.addrC, n.bits)}}))
	n.must(n.a.Close())
	n.a = h
	client, server = n.connect()
	return d, client, server
}

// drain reads size octets, or up to the end, in the background.
func (n *network) drain(c *TCPConn, size int) <-chan []byte {
	all := make(chan []byte, 1)
	go func() {
		var got []byte
		p := make([]byte, 64<<10)
		for len(got) < size {
			k, err := c.Read(p)
			if n.want("Read", err, 0); err != nil || k == 0 {
				break
			}
			got = append(got, p[:k]...)
		}
		all <- got
	}()
	return all
}

func writeAll(c *TCPConn, p []byte) error {
	k, err := c.Write(p)
	if err == nil && k != len(p) {
		err = io.ErrShortWrite
	}
	return err
}

func fill(p []byte, round int) {
	for i := range p {
		p[i] = byte(i>>8 + i*7 + round)
	}
}

// passes writes p so many times, with other octets each time, which it overwrites at once, and checks what arrives.
func (n *network) passes(client, server *TCPConn, p []byte, rounds int) {
	n.Helper()
	got := n.drain(server, rounds*len(p))
	var want bytes.Buffer
	for round := range rounds {
		fill(p, round)
		want.Write(p)
		n.must(writeAll(client, p))
		clear(p)
	}
	if g := <-got; !bytes.Equal(g, want.Bytes()) {
		n.Errorf("%d octets arrived, not those %d that were written", len(g), want.Len())
	}
}

func TestLentWrites(t *testing.T) {
	const size = 100_000
	inNetwork(t, "leave from the caller's memory, which is the caller's again", sim.Config{Delay: 10 * time.Microsecond, Offload: true}, func(n *network) {
		p := make([]byte, size)
		d, client, server := spied(n, p)
		n.passes(client, server, p, 20)
		if seen := d.seen.Load(); seen < size {
			n.Errorf("%d octets left from where they stood", seen)
		}
	})
	inNetwork(t, "through loss", sim.Config{Delay: 100 * time.Microsecond, Offload: true, Loss: 0.05, Seed: 1}, func(n *network) {
		p := make([]byte, size)
		_, client, server := spied(n, p)
		n.passes(client, server, p, 60)
	})
	inNetwork(t, "Write ends when the device is done with its octets", sim.Config{Offload: true}, func(n *network) {
		const each = 40_000
		p := make([]byte, 2*each)
		d, client, server := spied(n, p)
		l := n.listen(n.b, 81, 1)
		other := n.dial(81)
		n.must(other.WaitConnect())
		_, err := l.Accept()
		n.must(err)
		for _, c := range []*TCPConn{client, other} {
			n.must(writeAll(c, make([]byte, each))) // opens cwnd
		}
		<-n.drain(server, each)
		settle()
		gate := make(chan struct{})
		d.gate.Store(&gate)
		var done [2]atomic.Bool
		begin := func(i int, c *TCPConn) {
			go func() {
				n.must(writeAll(c, p[i*each:][:each]))
				done[i].Store(true)
			}()
			settle()
		}
		begin(0, client) // writes to the device
		begin(1, other)  // leaves that to the first
		if done[0].Load() || done[1].Load() {
			n.Errorf("Write has returned while the device still reads the caller's memory: %v, %v", done[0].Load(), done[1].Load())
		}
		d.gate.Store(nil)
		close(gate)
		settle()
		if !done[0].Load() || !done[1].Load() {
			n.Errorf("Write waits on: %v, %v", done[0].Load(), done[1].Load())
		}
	})
}

func TestLentFramesThatAreKept(t *testing.T) {
	p := []byte("an answer that waits for its neighbour")
	loan := link.Lend(p)
	header := link.NewBuffer(link.Headroom + 4)
	copy(header.Bytes()[link.Headroom:], "head")
	var f link.Frame
	f.Set(header, link.Headroom, link.Headroom+4)
	f.Meta.GSOSize = 7
	f.Append(p, loan.Buffer())
	f.Own()
	loan.Await() // f refers to p no longer
	clear(p)
	if got := string(f.Header); got != "headan answer that waits for its neighbour" || len(f.Payload) != 0 || f.Meta.GSOSize != 7 {
		t.Errorf("the frame is %q with %d spans, cut at %d", got, len(f.Payload), f.Meta.GSOSize)
	}
	if f.Prepend(10) == nil {
		t.Error("no headroom")
	}
	f.Release()
}

func TestWritesThatWaitForTheirAcknowledgment(t *testing.T) {
	const size, oneWay = 40_000, 50 * time.Microsecond
	// begin begins a Write of size octets on client while two others are in progress. before is called right before.
	begin := func(n *network, before func(d *spy, client *TCPConn)) (client *TCPConn, result chan error) {
		p := make([]byte, size)
		d, client, server := spied(n, p)
		go func() {
			for err := error(nil); err == nil; {
				_, err = server.Read(make([]byte, size))
			}
		}()
		l := n.listen(n.b, 81, 2)
		for range 2 {
			c := n.dial(81)
			n.must(c.WaitConnect())
			_, err := l.Accept() // and nobody reads
			n.must(err)
			go func() { _ = writeAll(c, make([]byte, 64<<20)) }()
		}
		for range 8 {
			n.must(writeAll(client, p)) // opens cwnd
		}
		time.Sleep(100 * time.Millisecond)
		before(d, client)
		result = make(chan error, 1)
		go func() { result <- writeAll(client, p) }()
		settle()
		return client, result
	}
	returned := func(n *network, result chan error, want bool, when string) {
		n.Helper()
		settle()
		if got := len(result) > 0; got != want {
			n.Errorf("Write has returned %s: %v, want %v", when, got, want)
		}
	}
	loses := func(d *spy, _ *TCPConn) { d.lose.Store(true) }
	cfg := sim.Config{Delay: oneWay, Offload: true}
	inNetwork(t, "return when it is there", cfg, func(n *network) {
		client, result := begin(n, func(*spy, *TCPConn) {})
		time.Sleep(2*oneWay - 1)
		returned(n, result, false, "before a round-trip time has passed")
		time.Sleep(time.Nanosecond)
		returned(n, result, true, "with the acknowledgment")
		n.must(<-result)
		if i := client.Info(); i.Queued >= lendLeast {
			n.Errorf("%d octets were copied", i.Queued)
		}
	})
	inNetwork(t, "or is late, and keep what they lent", cfg, func(n *network) {
		var lossy *spy
		client, result := begin(n, func(d *spy, c *TCPConn) { lossy = d; loses(d, c) })
		returned(n, result, false, "at once")
		time.Sleep(time.Second)
		returned(n, result, true, "after a second without an acknowledgment")
		n.must(<-result)
		lossy.lose.Store(false)
		time.Sleep(2 * time.Second)
		if i := client.Info(); i.Queued != 0 {
			n.Errorf("%d octets are unacknowledged: they have not been sent again", i.Queued)
		}
	})
	inNetwork(t, "or the deadline passes", cfg, func(n *network) {
		_, result := begin(n, func(d *spy, client *TCPConn) {
			loses(d, client)
			n.must(client.SetWriteDeadline(time.Now().Add(oneWay)))
		})
		time.Sleep(oneWay)
		returned(n, result, true, "at its deadline")
		n.must(<-result) // all was taken
	})
	inNetwork(t, "or the connection ends", cfg, func(n *network) {
		client, result := begin(n, loses)
		client.Abort()
		returned(n, result, true, "after Abort")
	})
	inNetwork(t, "only from a peer who is near", sim.Config{Delay: 2 * time.Millisecond, Offload: true}, func(n *network) {
		_, result := begin(n, func(*spy, *TCPConn) {})
		returned(n, result, true, "at once")
		n.must(<-result)
	})
}
