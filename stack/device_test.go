package stack

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/stack/ip"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

// fault is what a Read or a Write returns instead of doing anything.
type fault struct {
	n   int
	err error
}

// faulty is a device whose calls a test can make fail. Its Read notices faults while it waits.
type faulty struct {
	link.Device
	reads  chan fault // taken one by one
	mu     sync.Mutex
	writes []fault
	tries  int   // calls of Write
	lasts  fault // what Write returns when writes is empty, if it is not zero
	frames chan []link.Frame
	closed chan struct{}
	once   sync.Once
	watch  func(up bool)
}

func newFaulty(dev link.Device) *faulty {
	d := &faulty{Device: dev, reads: make(chan fault, 1000), frames: make(chan []link.Frame), closed: make(chan struct{})}
	go func() {
		for {
			frames := make([]link.Frame, 8)
			n, err := dev.Read(frames)
			if err != nil {
				return
			}
			select {
			case d.frames <- frames[:n]:
			case <-d.closed:
				for i := range frames[:n] {
					frames[i].Release()
				}
			}
		}
	}()
	return d
}

func (d *faulty) Read(frames []link.Frame) (int, error) {
	select {
	case f := <-d.reads:
		return f.n, f.err
	default:
	}
	select {
	case f := <-d.reads:
		return f.n, f.err
	case got := <-d.frames:
		return copy(frames, got), nil
	case <-d.closed:
		return 0, link.ErrClosed
	}
}

func (d *faulty) Write(frames []link.Frame) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tries++
	f := d.lasts
	if len(d.writes) > 0 {
		f, d.writes = d.writes[0], d.writes[1:]
	}
	if f == (fault{}) {
		return d.Device.Write(frames)
	}
	if f.err == errNothing {
		f.err = nil
	}
	return f.n, f.err
}

func (d *faulty) Close() error {
	d.once.Do(func() { close(d.closed) })
	return d.Device.Close()
}

func (d *faulty) WatchCarrier(f func(up bool)) { d.watch = f }

// failReads makes the next n Reads fail.
func (d *faulty) failReads(n int, err error) {
	for range n {
		d.reads <- fault{0, err}
	}
}

func (d *faulty) failWrites(n int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writes = append(d.writes, slices.Repeat([]fault{{0, err}}, n)...)
}

// withFaulty runs body with a host b on a device that can fail, and a host a beside it that cannot.
func withFaulty(t *testing.T, name string, body func(n *network, dev *faulty, l *logged)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := &network{T: t, family: ipv4, wire: sim.NewSegment(sim.Config{})}
			buffers := link.Outstanding()
			n.a = n.host(Config{}, n.addrA)
			l := newLogged()
			b, err := New(Config{Logger: l})
			n.must(err)
			n.b = b
			dev := newFaulty(n.wire.Port())
			n.must(b.Attach(dev, Interface{Addrs: []netip.Prefix{netip.PrefixFrom(n.addrB, n.bits)}}))
			body(n, dev, l)
			n.must(b.Close())
			n.must(n.a.Close())
			n.must(n.wire.Close())
			synctest.Wait()
			if g := b.Stats().TCPGauges; g.Connections() != 0 || g.States[tcp.TimeWaitState] != 0 || g.HalfOpen != 0 ||
				g.Orphans != 0 || g.Bindings != 0 || g.Buffered != 0 {
				t.Errorf("left: %+v", g)
			}
			if left := link.Outstanding(); left > buffers+1 { // what the peer has not read
				t.Errorf("%d buffers, %d before", left, buffers)
			}
		})
	})
}

// errNothing makes a Write return 0 and no error.
var errNothing = errors.New("")

var errSome = errors.New("some error of a user's device")

// passing are errors that a device may return and then be well again.
var passing = []error{syscall.EINTR, syscall.EAGAIN, syscall.ENOBUFS, syscall.ENOMEM, syscall.EIO, io.EOF, errSome}

