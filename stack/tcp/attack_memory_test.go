package tcp

import (
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
)

// dust is a connection with a megabyte in flight whose peer has asked for the smallest segments and acknowledges
// every other octet, as far as we follow.
func dust(t *testing.T) *lab {
	l := newLab(t, Config{}, Options{Linger: -1, NoDelay: true, SendBuffer: 1 << 20}, func(s *Segment) {
		s.MSS, s.WindowScale = 48, 7
		s.Options |= OptSACKPermitted | OptWindowScale
	})
	l.in(seg{flags: ACK, seq: 1, ack: 1})
	l.conn.cwnd = 1 << 20
	l.send(1 << 20)
	for i := uint32(2); i < 1<<13; i += 8 {
		l.raw(seg{flags: ACK, seq: 1, ack: 1, sack: []Block{{Seq(i), Seq(i + 1)}, {Seq(i + 2), Seq(i + 3)}, {Seq(i + 4), Seq(i + 5)}, {Seq(i + 6), Seq(i + 7)}}})
	}
	l.out = nil
	return l
}

func TestSACKSlowness(t *testing.T) {
	t.Run("D-SACK-2 the scoreboard is bounded in number and memory", func(t *testing.T) {
		l := dust(t)
		sb := &l.conn.tx.sb
		if n := sb.len(); n > maxRecords || n < maxRecords/2 {
			t.Errorf("%d records", n)
		}
		if n := uintptr(cap(sb.recs)) * unsafe.Sizeof(record{}); n > 1<<20 {
			t.Errorf("%d octets of records for a queue of %d", n, 1<<20)
		}
	})
	t.Run("D-SACK-2 what an ACK covers is one record afterwards, so that the next need not look at it", func(t *testing.T) {
		l := dust(t)
		sb := &l.conn.tx.sb
		l.raw(seg{flags: ACK, seq: 1, ack: 1, sack: []Block{{2, 1 << 20}}})
		if sb.len() > 3 {
			t.Errorf("%d records after a block over all", sb.len())
		}
		n := testing.AllocsPerRun(1000, func() {
			s := Segment{Flags: ACK, Seq: l.irs.Add(1), Ack: l.iss.Add(1), Window: 65535, Options: OptSACK, NumSACK: 1,
				SACK: [4]Block{{l.iss.Add(2), l.iss.Add(1 << 20)}}}
			l.conn.SegmentArrives(&s, l.now)
		})
		if n != 0 {
			t.Errorf("%v allocations for an ACK", n)
		}
	})
	t.Run("D-SACK-2 what we send by the octet is bounded as well", func(t *testing.T) {
		l := newLab(t, Config{}, Options{Linger: -1, NoDelay: true, SendBuffer: 1 << 20}, func(s *Segment) {
			s.MSS, s.WindowScale = 48, 0
			s.Options |= OptSACKPermitted | OptWindowScale
		})
		l.conn.cwnd = 1 << 20
		for i := range uint32(20_000) {
			l.now = l.now.Add(time.Microsecond)
			l.send(1)
			l.out = l.out[:0]
			if n := l.conn.tx.sb.len(); n > maxRecords+maxRecords/16 {
				t.Fatalf("%d records after %d writes", n, i+1)
			}
		}
		l.raw(seg{flags: ACK, seq: 1, ack: 1, sack: []Block{{10_000, 10_001}}})
		if l.conn.tx.sb.sacked != 1 {
			t.Error("no room is left for a block")
		}
	})
	t.Run("records that are joined keep their octets and what they were", func(t *testing.T) {
		var s scoreboard
		r := rand.New(rand.NewPCG(2, 2))
		for i := range mono.Time(3 * maxRecords) {
			s.sent(Seq(i*10), 10, false, i+1)
		}
		visit := func(*record, *cc.Stamp) {}
		for range 500 {
			i := r.IntN(s.len())
			if s.recs[i].flags == 0 {
				s.lose(i)
			}
			left := Seq(r.IntN(30 * maxRecords))
			s.mark(Block{left, left.Add(uint32(r.IntN(40)))}, visit)
			if k := s.nextLost(); k >= 0 && r.IntN(3) == 0 {
				s.resent(k, mono.Time(1<<30))
			}
			s.compact(minSpan)
			at, sacked, lost, first := s.recs[s.head].seq, uint32(0), uint32(0), -1
			for k := s.head; k < len(s.recs); k++ {
				rec := &s.recs[k]
				if rec.seq != at || rec.n == 0 {
					t.Fatalf("a gap at %d", at)
				}
				at = rec.end()
				if rec.flags&recSacked != 0 {
					sacked += rec.n
				}
				if rec.flags&recLost != 0 {
					lost += rec.n
					if first < 0 {
						first = k
					}
				}
			}
			if sacked != s.sacked || lost != s.lost || at != Seq(30*maxRecords) || s.len() > maxRecords+maxRecords/16 {
				t.Fatalf("%d and %d octets, noted %d and %d, up to %d in %d records", sacked, lost, s.sacked, s.lost, at, s.len())
			}
			if got := s.nextLost(); got != first {
				t.Fatalf("first lost record %d, want %d", got, first)
			}
		}
	})
}

