package ip

import (
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/unet-go/unet/internal/clock"
	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	ourIP, peerIP, otherIP = netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.3")
	ourNet                 = netip.MustParsePrefix("10.0.0.2/24")
	ourMAC, peerMAC        = link.MAC{2, 0, 0, 0, 0, 2}, link.MAC{2, 0, 0, 0, 0, 1}
)

// device keeps what is written to it. Nobody reads from it: a test gives frames to Input itself.
type device struct {
	info link.Info
	mu   sync.Mutex
	out  [][]byte
}

func (d *device) Info() link.Info { return d.info }

func (d *device) Read([]link.Frame) (int, error) { return 0, link.ErrClosed }

func (d *device) Close() error { return nil }

func (d *device) Write(frames []link.Frame) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range frames {
		b := make([]byte, frames[i].Len())
		frames[i].CopyTo(b)
		d.out = append(d.out, b)
	}
	return len(frames), nil
}

// take returns what was written since the last call.
func (d *device) take() [][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := d.out
	d.out = nil
	return out
}

type noLog struct{}

func (noLog) Info(string, ...any) {}
func (noLog) Warn(string, ...any) {}

// layerSource is a layer as the clock's source that a host makes of it.
type layerSource struct {
	*Layer
	mu      sync.Mutex
	reports []Report
}

// taken returns the reports so far.
func (s *layerSource) taken() []Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reports
}

func (s *layerSource) Advance(now mono.Time) {
	reports := s.Layer.Advance(now)
	s.Flush()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reports = append(s.reports, reports...)
}

// inBubble runs f in fake time with a layer that has one Ethernet interface, without a socket above it.
func inBubble(t *testing.T, f func(l *Layer, dev *device)) {
	t.Helper()
	withSource(t, func(l *Layer, dev *device, _ *layerSource) { f(l, dev) })
}

// withSource is inBubble with what the clock is told of the layer.
func withSource(t *testing.T, f func(l *Layer, dev *device, s *layerSource)) {
	t.Helper()
	var config Config
	synctest.Test(t, func(t *testing.T) {
		l := new(Layer)
		c := new(clock.Clock)
		c.Init(0)
		config.TTL, config.MaxNeighbors, config.NeighborReachable = 64, 4096, 30*time.Second
		config.ReassemblyBytes, config.ReassemblyTimeout, config.ICMPRate = 4<<20, 30*time.Second, 1000
		config.QueueOctets, config.LoopbackOctets = MaxQueueOctets, MaxLoopbackOctets
		over := make(chan struct{})
		l.Init(Env{Config: config, Clock: c, Drops: new(drop.Counters), Log: noLog{}, Over: over})
		s := &layerSource{Layer: l}
		c.Add(s)
		go c.Run()
		defer func() {
			close(over)
			c.Stop()
			l.Clear()
		}()
		dev := &device{info: link.Info{Name: "mem0", Kind: link.Ethernet, MAC: ourMAC, MTU: 1500}}
		if _, err := l.Attach(dev, InterfaceConfig{Addrs: []netip.Prefix{ourNet}}); err != nil {
			t.Fatal(err)
		}
		f(l, dev, s)
	})
}

// input returns an Input for the interface that has begun a burst.
func input(l *Layer) *Input {
	in := new(Input)
	in.Init(l, l.Interfaces()[1])
	in.Begin()
	return in
}

// frame returns an Ethernet frame from the peer with a packet from src to dst.
func frame(src, dst netip.Addr, h wire.IPv4, payload []byte) *link.Frame {
	h.Src, h.Dst = src.As4(), dst.As4()
	f := new(link.Frame)
	*f = frames.Frame(frames.Ethernet(ourMAC, peerMAC, frames.IPv4(h, payload)))
	return f
}