func TestDeviceErrorsPass(t *testing.T) {
	for _, err := range passing {
		withFaulty(t, fmt.Sprintf("Read: %v", err), func(n *network, dev *faulty, l *logged) {
			client, server := n.connect()
			began := time.Now()
			dev.failReads(deviceTries, err)
			n.write(client, "hello")
			n.reads(server, "hello")
			if took := time.Since(began); took < 1023*time.Millisecond {
				t.Errorf("read after %v, want the pauses of ten failures before", took)
			}
			n.up(err)
			dev.failReads(deviceTries, err) // the count begins anew
			n.write(client, "again")
			n.reads(server, "again")
			if lines := l.take(); len(lines) != 0 {
				t.Errorf("logged %q, want nothing for what passes", lines)
			}
		})
		withFaulty(t, fmt.Sprintf("Write: %v", err), func(n *network, dev *faulty, _ *logged) {
			client, server := n.connect()
			began := time.Now()
			dev.failWrites(4, err)
			n.write(server, "one ")
			n.write(server, "two")
			for text := ""; text != "one two"; {
				text += n.read(client)
			}
			if took := time.Since(began); took != 15*time.Millisecond {
				t.Errorf("written after %v, want 1 + 2 + 4 + 8 ms", took)
			}
			if again := n.b.Stats().TCP.Retransmitted; again != 0 {
				t.Errorf("%d retransmissions: what the device did not take at first was not kept", again)
			}
			n.up(err)
		})
	}
}

// up checks that b's interface is up, and which error it had last.
func (n *network) up(err error) {
	n.Helper()
	if s := n.b.Stats().Interfaces[1]; s.State != InterfaceUp || s.Err != err {
		n.Errorf("interface is %v with %v, want up with %v", s.State, s.Err, err)
	}
	if n.b.Err() != nil {
		n.Errorf("Err() = %v of a host that works", n.b.Err())
	}
}

// calls are blocked calls of one host, and what they return.
type calls struct {
	n       *network
	began   time.Time
	pending sync.WaitGroup
	mu      sync.Mutex
	got     map[string]string
}

func (c *calls) call(what string, f func() error) {
	c.pending.Go(func() {
		err := f()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.got[what] = fmt.Sprintf("%v after %v", err, time.Since(c.began))
	})
}

// blockAll has each kind of call wait on b. The peer of the connection takes nothing.
func (n *network) blockAll(server *TCPConn) *calls {
	n.Helper()
	c := &calls{n: n, got: map[string]string{}}
	l := n.listen(n.b, 81, 5)
	u, err := n.b.ListenUDP(netip.AddrPortFrom(n.addrB, 53), BindOptions{})
	n.must(err)
	dialed, err := n.b.ConnectTCP(nil, netip.AddrPortFrom(n.nobody, 9), tcp.Options{Linger: -1})
	n.must(err)
	c.call("Accept", func() error { _, err := l.Accept(); return err })
	c.call("Read", func() error { _, err := server.Read(make([]byte, 1)); return err })
	c.call("Write", func() error { _, err := server.Write(make([]byte, 64<<20)); return err })
	c.call("ReadFrom", func() error { _, _, _, err := u.ReadFrom(make([]byte, 1)); return err })
	c.call("WaitConnect", func() error {
		err := dialed.WaitConnect()
		if err == syscall.EHOSTUNREACH && time.Since(c.began) >= 3*time.Second {
			err = syscall.ENETDOWN // nobody has answered its ARP request, before the device was given up
		}
		return err
	})
	synctest.Wait()
	c.began = time.Now()
	return c
}

func (c *calls) want(want string) {
	c.n.Helper()
	c.pending.Wait()
	if len(c.got) != 5 {
		c.n.Errorf("%d calls have returned", len(c.got))
	}
	for what, got := range c.got {
		if got != want && (want != "" || !strings.HasPrefix(got, "network is down")) {
			c.n.Errorf("%s: %s, want %s", what, got, want)
		}
	}
}

