package tcp

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
)

func TestScoreboard(t *testing.T) {
	const mss = 1000
	for _, c := range []struct {
		name   string
		blocks []Block
		lost   bool
	}{
		{"nothing", nil, false},
		{"two full segments", []Block{{2000, 4000}}, false},
		{"more than two full segments", []Block{{2000, 4001}}, true},
		{"two islands", []Block{{2000, 2010}, {4000, 4010}}, false},
		{"three islands", []Block{{2000, 2010}, {4000, 4010}, {6000, 6010}}, true},
		{"three blocks, two of them adjacent", []Block{{2000, 2010}, {2010, 2020}, {6000, 6010}}, false},
	} {
		t.Run("C-6675-1 the first is lost: "+c.name, func(t *testing.T) {
			var s scoreboard
			for i := range Seq(10) {
				s.sent(1000+i*mss, mss, false, mono.Time(i+1))
			}
			for _, b := range c.blocks {
				s.mark(b, func(*record, *cc.Stamp) {})
			}
			if got := s.dupThresh(mss); got != c.lost {
				t.Errorf("%v, want %v", got, c.lost)
			}
		})
	}
	t.Run("C-RACK-1 very many records know when they were sent, but for a 64th of MinRTT", func(t *testing.T) {
		const span = 3 * time.Millisecond
		var s scoreboard
		for i := range Seq(20_000) {
			s.sent(i*mss, mss, false, mono.Time(i)*mono.Time(12*time.Microsecond))
			s.compact(span)
		}
		if n := s.len(); n > maxRecords+maxRecords/8 {
			t.Errorf("%d records", n)
		}
		for _, r := range s.recs[s.head:] {
			first := mono.Time(r.seq/mss) * mono.Time(12*time.Microsecond)
			if late := r.xmit.Sub(first); late >= span {
				t.Fatalf("%d octets at %d claim to have left %v late", r.n, r.seq, late)
			}
		}
	})
	t.Run("C-6675-1 pipe counts what is neither delivered nor lost, and what was sent again", func(t *testing.T) {
		l := flight(t, Config{}, true, 10)
		pipe := func(segments uint32) {
			t.Helper()
			if got := l.conn.pipe(); got != segments*1460 {
				t.Errorf("pipe %d, want %d segments", got, segments)
			}
		}
		pipe(10)
		l.raw(ackTo(0, blk(3, 4)))
		pipe(9)
		l.raw(ackTo(0, blk(3, 6)))
		pipe(4) // three delivered, three lost
		l.conn.Output(l.now)
		pipe(6)
		l.raw(ackTo(3, blk(3, 6)))
		pipe(4)
	})
	t.Run("C-6675-2 first what is lost, from the left, then new text", func(t *testing.T) {
		l := flight(t, Config{}, true, 10)
		l.send(20 * 1460)
		l.in(ackTo(0, blk(3, 4), blk(1, 2)))
		l.out = nil // limited transmit
		l.in(ackTo(0, blk(5, 10), blk(3, 4), blk(1, 2)))
		hole := func(i uint32) seg { return seg{flags: ACK, seq: 1 + i*1460, ack: 1, n: 1460} }
		l.want(hole(0), hole(2), hole(4), hole(12), hole(13))
		l.now = l.now.Add(10 * time.Millisecond)
		l.in(ackTo(2, blk(5, 10))).want(hole(14))
	})
	t.Run("C-6675-2 a tail that is lost in recovery is found without a timeout", func(t *testing.T) {
		l := flight(t, Config{}, true, 10)
		l.in(ackTo(0, blk(1, 9))).want(seg{flags: ACK, seq: 1, ack: 1, n: 1460})
		l.now = l.now.Add(10 * time.Millisecond)
		l.in(ackTo(9)).want(seg{flags: ACK | PSH, seq: 1 + 9*1460, ack: 1, n: 1460})
		l.now = l.now.Add(10 * time.Millisecond)
		if l.in(ackTo(10)); l.env.Counters.Timeouts != 0 || l.conn.tx != nil {
			t.Error("it took a timeout")
		}
	})
}

