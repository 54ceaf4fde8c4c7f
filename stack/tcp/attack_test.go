package tcp

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/mono"
)

// sharing makes n connections in ESTABLISHED that share one Env, as those of a shard do.
func sharing(t *testing.T, n int) []*lab {
	labs := make([]*lab, n)
	for i := range labs {
		labs[i] = established(t)
		labs[i].env = labs[0].env
		labs[i].conn.env = labs[0].env
		labs[i].now = labs[0].now
	}
	return labs
}

// provoke lets a RST inside the window arrive, and says whether a challenge ACK came out.
func (l *lab) provoke(now mono.Time) bool {
	l.now = now
	l.in(seg{flags: RST, seq: 100})
	answered := len(l.out) > 0
	l.out = l.out[:0]
	return answered
}

func TestChallengeLimits(t *testing.T) {
	t.Run("D-5961-5 one connection gets a challenge ACK each 500 ms, whatever happens on another", func(t *testing.T) {
		for _, noise := range []bool{false, true} {
			pair := sharing(t, 2)
			mine, other := 0, 0
			for i := range 1000 {
				now := pair[0].now.Add(10 * time.Millisecond)
				if noise && pair[1].provoke(now) {
					other++
				}
				if pair[0].provoke(now) {
					mine++
				}
				if i == 0 && mine != 1 {
					t.Fatal("the first is not answered")
				}
			}
			if mine != 20 || noise && other != 20 {
				t.Errorf("with noise %v: %d and %d challenge ACKs in 10 s", noise, mine, other)
			}
			if got := pair[0].env.Counters.DroppedChallengeACKs; got == 0 {
				t.Error("what was held back is not counted")
			}
		}
	})
	t.Run("D-5961-5 whatever provokes it", func(t *testing.T) {
		for name, s := range map[string]seg{
			"D-5961-1 RST":     {flags: RST, seq: 2},
			"D-5961-3 SYN":     {flags: SYN, seq: 2},
			"D-5961-4 old ACK": {flags: ACK, seq: 1, ack: 1<<32 - 100_000},
			"D-5961-4 new ACK": {flags: ACK, seq: 1, ack: 2},
		} {
			t.Run(name, func(t *testing.T) {
				l := established(t)
				answer := seg{flags: ACK, seq: 1, ack: 1}
				l.in(s).want(answer)
				for range 499 {
					l.wait(time.Millisecond).in(s).want()
				}
				l.wait(time.Millisecond).in(s).want(answer).state(Established)
			})
		}
	})
	t.Run("D-5961-5 the cap of all is drawn anew each second, so that nobody can count others' challenge ACKs", func(t *testing.T) {
		mine := sharing(t, 1200)
		victim := mine[len(mine)-1]
		mine = mine[:len(mine)-1]
		now := mine[0].now
		seen := map[bool]map[int]bool{false: {}, true: {}}
		for i := range 80 {
			spoofed := i%2 == 1
			now = now.Add(challengeEvery)
			if spoofed && !victim.provoke(now) {
				t.Fatal("the spoofed RST provoked nothing")
			}
			n := 0
			for _, l := range mine {
				if l.provoke(now) {
					n++
				}
			}
			if n < challengeBase-1 || n >= 2*challengeBase {
				t.Fatalf("%d challenge ACKs in a second", n)
			}
			seen[spoofed][n] = true
		}
		// A cap of 500 values: forty draws hardly ever agree, and one ACK more or less hides among them.
		if len(seen[false]) < 30 || len(seen[true]) < 30 {
			t.Errorf("%d and %d different counts in 40 seconds each", len(seen[false]), len(seen[true]))
		}
	})
	t.Run("D-5961-5 segments without text out of the window are answered at the same rate", func(t *testing.T) {
		l := established(t)
		answers := 0
		for range 1000 {
			l.now = l.now.Add(10 * time.Millisecond)
			l.in(seg{flags: ACK, seq: 200_000, ack: 1})
			answers += len(l.out)
			l.out = nil
		}
		if answers != 20 {
			t.Errorf("%d answers in 10 s", answers)
		}
	})
	t.Run("D-5961-6 two ends that disagree do not answer each other for ever", func(t *testing.T) {
		w := newWire(t, Config{}, DefaultOptions(), impairment{delay: time.Millisecond}, 1)
		w.connect()
		w.idle(time.Second)
		for _, e := range []*end{w.a, w.b} { // each speaks 1000 octets behind what the other expects
			e.conn.snd.nxt, e.conn.snd.una = e.conn.snd.nxt.Sub(1000), e.conn.snd.una.Sub(1000)
		}
		sent := map[*end]int{}
		w.trace = func(from *end, _ *Segment) { sent[from]++ }
		w.a.conn.sendACK(w.now)
		w.idle(time.Minute)
		for e, n := range sent {
			if n > 120 {
				t.Errorf("%s sent %d segments in a minute", e.name, n)
			}
		}
		if w.a.conn.State() != Established || w.b.conn.State() != Established {
			t.Errorf("states %v and %v", w.a.conn.State(), w.b.conn.State())
		}
	})
	t.Run("D-5961-2 a RST at the right end of a block that was acknowledged selectively is as good as any other", func(t *testing.T) {
		l := sacking(t)
		l.in(seg{flags: ACK, seq: 101, ack: 1, n: 50}).want(seg{flags: ACK, seq: 1, ack: 1, sack: []Block{{101, 151}}})
		l.in(seg{flags: RST, seq: 151}).state(Established)
		l.want(seg{flags: ACK, seq: 1, ack: 1, sack: []Block{{101, 151}}})
	})
}

