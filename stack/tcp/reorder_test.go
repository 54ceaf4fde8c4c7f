package tcp

import (
	"testing"
	"time"

	"github.com/unet-go/unet/stack/tcp/cc"
)

// TestOvertaken: text that a retransmission has overtaken looks old to PAWS, and is taken where it fills a gap.
func TestOvertaken(t *testing.T) {
	// Segments 0 to 9 of 100 octets; 0 was lost, 5 is late. The retransmission of 0 carries a later timestamp.
	begin := func(t *testing.T, late bool) *lab {
		l := sacking(t)
		for i := uint32(1); i < 10; i++ {
			if i != 5 || !late {
				l.in(seg{flags: ACK, seq: 1 + 100*i, ack: 1, n: 100, tsval: 1010})
			}
		}
		l.in(seg{flags: ACK, seq: 1, ack: 1, n: 100, tsval: 1060})
		l.out = nil
		if got := l.conn.tsRecent; got != 1060 {
			t.Fatalf("TS.Recent %d", got)
		}
		return l
	}
	t.Run("C-PAWS-1 late text in a gap is taken, and TS.Recent stays", func(t *testing.T) {
		l := begin(t, true)
		l.in(seg{flags: ACK, seq: 501, ack: 1, n: 100, tsval: 1010})
		if l.conn.rcv.nxt != l.irs.Add(1001) || l.conn.tsRecent != 1060 || l.env.Counters.DroppedPAWS != 0 {
			t.Errorf("RCV.NXT %d, TS.Recent %d, %d dropped", l.conn.rcv.nxt-l.irs, l.conn.tsRecent, l.env.Counters.DroppedPAWS)
		}
	})
	for name, s := range map[string]seg{
		"older than that":         {flags: ACK, seq: 501, ack: 1, n: 100, tsval: 1009},
		"behind all that is held": {flags: ACK, seq: 1001, ack: 1, n: 100, tsval: 1059},
		"before RCV.NXT":          {flags: ACK, seq: 401, ack: 1, n: 100, tsval: 1059},
		"without text":            {flags: ACK, seq: 501, ack: 1, tsval: 1059},
	} {
		t.Run("C-PAWS-1 not what is "+name, func(t *testing.T) {
			l := begin(t, true)
			l.in(s)
			if l.conn.rcv.nxt != l.irs.Add(501) || l.env.Counters.DroppedPAWS != 1 {
				t.Errorf("RCV.NXT %d, %d dropped", l.conn.rcv.nxt-l.irs, l.env.Counters.DroppedPAWS)
			}
		})
	}
	t.Run("C-PAWS-1 nor anything where there is no gap", func(t *testing.T) {
		l := begin(t, false)
		l.in(seg{flags: ACK, seq: 1001, ack: 1, n: 100, tsval: 1059})
		if l.conn.rcv.nxt != l.irs.Add(1001) || l.env.Counters.DroppedPAWS != 1 {
			t.Errorf("RCV.NXT %d, %d dropped", l.conn.rcv.nxt-l.irs, l.env.Counters.DroppedPAWS)
		}
	})
}

// TestNoBurstAfterRecovery: a flow that the peer's window stops in recovery does not make up for it in one burst.
func TestNoBurstAfterRecovery(t *testing.T) {
	for _, name := range []string{"cubic", "reno"} {
		l := limitedLab(t, name, true, false)
		mss := uint32(l.conn.smss)
		const n = 400
		l.conn.cwnd, l.conn.recentUse = n*mss, n*mss
		l.conn.snd.wnd, l.conn.snd.maxWnd, l.conn.sndScale = n*mss, n*mss, 14
		window := func(segments uint32) int { return int(segments*mss>>14) + 1 }
		l.send(2 * n * int(mss))
		l.now = l.now.Add(100 * time.Millisecond)
		for i := uint32(10); i <= n; i++ { // the head is lost, and the window full
			l.out = nil
			l.in(seg{flags: ACK, seq: 1, ack: 1, sack: []Block{{Seq(1 + mss), Seq(1 + i*mss)}}, win: window(n)})
		}
		if l.conn.phase != cc.Recovery || l.conn.pipe() > 15*mss {
			t.Fatalf("%s: state %d, %v segments in the network", name, l.conn.phase, segmentsOf(l, l.conn.pipe()))
		}
		l.out = nil
		l.in(seg{flags: ACK, seq: 1, ack: 1 + 200*mss, sack: []Block{{Seq(1 + 201*mss), Seq(1 + n*mss)}}, win: window(2 * n)})
		if most := len(l.out); most < 5 || most > 12 || l.conn.phase != cc.Recovery {
			t.Errorf("%s: a burst of %d segments within recovery", name, most)
		}
		l.out = nil
		l.in(seg{flags: ACK, seq: 1, ack: 1 + n*mss, win: window(2 * n)})
		if got := l.conn.cwnd; l.conn.phase != cc.Open || got > l.conn.ssthresh/2+mss || got < l.conn.ssthresh/4 {
			t.Errorf("%s: state %d, cwnd %v of %v segments after recovery", name, l.conn.phase, segmentsOf(l, got), segmentsOf(l, l.conn.ssthresh))
		}
	}
}