func TestAfterTimeout(t *testing.T) {
	t.Run("C-NR-2 duplicate ACKs at the recovery point begin no second recovery", func(t *testing.T) {
		l := flight(t, Config{NoSACK: true}, false, 10)
		l.wait(micros(l.conn.rto))
		for i := uint32(1); i <= 10; i++ {
			l.in(ackTo(i))
		}
		l.send(5 * 1460)
		l.out = nil
		ssthresh := l.conn.ssthresh
		for range 6 {
			l.in(ackTo(10))
		}
		if l.env.Counters.FastRecoveries != 0 || l.conn.ssthresh != ssthresh || l.again(l.iss.Add(1+15*1460)) != 0 {
			t.Errorf("%d recoveries, ssthresh %d, was %d", l.env.Counters.FastRecoveries, l.conn.ssthresh, ssthresh)
		}
		l.in(ackTo(11)) // beyond it they count again
		for range 3 {
			l.in(ackTo(11))
		}
		if l.env.Counters.FastRecoveries != 1 {
			t.Error("no recovery beyond the recovery point")
		}
	})
	t.Run("C-NR-2 the first window is no exception, nor is one 2^31 octets on", func(t *testing.T) {
		for _, skip := range []uint32{0, 1 << 31, 1<<31 + 1<<30} {
			l := flight(t, Config{NoSACK: true}, false, 10)
			if skip > 0 {
				l.in(ackTo(10))
				for range skip >> 28 { // a flow without loss
					l.conn.snd.una, l.conn.snd.nxt = l.conn.snd.una.Add(1<<28), l.conn.snd.nxt.Add(1<<28)
					l.iss = l.iss.Add(1 << 28)
					l.send(1460)
					l.in(ackTo(11))
					l.iss = l.iss.Add(1460)
				}
				l.send(10 * 1460)
			}
			for range 3 {
				l.in(seg{flags: ACK, seq: 1, ack: l.conn.snd.una.Distance(l.iss)})
			}
			if l.conn.phase != cc.Recovery {
				t.Errorf("%d octets on: no fast retransmit", skip)
			}
		}
	})
}

func TestRTOBounds(t *testing.T) {
	t.Run("C-RTO-2 the variance term is 200 ms at least, the whole 60 s at most or what is configured", func(t *testing.T) {
		for _, c := range []struct {
			cfg    Config
			sample time.Duration
			want   time.Duration
		}{
			{Config{}, time.Microsecond, 200*time.Millisecond + time.Microsecond},
			{Config{}, 20 * time.Millisecond, 220 * time.Millisecond},
			{Config{}, 10 * time.Minute, 120 * time.Second},
			{Config{MaxRTO: time.Second}, 10 * time.Minute, 60 * time.Second},
			{Config{MinRTO: time.Second}, 20 * time.Millisecond, 1020 * time.Millisecond},
		} {
			cfg := c.cfg.WithDefaults()
			x := Conn{env: &Env{Config: &cfg}}
			for range 100 {
				x.sampleRTT(c.sample)
			}
			if got := micros(x.rto); got != c.want {
				t.Errorf("RTO %v after samples of %v, want %v", got, c.sample, c.want)
			}
			x.backoff = 30
			if got, want := x.backedOffRTO(), cfg.MaxRTO; got != want {
				t.Errorf("backed off to %v, want %v", got, want)
			}
		}
	})
	t.Run("C-RTO-7 every detector by time waits a second without a sample, backs off, and cuts the window", func(t *testing.T) {
		l := &lab{t: t, env: newEnv(Config{}), now: mono.Time(time.Hour)}
		l.dial(DefaultOptions())
		l.out = nil
		for _, d := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
			l.wait(d - time.Nanosecond).want().wait(time.Nanosecond).want(seg{flags: SYN})
		}
		l = flight(t, Config{}, true, 10)
		l.conn.srtt = 0
		if got := l.conn.probeTimeout(); got != time.Second {
			t.Errorf("PTO %v without a sample", got)
		}
		l = flight(t, Config{}, true, 10) // the reordering window
		l.in(ackTo(0, blk(1, 2)))
		if l.wait(l.conn.Deadline().Sub(l.now)); l.conn.phase != cc.Recovery || l.conn.ssthresh == cc.MaxCwnd {
			t.Error("a loss by RACK's timer does not cut the window")
		}
		l = flight(t, Config{}, true, 10)
		if l.wait(time.Second); l.conn.phase != cc.Timeout || l.conn.ssthresh == cc.MaxCwnd || l.conn.cwnd != 1460 {
			t.Error("a timeout does not cut the window")
		}
	})
	t.Run("C-RTO-8 a round trip ends when the ACK arrives, however long it waits to be dealt with", func(t *testing.T) {
		l := flight(t, Config{}, true, 2)
		l.conn.srtt = 0
		sent := l.conn.lastSend
		l.raw(ackTo(2))
		took := l.now.Sub(sent)
		l.now = l.now.Add(50 * time.Millisecond)
		l.conn.Output(l.now)
		if got := micros(l.conn.srtt); got != took {
			t.Errorf("SRTT %v, want %v", got, took)
		}
	})
}

