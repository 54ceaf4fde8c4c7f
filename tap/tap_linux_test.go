package tap_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/tap"
	"github.com/unet-go/unet/tap/taptest"
)

// backends are the ways to move frames, each of which must do what follows.
var backends = []struct {
	name string
	cfg  tap.Config
}{
	{"native", tap.Config{}},
	{"native without offload", tap.Config{NoOffload: true}},
	{"native without io_uring", tap.Config{NoIOUring: true}},
	{"native TUN", tap.Config{TUN: true}},
	{"native TUN without offload", tap.Config{TUN: true, NoOffload: true}},
	{"portable", tap.Config{Portable: true}},
	{"portable TUN", tap.Config{TUN: true, Portable: true}},
}

// forBackends runs a test over every backend.
func forBackends(t *testing.T, test func(t *testing.T, cfg tap.Config)) {
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) { test(t, b.cfg) })
	}
}

func TestInfo(t *testing.T) {
	forBackends(t, func(t *testing.T, cfg tap.Config) {
		cfg.Name, cfg.MTU = "unet-info", 1400
		if !cfg.TUN {
			cfg.MAC = link.MAC{2, 0, 0, 1, 2, 3}
		}
		dev := taptest.Open(t, cfg)
		offload := !cfg.NoOffload && !cfg.Portable
		want := link.Info{Name: "unet-info", MAC: cfg.MAC, MTU: 1400, Checksum: offload, TSO4: offload, TSO6: offload}
		if cfg.TUN {
			want.Kind = link.IP
		}
		if offload {
			want.MaxPacket = 65535
		}
		if got := dev.Info(); got != want {
			t.Errorf("Info = %+v, want %+v", got, want)
		}
		for _, q := range dev.Queues() {
			if got := q.Info(); got != want {
				t.Errorf("a queue's Info = %+v, want %+v", got, want)
			}
		}
		ifc, err := net.InterfaceByName("unet-info")
		if err != nil {
			t.Fatal(err)
		}
		if ifc.MTU != 1400 || ifc.Flags&net.FlagUp == 0 {
			t.Errorf("the kernel's side: MTU %d, flags %v, want 1400, up", ifc.MTU, ifc.Flags)
		}
	})
}

func TestDefaults(t *testing.T) {
	a, b := taptest.Open(t, tap.Config{}), taptest.Open(t, tap.Config{})
	for _, d := range []*tap.Device{a, b} {
		i := d.Info()
		if i.Name == "" || i.MTU != 1500 || i.Kind != link.Ethernet {
			t.Errorf("Info = %+v, want a name, MTU 1500, Ethernet", i)
		}
		if i.MAC[0]&3 != 2 {
			t.Errorf("MAC % x is not an individual, locally administered one", i.MAC)
		}
	}
	if a.Info().MAC == b.Info().MAC {
		t.Errorf("two devices have the same MAC % x", a.Info().MAC)
	}
	if a.PeerAddrs()[0].Masked() == b.PeerAddrs()[0].Masked() {
		t.Errorf("two devices have the same subnet %v", a.PeerAddrs()[0])
	}
}

func TestKernelToDevice(t *testing.T) {
	forBackends(t, func(t *testing.T, cfg tap.Config) {
		p := newPeer(t, cfg)
		c, port := p.socket()
		for _, size := range []int{0, 1, 18, 200, 1000, 1472} {
			want := bytes.Repeat([]byte{0xa5, byte(size)}, size/2+1)[:size]
			p.send(c, want)
			got := p.await(p.isUDP)
			udp := got.Layer(layers.LayerTypeUDP).(*layers.UDP)
			if uint16(udp.SrcPort) != port || udp.DstPort != 4000 || !bytes.Equal(udp.LayerPayload(), want) {
				t.Errorf("datagram of %d octets arrived as % x", size, got.octets)
			}
			if len(got.octets) != p.networkHeader()+28+size {
				t.Errorf("frame of a datagram of %d octets has %d", size, len(got.octets))
			}
			if mac := p.dev.Info().MAC; !cfg.TUN && (!bytes.Equal(got.octets[:6], mac[:]) || !bytes.Equal(got.octets[6:12], p.kernelMAC)) {
				t.Errorf("frame from %v to % x is addressed % x", p.kernelMAC, mac, got.octets[:12])
			}
			transport := p.networkHeader() + 20
			offload := link.Meta{NeedsChecksum: true, ChecksumStart: uint16(transport), ChecksumOffset: 6}
			if p.dev.Info().Checksum {
				if got.meta != offload {
					t.Errorf("Meta = %+v, want %+v", got.meta, offload)
				}
				continue
			}
			ip := got.octets[p.networkHeader():]
			pseudo := sum(uint32(17+len(ip)-20), ip[12:20])
			if got.meta != (link.Meta{}) || sum(uint32(pseudo), ip[20:]) != 0xffff {
				t.Errorf("Meta = %+v, checksum %#x, want none and a right one", got.meta, udp.Checksum)
			}
		}
	})
}