// unpredictable checks numbers for what a generator without a key or with a short one shows: bits that stick,
// numbers that come again, one step that is more frequent than others, and a number that tells of the next.
func unpredictable(t *testing.T, numbers []uint32) {
	t.Helper()
	n := len(numbers)
	for bit := range 32 {
		set := 0
		for _, v := range numbers {
			set += int(v >> bit & 1)
		}
		if d := set - n/2; d*d > 16*n { // eight standard deviations
			t.Errorf("bit %d is set in %d of %d", bit, set, n)
		}
	}
	var pairs [16][16]int
	steps := make([]uint32, n-1)
	for i, v := range numbers[1:] {
		steps[i] = v - numbers[i]
		pairs[numbers[i]>>28][v>>28]++
	}
	chi, mean := 0.0, float64(n-1)/256
	for _, row := range pairs {
		for _, got := range row {
			chi += (float64(got) - mean) * (float64(got) - mean) / mean
		}
	}
	if chi > 400 { // 255 degrees of freedom: 6 standard deviations
		t.Errorf("chi-square of neighbours %.0f", chi)
	}
	for name, list := range map[string][]uint32{"step": steps, "number": slices.Clone(numbers)} {
		slices.Sort(list)
		run, again := 1, 0
		for i := 1; i < len(list); i++ {
			if list[i] != list[i-1] {
				run = 1
				continue
			}
			again++
			if run++; run > 6 {
				t.Fatalf("%s %d comes more than six times", name, list[i])
			}
		}
		if want := n / 4 * n >> 31; again > 2*want+50 {
			t.Errorf("%d of %d %ss come again, by chance %d would", again, n, name, want)
		}
	}
}

func TestGuessedNumbers(t *testing.T) {
	tuple := func(i int) Tuple {
		remote := netip.AddrFrom4([4]byte{192, 0, byte(i >> 20), byte(i >> 12)})
		return Tuple{addrA, netip.AddrPortFrom(remote, uint16(i&0xfff)+1024)}
	}
	secret, numbers := NewSecret(), make([]uint32, 200_000)
	t.Run("D-6528-1 initial sequence numbers of neighbouring tuples at one time", func(t *testing.T) {
		for i := range numbers {
			iss, _ := secret.initial(tuple(i), mono.Time(time.Hour))
			numbers[i] = uint32(iss)
		}
		unpredictable(t, numbers)
	})
	t.Run("D-6528-1 SYN cookies of neighbouring tuples in one minute", func(t *testing.T) {
		env := newEnv(Config{})
		env.Secret = secret
		o := DefaultOptions()
		syn := Segment{Flags: SYN, Seq: 5000, Window: 1000, Options: OptMSS, MSS: 1460}
		for i := range numbers {
			var h HalfOpen
			h.InitSYNCookie(env, tuple(i), path, &o, &syn, mono.Time(time.Hour))
			numbers[i] = uint32(h.iss)
		}
		unpredictable(t, numbers)
	})
}

