package stack

import (
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/tcp"
	"github.com/unet-go/unet/stack/wire"
)

// askedDevice notes how many frames its reader asks for.
type askedDevice struct {
	*memDevice
	bursts [][]int // the sizes of the frames of each burst that is still to come
	asked  []int
}

func (d *askedDevice) Read(frames []link.Frame) (int, error) {
	d.asked = append(d.asked, len(frames))
	if len(d.bursts) == 0 {
		return d.memDevice.Read(frames) // until Close
	}
	sizes := d.bursts[0]
	d.bursts = d.bursts[1:]
	for i, size := range sizes {
		b := link.NewBuffer(link.Headroom + size)
		clear(b.Bytes()[:link.Headroom+size]) // no packet of ours
		frames[i].Set(b, link.Headroom, link.Headroom+size)
	}
	return len(sizes), nil
}

func TestBurstLength(t *testing.T) {
	t.Run("the loop asks for as many frames as the last burst says", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := &askedDevice{memDevice: newMemDevice(link.Info{Name: "asked", MTU: 1500, MAC: link.MAC{2, 0, 0, 0, 0, 1}}),
				bursts: [][]int{{65536}, {65536, 32768}, {1500, 1500}, {}}}
			h, err := New(Config{})
			if err != nil {
				t.Fatal(err)
			}
			if err := h.Attach(d, Interface{Addrs: []netip.Prefix{netip.PrefixFrom(addrA, 24)}}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond) // the pause after a Read of nothing
			synctest.Wait()
			if err := h.Close(); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff([]int{burstFrames, 8, 10, burstFrames, burstFrames}, d.asked); diff != "" {
				t.Errorf("frames asked for, -want +got\n%s", diff)
			}
		})
	})
	for _, tt := range []struct {
		name                        string
		frames, octets, woken, want int
	}{
		{name: "small frames", frames: 64, octets: 64 * 1514, woken: 1, want: burstFrames},
		{name: "just not large", frames: 4, octets: 4*largeFrame - 1, woken: 1, want: burstFrames},
		{name: "one reader", frames: 4, octets: 4 * 65536, woken: 1, want: 8},
		{name: "the reader was not waiting", frames: 4, octets: 4 * 65536, woken: 0, want: 8},
		{name: "three readers", frames: 4, octets: 4 * 65536, woken: 3, want: 24},
		{name: "many readers", frames: 64, octets: 64 * 65536, woken: 64, want: burstFrames},
		{name: "a frame longer than that", frames: 1, octets: 2 * connOctets, woken: 1, want: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := roomFor(tt.frames, tt.octets, tt.woken); got != tt.want {
				t.Errorf("roomFor(%d, %d, %d) = %d, want %d", tt.frames, tt.octets, tt.woken, got, tt.want)
			}
		})
	}
}

// TestYields counts how often a receive loop gives way to others after eight bursts of a kind.
func TestYields(t *testing.T) {
	stranger := netip.MustParseAddr("10.0.0.77")
	from := func(h wire.TCP) []byte {
		return in4(ip4(wire.IPv4{Protocol: wire.ProtocolTCP, TTL: 64, Src: stranger.As4(), Dst: ourIP.As4()}, tcp4(stranger, ourIP, h, nil)))
	}
	for _, tt := range []struct {
		name  string
		frame []byte
		want  int
	}{
		{"SYNs", from(wire.TCP{SrcPort: 5, DstPort: 80, Flags: wire.TCPSyn}), 1},
		{"SYNs to a closed port", from(wire.TCP{SrcPort: 5, DstPort: 81, Flags: wire.TCPSyn}), 1},
		{"RSTs", from(wire.TCP{SrcPort: 5, DstPort: 80, Flags: wire.TCPRst}), 1},
		{"echo requests", in4(ip4(fromPeer(wire.ProtocolICMP), icmp4(8, 0, [4]byte{0, 1, 0, 1}, nil))), 1},
		{"forged ARP", request(peerIP, otherMAC, ourIP), 1},
		{"datagrams that nobody wants", in4(ip4(fromPeer(wire.ProtocolUDP), udp4(peerIP, ourIP, 5, 9, nil))), 1},
		{"datagrams for a socket", in4(ip4(fromPeer(wire.ProtocolUDP), udp4(peerIP, ourIP, 5, 7, nil))), 8},
		{"datagrams for all", ethFrame(wire.BroadcastMAC, peerMAC, wire.EtherTypeIPv4, ip4(wire.IPv4{Protocol: wire.ProtocolUDP, TTL: 64,
			Src: peerIP.As4(), Dst: limitedBroadcast.As4()}, udp4(peerIP, limitedBroadcast, 5, 7, nil))), 8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onBed(t, Config{}, func(b *bed) {
				b.listenUDP("0.0.0.0:7")
				bind, err := b.h.BindTCP(netip.AddrPortFrom(ourIP, 80), BindOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := b.h.ListenTCP(bind, 10, tcp.DefaultOptions()); err != nil {
					t.Fatal(err)
				}
				ifc := b.h.topology.Load().ifaces[1]
				rc, yields := newReceiver(ifc, ifc.queues[0]), 0
				for range silentBursts {
					rc.frames[0] = linkFrames([][]byte{tt.frame})[0]
					rc.beginBurst(1)
					if rc.yields() {
						yields++
						rc.segments.wakes.run()
						rc.segments.wakes.clear()
					}
					rc.endBurst()
				}
				b.take()
				if yields != tt.want {
					t.Errorf("it gives way %d times, want %d", yields, tt.want)
				}
			})
		})
	}
	t.Run("whoever is woken", func(t *testing.T) {
		for name, woken := range map[string]wakeList{"a waiter": {conds: []*sync.Cond{sync.NewCond(new(sync.Mutex))}}, "a watcher": {calls: make([]watchCall, 1)}} {
			rc := receiver{segments: burst{wakes: woken}}
			for range silentBursts {
				if !rc.yields() {
					t.Errorf("%s: it goes on", name)
				}
			}
		}
	})
}
