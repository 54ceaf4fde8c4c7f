package stack

import (
	"errors"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

// sluggish is a device that takes its time.
type sluggish struct {
	link.Device
	delay time.Duration // of each Write
	most  int           // frames of each Write; 0 for all
	once  sync.Once
	end   chan struct{} // closed by Close
	mu    *sync.Mutex   // the port's, which has one writer at a time
}

func newSluggish(dev link.Device, delay time.Duration, most int) *sluggish {
	return &sluggish{Device: dev, delay: delay, most: most, end: make(chan struct{}), mu: new(sync.Mutex)}
}

func (d *sluggish) Write(frames []link.Frame) (int, error) {
	select {
	case <-d.end:
		return 0, link.ErrClosed
	case <-time.After(d.delay):
	}
	if d.most > 0 {
		frames = frames[:min(len(frames), d.most)]
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.Device.Write(frames)
}

func (d *sluggish) Close() error {
	d.once.Do(func() { close(d.end) })
	return d.Device.Close()
}

// deaf is a further queue of a device: it reads nothing.
type deaf struct{ *sluggish }

func (d deaf) Read([]link.Frame) (int, error) {
	<-d.end
	return 0, link.ErrClosed
}

// queued is a device of several queues of which the first one reads.
type queued struct {
	*sluggish
	others []link.Device
}

func (d queued) Queues() []link.Device { return append([]link.Device{d.sluggish}, d.others...) }

func (d queued) Close() error {
	errs := []error{d.sluggish.Close()}
	for _, o := range d.others {
		errs = append(errs, o.Close())
	}
	return errors.Join(errs...)
}

// TestHostClose closes a host whose device is slow, with many connections and something in each Write: whatever was
// queued before leaves.
func TestHostClose(t *testing.T) {
	const peers = 64
	for _, tt := range []struct {
		name   string
		delay  time.Duration
		most   int
		queues int
		burst  bool // Close comes in the midst of a receive burst
		takes  time.Duration
	}{
		{name: "a device that takes everything at once"},
		{name: "in the midst of a burst", burst: true},
		{name: "a Write of 50 ms in progress", delay: 50 * time.Millisecond, takes: 100 * time.Millisecond},
		{name: "50 ms for each frame", delay: 50 * time.Millisecond, most: 1, takes: (3 + peers) * 50 * time.Millisecond},
		{name: "four queues", delay: 50 * time.Millisecond, queues: 4, takes: 100 * time.Millisecond},
		{name: "four queues in the midst of a burst", delay: 50 * time.Millisecond, queues: 4, burst: true, takes: 50 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &network{T: t, family: ipv4, wire: sim.NewSegment(sim.Config{})}
				defer n.wire.Close()
				n.a = n.host(Config{}, n.addrA)
				defer n.a.Close()
				dev := newSluggish(n.wire.Port(), 0, 0)
				var all link.Device = dev
				slow := []*sluggish{dev}
				if tt.queues > 1 {
					q := queued{sluggish: dev}
					for range tt.queues - 1 {
						d := newSluggish(dev.Device, 0, 0)
						d.mu = dev.mu
						q.others, slow = append(q.others, deaf{d}), append(slow, d)
					}
					all = q
				}
				var err error
				n.b, err = New(Config{})
				n.must(err)
				n.must(n.b.Attach(all, Interface{Addrs: []netip.Prefix{netip.PrefixFrom(n.addrB, n.bits)}}))
				var clients, servers []*TCPConn
				for range peers {
					c, s := n.connect()
					clients, servers = append(clients, c), append(servers, s)
				}
				to, err := n.a.ListenUDP(netip.AddrPortFrom(n.addrA, 7), BindOptions{})
				n.must(err)
				from, err := n.b.ListenUDP(netip.AddrPortFrom(n.addrB, 0), BindOptions{})
				n.must(err)
				settle()
				for _, d := range slow {
					d.delay, d.most = tt.delay, tt.most
				}
				if tt.burst {
					n.b.tcp.holdOutput(n.b.clock.Now())
					for _, q := range n.b.ip.Interfaces()[1].Queues() {
						q.BeginBurst()
					}
				}
				go func() { _ = servers[0].Close() }() // its FIN is in Write when Close begins
				settle()
				go func() { _, _ = from.WriteTo([]byte("datagram"), to.Local()) }()
				go func() { _, _ = servers[1].Write([]byte("last words")) }()
				settle()
				began := time.Now()
				n.must(n.b.Close())
				if took := time.Since(began); took != tt.takes {
					t.Errorf("Close took %v, want %v", took, tt.takes)
				}
				settle()
				n.reads(clients[0], "EOF")
				n.reads(clients[1], "last words")
				for i, c := range clients[1:] {
					if _, err := c.TryRead(make([]byte, 1)); err != syscall.ECONNRESET {
						t.Errorf("peer %d: %v, want a reset", i+1, err)
					}
				}
				if k, _, _, err := to.TryReadFrom(make([]byte, 16)); k != len("datagram") || err != nil {
					t.Errorf("the datagram: %d octets, %v", k, err)
				}
				for _, c := range clients {
					_ = c.Close()
				}
			})
		})
	}
	t.Run("a Write that blocks for ever", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := &network{T: t, family: ipv4, wire: sim.NewSegment(sim.Config{})}
			defer n.wire.Close()
			n.a = n.host(Config{}, n.addrA)
			defer n.a.Close()
			dev := newSluggish(n.wire.Port(), 0, 0)
			var err error
			n.b, err = New(Config{})
			n.must(err)
			n.must(n.b.Attach(dev, Interface{Addrs: []netip.Prefix{netip.PrefixFrom(n.addrB, n.bits)}}))
			client, server := n.connect()
			settle()
			dev.delay = 1 << 40 * time.Millisecond
			wrote := make(chan struct{})
			go func() {
				_, _ = server.Write(make([]byte, 1000))
				close(wrote)
			}()
			settle()
			began := time.Now()
			n.must(n.b.Close())
			if took := time.Since(began); took != lastWrites {
				t.Errorf("Close took %v, want %v", took, lastWrites)
			}
			<-wrote
			_ = client.Close()
		})
	})
	inNetwork(t, "the loopback interface", sim.Config{}, func(n *network) {
		l := n.listen(n.b, 80, 4)
		c, err := n.b.ConnectTCP(nil, netip.MustParseAddrPort("127.0.0.1:80"), tcp.DefaultOptions())
		n.must(err)
		n.must(c.WaitConnect())
		s, err := l.Accept()
		n.must(err)
		n.write(s, "last words")
		n.must(n.b.Close())
		for _, c := range []*TCPConn{c, s} {
			if err := c.TakeError(); err != syscall.ECONNABORTED {
				n.Errorf("error %v, want ECONNABORTED", err)
			}
		}
		n.must(n.b.Close()) // again
	})
}
