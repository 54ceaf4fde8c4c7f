package tcp

import (
	"testing"
	"time"
)

// TestCongestionStates follows tcpi_ca_state through what Linux calls Open, Disorder, CWR, Recovery and Loss.
func TestCongestionStates(t *testing.T) {
	expect := func(l *lab, when, want string) {
		t.Helper()
		i := l.conn.Info()
		got := ""
		for _, s := range []struct {
			on   bool
			name string
		}{{i.Disorder, "Disorder"}, {i.Reduced, "CWR"}, {i.Recovering, "Recovery"}, {i.TimedOut, "Loss"}} {
			if s.on {
				got += s.name
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", when, got, want)
		}
	}
	ack := func(n uint32, blocks ...Block) seg { return seg{flags: ACK, seq: 1, ack: n, sack: blocks} }
	t.Run("E-OPT-5 a selective acknowledgment, within the reordering window and after it", func(t *testing.T) {
		l := sacking(t)
		expect(l, "before anything", "")
		mss := uint32(l.conn.smss)
		l.send(5 * int(mss))
		expect(l, "all in flight", "")
		l.now = l.now.Add(10 * time.Millisecond)
		l.in(ack(1, Block{Seq(1 + mss), Seq(1 + 2*mss)}))
		expect(l, "one behind a hole", "Disorder")
		l.in(ack(1 + 2*mss))
		expect(l, "it was overtaken only", "")
		l.in(ack(1+2*mss, Block{Seq(1 + 3*mss), Seq(1 + 4*mss)}))
		l.wait(20 * time.Millisecond)
		expect(l, "and lost", "Recovery")
		l.in(ack(1 + 5*mss))
		expect(l, "repaired", "")
	})
	t.Run("E-OPT-5 duplicate ACKs without SACK", func(t *testing.T) {
		l := newLab(t, Config{NoSACK: true}, Options{Linger: -1, NoDelay: true}, nil).send(5 * 1460)
		for i, want := range []string{"Disorder", "Disorder", "Recovery"} {
			l.in(ack(1))
			expect(l, []string{"first", "second", "third"}[i], want)
		}
	})
	t.Run("E-OPT-5 a tail loss probe is none before its answer, a timeout is loss", func(t *testing.T) {
		l := sacking(t).send(100)
		l.wait(micros(l.conn.rto))
		expect(l, "probed", "")
		l.wait(2 * micros(l.conn.rto))
		expect(l, "timed out", "Loss")
	})
	t.Run("E-OPT-5 what was sent again in vain is still out", func(t *testing.T) {
		l := sacking(t)
		mss := uint32(l.conn.smss)
		l.send(5 * int(mss))
		l.now = l.now.Add(50 * time.Millisecond)
		l.in(ack(1, Block{Seq(1 + 2*mss), Seq(1 + 5*mss)}))
		expect(l, "two are lost", "Recovery")
		// Both were only late: D-SACKs undo the cut, and the second retransmission is still on its way.
		l.in(ack(1+mss, Block{1, Seq(1 + mss)}, Block{Seq(1 + 2*mss), Seq(1 + 5*mss)}))
		l.conn.undoCut(l.now)
		expect(l, "undone", "Disorder")
		l.in(ack(1 + 5*mss))
		expect(l, "all is acknowledged", "")
	})
	t.Run("E-OPT-5 ECN", func(t *testing.T) {
		l := newLab(t, Config{ECN: ECNActive}, Options{Linger: -1, NoDelay: true}, func(s *Segment) {
			s.Options |= OptSACKPermitted
			s.Flags |= ECE
		}).send(5 * 1460)
		l.in(seg{flags: ACK | ECE, seq: 1, ack: 1461})
		expect(l, "told of congestion", "CWR")
		l.in(ack(1 + 5*1460))
		expect(l, "a round later", "")
	})
}