func TestDeviceToKernel(t *testing.T) {
	forBackends(t, func(t *testing.T, cfg tap.Config) {
		p := newPeer(t, cfg)
		c, port := p.socket()
		octets, count := 0, 0
		for _, size := range []int{0, 1, 200, 1472} {
			want := bytes.Repeat([]byte{0x5a, byte(size)}, size/2+1)[:size]
			whole := p.udp(port, want)

			p.write(whole, link.Meta{})
			if got := p.next(c); !bytes.Equal(got, want) {
				t.Errorf("%d octets: the kernel received % x", size, got)
			}
			// The same gathered, in uneven parts, with headroom and without.
			gathered := frame(whole[:p.networkHeader()+23])
			rest := whole[p.networkHeader()+23:]
			shared := link.NewBuffer(16)
			gathered.Append(rest[:3], shared)
			gathered.Append(nil, nil)
			gathered.Append(rest[3:], nil)
			shared.Release()
			bare := link.Frame{Header: whole[:27]}
			bare.Append(whole[27:], nil)
			unpooled := link.Frame{Header: whole}
			p.writeFrames(gathered, bare, unpooled)
			for range 3 {
				if got := p.next(c); !bytes.Equal(got, want) {
					t.Errorf("%d octets gathered: the kernel received % x", size, got)
				}
			}
			count, octets = count+4, octets+4*len(whole)
		}
		s := p.dev.Stats()
		if s.FramesOut != uint64(count) || s.OctetsOut != uint64(octets) || s.Dropped() != 0 {
			t.Errorf("Stats = %+v, want %d frames and %d octets out, no drop", s, count, octets)
		}
	})
}

