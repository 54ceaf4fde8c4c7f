package tcp

import (
	"fmt"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
)

// flight sends n full segments on a connection without timestamps and returns it with cwnd open.
func flight(t *testing.T, cfg Config, sackOK bool, n int) *lab {
	l := newLab(t, cfg, Options{Linger: -1, NoDelay: true}, func(s *Segment) {
		if sackOK {
			s.Options |= OptSACKPermitted
		}
	})
	l.now = l.now.Add(time.Millisecond)
	l.send(n * 1460)
	l.out = nil
	l.now = l.now.Add(10 * time.Millisecond)
	return l
}

// blk is a block of whole segments [from, to), counted from zero.
func blk(from, to uint32) Block { return Block{Seq(1 + from*1460), Seq(1 + to*1460)} }

func ackTo(segment uint32, sack ...Block) seg {
	return seg{flags: ACK, seq: 1, ack: 1 + segment*1460, sack: sack}
}

func TestSACKSender(t *testing.T) {
	t.Run("C-RACK-2 a hole with later segments delivered is sent again", func(t *testing.T) {
		l := flight(t, Config{}, true, 10)
		l.in(ackTo(0, blk(1, 2))).want()
		l.in(ackTo(0, blk(1, 8))).want(seg{flags: ACK, seq: 1, ack: 1, n: 1460})
		if l.conn.phase != cc.Recovery {
			t.Error("not in recovery")
		}
		l.now = l.now.Add(10 * time.Millisecond)
		// The retransmission is lost as well: what is sent after it shows that.
		l.send(1460)
		l.out = nil
		l.now = l.now.Add(15 * time.Millisecond)
		l.in(ackTo(0, blk(10, 11), blk(1, 8)))
		if l.conn.env.Counters.Timeouts != 0 || len(l.out) == 0 || l.out[0].Seq != l.iss.Add(1) {
			t.Errorf("the lost retransmission is not repaired: %d segments out", len(l.out))
		}
	})
	t.Run("C-6675-3 one cut for all losses of a window", func(t *testing.T) {
		l := flight(t, Config{}, true, 10)
		before := l.conn.cwnd
		l.in(ackTo(0, blk(1, 2), blk(3, 4), blk(5, 6), blk(7, 8)))
		cut := l.conn.ssthresh
		if want := before * 7 / 10; cut != want {
			t.Errorf("ssthresh %d, want %d", cut, want)
		}
		l.now = l.now.Add(10 * time.Millisecond)
		for i := uint32(2); i <= 10; i += 2 {
			l.in(ackTo(i))
		}
		if l.conn.ssthresh != cut || l.conn.phase != cc.Open || l.conn.env.Counters.FastRecoveries != 1 {
			t.Errorf("ssthresh %d after %d recoveries, want %d after one", l.conn.ssthresh, l.conn.env.Counters.FastRecoveries, cut)
		}
		t.Run("C-PRR-3 at the end cwnd is ssthresh", func(t *testing.T) {
			if l.conn.cwnd != cut {
				t.Errorf("cwnd %d", l.conn.cwnd)
			}
		})
	})
	t.Run("C-6675-3 a hole that is lost again and again cuts no more, and raises ssthresh never", func(t *testing.T) {
		l := flight(t, Config{}, true, 10)
		l.send(70 * 1460)
		l.in(ackTo(0, blk(1, 10)))
		cut := l.conn.ssthresh
		// Whatever else is sent arrives, and the flight with all that was selectively acknowledged grows.
		for range 40 {
			l.now = l.now.Add(time.Millisecond)
			l.in(ackTo(0, blk(1, l.conn.flightSize()/1460)))
		}
		if flight := l.conn.flightSize(); flight < 40*1460 {
			t.Fatalf("a flight of %d", flight)
		}
		l.wait(2 * time.Second)
		if l.conn.phase != cc.Timeout || l.conn.ssthresh != cut {
			t.Errorf("ssthresh %d in state %d, want %d after a timeout", l.conn.ssthresh, l.conn.phase, cut)
		}
		l.in(ackTo(1, blk(2, 50)))
		cwnd := l.conn.cwnd
		l.wait(10 * time.Second)
		if want := max(cwnd*7/10, 2*1460); l.conn.ssthresh > want {
			t.Errorf("ssthresh %d after a window of %d, want %d", l.conn.ssthresh, cwnd, want)
		}
	})
	t.Run("C-SACK-4 selective acknowledgment frees nothing", func(t *testing.T) {
		l := flight(t, Config{}, true, 4)
		l.in(ackTo(0, blk(0, 4)))
		if l.conn.SendQueued() != 4*1460 {
			t.Errorf("%d octets queued", l.conn.SendQueued())
		}
		t.Run("C-SACK-5 a reneging peer gets all again", func(t *testing.T) {
			l.out = nil
			l.wait(micros(l.conn.rto)).want(seg{flags: ACK, seq: 1, ack: 1, n: 1460})
			l.in(ackTo(1)).want(seg{flags: ACK, seq: 1461, ack: 1, n: 1460}, seg{flags: ACK, seq: 2921, ack: 1, n: 1460})
			if l.conn.tx.sb.sacked != 0 {
				t.Error("the marks were kept")
			}
		})
	})
	t.Run("C-SACK-6 invalid blocks are ignored", func(t *testing.T) {
		l := flight(t, Config{}, true, 10)
		l.in(ackTo(1))
		for _, b := range []Block{blk(3, 3), blk(4, 3), blk(8, 20), {Seq(1), Seq(2000)}, {Seq(1 << 31), Seq(1<<31 + 5)}} {
			l.in(ackTo(1, blk(2, 3), b))
			if got := l.conn.tx.sb.sacked; got != 1460 {
				t.Errorf("block %v: %d octets marked", b, got)
			}
		}
	})
	t.Run("D-SACK-1 blocks of single octets on a tiny MSS", func(t *testing.T) {
		l := newLab(t, Config{}, Options{Linger: -1, NoDelay: true}, func(s *Segment) {
			s.MSS = 48
			s.Options |= OptSACKPermitted | OptWindowScale
			s.WindowScale = 7
		})
		l.conn.cwnd = 1 << 20
		l.conn.sndBuf = 1 << 20
		l.send(500000)
		l.in(seg{flags: ACK, seq: 1, ack: 1}).wait(0)
		l.out = nil
		for i := uint32(2); i < 60000; i += 8 {
			l.raw(seg{flags: ACK, seq: 1, ack: 1, sack: []Block{{Seq(i), Seq(i + 1)}, {Seq(i + 2), Seq(i + 3)}, {Seq(i + 4), Seq(i + 5)}}})
			if n := l.conn.tx.sb.len(); n > maxRecords+4 {
				t.Fatalf("%d records", n)
			}
		}
		l.out = nil
		l.state(Established)
	})
	t.Run("C-TLP-2 a lost tail is repaired before the RTO", func(t *testing.T) {
		for _, lost := range []uint32{1, 3} {
			l := flight(t, Config{}, true, 10)
			l.in(ackTo(10 - lost))
			at := l.conn.Deadline()
			if rto := l.conn.rtoFrom.Add(micros(l.conn.rto)); at >= rto && lost > 1 {
				t.Errorf("%d lost: probe at %v, RTO at %v", lost, at, rto)
			}
			l.now = at
			l.conn.Timeout(at)
			l.want(seg{flags: ACK | PSH, seq: 1 + 9*1460, ack: 1, n: 1460})
			l.now = l.now.Add(10 * time.Millisecond)
			if lost == 3 {
				l.in(ackTo(7, blk(9, 10)))
				l.want(seg{flags: ACK, seq: 1 + 7*1460, ack: 1, n: 1460})
				l.now = l.now.Add(10 * time.Millisecond)
				l.in(ackTo(8, blk(9, 10))).want(seg{flags: ACK, seq: 1 + 8*1460, ack: 1, n: 1460})
				l.now = l.now.Add(10 * time.Millisecond)
			}
			l.in(ackTo(10))
			if l.env.Counters.Timeouts != 0 {
				t.Error("it took a timeout")
			}
		}
	})
	t.Run("C-TLP-1 PTO is two SRTT, with the ACK's delay for a single segment", func(t *testing.T) {
		l := flight(t, Config{}, true, 10)
		l.conn.srtt, l.conn.rttvar, l.conn.rto = 100000, 50000, 500000
		l.conn.armRetransmit(l.now)
		if got := l.conn.timers[timerRetransmit].Sub(l.conn.lastSend); got != 200*time.Millisecond {
			t.Errorf("PTO %v, want 200ms", got)
		}
		l = flight(t, Config{}, true, 1)
		l.conn.srtt, l.conn.rttvar, l.conn.rto = 100000, 50000, 500000
		l.conn.armRetransmit(l.now)
		if got := l.conn.timers[timerRetransmit].Sub(l.conn.lastSend); got != 400*time.Millisecond {
			t.Errorf("PTO %v, want 400ms", got)
		}
	})
}

