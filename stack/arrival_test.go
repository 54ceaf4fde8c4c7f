package stack

import (
	"testing"
	"time"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/tcp"
)

// A burst that has been read may wait before its segments are dealt with: for a lock, or a processor.
func TestArrivalTime(t *testing.T) {
	onBeds(t, "C-RTO-8 a burst that is dealt with 50 ms after it was read ends round trips when it was read", Config{}, func(b *bed) {
		binding, err := b.h.BindTCP(b.here(80), BindOptions{})
		if err != nil {
			b.Fatal(err)
		}
		l, err := b.h.ListenTCP(binding, 1, tcp.DefaultOptions())
		if err != nil {
			b.Fatal(err)
		}
		ifc := b.h.ip.Interfaces()[1]
		rc := newReceiver(b.h, ifc, ifc.Queues()[0])
		// deal gives the host a frame that was read so long ago.
		deal := func(late time.Duration, frame []byte) {
			rc.now = b.h.clock.Now()
			time.Sleep(late)
			rc.burst(linkFrames([][]byte{frame}))
			rc.segments.wakes.run()
			rc.segments.wakes.clear()
			b.h.flush()
		}
		segment := func(h wire.TCP) []byte {
			h.SrcPort, h.DstPort, h.Window = 1000, 80, 65535
			return b.tcpIn(h, nil)
		}
		deal(0, b.asked())
		b.take()
		deal(0, segment(wire.TCP{Flags: wire.TCPSyn, Seq: 9}))
		iss := b.segment().Seq
		time.Sleep(10 * time.Millisecond)
		deal(0, segment(wire.TCP{Flags: wire.TCPAck, Seq: 10, Ack: iss + 1}))
		c, err := l.TryAccept()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Write(make([]byte, 100)); err != nil {
			b.Fatal(err)
		}
		time.Sleep(30 * time.Millisecond)
		deal(50*time.Millisecond, segment(wire.TCP{Flags: wire.TCPAck, Seq: 10, Ack: iss + 101}))
		if got, want := c.Info().RTT, 12500*time.Microsecond; got != want { // 10 ms and an eighth of what 30 ms are more
			b.Errorf("SRTT %v, want %v", got, want)
		}
		c.Abort()
	})
}