func TestDistantNumbers(t *testing.T) {
	const half = 1 << 31
	t.Run("D-ACK-4 the comparison of sequence numbers", func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 5))
		for range 1_000_000 {
			s, d := Seq(r.Uint32()), r.Uint32()%(half-1)+1
			u := s.Add(d)
			if !s.LessThan(u) || u.LessThan(s) || !s.LessThanEq(u) || u.LessThanEq(s) || s.LessThan(s) || !s.LessThanEq(s) ||
				u.Distance(s) != d || maxSeq(s, u) != u || minSeq(s, u) != s || !s.InWindow(s, d) || u.InWindow(s, d) {
				t.Fatalf("%d and %d", s, u)
			}
		}
	})
	t.Run("D-ACK-4 an ACK half the space away is for nothing that was sent", func(t *testing.T) {
		for _, window := range []uint32{0, 1, 65535, 1 << 30} {
			for _, sent := range []int{0, 1, 5000} {
				l := established(t)
				if sent > 0 {
					l.send(sent)
				}
				l.conn.snd.maxWnd = window
				una, nxt := l.conn.snd.una, l.conn.snd.nxt
				for _, d := range []uint32{half - 70000, half - 1, half, half + 1, half + 70000} {
					for _, ack := range []Seq{una.Add(d), nxt.Add(d)} {
						s := Segment{Flags: ACK, Seq: l.conn.rcv.nxt, Ack: ack, Window: 1, Text: Span{Data: []byte("x")}, TextLen: 1}
						l.conn.SegmentArrives(&s, l.now)
						if l.conn.snd.una != una || l.conn.Readable() != 0 {
							t.Fatalf("window %d, %d sent: ACK %d beyond was taken", window, sent, ack.Distance(nxt))
						}
					}
				}
			}
		}
	})
	t.Run("D-ACK-4 nor does a segment half the space away touch the window", func(t *testing.T) {
		l := established(t)
		for _, d := range []uint32{half - 70000, half - 1460, half - 1, half, half + 1, half + 1460, half + 60000} {
			s := Segment{Flags: ACK, Seq: l.conn.rcv.nxt.Add(d), Ack: l.conn.snd.nxt, Window: 1, TextLen: 1460}
			if l.conn.acceptable(&s) {
				t.Errorf("a segment %d ahead is acceptable", d)
			}
		}
	})
}

// TestUrgentLies gives a connection every urgent pointer there is.
func TestUrgentLies(t *testing.T) {
	for _, outOfBand := range []bool{false, true} {
		for _, n := range []int{0, 1, 1460} {
			t.Run(fmt.Sprintf("D-PARSE-2 every urgent pointer on %d octets of text, out of band %v", n, outOfBand), func(t *testing.T) {
				urgentLies(t, n, outOfBand)
			})
		}
	}
}

func urgentLies(t *testing.T, n int, outOfBand bool) {
	l := newLab(t, Config{RecvBuffer: 1 << 20}, Options{Linger: -1, OutOfBand: outOfBand}, func(s *Segment) { s.Options |= OptWindowScale })
	at, text, buf := l.conn.rcv.nxt, make([]byte, n), make([]byte, 1<<16)
	for i := range text {
		text[i] = octet(Seq(i))
	}
	for urgent := range 1 << 16 {
		s := Segment{Flags: ACK | URG, Seq: at, Ack: l.conn.snd.nxt, Window: 65535, Urgent: uint16(urgent),
			Text: Span{Data: text}, TextLen: uint32(n)}
		l.conn.SegmentArrives(&s, l.now)
		l.conn.Output(l.now)
		l.out = l.out[:0]
		got := 0
		for { // a read stops at the mark
			k := l.conn.Receive(buf[got:], l.now)
			if k == 0 {
				break
			}
			got += k
		}
		missing := n - got
		if outOfBand && missing == 1 { // the urgent octet, which is no part of the stream
			k := 0
			for k < got && buf[k] == text[k] {
				k++
			}
			copy(buf[k+1:], buf[k:got])
			buf[k] = text[k]
		} else if missing != 0 {
			t.Fatalf("urgent pointer %d: %d octets to read", urgent, got)
		}
		if !bytes.Equal(buf[:n], text) || l.conn.rcv.nxt != at.Add(uint32(n)) {
			t.Fatalf("urgent pointer %d: text differs", urgent)
		}
		at = at.Add(uint32(n))
		l.now++
	}
	l.state(Established)
}