func TestWithoutSACK(t *testing.T) {
	noSACK := Config{NoSACK: true}
	head := seg{flags: ACK, seq: 1, ack: 1, n: 1460}
	t.Run("C-CC-7 the third duplicate ACK sends the first segment again", func(t *testing.T) {
		l := flight(t, noSACK, false, 10)
		l.in(ackTo(0)).in(ackTo(0)).want().in(ackTo(0)).want(head)
	})
	t.Run("C-CC-6 what is a duplicate ACK", func(t *testing.T) {
		for name, s := range map[string]seg{
			"text":          {flags: ACK, seq: 1, ack: 1, n: 5},
			"window update": {flags: ACK, seq: 1, ack: 1, win: 60000},
			"FIN":           {flags: FIN | ACK, seq: 1, ack: 1},
		} {
			l := flight(t, noSACK, false, 10)
			l.in(ackTo(0)).in(ackTo(0))
			l.in(s)
			if l.conn.phase != cc.Open || l.conn.dupACKs != 2 {
				t.Errorf("%s counts as a duplicate ACK", name)
			}
		}
		l := newLab(t, noSACK, DefaultOptions(), nil)
		for range 5 {
			l.in(seg{flags: ACK, seq: 1, ack: 1})
		}
		if l.conn.dupACKs != 0 {
			t.Error("ACKs count as duplicates with nothing outstanding")
		}
	})
	t.Run("C-CC-4 ssthresh comes from FlightSize, not from cwnd", func(t *testing.T) {
		l := flight(t, Config{NoSACK: true, CongestionControl: "reno"}, false, 6)
		l.conn.cwnd = 100 * 1460
		l.in(ackTo(0)).in(ackTo(0)).in(ackTo(0))
		if want := uint32(3 * 1460); l.conn.ssthresh != want {
			t.Errorf("ssthresh %d, want half the flight, %d", l.conn.ssthresh, want)
		}
		l = flight(t, Config{NoSACK: true, CongestionControl: "reno"}, false, 2)
		l.conn.cwnd = 100 * 1460
		l.wait(micros(l.conn.rto))
		if want := uint32(2 * 1460); l.conn.ssthresh != want {
			t.Errorf("ssthresh %d after a timeout, want two segments, %d", l.conn.ssthresh, want)
		}
	})
	t.Run("C-LT-1 the first two duplicate ACKs release new text", func(t *testing.T) {
		l := flight(t, noSACK, false, 10)
		cwnd := l.conn.cwnd
		l.conn.Send(make([]byte, 5*1460), l.now)
		l.want()
		l.in(ackTo(0)).want(seg{flags: ACK, seq: 1 + 10*1460, ack: 1, n: 1460})
		l.in(ackTo(0)).want(seg{flags: ACK, seq: 1 + 11*1460, ack: 1, n: 1460})
		if l.conn.cwnd != cwnd {
			t.Errorf("cwnd %d, was %d", l.conn.cwnd, cwnd)
		}
	})
	t.Run("C-NR-1 a partial ACK sends the next hole", func(t *testing.T) {
		l := flight(t, noSACK, false, 10)
		l.in(ackTo(0)).in(ackTo(0)).in(ackTo(0)).want(head)
		l.now = l.now.Add(10 * time.Millisecond)
		l.in(ackTo(3))
		if len(l.out) == 0 || l.out[0].Seq != l.iss.Add(1+3*1460) || l.conn.phase != cc.Recovery {
			t.Errorf("%d segments out, state %d", len(l.out), l.conn.phase)
		}
		l.in(ackTo(10))
		if l.conn.phase != cc.Open || l.env.Counters.Timeouts != 0 {
			t.Error("recovery has not ended without a timeout")
		}
	})
	t.Run("C-6675-4 no second cut after a timeout before its point", func(t *testing.T) {
		l := flight(t, noSACK, false, 10)
		l.wait(micros(l.conn.rto))
		cut := l.conn.ssthresh
		for range 5 {
			l.in(ackTo(1))
		}
		if l.conn.ssthresh != cut || l.env.Counters.FastRecoveries != 0 {
			t.Errorf("ssthresh %d, was %d", l.conn.ssthresh, cut)
		}
	})
	t.Run("C-CC-5 repeated timeouts cut ssthresh once", func(t *testing.T) {
		l := flight(t, noSACK, false, 10)
		l.wait(micros(l.conn.rto))
		cut := l.conn.ssthresh
		l.wait(10 * time.Second)
		if l.env.Counters.Timeouts < 3 || l.conn.ssthresh != cut || l.conn.cwnd != 1460 {
			t.Errorf("%d timeouts: ssthresh %d, was %d; cwnd %d", l.env.Counters.Timeouts, l.conn.ssthresh, cut, l.conn.cwnd)
		}
	})
	t.Run("D-ACK-3 feigned duplicate ACKs release at most what is outstanding", func(t *testing.T) {
		l := flight(t, noSACK, false, 10)
		l.conn.sndBuf = 1 << 20
		l.conn.Send(make([]byte, 500000), l.now)
		for range 10000 {
			l.in(ackTo(0))
		}
		if got := l.conn.flightSize(); got > 21*1460 {
			t.Errorf("%d octets in flight", got)
		}
	})
}

