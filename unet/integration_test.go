package unet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/tap"
	"github.com/unet-go/unet/tap/taptest"
)

// flaky is a device that loses frames in both directions, by chance or, from one moment on, all of them.
// Which ones chance takes is a function of the seed and the frame's number in its direction.
type flaky struct {
	link.Device
	loss    float64
	in, out *rand.Rand
	kept    []link.Frame
	dead    atomic.Bool
	lost    atomic.Int64
}

func newFlaky(dev link.Device, loss float64, seed uint64) *flaky {
	return &flaky{Device: dev, loss: loss, in: rand.New(rand.NewPCG(seed, 1)), out: rand.New(rand.NewPCG(seed, 2))}
}

// takes says whether the next frame of a direction is lost.
func (d *flaky) takes(r *rand.Rand) bool {
	lost := d.loss > 0 && r.Float64() < d.loss || d.dead.Load()
	if lost {
		d.lost.Add(1)
	}
	return lost
}

// Read reads until at least one frame of a batch survives.
func (d *flaky) Read(frames []link.Frame) (int, error) {
	for {
		n, err := d.Device.Read(frames)
		kept := 0
		for i := range n {
			if d.takes(d.in) {
				frames[i].Release()
				continue
			}
			frames[kept], frames[i] = frames[i], frames[kept]
			kept++
		}
		if kept > 0 || err != nil {
			return kept, err
		}
	}
}

// Write passes on what survives.
func (d *flaky) Write(frames []link.Frame) (int, error) {
	d.kept = d.kept[:0]
	for i := range frames {
		if !d.takes(d.out) {
			d.kept = append(d.kept, frames[i])
		}
	}
	if len(d.kept) == 0 {
		return len(frames), nil
	}
	_, err := d.Device.Write(d.kept)
	return len(frames), err
}

// tapHost is a host whose only neighbour is the kernel.
type tapHost struct {
	*Host
	ours, kernels string // addresses
	foreign       string // of no host, and without a route
	name          string // of the kernel's interface
	link          *flaky
}

// familyOf returns the family of an address.
func familyOf(a netip.Addr) *testFamily {
	if a.Is4() {
		return &testFamilies[0]
	}
	return &testFamilies[1]
}

// openTAP opens a host on a TAP device of its own. With loss the device takes no super-segments, so that
// frames are lost one by one.
func openTAP(tb testing.TB, loss float64, cfg tap.Config) *tapHost {
	tb.Helper()
	cfg.NoOffload = cfg.NoOffload || loss > 0
	dev := taptest.Open(tb, cfg)
	peer := dev.PeerAddrs()[0]
	ours := peer.Addr().Next()
	wire := newFlaky(dev, loss, 1)
	h, err := Open(Config{Link: wire, Addrs: []netip.Prefix{netip.PrefixFrom(ours, peer.Bits())}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = h.Close() })
	return &tapHost{Host: h, ours: ours.String(), kernels: peer.Addr().String(), foreign: familyOf(ours).foreign, name: dev.Info().Name, link: wire}
}

// accepting is the face of a server on unet and a client on the kernel.
func (h *tapHost) accepting() face {
	return face{ip: h.ours, foreign: h.foreign, listen: h.Listen, dial: new(net.Dialer).DialContext}
}

// dialling is the face of a server on the kernel and a client on unet.
func (h *tapHost) dialling() face {
	return face{ip: h.kernels, foreign: h.foreign, listen: net.Listen, dial: h.DialContext}
}

// ways are the two ways in which unet and the kernel can be server and client.
func (h *tapHost) ways() []struct {
	name string
	face face
} {
	return []struct {
		name string
		face face
	}{{"kernel dials unet", h.accepting()}, {"unet dials kernel", h.dialling()}}
}

// hang is when a test gives up on what does not come; none waits for it to pass.
const hang = time.Minute

// gone waits until the host's gauges show no connection, orphan, listener or bound port: the peer's last
// acknowledgment may be on its way when the application has long returned. TIME-WAIT is not looked at: it
// lasts a minute.
func gone(tb testing.TB, h *Host) {
	tb.Helper()
	limit := time.Now().Add(hang)
	for {
		g := h.Stats().TCPGauges
		if g.Connections() == 0 && g.Orphans == 0 && g.Bindings == 0 && g.AcceptQueue == 0 {
			return
		}
		if time.Now().After(limit) {
			tb.Errorf("left over: %+v", g)
			return
		}
		runtime.Gosched()
	}
}

func TestIntegrationNetConn(t *testing.T) {
	for _, backend := range []struct {
		name string
		cfg  tap.Config
	}{{"native", tap.Config{}}, {"portable", tap.Config{Portable: true}}} {
		for _, f := range testFamilies {
			backend.cfg.PeerAddrs = f.peers()
			h := openTAP(t, 0, backend.cfg)
			for _, way := range h.ways() {
				l, err := way.face.listen("tcp", net.JoinHostPort(way.face.ip, "0"))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = l.Close() })
				ends := func() (c, s net.Conn, stop func(), err error) {
					if c, err = way.face.dial(context.Background(), "tcp", l.Addr().String()); err != nil {
						return nil, nil, nil, err
					}
					if s, err = l.Accept(); err != nil {
						return nil, nil, nil, err
					}
					return c, s, func() { _, _ = c.Close(), s.Close() }, nil
				}
				t.Run(fmt.Sprintf("E-GO-1 E-GO-12 %s TAP, %s, dialled end", backend.name, way.name)+f.suffix, func(t *testing.T) {
					nettest.TestConn(t, ends)
				})
				t.Run(fmt.Sprintf("E-GO-1 E-GO-12 %s TAP, %s, accepted end", backend.name, way.name)+f.suffix, func(t *testing.T) {
					nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
						c, s, stop, err := ends()
						return s, c, stop, err
					})
				})
				_ = l.Close()
			}
			t.Run(backend.name+" TAP, nothing is left"+f.suffix, func(t *testing.T) { gone(t, h.Host) })
		}
	}
}
