package tcp

import (
	"slices"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
)

// again counts the segments before highest that left since the output was last taken.
func (l *lab) again(highest Seq) (n int) {
	for _, s := range l.out {
		if s.TextLen > 0 && s.Seq.LessThan(highest) {
			n++
		}
	}
	return n
}

func TestFRTO(t *testing.T) {
	for _, sack := range []bool{true, false} {
		name := map[bool]string{true: "with SACK", false: "without SACK"}[sack]
		// spike is a flight of ten, with more text waiting, all acknowledgments of which are three seconds late.
		spike := func(t *testing.T) *lab {
			l := flight(t, Config{}, sack, 10)
			l.send(40 * 1460)
			l.want()
			l.wait(3 * time.Second)
			if l.env.Counters.Timeouts < 3 {
				t.Fatalf("%d timeouts", l.env.Counters.Timeouts)
			}
			l.out = nil
			return l
		}
		t.Run("C-FRTO-1 C-FRTO-2 a spike of delay sends nothing twice but the first segment, "+name, func(t *testing.T) {
			l := spike(t)
			cwnd := uint32(10 * 1460)
			next := l.conn.snd.nxt.Distance(l.iss)
			l.in(ackTo(1)).want(seg{flags: ACK, seq: next, ack: 1, n: 1460}, seg{flags: ACK, seq: next + 1460, ack: 1, n: 1460})
			highest := l.conn.snd.nxt
			l.in(ackTo(2))
			if c := &l.conn; c.phase != cc.Open || c.cwnd != cwnd || c.ssthresh != cc.MaxCwnd || c.tx.sb.lost != 0 {
				t.Errorf("state %d, cwnd %d, ssthresh %d, %d lost", c.phase, c.cwnd, c.ssthresh, c.tx.sb.lost)
			}
			if got := l.conn.srtt; got < 3e6 {
				t.Errorf("SRTT %v does not know of the spike", micros(got))
			}
			if got := l.conn.rto; got < 9e6 {
				t.Errorf("RTO %v", micros(got))
			}
			for i := uint32(3); i <= 10; i++ {
				l.in(ackTo(i))
			}
			if n := l.again(highest); n != 0 || l.env.Counters.SpuriousTimeouts != 1 {
				t.Errorf("%d segments sent again, %d spurious timeouts", n, l.env.Counters.SpuriousTimeouts)
			}
		})
		t.Run("C-FRTO-1 a duplicate ACK for the new segments says that the loss was real, "+name, func(t *testing.T) {
			l := spike(t)
			l.in(ackTo(1))
			l.out = nil
			recover := l.conn.recover.Distance(l.iss)
			s := ackTo(1)
			if sack {
				s.sack = []Block{{Seq(recover), Seq(recover + 1460)}}
			}
			l.in(s)
			if c := &l.conn; c.phase != cc.Timeout || c.tx.frto != frtoOff || c.cwnd > 3*1460 {
				t.Errorf("state %d, step %d, cwnd %d", c.phase, c.tx.frto, c.cwnd)
			}
			if len(l.out) == 0 || l.out[0].Seq != l.iss.Add(1+1460) {
				t.Errorf("the second segment is not sent again: %v", l.out)
			}
		})
		t.Run("C-FRTO-1 an ACK of all that was out proves nothing, "+name, func(t *testing.T) {
			l := spike(t)
			l.raw(seg{flags: ACK, seq: 1, ack: l.conn.recover.Distance(l.iss)})
			if c := &l.conn; c.phase != cc.Open || c.ssthresh == cc.MaxCwnd || l.env.Counters.SpuriousTimeouts != 0 {
				t.Errorf("state %d, ssthresh %d", c.phase, c.ssthresh)
			}
		})
		t.Run("C-FRTO-1 without new text the timeout counts, "+name, func(t *testing.T) {
			l := flight(t, Config{}, sack, 10)
			l.wait(3 * time.Second)
			l.out = nil
			l.in(ackTo(1)) // the first segment alone
			if len(l.out) == 0 || l.out[0].Seq != l.iss.Add(1+1460) || l.conn.phase != cc.Timeout {
				t.Errorf("state %d, %d segments out", l.conn.phase, len(l.out))
			}
		})
	}
	t.Run("C-FRTO-1 RTO is not set anew by an ACK that reports a duplicate", func(t *testing.T) {
		for _, duplicate := range []bool{false, true} {
			l := flight(t, Config{}, true, 20)
			for l.env.Counters.Timeouts < 2 {
				l.wait(l.conn.Deadline().Sub(l.now))
			}
			srtt, late := micros(l.conn.srtt), l.now.Sub(l.conn.tx.sb.recs[l.conn.tx.sb.head+1].xmit)
			l.in(ackTo(1))
			s, want := ackTo(3), late
			if duplicate { // of one of the two retransmissions: the other is still out
				s.sack = []Block{blk(0, 1)}
				want = srtt + (late-srtt)/8 // one measurement like any other
			}
			l.in(s)
			if n := l.env.Counters.SpuriousTimeouts; n != 1 {
				t.Fatalf("duplicate %v: %d timeouts undone", duplicate, n)
			}
			if got := micros(l.conn.srtt); got != want {
				t.Errorf("duplicate %v: SRTT was %v, is %v, want %v", duplicate, srtt, got, want)
			}
		}
	})
	t.Run("C-FRTO-1 a timeout in recovery is not put to the test", func(t *testing.T) {
		l := flight(t, Config{}, true, 10)
		l.in(ackTo(0, blk(1, 5)))
		l.wait(time.Second)
		if l.conn.phase != cc.Timeout || l.conn.tx.frto != frtoOff {
			t.Errorf("state %d, step %d", l.conn.phase, l.conn.tx.frto)
		}
	})
}