func TestWindowGrowth(t *testing.T) {
	t.Run("C-CC-1 the initial window", func(t *testing.T) {
		l := established(t)
		l.conn.Send(make([]byte, 60000), l.now)
		n := uint32(0)
		for _, s := range l.out {
			n += s.TextLen
		}
		if n != 10*1460 {
			t.Errorf("%d octets in the first burst", n)
		}
		for mss, want := range map[uint16]uint32{536: 5360, 1460: 14600, 1461: 14600, 7300: 14600, 8960: 17920} {
			if got := cc.InitialWindow(uint32(mss)); got != want {
				t.Errorf("MSS %d: %d octets, want %d", mss, got, want)
			}
		}
		for lost, want := range []uint32{14600, 14600, 1460} {
			t.Run(fmt.Sprintf("C-CC-1 with %d SYNs lost", lost), func(t *testing.T) {
				l := &lab{t: t, env: newEnv(Config{NoTimestamps: true}), now: mono.Time(time.Hour), irs: 5000}
				l.dial(DefaultOptions())
				l.wait([]time.Duration{0, time.Second, 3 * time.Second}[lost])
				in := Segment{Flags: SYN | ACK, Seq: l.irs, Ack: l.iss.Add(1), Window: 65535, Options: OptMSS, MSS: 1460}
				l.conn.SegmentArrives(&in, l.now)
				if l.state(Established); l.conn.cwnd != want {
					t.Errorf("cwnd %d, want %d", l.conn.cwnd, want)
				}
			})
		}
	})
	t.Run("D-ACK-1 growth by octets, not by ACKs", func(t *testing.T) {
		l := established(t)
		l.conn.Send(make([]byte, 60000), l.now)
		before := l.conn.cwnd
		for i := range uint32(1460) {
			l.raw(seg{flags: ACK, seq: 1, ack: 2 + i})
		}
		if got := l.conn.cwnd - before; got > 1460 {
			t.Errorf("cwnd grew by %d", got)
		}
	})
	t.Run("D-ACK-2 an ACK ahead of SND.NXT grows nothing", func(t *testing.T) {
		l := established(t).send(1460)
		before := l.conn.cwnd
		for i := range uint32(100) {
			l.in(seg{flags: ACK, seq: 1, ack: 1462 + i*1460})
		}
		if l.conn.cwnd != before || l.conn.SendQueued() != 1460 {
			t.Errorf("cwnd %d, queued %d", l.conn.cwnd, l.conn.SendQueued())
		}
	})
	t.Run("C-CC-9 after idle at most the initial window", func(t *testing.T) {
		l := established(t)
		l.conn.cwnd, l.conn.ssthresh = 48*1460, 20*1460
		l.wait(2 * time.Second)
		l.conn.Send(make([]byte, 60000), l.now)
		if got := l.conn.flightSize(); got > 10*1460 {
			t.Errorf("%d octets in the first burst", got)
		}
		if l.conn.ssthresh != 36*1460 {
			t.Errorf("ssthresh %d does not know what the path has carried", l.conn.ssthresh)
		}
	})
	t.Run("C-CC-10 cwnd grows only when it is the limit", func(t *testing.T) {
		l := established(t)
		at := uint32(1)
		for range 1000 {
			l.send(1460)
			at += 1460
			l.now = l.now.Add(10 * time.Millisecond)
			l.in(seg{flags: ACK, seq: 1, ack: at})
			l.out = nil
		}
		if l.conn.cwnd > 20*1460 {
			t.Errorf("cwnd %d after a thousand single segments", l.conn.cwnd)
		}
		t.Run("C-CC-10 no longer, when it once was", func(t *testing.T) {
			l := established(t).send(14600).in(seg{flags: ACK, seq: 1, ack: 14601})
			at, cwnd := uint32(14601), l.conn.cwnd
			if cwnd != 29200 {
				t.Fatalf("cwnd %d", cwnd)
			}
			for range 100 {
				at += 1460
				l.send(1460).wait(10 * time.Millisecond).in(seg{flags: ACK, seq: 1, ack: at})
			}
			if l.conn.cwnd != cwnd {
				t.Errorf("cwnd went from %d to %d", cwnd, l.conn.cwnd)
			}
		})
	})
}

