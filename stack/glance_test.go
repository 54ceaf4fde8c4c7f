package stack

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

// glanced is a link.Glancer whose ReadHeld finds nothing while it is shut.
type glanced struct {
	link.Device
	held sync.Mutex
	took int // frames that TryRead has returned

	mu    sync.Mutex
	moved sync.Cond
	come  []link.Frame
	ended bool
	shut  bool
}

func newGlanced(dev link.Device) *glanced {
	d := &glanced{Device: dev}
	d.moved.L = &d.mu
	go func() {
		frames := make([]link.Frame, 64)
		for {
			n, err := dev.Read(frames)
			d.change(func() {
				d.come = append(d.come, frames[:n]...)
				d.ended = err != nil
			})
			if err != nil {
				return
			}
			clear(frames)
		}
	}()
	return d
}

func (d *glanced) change(how func()) {
	d.mu.Lock()
	how()
	d.mu.Unlock()
	d.moved.Broadcast()
}

// Write has what it sends arrive, and the answers come back, before it returns, as TUN does.
func (d *glanced) Write(frames []link.Frame) (int, error) {
	n, err := d.Device.Write(frames)
	time.Sleep(time.Microsecond)
	return n, err
}

func (d *glanced) ReadHeld(frames []link.Frame) (int, error) {
	for {
		d.mu.Lock()
		for (len(d.come) == 0 || d.shut) && !d.ended {
			d.moved.Wait()
		}
		over := d.ended && len(d.come) == 0
		d.mu.Unlock()
		if over {
			return 0, link.ErrClosed
		}
		d.held.Lock()
		if n := d.take(frames); n > 0 {
			return n, nil
		}
	}
}

func (d *glanced) TryRead(frames []link.Frame) int {
	if !d.held.TryLock() {
		return 0
	}
	n := d.take(frames)
	d.took += n
	return n
}

// take returns what has come. It ends the reading if that is nothing.
func (d *glanced) take(frames []link.Frame) (n int) {
	d.change(func() {
		n = copy(frames, d.come)
		d.come = d.come[n:]
	})
	if n == 0 {
		d.held.Unlock()
	}
	return n
}

func (d *glanced) ReadDone() { d.held.Unlock() }

func TestGlance(t *testing.T) {
	const size = 64_000
	inNetwork(t, "a Write takes the acknowledgments that are there before it copies", sim.Config{Offload: true}, func(n *network) {
		h, err := New(Config{})
		n.must(err)
		d := newGlanced(n.wire.Port())
		n.must(h.Attach(d, Interface{Addrs: []netip.Prefix{netip.PrefixFrom(n.addrC, n.bits)}}))
		n.must(n.a.Close())
		n.a = h
		client, server := n.connect()
		p := make([]byte, size)
		got := n.drain(server, 21*size)
		for range 20 {
			n.must(writeAll(client, p)) // opens cwnd
		}
		settle()
		time.Sleep(time.Second)
		if i := client.Info(); i.Queued != 0 {
			n.Fatalf("%d octets are queued", i.Queued)
		}
		d.change(func() { d.shut, d.took = true, 0 })
		n.must(writeAll(client, p))
		if i := client.Info(); i.Queued >= size/2 || d.took == 0 {
			n.Errorf("%d of %d octets were copied, %d frames taken", i.Queued, size, d.took)
		}
		d.change(func() { d.shut = false })
		if got := len(<-got); got != 21*size {
			n.Errorf("%d octets arrived", got)
		}
	})
}

// slowCarrier is a port whose host learns of its carrier late.
type slowCarrier struct{ *sim.Port }

func (slowCarrier) WatchCarrier(func(bool)) { time.Sleep(time.Second) }

// A large Write over an interface that is being attached finds nothing to glance at yet.
func TestGlanceWhileAttaching(t *testing.T) {
	inNetwork4(t, "a handshake that ends amid an Attach", sim.Config{Delay: 50 * time.Millisecond, Offload: true}, func(n *network) {
		l := n.listen(n.b, 80, 5)
		client, err := n.a.ConnectTCP(nil, netip.AddrPortFrom(n.addrB, 80), tcp.DefaultOptions())
		n.must(err)
		time.Sleep(175 * time.Millisecond) // ARP has taken 100, the SYN has arrived and the SYN-ACK has left
		near := slowCarrier{n.wire.NewPort(sim.PortConfig{MAC: link.MAC{2, 9, 9, 9, 9, 9}})}
		attached := make(chan error)
		go func() {
			attached <- n.b.Attach(near, Interface{Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.3/29")}})
		}()
		server, err := l.Accept() // its route leads over the new interface, which is the nearer one
		n.must(err)
		go func() {
			_, _ = server.Write(make([]byte, 128<<10))
			n.must(server.Close())
		}()
		n.must(<-attached)
		time.Sleep(10 * time.Second)
		n.must(client.Close())
	})
}
