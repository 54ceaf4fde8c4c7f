package tcp

import (
	"testing"
	"time"

	"github.com/unet-go/unet/stack/tcp/cc"
)

// lossEvents are the ways in which a flow with one lost segment, the last of a flight of n from number `from`, learns of
// it. Each leaves the connection behind its cut.
var lossEvents = map[string]func(l *lab, from, n uint32){
	"a timeout": func(l *lab, from, n uint32) {
		l.in(seg{flags: ACK, seq: 1, ack: from + (n-1)*uint32(l.conn.smss)})
		l.conn.set(flagTLPOut) // no probe
		l.wait(900 * time.Millisecond)
	},
	"a fast retransmit": func(l *lab, from, n uint32) {
		mss := uint32(l.conn.smss)
		l.in(seg{flags: ACK, seq: 1, ack: from + (n-5)*mss, sack: []Block{{Seq(from + (n-4)*mss), Seq(from + n*mss)}}})
	},
	"a tail loss probe that repaired it": func(l *lab, from, n uint32) {
		l.in(seg{flags: ACK, seq: 1, ack: from + (n-1)*uint32(l.conn.smss)})
		for l.env.Counters.Probes == 0 {
			l.wait(time.Millisecond)
		}
		l.in(seg{flags: ACK, seq: 1, ack: from + n*uint32(l.conn.smss)})
		l.send(100)
		l.in(seg{flags: ACK, seq: 1, ack: from + n*uint32(l.conn.smss) + 100})
	},
	"an echo of congestion": func(l *lab, from, n uint32) {
		l.conn.set(flagECN)
		l.in(seg{flags: ACK | ECE, seq: 1, ack: from + (n-1)*uint32(l.conn.smss)})
	},
}

// TestLimitedLoss is about the loss of the tail of what the application limits: NewReno goes by the flight, CUBIC by a
// cwnd that was used.
func TestLimitedLoss(t *testing.T) {
	for name, happen := range lossEvents {
		begin := func(cc string) (*lab, uint32) {
			l := limitedLab(t, cc, true, false)
			limitedFlight(l, 10, 10, 2)
			limitedFlight(l, 20, 20, 2) // cwnd is 40 segments
			return l, uint32(l.conn.smss)
		}
		lose := func(l *lab, n uint32) {
			from := l.conn.snd.nxt.Distance(l.iss)
			l.send(int(n) * int(l.conn.smss))
			l.now = l.now.Add(10 * time.Millisecond)
			happen(l, from, n)
			if l.conn.ssthresh == cc.MaxCwnd {
				t.Fatal("no loss was seen")
			}
		}
		t.Run("C-CUB-3 CUBIC takes 0.7 of the cwnd that was used, "+name, func(t *testing.T) {
			l, mss := begin("cubic")
			lose(l, 20)
			if l.conn.ssthresh != 28*mss || l.conn.cwnd > 40*mss {
				t.Errorf("ssthresh %v segments, want 28; cwnd %d", segmentsOf(l, l.conn.ssthresh), l.conn.cwnd)
			}
		})
		t.Run("C-CUB-3 a small response after large ones, "+name, func(t *testing.T) {
			l, mss := begin("cubic")
			lose(l, 6)
			if l.conn.ssthresh < 26*mss || l.conn.ssthresh > 28*mss { // 20 ms of an RTO have passed
				t.Errorf("ssthresh %v segments, want 28 or a little less", segmentsOf(l, l.conn.ssthresh))
			}
		})
		t.Run("C-CUB-3 no more than twice what was used counts of cwnd, "+name, func(t *testing.T) {
			l, mss := begin("cubic")
			l.conn.cwnd = 1000 * mss
			lose(l, 20)
			if l.conn.ssthresh != 28*mss || l.conn.cwnd > 28*mss && l.conn.phase != cc.Recovery {
				t.Errorf("ssthresh %v segments, want 28; cwnd %d", segmentsOf(l, l.conn.ssthresh), l.conn.cwnd)
			}
		})
		t.Run("C-CUB-3 what was used long ago counts no more, "+name, func(t *testing.T) {
			l, mss := begin("cubic")
			l.conn.cwnd, l.conn.recentUse = 1000*mss, 1000*mss
			for range 100 { // 20 RTOs, without one of idle
				limitedFlight(l, 5, 1, 2)
				l.wait(40 * time.Millisecond)
			}
			if lose(l, 6); l.conn.ssthresh != 2*6*mss*7/10 {
				t.Errorf("ssthresh %v segments, want 8.4", segmentsOf(l, l.conn.ssthresh))
			}
		})
		t.Run("C-CC-4 NewReno takes half of the flight, "+name, func(t *testing.T) {
			l, mss := begin("reno")
			flight := map[string]uint32{"a timeout": 1, "a tail loss probe that repaired it": 1, "an echo of congestion": 20, "a fast retransmit": 20}[name]
			lose(l, 20)
			if want := max(flight*mss/2, 2*mss); l.conn.ssthresh != want {
				t.Errorf("ssthresh %v segments, want half of %d", segmentsOf(l, l.conn.ssthresh), flight)
			}
		})
	}
}