func TestSACKReceiver(t *testing.T) {
	t.Run("C-SACK-2 the first block holds what has just arrived", func(t *testing.T) {
		l := sacking(t)
		for _, i := range []uint32{6, 2, 4} {
			l.out = nil
			l.in(seg{flags: ACK, seq: 1 + i*100, ack: 1, n: 100})
		}
		l.want(seg{flags: ACK, seq: 1, ack: 1, sack: []Block{{401, 501}, {201, 301}, {601, 701}}})
	})
	t.Run("C-SACK-3 three blocks beside timestamps, four without", func(t *testing.T) {
		for _, ts := range []bool{true, false} {
			l := newLab(t, Config{}, DefaultOptions(), func(s *Segment) {
				s.Options |= OptSACKPermitted
				if ts {
					s.Options |= OptTimestamps
					s.TSVal = 9
				}
			})
			for i := range uint32(6) {
				l.out = nil
				l.in(seg{flags: ACK, seq: 101 + i*200, ack: 1, n: 100})
			}
			want := 4
			if ts {
				want = 3
			}
			if got := int(l.out[0].NumSACK); got != want {
				t.Errorf("%d blocks, want %d", got, want)
			}
		}
	})
	t.Run("C-SACK-1 none unless both permit it", func(t *testing.T) {
		l := established(t).in(seg{flags: ACK, seq: 101, ack: 1, n: 100})
		if l.out[0].Options&OptSACK != 0 {
			t.Error("an ACK carries SACK")
		}
	})
	t.Run("C-DSACK-1 a duplicate is reported once, first", func(t *testing.T) {
		l := sacking(t).in(seg{flags: ACK, seq: 1, ack: 1, n: 100})
		l.out = nil
		l.in(seg{flags: ACK, seq: 1, ack: 1, n: 100}).want(seg{flags: ACK, seq: 1, ack: 101, sack: []Block{{1, 101}}})
		l.in(seg{flags: ACK, seq: 301, ack: 1, n: 100}).want(seg{flags: ACK, seq: 1, ack: 101, sack: []Block{{301, 401}}})
		l.in(seg{flags: ACK, seq: 321, ack: 1, n: 10}).want(seg{flags: ACK, seq: 1, ack: 101, sack: []Block{{321, 331}, {301, 401}}})
	})
}

