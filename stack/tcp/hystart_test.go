package tcp

import (
	"testing"
	"time"

	"github.com/unet-go/unet/stack/tcp/cc"
)

func TestHyStart(t *testing.T) {
	t.Run("C-HS-1 a connection counts its rounds by SND.NXT", func(t *testing.T) {
		w := newWire(t, Config{MaxSendBuffer: 64 << 20, MaxRecvBuffer: 64 << 20, SendBuffer: 64 << 20, RecvBuffer: 64 << 20},
			DefaultOptions(), impairment{delay: 50 * time.Millisecond}, 1)
		w.connect()
		w.a.conn.Send(make([]byte, 16<<20), w.now)
		w.trace = func(from *end, s *Segment) {
			w.imp.delay = 50 * time.Millisecond
			if from != w.a {
				return
			}
			// The queue of the path: 20 ms once 200 segments are out.
			if w.a.conn.flightSize() > 200*1448 {
				w.imp.delay = 70 * time.Millisecond
			}
		}
		w.idle(3 * time.Second)
		if got := w.a.conn.ssthresh; got == cc.MaxCwnd || got > 2000*1448 {
			t.Errorf("ssthresh %d", got)
		}
		if w.a.env.Counters.Retransmitted != 0 {
			t.Errorf("%d sent again", w.a.env.Counters.Retransmitted)
		}
	})
}