func TestPRR(t *testing.T) {
	t.Run("C-PRR-1 RecoverFS leaves out what was selectively acknowledged before, and counts what begins recovery", func(t *testing.T) {
		for _, c := range []struct {
			before, trigger seg
			recoverFS       uint32 // segments
			delivered       uint32
		}{
			{ackTo(0), ackTo(0, blk(1, 4)), 10, 3},
			{ackTo(0, blk(1, 2)), ackTo(0, blk(1, 6)), 9, 4},
			{ackTo(0), ackTo(2, blk(3, 6)), 10, 5},
		} {
			l := flight(t, Config{}, true, 10)
			l.in(c.before)
			l.out = nil
			l.raw(c.trigger)
			tx := l.conn.tx
			if l.conn.phase != cc.Recovery || tx.flight.PRR.RecoverFS != c.recoverFS*1460 || tx.flight.PRR.Delivered != c.delivered*1460 || tx.flight.PRR.Out != 0 {
				t.Errorf("state %d, RecoverFS %d, delivered %d, out %d; want %d, %d, 0 segments",
					l.conn.phase, tx.flight.PRR.RecoverFS, tx.flight.PRR.Delivered, tx.flight.PRR.Out, c.recoverFS, c.delivered)
			}
		}
	})
	t.Run("C-PRR-2 how much an ACK lets go", func(t *testing.T) {
		for _, c := range []struct {
			name                    string
			pipe, ssthresh          uint32 // segments, as all
			delivered, out, now, fs uint32
			safe                    bool
			quota                   uint32 // octets
		}{
			{"in proportion while pipe is over ssthresh", 16, 14, 3, 1, 1, 20, false, (4*14*1460+19)/20 - 1460},
			{"nothing when all of it is out", 16, 14, 3, 3, 1, 20, false, 0},
			{"what was delivered below it", 8, 14, 10, 10, 2, 20, false, 2 * 1460},
			{"and a segment more when all goes well", 8, 14, 10, 10, 2, 20, true, 3 * 1460},
			{"what is still owed", 8, 14, 10, 5, 1, 20, false, 6 * 1460},
			{"as far as ssthresh", 13, 14, 10, 5, 1, 20, true, 1460},
		} {
			l := newLab(t, Config{}, Options{Linger: -1, NoDelay: true}, func(s *Segment) { s.Options |= OptSACKPermitted })
			x := &l.conn
			x.cwnd = 20 * 1460
			l.send(20 * 1460)
			for x.pipe() > c.pipe*1460 {
				x.tx.sb.split(x.tx.sb.head, 1460)
				x.tx.sb.recs[x.tx.sb.head].flags |= recLost
				x.tx.sb.lost += 1460
			}
			x.phase, x.ssthresh = cc.Recovery, c.ssthresh*1460
			x.tx.flight.PRR.Delivered, x.tx.flight.PRR.Out, x.tx.flight.PRR.RecoverFS = c.delivered*1460, c.out*1460, c.fs*1460
			x.tellACK(&ackEvent{delivered: c.now * 1460, safe: c.safe}, cc.Recovery, false, l.now)
			if got := x.cwnd - x.pipe(); got != c.quota {
				t.Errorf("%s: %d octets, want %d", c.name, got, c.quota)
			}
		}
	})
	t.Run("C-PRR-2 an ACK that shows further loss is not safe", func(t *testing.T) {
		for _, c := range []struct {
			ack   seg
			quota uint32 // segments
		}{
			{ackTo(14), 1 + 1},
			{ackTo(14, blk(15, 18)), 4},
		} {
			l := newLab(t, Config{}, Options{Linger: -1, NoDelay: true}, func(s *Segment) { s.Options |= OptSACKPermitted })
			x := &l.conn
			x.cwnd = 40 * 1460
			l.send(40 * 1460).wait(11 * time.Millisecond).in(ackTo(0, blk(1, 14)))
			if x.phase != cc.Recovery || x.pipe() != 27*1460 || x.ssthresh != 28*1460 {
				t.Fatalf("state %d, pipe %d, ssthresh %d", x.phase, x.pipe(), x.ssthresh)
			}
			x.tx.flight.PRR.Out = x.tx.flight.PRR.Delivered
			l.raw(c.ack)
			if got := x.cwnd - x.pipe(); got != c.quota*1460 {
				t.Errorf("%v: %d octets, want %d", c.ack, got, c.quota*1460)
			}
		}
	})
	t.Run("C-PRR-2 no ACK lets go more than it delivers and a segment", func(t *testing.T) {
		l := newLab(t, Config{}, Options{Linger: -1, NoDelay: true}, func(s *Segment) {
			s.Options |= OptSACKPermitted | OptWindowScale
			s.WindowScale = 7
		})
		l.conn.cwnd, l.conn.sndBuf = 40*1460, 1<<20
		l.send(40 * 1460)
		l.send(200 * 1460)
		l.now = l.now.Add(10 * time.Millisecond)
		l.out = nil
		out := 0
		for i := uint32(5); i <= 40; i++ { // the first four are lost
			l.in(ackTo(0, blk(4, i)))
			burst := 0
			for _, s := range l.out {
				burst += int(s.TextLen)
			}
			out += burst
			if delivered := uint32(i-4) * 1460; i >= 7 { // before that it is no recovery
				if i > 7 && burst > 2*1460 || l.conn.tx.flight.PRR.Out > delivered {
					t.Fatalf("%d octets at once, %d in all after %d delivered", burst, l.conn.tx.flight.PRR.Out, delivered)
				}
			}
			l.out = nil
		}
		if out < 36*1460*6/10 {
			t.Errorf("%d octets in recovery", out)
		}
	})
}

