//go:build !race

package stack

import (
	"net/netip"
	"testing"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/tcp"
)

// BenchmarkFlood is what a frame of a flood costs the stack, without the device's part, in bursts as they come from it.
func BenchmarkFlood(b *testing.B) {
	far := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}) }
	for name, frame := range map[string]func(i int) []byte{
		"SYNs of one": func(i int) []byte {
			return in4(ip4(fromPeer(wire.ProtocolTCP), tcp4(peerIP, ourIP, wire.TCP{SrcPort: uint16(i), DstPort: 80, Seq: uint32(i), Flags: wire.TCPSyn}, nil)))
		},
		"SYNs of many": func(i int) []byte {
			h := fromPeer(wire.ProtocolTCP)
			h.Src = far(i).As4()
			return in4(ip4(h, tcp4(far(i), ourIP, wire.TCP{SrcPort: uint16(i), DstPort: 80, Seq: uint32(i), Flags: wire.TCPSyn}, nil)))
		},
		"SYNs of many to a closed port": func(i int) []byte {
			h := fromPeer(wire.ProtocolTCP)
			h.Src = far(i).As4()
			return in4(ip4(h, tcp4(far(i), ourIP, wire.TCP{SrcPort: uint16(i), DstPort: 81, Seq: uint32(i), Flags: wire.TCPSyn}, nil)))
		},
		"RSTs of many": func(i int) []byte {
			h := fromPeer(wire.ProtocolTCP)
			h.Src = far(i).As4()
			return in4(ip4(h, tcp4(far(i), ourIP, wire.TCP{SrcPort: uint16(i), DstPort: 80, Seq: uint32(i), Flags: wire.TCPRst}, nil)))
		},
	} {
		b.Run(name, func(b *testing.B) {
			h, rc, _ := path(b)
			if err := h.AddRoute(netip.MustParsePrefix("0.0.0.0/0"), peerIP); err != nil {
				b.Fatal(err)
			}
			bind, err := h.BindTCP(netip.AddrPortFrom(ourIP, 80), BindOptions{})
			if err != nil {
				b.Fatal(err)
			}
			if _, err := h.ListenTCP(bind, 4096, tcp.DefaultOptions()); err != nil {
				b.Fatal(err)
			}
			all := make([][]byte, 1<<16)
			for i := range all {
				all[i] = frame(i)
			}
			frames := make([]link.Frame, burstFrames)
			at := 0
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N / burstFrames {
				for i := range frames {
					refill(frames[i:], all[at%len(all)])
					at++
				}
				rc.queue.BeginBurst()
				rc.burst(frames)
				rc.endBurst()
			}
		})
	}
}