// TestWriteBorrows checks that Write leaves Header and Payload as they are.
func TestWriteBorrows(t *testing.T) {
	forBackends(t, func(t *testing.T, cfg tap.Config) {
		p := newPeer(t, cfg)
		whole := p.udp(9, []byte("borrowed"))
		f := frame(whole[:40-14+p.networkHeader()])
		tail := append([]byte(nil), whole[len(f.Header):]...)
		f.Append(tail, nil)
		if n, err := p.dev.Write([]link.Frame{f}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if !bytes.Equal(f.Header, whole[:len(f.Header)]) || !bytes.Equal(tail, whole[len(f.Header):]) {
			t.Error("Write changed the frame")
		}
		f.Release()
	})
}

func TestBatchRead(t *testing.T) {
	p := newPeer(t, tap.Config{})
	c, _ := p.socket()
	p.send(c, []byte("resolve"))
	p.await(p.isUDP)

	// The kernel's transmit path ends in the device's queue, so all of these wait when send returns.
	const burst = 20
	for i := range burst {
		p.send(c, bytes.Repeat([]byte{byte(i)}, 70*i))
	}
	var got []received
	for _, r := range p.read() {
		if p.isUDP(&r) {
			got = append(got, r)
		}
	}
	if len(got) != burst {
		t.Fatalf("one Read returned %d of %d datagrams that waited", len(got), burst)
	}
	for i, r := range got {
		if want := bytes.Repeat([]byte{byte(i)}, 70*i); !bytes.Equal(r.payload(layers.LayerTypeUDP), want) {
			t.Errorf("datagram %d: % x", i, r.octets)
		}
	}

	// A batch that is too small takes as many frames as fit, and loses none.
	for i := range burst {
		p.send(c, []byte{byte(i)})
	}
	p.batch = p.batch[:3]
	for want := 0; want < burst; {
		for _, r := range p.read() {
			if p.isUDP(&r) {
				if got := r.payload(layers.LayerTypeUDP); len(got) != 1 || int(got[0]) != want {
					t.Fatalf("datagram % x, want %d", got, want)
				}
				want++
			}
		}
	}
}

func TestClose(t *testing.T) {
	forBackends(t, func(t *testing.T, cfg tap.Config) {
		taptest.Need(t)
		before := link.Outstanding()
		dev := taptest.Open(t, cfg)
		reading, done := make(chan struct{}), make(chan error)
		go func() {
			frames := make([]link.Frame, 8)
			close(reading)
			for {
				n, err := dev.Read(frames)
				if err != nil {
					done <- err
					return
				}
				for i := range frames[:n] {
					frames[i].Release()
				}
			}
		}()
		<-reading
		var closers sync.WaitGroup
		for range 3 {
			closers.Go(func() {
				if err := dev.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
		}
		closers.Wait()
		if err := <-done; err != link.ErrClosed {
			t.Errorf("the blocked Read returned %v, want ErrClosed", err)
		}
		if n, err := dev.Read(make([]link.Frame, 1)); n != 0 || err != link.ErrClosed {
			t.Errorf("Read after Close = %d, %v", n, err)
		}
		if n, err := dev.Write([]link.Frame{{Header: make([]byte, 60)}}); n != 0 || err != link.ErrClosed {
			t.Errorf("Write after Close = %d, %v", n, err)
		}
		if _, err := net.InterfaceByName(dev.Info().Name); err == nil {
			t.Error("the interface outlives Close")
		}
		if after := link.Outstanding(); after != before {
			t.Errorf("%d buffers in use after Close, %d before Open", after, before)
		}
	})
}

// TestCloseUnderLoad closes while all directions are busy; the race detector judges.
func TestCloseUnderLoad(t *testing.T) {
	forBackends(t, func(t *testing.T, cfg tap.Config) {
		p := newPeer(t, cfg)
		c, port := p.socket()
		octets := p.udp(port, []byte("load"))
		var wg sync.WaitGroup
		wg.Go(func() {
			frames := make([]link.Frame, 8)
			for {
				n, err := p.dev.Read(frames)
				if err != nil {
					if err != link.ErrClosed {
						t.Errorf("Read: %v", err)
					}
					return
				}
				for i := range frames[:n] {
					frames[i].Release()
				}
			}
		})
		arrived := make(chan struct{})
		wg.Go(func() {
			for {
				f := frame(octets)
				_, err := p.dev.Write([]link.Frame{f})
				f.Release()
				if err != nil {
					if err != link.ErrClosed {
						t.Errorf("Write: %v", err)
					}
					return
				}
			}
		})
		wg.Go(func() {
			for range 100 {
				p.next(c)
			}
			close(arrived)
		})
		<-arrived
		if err := p.dev.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
}

func TestQueues(t *testing.T) {
	p := newPeer(t, tap.Config{Queues: 2})
	queues := p.dev.Queues()
	if len(queues) != 2 {
		t.Fatalf("%d queues, want 2", len(queues))
	}
	c, port := p.socket()
	for i, q := range queues {
		f := frame(p.udp(port, []byte{byte(i)}))
		if n, err := q.Write([]link.Frame{f}); n != 1 || err != nil {
			t.Fatalf("queue %d: Write = %d, %v", i, n, err)
		}
		f.Release()
		if got := p.next(c); !bytes.Equal(got, []byte{byte(i)}) {
			t.Errorf("queue %d: the kernel received % x", i, got)
		}
	}
	// Flows from many ports; all must arrive, whatever queue the kernel chooses.
	const flows = 32
	seen := make(chan string, flows)
	var wg sync.WaitGroup
	for _, q := range queues {
		wg.Go(func() {
			frames := make([]link.Frame, 8)
			for {
				n, err := q.Read(frames)
				if err == link.ErrClosed {
					return
				}
				if err != nil {
					t.Errorf("Read: %v", err)
					return
				}
				for i := range frames[:n] {
					h := frames[i].Header
					if len(h) > 42 && h[12] == 8 && h[13] == 0 && h[23] == 17 && netip.AddrFrom4([4]byte(h[30:34])) == p.ours {
						seen <- string(h[42:])
					}
					frames[i].Release()
				}
			}
		})
	}
	mac := p.dev.Info().MAC
	if err := neighbour(p.dev.Info().Name, p.ours, mac[:]); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for i := range flows {
		c, _ := p.socket()
		text := fmt.Sprintf("flow %d", i)
		want[text] = true
		p.send(c, []byte(text))
	}
	for len(want) > 0 {
		text := <-seen
		if !want[text] {
			t.Errorf("unexpected %q", text)
		}
		delete(want, text)
	}
	if err := p.dev.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

func TestPortableQueues(t *testing.T) {
	taptest.Need(t)
	if _, err := tap.Open(tap.Config{Portable: true, Queues: 2}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Open = %v, want ErrUnsupported", err)
	}
}