// BenchmarkSACKSlowness is the cost of one hostile ACK (ledger D-SACK-2, F-CPU-1).
func BenchmarkSACKSlowness(b *testing.B) {
	l := dust(&testing.T{})
	s := Segment{Flags: ACK, Seq: l.irs.Add(1), Ack: l.iss.Add(1), Window: 65535, Options: OptSACK, NumSACK: 4}
	i := uint32(0)
	for b.Loop() {
		for k := range s.SACK {
			at := l.iss.Add(2 + (i*8+uint32(k)*2)%(1<<20-10))
			s.SACK[k] = Block{at, at.Add(1)}
		}
		i++
		l.conn.SegmentArrives(&s, l.now)
		l.conn.Output(l.now)
		l.out = l.out[:0]
	}
}

func TestReceiveStorage(t *testing.T) {
	t.Run("D-SEG-1 text that came octet by octet, every second first, pins no more than it must", func(t *testing.T) {
		l := newLab(t, Config{RecvBuffer: 128 << 10, MaxRecvBuffer: 128 << 10}, DefaultOptions(), func(s *Segment) {
			s.Options |= OptSACKPermitted | OptWindowScale
		})
		for i := uint32(1); i < 40_000; i += 2 {
			l.raw(seg{flags: ACK, seq: i + 1, ack: 1, n: 1})
			l.raw(seg{flags: ACK, seq: i, ack: 1, n: 1})
		}
		if rx := l.conn.rx; rx.bytes != 40_000 || rx.storage > 2*rx.bytes {
			t.Errorf("%d octets pin %d", rx.bytes, rx.storage)
		}
	})
}

func TestHoard(t *testing.T) {
	t.Run("D-SEG-1 without memory text out of order goes, but for a few segments, and the stream is whole all the same", func(t *testing.T) {
		l := newLab(t, Config{}, DefaultOptions(), func(s *Segment) { s.Options |= OptSACKPermitted })
		l.in(seg{flags: ACK, seq: 1, ack: 1, n: 1460})
		l.read()
		at := func(i uint32) seg { return seg{flags: ACK, seq: 1461 + i*1460, ack: 1, n: 1460} }
		for i := range uint32(30) {
			l.in(at(i + 1))
		}
		before := l.conn.rx.ooo.charge
		l.env.Pressure = Exhausted
		l.in(at(31))
		rx := l.conn.rx
		if before < 30*1460 || rx.ooo.charge > l.conn.leastReceive() || len(rx.ooo.pieces) == 0 || rx.ooo.pieces[0].seq != l.irs.Add(1461+1460) {
			t.Fatalf("%d octets pinned of %d, in %d pieces", rx.ooo.charge, before, len(rx.ooo.pieces))
		}
		got := ""
		for i := range uint32(32) {
			l.in(at(i))
			got += l.read()
		}
		for i := range len(got) {
			if got[i] != byte(1461+i/1460*1460+i%1460) {
				t.Fatalf("octet %d differs", i)
			}
		}
		if len(got) != 32*1460 {
			t.Errorf("%d octets", len(got))
		}
	})
}