func TestDeviceFails(t *testing.T) {
	const down = "network is down"
	for _, tt := range []struct {
		name string
		fail func(dev *faulty)
		err  error
		want string
	}{
		{"Read is at its end of tries", func(d *faulty) { d.failReads(deviceTries+1, errSome) }, errSome, down + " after 1.023s"},
		{"Read, the device is gone", func(d *faulty) { d.failReads(1, fmt.Errorf("tap9: %w", link.ErrGone)) }, link.ErrGone, down + " after 0s"},
		{"somebody else has closed the device", func(d *faulty) { d.Close() }, link.ErrClosed, down + " after 0s"},
		{"Read of fewer than no frames", func(d *faulty) {
			for range deviceTries + 1 {
				d.reads <- fault{-1, nil}
			}
		}, ip.ErrFrameCount, down + " after 1.023s"},
		{"Read of more frames than there is room for", func(d *faulty) {
			for range deviceTries + 1 {
				d.reads <- fault{burstFrames + 1, nil}
			}
		}, ip.ErrFrameCount, down + " after 1.023s"},
		{"Write is at its end of tries", func(d *faulty) { d.fail(fault{0, syscall.ENOBUFS}) }, syscall.ENOBUFS, down + " after 1.023s"},
		{"Write, the device is gone", func(d *faulty) { d.fail(fault{0, link.ErrGone}) }, link.ErrGone, down + " after 0s"},
		{"Write of fewer than no frames", func(d *faulty) { d.fail(fault{-5, nil}) }, ip.ErrFrameCount, down + " after 1.023s"},
		{"Write of more frames than there were", func(d *faulty) { d.fail(fault{1000, nil}) }, ip.ErrFrameCount, ""},
		{"Write of no frame", func(d *faulty) { d.fail(fault{0, errNothing}) }, io.ErrShortWrite, down + " after 1.023s"},
	} {
		withFaulty(t, tt.name, func(n *network, dev *faulty, l *logged) {
			client, server := n.connect()
			local, err := n.b.ListenUDP(netip.MustParseAddrPort("127.0.0.1:7"), BindOptions{})
			n.must(err)
			sender, err := n.b.ListenUDP(netip.AddrPort{}, BindOptions{})
			n.must(err)
			n.write(client, "before")
			synctest.Wait()
			n.reads(server, "before")
			c := n.blockAll(server)
			tt.fail(dev)
			synctest.Wait() // a Read that fails for good has ended the interface by now, and nothing comes between
			if _, err = sender.WriteTo(nil, netip.AddrPortFrom(n.addrA, 9)); err != syscall.ENETDOWN {
				n.must(err)
			}
			c.want(tt.want)
			<-n.b.Done()
			if lines := l.take(); len(lines) != 1 || !strings.HasPrefix(lines[0], `level=ERROR msg="interface failed" interface=`) {
				t.Errorf("logged %q by now, want one line", lines)
			}
			if err := n.b.Err(); !errors.Is(err, syscall.ENETDOWN) || !errors.Is(err, tt.err) {
				t.Errorf("Err() = %v, want ENETDOWN and %v in it", err, tt.err)
			}
			synctest.Wait()
			if s := n.b.Stats().Interfaces[1]; s.State != InterfaceFailed || !errors.Is(s.Err, tt.err) {
				t.Errorf("interface is %v with %v, want failed with %v", s.State, s.Err, tt.err)
			}
			n.lostForGood(server)
			n.loopbackWorks(local)
			why := n.b.Err()
			n.must(n.b.Close())
			if n.b.Err() != why {
				t.Errorf("after Close Err() = %v, want %v as before", n.b.Err(), why)
			}
		})
	}
}

// fail makes all Writes return f from now on.
func (d *faulty) fail(f fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lasts = f
}

// lostForGood checks what calls of b return that begin when there is no network any more.
func (n *network) lostForGood(c *TCPConn) {
	n.Helper()
	for range 2 {
		_, err := c.Read(make([]byte, 1))
		n.want("Read", err, syscall.ENETDOWN)
		_, err = c.Write([]byte("x"))
		n.want("Write", err, syscall.ENETDOWN)
	}
	_, err := n.b.ConnectTCP(nil, netip.AddrPortFrom(n.addrA, 80), tcp.Options{})
	n.want("ConnectTCP", err, syscall.ENETDOWN)
	_, err = n.b.ConnectTCP(nil, netip.AddrPortFrom(n.addrB, 80), tcp.Options{})
	n.want("ConnectTCP to the address that was ours", err, syscall.ENETDOWN)
	for _, a := range []netip.Addr{n.addrB, netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		_, err = n.b.BindTCP(netip.AddrPortFrom(a, 99), BindOptions{})
		n.want("BindTCP", err, syscall.ENETDOWN)
		_, err = n.b.ListenUDP(netip.AddrPortFrom(a, 99), BindOptions{})
		n.want("ListenUDP", err, syscall.ENETDOWN)
	}
	u, err := n.b.ListenUDP(netip.AddrPort{}, BindOptions{})
	n.must(err)
	_, err = u.WriteTo([]byte("x"), netip.AddrPortFrom(n.addrA, 9))
	n.want("WriteTo", err, syscall.ENETDOWN)
	n.want("Attach", n.b.Attach(newMemDevice(link.Info{Kind: link.IP, MTU: 1500}), Interface{}), syscall.ENETDOWN)
	if r := c.Ready(); r&(ReadyIn|ReadyOut|ReadyHup) != ReadyIn|ReadyOut|ReadyHup {
		n.Errorf("a connection is ready for %b", r)
	}
	if r := u.Ready(); r&(ReadyIn|ReadyErr) != ReadyIn|ReadyErr {
		n.Errorf("a UDP socket is ready for %b", r)
	}
}