// undoSpy notes what its controller is told to undo.
type undoSpy struct {
	cc.Controller
	undone []cc.Prior
}

func (s *undoSpy) OnUndo(w *cc.Window, prior cc.Prior, now mono.Time) {
	s.undone = append(s.undone, prior)
	s.Controller.OnUndo(w, prior, now)
}

func TestUndo(t *testing.T) {
	t.Run("C-DSACK-2 C-CUB-5 a needless fast retransmit is undone", func(t *testing.T) {
		l := flight(t, Config{}, true, 10)
		spy := &undoSpy{Controller: l.conn.cc.Controller}
		l.conn.cc.Controller = spy
		l.conn.ssthresh = 9 * 1460
		cwnd := l.conn.cwnd
		l.in(ackTo(0, blk(1, 4))).want(seg{flags: ACK, seq: 1, ack: 1, n: 1460})
		if l.conn.phase != cc.Recovery {
			t.Fatal("no recovery")
		}
		l.now = l.now.Add(time.Millisecond)
		l.in(ackTo(4))
		l.in(ackTo(5, blk(0, 1)))
		if c := &l.conn; c.phase != cc.Open || c.cwnd != cwnd || c.ssthresh != 9*1460 || !slices.Equal(spy.undone, []cc.Prior{{Cwnd: cwnd, Ssthresh: 9 * 1460}}) {
			t.Errorf("phase %d, cwnd %d, ssthresh %d, undone %v", c.phase, c.cwnd, c.ssthresh, spy.undone)
		}
		if n := l.env.Counters; n.SpuriousRecoveries != 1 || n.SpuriousTimeouts != 0 {
			t.Errorf("%d recoveries and %d timeouts undone", n.SpuriousRecoveries, n.SpuriousTimeouts)
		}
	})
	t.Run("C-DSACK-2 the word may come when all is acknowledged", func(t *testing.T) {
		l := flight(t, Config{}, true, 10)
		cwnd := l.conn.cwnd
		l.in(ackTo(0, blk(1, 4)))
		l.in(ackTo(10))
		if l.conn.tx != nil || l.conn.ssthresh == cc.MaxCwnd {
			t.Fatal("recovery is not over")
		}
		l.in(ackTo(10, blk(0, 1)))
		if l.conn.cwnd != cwnd || l.conn.ssthresh != cc.MaxCwnd {
			t.Errorf("cwnd %d, ssthresh %d", l.conn.cwnd, l.conn.ssthresh)
		}
	})
	t.Run("C-DSACK-2 the word may come behind later acknowledgments", func(t *testing.T) {
		l := flight(t, Config{}, true, 10)
		cwnd := l.conn.cwnd
		l.in(ackTo(0, blk(1, 4))).in(ackTo(9)).in(ackTo(5, blk(0, 1)))
		if l.conn.cwnd < cwnd || l.conn.ssthresh != cc.MaxCwnd || l.env.Counters.SpuriousRecoveries != 1 {
			t.Errorf("cwnd %d, ssthresh %d", l.conn.cwnd, l.conn.ssthresh)
		}
	})
	t.Run("C-DSACK-1 duplicates that touch are reported as one", func(t *testing.T) {
		var a reassembly
		a.noteDup(100, 200)
		a.noteDup(200, 300)
		a.noteDup(50, 100)
		if a.dup != (Block{50, 300}) {
			t.Errorf("%v", a.dup)
		}
		a.noteDup(400, 500)
		if a.dup != (Block{400, 500}) {
			t.Errorf("%v", a.dup)
		}
	})
	t.Run("C-DSACK-2 a duplicate of what was acknowledged before the cut undoes nothing", func(t *testing.T) {
		l := flight(t, Config{}, true, 10).in(ackTo(4)).in(ackTo(4, blk(5, 9)))
		if l.conn.phase != cc.Recovery || l.conn.totalRetrans != 1 {
			t.Fatalf("state %d, %d segments sent again", l.conn.phase, l.conn.totalRetrans)
		}
		l.in(ackTo(4, blk(0, 1), blk(5, 9)))
		if l.conn.phase != cc.Recovery || l.env.Counters.SpuriousRecoveries != 0 {
			t.Errorf("state %d, %d recoveries undone", l.conn.phase, l.env.Counters.SpuriousRecoveries)
		}
	})
	t.Run("C-DSACK-2 one needless retransmission of two undoes nothing", func(t *testing.T) {
		l := flight(t, Config{}, true, 10)
		l.in(ackTo(0, blk(1, 2), blk(3, 10)))
		l.now = l.now.Add(time.Millisecond)
		l.in(ackTo(1, blk(3, 10)))
		if l.conn.totalRetrans != 2 {
			t.Fatalf("%d segments sent again", l.conn.totalRetrans)
		}
		l.in(ackTo(10))
		l.in(ackTo(10, blk(2, 3)))
		if l.conn.ssthresh == cc.MaxCwnd || l.env.Counters.SpuriousRecoveries != 0 {
			t.Error("undone")
		}
	})
	t.Run("C-DSACK-2 a timeout that F-RTO cannot judge is undone", func(t *testing.T) {
		l := flight(t, Config{}, true, 1)
		cwnd := l.conn.cwnd
		l.wait(700 * time.Millisecond)
		if l.env.Counters.Timeouts != 1 || l.conn.totalRetrans != 2 {
			t.Fatalf("%d timeouts, %d segments sent again", l.env.Counters.Timeouts, l.conn.totalRetrans)
		}
		l.in(ackTo(1)).in(ackTo(1, blk(0, 1)))
		if l.conn.cwnd < cwnd || l.conn.ssthresh != cc.MaxCwnd || l.env.Counters.SpuriousTimeouts != 1 {
			t.Errorf("cwnd %d, ssthresh %d", l.conn.cwnd, l.conn.ssthresh)
		}
	})
	t.Run("C-DSACK-2 what the network has duplicated says nothing", func(t *testing.T) {
		l := flight(t, Config{}, true, 10)
		l.in(ackTo(2, blk(0, 1))).in(ackTo(3, blk(1, 2)))
		if reo := l.conn.cc.loss.reo; reo != (reordering{}) {
			t.Errorf("%+v", reo)
		}
	})
}