func TestSockstress(t *testing.T) {
	// queued is a connection with text that a peer does not take.
	queued := func(t *testing.T) *lab {
		l := established(t)
		l.in(seg{flags: ACK, seq: 1, ack: 1, zero: true, n: 1})
		l.read()
		l.conn.Send(make([]byte, 60_000), l.now)
		l.out = nil
		return l
	}
	// answer lets d pass with a peer that answers each probe, with the window that it is told to offer.
	answer := func(l *lab, d time.Duration, window func() seg) {
		for end := l.now.Add(d); l.now < end && l.conn.State() != Closed; {
			at := l.conn.Deadline()
			if at == 0 || at > end {
				l.now = end
				return
			}
			l.now = max(l.now, at)
			l.conn.Timeout(l.now)
			l.in(window())
		}
	}
	shut := func() seg { return seg{flags: ACK, seq: 2, ack: 1, zero: true} }
	open := false
	flap := func() seg {
		if open = !open; open {
			return seg{flags: ACK, seq: 2, ack: 1, win: 1}
		}
		return shut()
	}
	t.Run("D-STK-1 an orphan whose peer takes nothing is gone after 60 s", func(t *testing.T) {
		l := queued(t)
		l.conn.Close(l.now)
		began := l.now
		answer(l, time.Hour, shut)
		l.state(Closed)
		if d := l.now.Sub(began); d != time.Minute || !l.out[len(l.out)-1].Has(RST) {
			t.Errorf("ended after %v by %+v", d, l.out[len(l.out)-1])
		}
		if l.conn.tx != nil || l.env.Buffered != 0 {
			t.Errorf("%d octets left", l.env.Buffered)
		}
	})
	t.Run("D-STK-1 to open and close the window without taking anything wins it no time", func(t *testing.T) {
		l := queued(t)
		l.conn.Close(l.now)
		began := l.now
		answer(l, time.Hour, flap)
		l.state(Closed)
		if d := l.now.Sub(began); d > orphanR2 {
			t.Errorf("ended after %v", d)
		}
	})
	t.Run("D-STK-1 without memory orphans whose peer has never taken anything go at their next timeout", func(t *testing.T) {
		l := queued(t)
		l.conn.Close(l.now)
		l.env.Pressure = Exhausted
		l.now = l.conn.Deadline()
		l.conn.Timeout(l.now)
		l.state(Closed)
	})
	t.Run("D-STK-1 without memory an orphan is not reset for a timeout, where its peer answers", func(t *testing.T) {
		for _, lost := range []int{1, 2, 4} { // so many flights
			l := established(t)
			l.send(3000)
			l.conn.Close(l.now)
			l.env.Pressure = Exhausted
			l.out = nil
			for range lost {
				l.now = max(l.now, l.conn.Deadline())
				l.conn.Timeout(l.now)
				l.state(FinWait1)
			}
			l.in(seg{flags: ACK, seq: 1, ack: 1461})
			for range min(lost, 2) {
				l.now = max(l.now, l.conn.Deadline())
				l.conn.Timeout(l.now)
				l.state(FinWait1)
			}
			l.in(seg{flags: ACK, seq: 1, ack: 3002}).state(FinWait2)
		}
	})
	t.Run("D-STK-1 without memory an orphan whose peer has taken something waits 15 s for it to go on", func(t *testing.T) {
		for _, answers := range []bool{false, true} {
			l := established(t)
			l.send(60_000).in(seg{flags: ACK, seq: 1, ack: 1461, zero: answers})
			l.conn.Close(l.now)
			l.env.Pressure = Exhausted
			began := l.now
			if answers { // that it takes nothing
				answer(l, time.Hour, func() seg { return seg{flags: ACK, seq: 1, ack: 1461, zero: true} })
			} else {
				l.wait(time.Hour)
			}
			l.state(Closed)
			if d := l.now.Sub(began); answers && (d < 15*time.Second || d > 30*time.Second) || l.env.Buffered != 0 {
				t.Errorf("ended after %v, %d octets left", d, l.env.Buffered)
			}
			if !l.out[len(l.out)-1].Has(RST) {
				t.Errorf("the last segment is %+v", l.out[len(l.out)-1])
			}
		}
	})
	t.Run("D-STK-1 a live connection waits as long as its peer answers, and no longer", func(t *testing.T) {
		for _, pressure := range []Pressure{Ample, Exhausted} {
			l := queued(t)
			l.env.Pressure = pressure
			answer(l, 24*time.Hour, shut)
			l.state(Established)
			l.out = nil
			l.wait(l.env.Config.UserTimeout + 2*l.env.Config.MaxRTO).state(Closed)
		}
	})
}