// TestWindowLies lets the peer write a window of its fancy on all that it sends.
func TestWindowLies(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("D-SHR-1 a random window on every segment, seed %d", seed), func(t *testing.T) {
			w := newWire(t, Config{}, Options{Linger: -1, NoDelay: seed%2 == 0}, impairment{delay: time.Millisecond, loss: 0.01}, seed)
			r := rand.New(rand.NewPCG(seed, 77))
			silly, began := 0, w.now
			high := map[*end]Seq{}
			w.trace = func(from *end, s *Segment) {
				c := &from.conn
				if s.TextLen > 0 && (high[from] == 0 || high[from].LessThan(s.End())) {
					high[from] = s.End()
					if s.TextLen < uint32(c.smss)-40 && s.Seq.Add(s.TextLen) != c.tx.q.end && s.TextLen < c.snd.maxWnd/2 {
						silly++
					}
				}
				switch r.IntN(6) {
				case 0:
					s.Window = 0
				case 1:
					s.Window = uint16(r.IntN(3))
				case 2:
					s.Window = 65535
				case 3:
					s.Window = uint16(r.Uint32())
				}
			}
			transfer(t, w, 300_000, 24*time.Hour)
			// The override timer of RFC 9293 3.8.6.2.1 lets a small segment leave each 200 ms at most.
			if most := 2 * (int(w.now.Sub(began)/holdTime) + 1); silly > most {
				t.Errorf("%d silly segments in %v", silly, w.now.Sub(began))
			}
		})
	}
}

func TestAssassination(t *testing.T) {
	t.Run("D-TW-2 neither old segments nor a RST end TIME-WAIT early", func(t *testing.T) {
		l := timeWait(t)
		tw := l.conn.TimeWait(l.now)
		end, now := tw.Deadline(), l.now
		var reply Segment
		for _, flags := range []Flags{RST, RST | ACK, ACK, ACK | PSH, SYN, SYN | ACK, FIN, ACK | URG, 0} {
			for _, seq := range []uint32{0, 1, 2, 3, 1000, 5000} { // what stands just before the FIN
				now = now.Add(time.Second / 10)
				s := Segment{Flags: flags, Seq: l.irs.Sub(5000).Add(seq), Ack: l.conn.snd.nxt, Window: 1000}
				v := tw.SegmentArrives(l.env, &s, &reply, now)
				if v == Remove || v == Reopen || tw.Deadline() != end || reply.Has(RST) {
					t.Errorf("flags %x at %d: verdict %d, reply %+v", flags, seq, v, reply)
				}
			}
		}
		for _, seq := range []Seq{tw.rcvNxt.Sub(1), tw.rcvNxt, tw.rcvNxt.Add(1)} {
			if v := tw.SegmentArrives(l.env, &Segment{Flags: RST, Seq: seq}, &reply, now); v != Drop {
				t.Errorf("RST at %d: verdict %d", seq.Distance(tw.rcvNxt), v)
			}
		}
	})
	t.Run("D-TW-2 C-PAWS-1 a FIN with an old timestamp does not begin TIME-WAIT anew", func(t *testing.T) {
		now := mono.Time(time.Hour)
		tw := TimeWait{deadline: now.Add(time.Second), sndNxt: 50, rcvNxt: 1000, flags: timeWaitTimestamps, tsRecent: 100}
		env := newEnv(Config{})
		var reply Segment
		fin := Segment{Flags: FIN | ACK, Seq: 999, Ack: 50, Options: OptTimestamps, TSVal: 99}
		if v := tw.SegmentArrives(env, &fin, &reply, now); v != Reply || reply.Flags != ACK || tw.Deadline() != now.Add(time.Second) {
			t.Errorf("verdict %d, reply %+v, %v left", v, reply, tw.Deadline().Sub(now))
		}
		fin.TSVal = 100
		if v := tw.SegmentArrives(env, &fin, &reply, now); v != Reply || tw.Deadline() != now.Add(2*env.Config.MSL) {
			t.Errorf("the peer's own: verdict %d, %v left", v, tw.Deadline().Sub(now))
		}
	})
	t.Run("D-5961-5 TIME-WAIT answers segments without text out of the window each 500 ms", func(t *testing.T) {
		now := mono.Time(time.Hour)
		tw := TimeWait{deadline: now.Add(time.Minute), sndNxt: 50, rcvNxt: 1000}
		env := newEnv(Config{})
		var reply Segment
		for i, want := range []Verdict{Reply, Drop, Drop, Reply} {
			at := now.Add(time.Duration([]int64{0, 1, 499, 500}[i]) * time.Millisecond)
			if v := tw.SegmentArrives(env, &Segment{Flags: ACK, Seq: 5000, Ack: 50}, &reply, at); v != want {
				t.Errorf("after %v: verdict %d, want %d", at.Sub(now), v, want)
			}
		}
	})
}