// loopbackWorks checks that sockets on loopback addresses go on, old and new ones.
func (n *network) loopbackWorks(old *UDPSocket) {
	n.Helper()
	u, err := n.b.ListenUDP(netip.AddrPort{}, BindOptions{})
	n.must(err)
	n.must(u.Connect(old.Local()))
	_, err = u.Write([]byte("datagram"))
	n.must(err)
	p := make([]byte, 99)
	k, from, _, err := old.ReadFrom(p)
	n.must(err)
	_, err = old.WriteTo(p[:k], from)
	n.must(err)
	if k, err := u.Read(p); string(p[:k]) != "datagram" || err != nil {
		n.Errorf("read %q, %v", p[:k], err)
	}
	b, err := n.b.BindTCP(netip.MustParseAddrPort("127.0.0.1:90"), BindOptions{})
	n.must(err)
	l, err := n.b.ListenTCP(b, 5, tcp.Options{Linger: -1})
	n.must(err)
	client, err := n.b.ConnectTCP(nil, netip.MustParseAddrPort("127.0.0.1:90"), tcp.Options{Linger: -1})
	n.must(err)
	server, err := l.Accept()
	n.must(err)
	n.write(client, "text")
	n.reads(server, "text")
}

func TestSlowLogger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := New(Config{Logger: sleeper{}})
		if err != nil {
			t.Fatal(err)
		}
		dev := newMemDevice(link.Info{Name: "mem0", Kind: link.IP, MTU: 1500})
		if err := h.Attach(dev, Interface{Addrs: []netip.Prefix{ourNet}}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		dev.Close()
		<-h.Done()
		if took := time.Since(began); took != logPatience {
			t.Errorf("the host ended after %v, want %v", took, logPatience)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
}

// sleeper is a Logger that takes a minute for each line.
type sleeper struct{}

func (sleeper) Info(string, ...any)  { time.Sleep(time.Minute) }
func (sleeper) Warn(string, ...any)  { time.Sleep(time.Minute) }
func (sleeper) Error(string, ...any) { time.Sleep(time.Minute) }

func TestTextBeforeTheDeviceFailed(t *testing.T) {
	withFaulty(t, "is read, and then the error each time", func(n *network, dev *faulty, _ *logged) {
		client, server := n.connect()
		u, err := n.b.ListenUDP(netip.AddrPortFrom(n.addrB, 7), BindOptions{})
		n.must(err)
		from, err := n.a.ListenUDP(netip.AddrPort{}, BindOptions{})
		n.must(err)
		n.write(client, "text")
		_, err = from.WriteTo([]byte("datagram"), u.Local())
		n.must(err)
		synctest.Wait()
		dev.failReads(1, link.ErrGone)
		<-n.b.Done()
		n.reads(server, "text")
		p := make([]byte, 99)
		if k, _, _, err := u.ReadFrom(p); string(p[:k]) != "datagram" || err != nil {
			t.Errorf("read %q, %v", p[:k], err)
		}
		for range 2 {
			_, err = server.Read(p)
			n.want("Read", err, syscall.ENETDOWN)
			_, _, _, err = u.ReadFrom(p)
			n.want("ReadFrom", err, syscall.ENETDOWN)
		}
	})
}

func TestReadOfNothing(t *testing.T) {
	withFaulty(t, "neither spins nor hangs Close", func(n *network, dev *faulty, _ *logged) {
		for range cap(dev.reads) {
			dev.reads <- fault{}
		}
		time.Sleep(time.Second)
		left := len(dev.reads)
		for range left {
			<-dev.reads
		}
		if reads := cap(dev.reads) - left; reads > 110 || reads < 50 {
			t.Errorf("%d Reads in a second, want about one in %v", reads, maxIdlePause)
		}
		client, server := n.connect()
		n.write(client, "between")
		n.reads(server, "between")
		n.up(nil)
		began := time.Now()
		n.must(n.b.Close())
		if took := time.Since(began); took != 0 {
			t.Errorf("Close took %v", took)
		}
	})
}

func TestCloseDuringFailure(t *testing.T) {
	withFaulty(t, "Close loses nothing by a Write that fails for a moment", func(n *network, dev *faulty, _ *logged) {
		client, _ := n.connect()
		dev.failWrites(4, syscall.ENOBUFS)
		n.must(n.b.Close())
		_, err := client.Read(make([]byte, 1))
		n.want("Read", err, syscall.ECONNRESET)
	})
	withFaulty(t, "Close does not wait long", func(n *network, dev *faulty, _ *logged) {
		_, server := n.connect()
		dev.failReads(deviceTries, errSome)
		dev.fail(fault{0, errSome})
		n.write(server, "x")
		time.Sleep(600 * time.Millisecond)
		began := time.Now()
		n.must(n.b.Close())
		if took := time.Since(began); took > 63*time.Millisecond {
			t.Errorf("Close took %v", took)
		}
		<-n.b.Done()
		if n.b.Err() != ErrClosed {
			t.Errorf("Err() = %v, want ErrClosed", n.b.Err())
		}
	})
}

func TestSeveralDevices(t *testing.T) {
	withFaulty(t, "the others go on", func(n *network, dev *faulty, l *logged) {
		other := sim.NewSegment(sim.Config{})
		second := newFaulty(other.NewPort(sim.PortConfig{MAC: link.MAC{2, 9, 9, 9, 9, 9}}))
		n.must(n.b.Attach(second, Interface{Addrs: []netip.Prefix{netip.MustParsePrefix("10.1.0.2/24")}}))
		c, err := New(Config{})
		n.must(err)
		n.must(c.Attach(other.NewPort(sim.PortConfig{MAC: link.MAC{2, 9, 9, 9, 9, 8}}), Interface{Addrs: []netip.Prefix{netip.MustParsePrefix("10.1.0.1/24")}}))
		n.connect()
		dev.failReads(1, link.ErrGone)
		synctest.Wait()
		if n.b.Err() != nil {
			t.Errorf("Err() = %v with a device left", n.b.Err())
		}
		if got := n.b.Addrs(); len(got) != 1 || got[0].String() != "10.1.0.2/24" {
			t.Errorf("addresses %v, want those of the other interface", got)
		}
		_, err = n.b.ConnectTCP(nil, netip.AddrPortFrom(n.addrA, 80), tcp.Options{})
		n.want("ConnectTCP over the lost one", err, syscall.ENETUNREACH)
		_, err = n.b.BindTCP(netip.AddrPortFrom(n.addrB, 99), BindOptions{})
		n.want("BindTCP on the lost one", err, syscall.EADDRNOTAVAIL)
		listener := n.listen(n.b, 88, 5)
		client, err := c.ConnectTCP(nil, netip.MustParseAddrPort("10.1.0.2:88"), tcp.Options{Linger: -1})
		n.must(err)
		server, err := listener.Accept()
		n.must(err)
		n.write(client, "hello")
		n.reads(server, "hello")

		// A new device takes the lost one's place, and its address, which has another MAC now.
		n.must(n.b.Attach(n.wire.Port(), Interface{Addrs: []netip.Prefix{netip.PrefixFrom(n.addrB, n.bits)}, Announce: AnnounceAlways}))
		n.connect()
		second.failReads(1, link.ErrGone)
		synctest.Wait()
		if n.b.Err() != nil || len(l.take()) != 2 {
			t.Errorf("Err() = %v with a device left", n.b.Err())
		}
		n.must(c.Close())
		n.must(other.Close())
	})
}

// pair is a device of two queues, of which frames come to the first alone.
type pair struct {
	*memDevice
	queues []*memDevice
}

func (p *pair) Queues() []link.Device { return []link.Device{p.queues[0], p.queues[1]} }

func (p *pair) Close() error {
	return errors.Join(p.queues[0].Close(), p.queues[1].Close())
}

func TestOneQueueFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		info := link.Info{Name: "pair0", Kind: link.IP, MTU: 1500}
		p := &pair{newMemDevice(info), []*memDevice{newMemDevice(info), newMemDevice(info)}}
		l := newLogged()
		h, err := New(Config{Logger: l})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		if err := h.Attach(p, Interface{Addrs: []netip.Prefix{ourNet}}); err != nil {
			t.Fatal(err)
		}
		p.queues[1].Close()
		synctest.Wait()
		if h.Err() != nil || h.Stats().Interfaces[1].State != InterfaceUp {
			t.Fatalf("Err() = %v with a queue left", h.Err())
		}
		u, err := h.ListenUDP(netip.AddrPort{}, BindOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for port := range uint16(100) {
			if _, err := u.WriteTo(nil, netip.AddrPortFrom(peerIP, port+1)); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(p.queues[0].out); n != 100 {
			t.Errorf("%d of 100 datagrams left by the queue that works", n)
		}
		p.queues[0].Close()
		<-h.Done()
		synctest.Wait()
		lines := l.take()
		if len(lines) != 2 || !strings.Contains(lines[0], "queue failed") || !strings.Contains(lines[1], "interface failed") {
			t.Errorf("logged %q", lines)
		}
	})
}