func TestReneging(t *testing.T) {
	for seed := range uint64(4) {
		t.Run("D-REN-1 a peer that forgets what it acknowledged selectively gets it again", func(t *testing.T) {
			w := newWire(t, Config{}, Options{Linger: -1}, impairment{delay: 5 * time.Millisecond, loss: 0.05}, seed)
			r := rand.New(rand.NewPCG(seed, 5))
			forgotten := 0
			w.trace = func(from *end, s *Segment) {
				if rx := from.conn.rx; rx != nil && s.Options&OptSACK != 0 && r.IntN(4) == 0 {
					for len(rx.ooo.pieces) > 0 {
						forgotten += rx.ooo.prune()
					}
				}
			}
			transfer(t, w, 500_000, time.Hour)
			if forgotten == 0 {
				t.Error("nothing was forgotten")
			}
		})
	}
}

// suspended host: nothing runs for d, then all timers that are due.
func (w *wire) suspend(d time.Duration) {
	w.queue = nil // what was on its way is lost with it
	w.now = w.now.Add(d)
	for _, e := range []*end{w.a, w.b} {
		if at := e.conn.Deadline(); at != 0 && at <= w.now {
			e.conn.Timeout(w.now)
			e.settle()
		}
	}
}

func TestClock(t *testing.T) {
	for _, d := range []time.Duration{10 * time.Minute, time.Hour, 10 * time.Hour} {
		t.Run("F-TIME-1 a host that slept sends each connection's next segment once, and goes on", func(t *testing.T) {
			w := newWire(t, Config{}, Options{Linger: -1, KeepAlive: true, KeepIdle: 60}, impairment{delay: 5 * time.Millisecond}, 3)
			w.connect()
			data := make([]byte, 100_000)
			sent := w.a.conn.Send(data, w.now)
			segments := map[*end]int{}
			w.trace = func(from *end, _ *Segment) { segments[from]++ }
			w.suspend(d)
			if segments[w.a] != 1 || segments[w.b] > 1 {
				t.Errorf("%d and %d segments on waking up", segments[w.a], segments[w.b])
			}
			w.run(time.Minute, func() bool {
				w.b.read()
				w.b.settle()
				return len(w.b.got) == sent
			})
		})
	}
	// The stack's own clock is monotonic, and with timestamps the peer would take the past for old duplicates.
	t.Run("F-TIME-1 a clock that goes back stops nothing for good", func(t *testing.T) {
		w := newWire(t, Config{NoTimestamps: true}, DefaultOptions(), impairment{delay: 5 * time.Millisecond}, 3)
		w.now = mono.Time(2 * time.Hour)
		w.connect()
		w.idle(time.Second)
		w.now = w.now.Add(-time.Hour)
		n := 0
		w.trace = func(*end, *Segment) { n++ }
		sent := w.a.conn.Send(make([]byte, 100_000), w.now)
		w.run(2*time.Hour, func() bool {
			w.b.read()
			w.b.settle()
			return len(w.b.got) == sent
		})
		if n > 300 {
			t.Errorf("%d segments for %d octets", n, sent)
		}
	})
	t.Run("F-TIME-1 the millisecond counters wrap amid a transfer", func(t *testing.T) {
		w := newWire(t, Config{}, DefaultOptions(), impairment{delay: 20 * time.Millisecond, loss: 0.01}, 3)
		w.now = mono.Time(1<<32*time.Millisecond - 500*time.Millisecond)
		for _, e := range []*end{w.a, w.b} { // a tuple whose clock starts with the host's
			forceOffset(e)
		}
		transfer(t, w, 2<<20, time.Hour)
		if w.a.conn.tsOffset > 1<<24 || tsClock(w.now) > 1<<31 {
			t.Errorf("nothing has wrapped: offset %d, clock %d", w.a.conn.tsOffset, tsClock(w.now))
		}
		for _, e := range []*end{w.a, w.b} {
			if n := e.env.Counters.DroppedPAWS; n > 0 {
				t.Errorf("%s: %d segments dropped as old", e.name, n)
			}
			if rtt := e.conn.Info().RTT; rtt < 40*time.Millisecond || rtt > 500*time.Millisecond {
				t.Errorf("%s: round-trip time %v", e.name, rtt)
			}
		}
	})
}

// forceOffset searches for a secret that lets the timestamps of a tuple begin near zero.
func forceOffset(e *end) {
	for i := range 1 << 20 {
		e.env.Secret[0], e.env.Secret[1], e.env.Secret[2] = byte(i), byte(i>>8), byte(i>>16)
		if _, offset := e.env.Secret.initial(e.tup, 0); offset < 1<<24 {
			return
		}
	}
}