func TestWindowScaleLater(t *testing.T) {
	t.Run("C-WS-4 the option counts on a SYN only", func(t *testing.T) {
		l := sacking(t)
		in := Segment{Flags: ACK, Seq: l.conn.rcv.nxt, Ack: l.conn.snd.nxt, Window: 1000, TSVal: 1001,
			Options: OptTimestamps | OptWindowScale, WindowScale: 3, Text: Span{Data: []byte("x")}, TextLen: 1}
		l.conn.SegmentArrives(&in, l.now)
		if l.conn.sndScale != 7 || l.conn.snd.wnd != 1000<<7 {
			t.Errorf("scale %d, window %d", l.conn.sndScale, l.conn.snd.wnd)
		}
	})
	t.Run("C-WS-5 rounding shows the right edge less than a unit off, and never takes it back", func(t *testing.T) {
		r := rand.New(rand.NewPCG(5, 5))
		for range 50 {
			buf := 65536 + r.IntN(1<<20)
			l := newLab(t, Config{RecvBuffer: buf, MaxRecvBuffer: buf * (1 + r.IntN(64))}, DefaultOptions(), func(s *Segment) {
				s.Options |= OptWindowScale
			})
			scale, edge := l.conn.rcvScale, l.conn.rcv.edge
			at := uint32(1)
			for range 300 {
				n := 1 + r.IntN(1460)
				l.in(seg{flags: ACK, seq: at, ack: 1, n: n})
				at += uint32(n)
				if r.IntN(3) == 0 {
					l.read()
				}
				l.conn.sendACK(l.now)
				for _, s := range l.out {
					shown := s.Ack.Add(uint32(s.Window) << scale)
					if shown.Add(1 << scale).LessThanEq(edge) {
						t.Fatalf("scale %d: the edge falls by %d", scale, edge.Distance(shown))
					}
					edge = maxSeq(edge, shown)
				}
				l.out = nil
				if l.conn.rcv.edge.LessThan(edge) {
					t.Fatalf("scale %d: %d octets that were offered are not taken", scale, edge.Distance(l.conn.rcv.edge))
				}
				if over := edge.Distance(l.conn.rcv.nxt) + uint32(l.conn.Readable()); over > uint32(l.conn.rcvBuf)+1<<scale {
					t.Fatalf("scale %d: %d octets offered with a buffer of %d", scale, over, l.conn.rcvBuf)
				}
			}
		}
	})
}