func TestCarrierAnnounces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		mem := newMemDevice(link.Info{Name: "mem0", Kind: link.Ethernet, MAC: ourMAC, MTU: 1500})
		dev := &carrierDevice{memDevice: mem}
		if err := h.Attach(dev, Interface{Addrs: []netip.Prefix{ourNet}, Announce: AnnounceAlways}); err != nil {
			t.Fatal(err)
		}
		sent := func() int {
			synctest.Wait()
			mem.mu.Lock()
			defer mem.mu.Unlock()
			return len(mem.out)
		}
		time.Sleep(time.Minute)
		before := sent()
		dev.watch(false)
		time.Sleep(time.Minute)
		if sent() != before {
			t.Error("something was sent when the link went down")
		}
		dev.watch(true)
		if n := sent() - before; n != 1 {
			t.Errorf("%d frames sent when the link came up, want an announcement at once", n)
		}
	})
}

// carrierDevice is a memDevice whose link a test sets down and up.
type carrierDevice struct {
	*memDevice
	watch func(up bool)
}

func (d *carrierDevice) WatchCarrier(f func(up bool)) { d.watch = f }

func TestOnlyLoopback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{T: t, family: ipv4}
		h, err := New(Config{})
		n.must(err)
		n.b = h
		u, err := h.ListenUDP(netip.MustParseAddrPort("127.0.0.1:7"), BindOptions{})
		n.must(err)
		n.loopbackWorks(u)
		if h.Err() != nil {
			t.Errorf("Err() = %v", h.Err())
		}
		n.must(h.Close())
		if <-h.Done(); h.Err() != ErrClosed {
			t.Errorf("Err() = %v after Close, want ErrClosed", h.Err())
		}
	})
}

