package tcp

import (
	"testing"
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
)

func TestRACK(t *testing.T) {
	t.Run("C-RACK-1 without SACK three duplicate ACKs count, with it time does", func(t *testing.T) {
		l := flight(t, Config{}, false, 10)
		l.in(ackTo(0, blk(1, 9)))
		if l.conn.phase != cc.Open || l.conn.tx.sb.sacked != 0 || l.conn.tx.reoAt != 0 {
			t.Error("blocks that were not agreed on count")
		}
		// The classic path: the third duplicate ACK, and no sooner.
		for i, want := range []cc.Phase{cc.Open, cc.Open, cc.Recovery} {
			l = flight(t, Config{}, false, 10)
			for range i + 1 {
				l.in(ackTo(0))
			}
			if l.conn.phase != want || want == cc.Recovery && (len(l.out) == 0 || l.out[0].Seq != l.iss.Add(1)) {
				t.Errorf("without SACK, after %d duplicate ACKs: state %d, sent %v", i+1, l.conn.phase, l.out)
			}
		}
		l = flight(t, Config{}, true, 10)
		for range 5 {
			l.in(ackTo(0))
		}
		if l.conn.phase != cc.Open {
			t.Error("duplicate ACKs without blocks begin a recovery")
		}
		// Each segment knows when it was sent, to less than a quarter of MinRTT: of two that are an eighth of it apart,
		// and of what was sent again in between, the time says which one went later.
		l = flight(t, Config{}, true, 1)
		minRTT := micros(l.conn.minRTT)
		var at []mono.Time
		for range 8 {
			l.now = l.now.Add(minRTT / 8)
			l.send(1460)
			at = append(at, l.now)
		}
		sb := &l.conn.tx.sb
		for i, r := range sb.recs[sb.head+1:] {
			if d := r.xmit.Sub(at[i]); d < -minRTT/16 || d > minRTT/16 {
				t.Errorf("segment %d is noted as sent %v beside its time", i+1, d)
			}
		}
	})
	t.Run("C-RACK-3 the window: none for certain loss, a quarter of MinRTT otherwise, a quarter more for each D-SACK", func(t *testing.T) {
		l := flight(t, Config{}, true, 10)
		c := &l.conn
		c.minRTT, c.srtt = 100_000, 500_000
		window := func(ms int) {
			t.Helper()
			if got := c.reorderWindow(); got != time.Duration(ms)*time.Millisecond {
				t.Errorf("%v, want %d ms", got, ms)
			}
		}
		window(25)
		c.phase = cc.Recovery
		window(0)
		c.phase = cc.Open
		c.tx.sb.mark(Block{l.iss.Add(1461), l.iss.Add(1461 + 3*1460)}, func(*record, *cc.Stamp) {})
		window(0)
		reo := &c.cc.loss.reo
		reo.seen = true
		window(25)
		reo.widen(c.snd.una, c.snd.nxt)
		window(50)
		reo.widen(c.snd.una, c.snd.nxt) // the same round
		window(50)
		reo.widen(c.snd.nxt, c.snd.nxt.Add(1))
		window(75)
		for range 200 {
			*reo = reordering{seen: true, mult: reo.mult}
			reo.widen(c.snd.una, c.snd.nxt)
		}
		window(500)
		for range reoPersist - 1 {
			reo.recovered()
		}
		window(500)
		reo.recovered()
		window(25)
	})
	t.Run("C-RACK-3 a path that reorders by more than a quarter of MinRTT sends nothing in vain after the first D-SACK", func(t *testing.T) {
		for seed := range uint64(5) {
			w := newWire(t, Config{}, DefaultOptions(), impairment{delay: 40 * time.Millisecond, reor: 0.02}, seed)
			w.trace = func(from *end, s *Segment) {
				c := &from.conn
				w.imp.delay = 20 * time.Millisecond
				if from == w.a { // half of it is what a segment may come late by
					w.imp.delay = 60 * time.Millisecond
				}
				probe := c.timers[timerRetransmit] == 0
				if c.cc != nil && c.cc.loss.dsacks > 0 && !probe && s.TextLen > 0 && s.Seq.LessThan(c.snd.nxt.Sub(s.Len())) {
					t.Fatalf("seed %d: %d sent again after %d D-SACKs", seed, s.Seq.Distance(c.snd.iss), c.cc.loss.dsacks)
				}
			}
			transfer(t, w, 500_000, time.Hour)
			if n := w.a.env.Counters.Timeouts + w.b.env.Counters.Timeouts; n != 0 {
				t.Errorf("seed %d: %d timeouts", seed, n)
			}
		}
	})
	t.Run("C-RACK-3 two blocks that come at once are no reordering", func(t *testing.T) {
		l := flight(t, Config{}, true, 10)
		l.in(ackTo(0, blk(8, 9), blk(2, 3)))
		if l.conn.cc.loss.reo.seen {
			t.Error("it counts as reordering")
		}
		l.in(ackTo(0, blk(5, 6), blk(8, 9), blk(2, 3)))
		if !l.conn.cc.loss.reo.seen {
			t.Error("reordering goes unnoticed")
		}
	})
	t.Run("C-RACK-4 the acknowledgment of a retransmission that may be for the original is no sample", func(t *testing.T) {
		l := flight(t, Config{}, true, 10)
		l.in(ackTo(0, blk(1, 5))).want(seg{flags: ACK, seq: 1, ack: 1, n: 1460})
		srtt, xmit := l.conn.srtt, l.conn.tx.rackXmit
		l.now = l.now.Add(micros(l.conn.minRTT) - 1)
		l.in(ackTo(1, blk(1, 5)))
		if l.conn.tx.rackXmit != xmit || l.conn.srtt != srtt {
			t.Errorf("sooner than MinRTT: RACK %v, was %v; SRTT %d, was %d", l.conn.tx.rackXmit, xmit, l.conn.srtt, srtt)
		}

		stamps := func(before time.Duration) (l *lab, xmit mono.Time) {
			l = sacking(t)
			l.now = l.now.Add(time.Millisecond)
			l.send(10 * 1448)
			l.now = l.now.Add(10 * time.Millisecond)
			l.tsecr = l.conn.tsNow(l.now) - 10
			l.in(seg{flags: ACK, seq: 1, ack: 1, sack: []Block{{1 + 1448, 1 + 5*1448}}})
			xmit = l.now
			l.tsecr = l.conn.tsNow(l.now.Add(-before))
			l.now = l.now.Add(50 * time.Millisecond)
			l.in(seg{flags: ACK, seq: 1, ack: 1 + 5*1448})
			return l, xmit
		}
		if l, xmit := stamps(time.Millisecond); l.conn.tx.rackXmit == xmit {
			t.Error("an echo from before the retransmission counts")
		}
		if l, xmit := stamps(0); l.conn.tx.rackXmit != xmit {
			t.Errorf("an echo of the retransmission does not count: %v, want %v", l.conn.tx.rackXmit, xmit)
		}
	})
	t.Run("C-RACK-5 a timeout takes for lost the first segment and what is overdue, not what has just left", func(t *testing.T) {
		l := flight(t, Config{}, true, 3)
		l.conn.set(flagTLPOut) // the probe is out already
		l.conn.cc.loss.tlpEnd = l.conn.snd.nxt
		l.in(ackTo(0))
		rto := l.conn.rtoFrom.Add(l.conn.backedOffRTO())
		l.wait(rto.Sub(l.now) - 5*time.Millisecond)
		l.send(2 * 1460)
		l.out = nil
		l.wait(5 * time.Millisecond)
		if l.env.Counters.Timeouts != 1 {
			t.Fatalf("%d timeouts", l.env.Counters.Timeouts)
		}
		l.want(seg{flags: ACK, seq: 1, ack: 1, n: 1460})
		if sb := &l.conn.tx.sb; sb.lost != 2*1460 || l.conn.pipe() != 3*1460 {
			t.Errorf("%d octets lost, pipe %d", sb.lost, l.conn.pipe())
		}
		if l.conn.cwnd != 1460 {
			t.Errorf("cwnd %d", l.conn.cwnd)
		}

		l = flight(t, Config{}, true, 10)
		l.conn.tx.rackRTT = time.Second // nothing is overdue
		l.conn.timeoutRecovery(l.now)
		l.conn.Output(l.now)
		l.want(seg{flags: ACK, seq: 1, ack: 1, n: 1460})
	})
}