func TestReassembly(t *testing.T) {
	t.Run("D-SEG-1 single octets with gaps cost no more than the receive buffer", func(t *testing.T) {
		l := newLab(t, Config{RecvBuffer: 1 << 20, MaxRecvBuffer: 1 << 20}, DefaultOptions(), func(s *Segment) {
			s.Options |= OptSACKPermitted | OptWindowScale
		})
		l.in(seg{flags: ACK, seq: 1, ack: 1, n: 1})
		for i := range uint32(1_000_000) {
			l.raw(seg{flags: ACK, seq: 3 + (i*2)%(1<<19), ack: 1, n: 1})
			if i%4096 != 0 {
				continue
			}
			charge := 0
			for k := range l.conn.rx.ooo.pieces {
				charge += pinned(l.conn.rx.ooo.pieces[k].span)
			}
			if charge != l.conn.rx.ooo.charge || charge > 1<<20 || len(l.conn.rx.ooo.pieces) > leastPieces {
				t.Fatalf("after %d segments: %d octets pinned, %d noted, in %d pieces", i, charge, l.conn.rx.ooo.charge, len(l.conn.rx.ooo.pieces))
			}
		}
	})
	t.Run("D-SEG-2 what is farthest to the right is given up first", func(t *testing.T) {
		var a reassembly
		for i := range uint32(10) {
			a.insert(Seq(100+i*1000), Span{Data: make([]byte, 500)}, 1<<20, allocPlain)
		}
		// A piece of 500 octets pins 564, the one of 10 pins 320.
		if got := a.insert(50, Span{Data: make([]byte, 10)}, 310+5*64, allocPlain); got != 5*500 {
			t.Fatalf("%d octets were given up", got)
		}
		if n := len(a.pieces); a.pieces[0].seq != 50 || n != 6 || a.pieces[n-1].seq != 4100 {
			t.Errorf("first piece at %d, last of %d at %d", a.pieces[0].seq, n, a.pieces[n-1].seq)
		}
	})
	t.Run("D-SEG-1 a long flight behind holes is kept whole and reported as it grows", func(t *testing.T) {
		const n, size = 20_000, 1448 // of 29 MB: 200 ms at more than 1 Gbit/s
		var a reassembly
		frame := func() Span { return Span{Data: make([]byte, size), Owner: &plain{2048}} }
		// Every thousandth is missing, and of the others the odd ones come first.
		for _, odd := range []int{1, 0} {
			for i := range n {
				if i%1000 == 0 || i%2 != odd {
					continue
				}
				if pruned := a.insert(Seq(i*size), frame(), n*size, nil); pruned != 0 {
					t.Fatalf("%d octets of piece %d were given up", pruned, i)
				}
				a.report(Seq(i * size))
			}
		}
		want := Block{Seq((n - 1000 + 1) * size), Seq(n * size)}
		if a.numRecent != 4 || a.recent[0] != want || a.text != (n-n/1000)*size || len(a.pieces) != n-n/1000 {
			t.Fatalf("%d octets in %d pieces, blocks %v, the first should be %v", a.text, len(a.pieces), a.recent, want)
		}
		r := new(receiver)
		nxt := Seq(0)
		for i := 0; i < n; i += 1000 {
			a.insert(Seq(i*size), frame(), n*size, nil)
			nxt = a.take(nxt, r, true)
			if nxt != Seq((i+1000)*size) {
				t.Fatalf("in order up to %d with hole %d filled", nxt, i)
			}
		}
		if !a.idle() || a.charge != 0 || a.text != 0 || r.bytes != n*size {
			t.Errorf("%d octets in order, %d left", r.bytes, a.text)
		}
	})
}