func TestCarrier(t *testing.T) {
	withFaulty(t, "connections wait for the link, new ones have no route", func(n *network, dev *faulty, l *logged) {
		client, server := n.connect()
		u, err := n.b.ListenUDP(netip.AddrPort{}, BindOptions{})
		n.must(err)
		route, err := n.b.ip.HostRoute(netip.Addr{}, n.addrA)
		n.must(err)
		dev.watch(false)
		dev.watch(false)
		if s := n.b.Stats().Interfaces[1]; s.State != InterfaceDown || n.b.Err() != nil {
			t.Errorf("interface is %v, Err() %v", s.State, n.b.Err())
		}
		_, err = n.b.ConnectTCP(nil, netip.AddrPortFrom(n.addrA, 80), tcp.Options{})
		n.want("ConnectTCP", err, syscall.ENETUNREACH)
		_, err = u.WriteTo([]byte("x"), netip.AddrPortFrom(n.addrA, 9))
		n.want("WriteTo", err, syscall.ENETUNREACH)
		_, err = u.WriteTo([]byte("x"), netip.MustParseAddrPort("224.0.0.1:9"))
		n.want("WriteTo a group", err, syscall.ENETUNREACH)
		bound, err := n.b.BindTCP(netip.AddrPortFrom(n.addrB, 99), BindOptions{})
		n.must(err)
		n.must(bound.Close())
		own := n.listen(n.b, 91, 5)
		_, err = n.b.ConnectTCP(nil, netip.AddrPortFrom(n.addrB, 91), tcp.Options{})
		n.must(err)
		_, err = own.Accept()
		n.must(err)
		dev.watch(true)
		n.write(client, "still here")
		n.reads(server, "still here")
		if again, err := n.b.ip.HostRoute(netip.Addr{}, n.addrA); err != nil || again == route {
			t.Errorf("the route of before is still given out, or %v", err)
		}
		synctest.Wait()
		if lines := l.take(); len(lines) != 2 || !strings.Contains(lines[0], `msg="interface down"`) || !strings.Contains(lines[1], `msg="interface up"`) {
			t.Errorf("logged %q", lines)
		}
		dev.failReads(1, link.ErrGone)
		<-n.b.Done()
		dev.watch(true)
		if s := n.b.Stats().Interfaces[1]; s.State != InterfaceFailed {
			t.Errorf("interface is %v, want failed for good", s.State)
		}
	})
}