func TestLossProbe(t *testing.T) {
	// probed has a flight of n, the last segment of which the probe has sent again.
	probed := func(n int) *lab {
		l := flight(t, Config{}, true, n)
		l.wait(l.conn.Deadline().Sub(l.now))
		if !l.conn.has(flagTLPRetrans) {
			t.Fatal("no probe")
		}
		l.out = nil
		l.now = l.now.Add(10 * time.Millisecond)
		return l
	}
	cut := func(l *lab) bool { return l.conn.ssthresh != cc.MaxCwnd }
	t.Run("C-TLP-3 a loss that the probe has repaired cuts cwnd", func(t *testing.T) {
		l := probed(10).in(ackTo(10))
		if cut(l) {
			t.Error("cut before it is known which copy arrived")
		}
		l.send(1460)
		l.now = l.now.Add(10 * time.Millisecond)
		l.in(ackTo(11))
		if !cut(l) || l.conn.cwnd != l.conn.ssthresh || l.conn.has(flagTLPOut) {
			t.Errorf("cwnd %d, ssthresh %d", l.conn.cwnd, l.conn.ssthresh)
		}
	})
	t.Run("C-TLP-3 a D-SACK for the probe says that there was none", func(t *testing.T) {
		l := probed(10).in(ackTo(10)).in(ackTo(10, blk(9, 10)))
		l.send(1460)
		l.in(ackTo(11))
		if cut(l) || l.conn.has(flagTLPOut) {
			t.Errorf("ssthresh %d", l.conn.ssthresh)
		}
		if l.conn.cc != nil && l.conn.cc.loss.reo.mult != 0 {
			t.Error("the probe widens the reordering window")
		}
	})
	t.Run("C-TLP-3 so does a duplicate ACK of a peer without D-SACK", func(t *testing.T) {
		l := probed(10).in(ackTo(10)).in(ackTo(10))
		l.send(1460)
		l.in(ackTo(11))
		if cut(l) {
			t.Errorf("ssthresh %d", l.conn.ssthresh)
		}
	})
	t.Run("C-TLP-3 a loss that recovery repairs is counted once", func(t *testing.T) {
		l := probed(10).in(ackTo(7, blk(9, 10)))
		if l.conn.phase != cc.Recovery || l.conn.has(flagTLPOut) {
			t.Fatalf("state %d", l.conn.phase)
		}
		once := l.conn.ssthresh
		l.now = l.now.Add(10 * time.Millisecond)
		l.in(ackTo(10)).send(1460)
		l.in(ackTo(11))
		if l.conn.ssthresh != once {
			t.Errorf("ssthresh %d, was %d", l.conn.ssthresh, once)
		}
	})
	t.Run("C-TLP-4 one timer at a time", func(t *testing.T) {
		l := flight(t, Config{}, true, 10)
		kind := func(want timerKind, armed bool) {
			t.Helper()
			if l.conn.tx != nil && l.conn.tx.kind != want || (l.conn.timers[timerRetransmit] != 0) != armed {
				t.Errorf("kind %d, deadline %v", l.conn.tx.kind, l.conn.timers[timerRetransmit])
			}
		}
		kind(kindProbe, true)
		l.in(ackTo(0, blk(1, 2)))
		kind(kindReorder, true)
		l.wait(l.conn.Deadline().Sub(l.now)) // it becomes certain
		if l.conn.phase != cc.Recovery {
			t.Fatalf("state %d", l.conn.phase)
		}
		kind(kindRTO, true)
		l.in(ackTo(10))
		kind(kindRTO, false)
		l.send(1460)
		kind(kindProbe, true)
		l.wait(l.conn.Deadline().Sub(l.now))
		kind(kindRTO, true)
		if at := l.now.Add(micros(l.conn.rto)); l.conn.Deadline() != at {
			t.Errorf("RTO %v from the probe, want %v", l.conn.Deadline().Sub(l.now), at.Sub(l.now))
		}
	})
}
