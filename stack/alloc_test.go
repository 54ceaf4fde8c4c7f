//go:build !race

package stack

import (
	"net/netip"
	"testing"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// sinkDevice takes everything and gives nothing.
type sinkDevice struct {
	memDevice
	frames int
}

func (d *sinkDevice) Write(frames []link.Frame) (int, error) {
	d.frames += len(frames)
	return len(frames), nil
}

// path is a host whose receive loop the caller drives.
func path(tb testing.TB) (*Host, *receiver, *sinkDevice) {
	tb.Helper()
	h, err := New(Config{ICMPRate: 1 << 20, ResetRate: 1 << 20})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := h.Close(); err != nil {
			tb.Error(err)
		}
	})
	d := &sinkDevice{}
	d.info = link.Info{Name: "mem0", Kind: link.Ethernet, MAC: ourMAC, MTU: 1500}
	d.ready.L = &d.mu
	if err := h.Attach(d, Interface{Addrs: []netip.Prefix{ourNet}}); err != nil {
		tb.Fatal(err)
	}
	ifc := h.ip.Interfaces()[1]
	rc := newReceiver(h, ifc, ifc.Queues()[0])
	rc.burst(linkFrames([][]byte{request(peerIP, peerMAC, ourIP)}))
	return h, rc, d
}

// refill makes frames[0] a received frame again.
func refill(frames []link.Frame, f []byte) {
	b := link.NewBuffer(link.Headroom + len(f))
	n := copy(b.Bytes()[link.Headroom:], f)
	frames[0].Set(b, link.Headroom, link.Headroom+n)
}

func hotPaths(tb testing.TB) map[string]func() {
	h, rc, _ := path(tb)
	s, err := h.ListenUDP(netip.MustParseAddrPort("10.0.0.2:7"), BindOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	frames := make([]link.Frame, 1)
	p := make([]byte, 2000)
	datagram := in4(ip4(fromPeer(wire.ProtocolUDP), udp4(peerIP, ourIP, 5, 7, octets(1000))))
	echo := in4(ip4(fromPeer(wire.ProtocolICMP), icmp4(8, 0, [4]byte{}, octets(1000))))
	closed := in4(ip4(fromPeer(wire.ProtocolUDP), udp4(peerIP, ourIP, 5, 8, octets(100))))
	refused := in4(seg{flags: "S", seq: 100, port: 81}.packet(peerIP, ourIP))
	peer := netip.AddrPortFrom(peerIP, 5)
	return map[string]func(){
		"datagram in": func() {
			refill(frames, datagram)
			rc.burst(frames)
			if _, _, _, err := s.TryReadFrom(p); err != nil {
				tb.Fatal(err)
			}
		},
		"datagram out": func() {
			if _, err := s.WriteTo(p[:1000], peer); err != nil {
				tb.Fatal(err)
			}
		},
		"echo": func() {
			refill(frames, echo)
			rc.burst(frames)
			h.flush()
		},
		"port unreachable": func() {
			refill(frames, closed)
			rc.burst(frames)
			h.flush()
		},
		"reset": func() {
			refill(frames, refused)
			rc.burst(frames)
			h.flush()
		},
	}
}

func TestHotPathsDoNotAllocate(t *testing.T) {
	for name, f := range hotPaths(t) {
		t.Run(name, func(t *testing.T) {
			if n := testing.AllocsPerRun(1000, f); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

func BenchmarkHost(b *testing.B) {
	for name, f := range hotPaths(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
}