func TestWrap(t *testing.T) {
	t.Run("A-SM-27 all arithmetic modulo 2^32", func(t *testing.T) {
		w := newWire(t, Config{}, DefaultOptions(), impairment{delay: 5 * time.Millisecond, loss: 0.01, reor: 0.01}, 11)
		// Both initial numbers stand just before the wrap.
		w.a.env.Rand, w.b.env.Rand = zero, zero
		w.a.floor = ISSFloor{after: 0xffffffef, set: true}
		w.b.floor = w.a.floor
		forceISS(w.a)
		forceISS(w.b)
		transfer(t, w, 10<<20, time.Hour)
		if w.a.conn.snd.iss != 0xfffffff0 || w.b.conn.snd.iss != 0xfffffff0 {
			t.Errorf("ISS %x and %x", w.a.conn.snd.iss, w.b.conn.snd.iss)
		}
	})
}

func zero() uint64 { return 0 }

// forceISS searches for a secret that puts the initial number before the floor, so that the first after it is taken.
func forceISS(e *end) {
	for i := range e.env.Secret {
		for v := range 256 {
			e.env.Secret[i] = byte(v)
			if iss, _ := e.env.Secret.initial(e.tup, e.w.now.Add(5*time.Millisecond)); iss.LessThanEq(e.floor.after) {
				if iss, _ := e.env.Secret.initial(e.tup, e.w.now); iss.LessThanEq(e.floor.after) {
					return
				}
			}
		}
	}
}
