package tap_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"

	"github.com/unet-go/unet/stack/link"
)

// burstFrames is the number of frames that a benchmark moves at a time.
const burstFrames = 32

// BenchmarkWrite writes datagrams that the kernel takes through its whole receive path and then drops,
// because no socket listens on their address; ns/op is for one frame.
func BenchmarkWrite(b *testing.B) {
	for _, backend := range backends {
		for _, size := range []int{64, 1400} {
			b.Run(fmt.Sprintf("%s/%d", backend.name, size), func(b *testing.B) {
				p := newPeer(b, backend.cfg)
				octets := p.udp(9, bytes.Repeat([]byte{1}, size))
				dst := octets[p.networkHeader()+16:]
				copy(dst, []byte{192, 0, 2, 1})
				frames := make([]link.Frame, burstFrames)
				for i := range frames {
					frames[i] = frame(octets)
				}
				b.ReportAllocs()
				for n := 0; b.Loop(); n++ {
					if n%burstFrames != 0 {
						continue // one burst in so many turns makes ns/op the cost of a frame
					}
					if _, err := p.dev.Write(frames); err != nil {
						b.Fatal(err)
					}
				}
				for i := range frames {
					frames[i].Release()
				}
			})
		}
	}
}

// BenchmarkRead reads bursts that wait in the kernel; the time that the kernel takes to make them is not
// counted. ns/op is for one frame.
func BenchmarkRead(b *testing.B) {
	for _, backend := range backends {
		for _, size := range []int{64, 1400} {
			b.Run(fmt.Sprintf("%s/%d", backend.name, size), func(b *testing.B) {
				p := newPeer(b, backend.cfg)
				c, _ := p.socket()
				payload := make([]byte, size)
				p.send(c, payload)
				p.await(p.isUDP)
				to := netip.AddrPortFrom(p.ours, 4000)
				b.ReportAllocs()
				b.ResetTimer()
				for done := 0; done < b.N; done += burstFrames {
					b.StopTimer()
					for range burstFrames {
						if _, err := c.WriteToUDPAddrPort(payload, to); err != nil {
							b.Fatal(err)
						}
					}
					b.StartTimer()
					for got := 0; got < burstFrames; {
						n, err := p.dev.Read(p.batch)
						if err != nil {
							b.Fatal(err)
						}
						for i := range p.batch[:n] {
							p.batch[i].Release()
						}
						got += n
					}
				}
			})
		}
	}
}
