package cc

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/mono"
)

const testSMSS = 1460

// flow drives a controller's law as a connection outside recovery does.
type flow struct {
	law law
	w   Window
	now mono.Time
	rtt time.Duration
}

func newFlow(l Controller, cwnd, ssthresh uint32, rtt time.Duration) *flow {
	return &flow{law: law{l}, now: mono.Time(time.Hour), rtt: rtt,
		w: Window{Cwnd: cwnd * testSMSS, Ssthresh: ssthresh * testSMSS, SMSS: testSMSS, SRTT: rtt, MinRTT: rtt}}
}

func (f *flow) ack(octets uint32, limited bool) { f.law.onAck(&f.w, octets, 0, limited, f.now) }

// roundTrip acknowledges one cwnd, evenly over one round trip, with ACKs of per octets.
func (f *flow) roundTrip(per uint32) {
	flight, start := f.w.Cwnd, f.now
	for sent := uint32(0); sent < flight; {
		n := min(per, flight-sent)
		sent += n
		f.now = start.Add(time.Duration(float64(f.rtt) * float64(sent) / float64(flight)))
		f.ack(n, true)
	}
}

// lose is a loss event with all of cwnd in flight, and the recovery after it.
func (f *flow) lose() {
	f.w.Ssthresh = f.law.onLoss(f.w.Cwnd, f.w.Cwnd, f.w.SMSS)
	f.w.Cwnd = f.w.Ssthresh
	f.now = f.now.Add(f.rtt)
}

func (f *flow) segments() float64 { return float64(f.w.Cwnd) / testSMSS }

func TestSlowStart(t *testing.T) {
	for _, name := range []string{"cubic", "reno"} {
		for _, c := range []struct {
			name     string
			ssthresh uint32 // segments
			acks     []uint32
			want     uint32 // octets
		}{
			{"C-CC-2 stretch ACK of 4 segments grows cwnd by 4", 100, []uint32{4 * testSMSS}, 14 * testSMSS},
			{"C-CC-2 4 split ACKs of one segment grow cwnd by 1", 100, []uint32{365, 365, 365, 365}, 11 * testSMSS},
			{"C-CC-2 ACK of a 64 KB super-segment counts in full", 100, []uint32{44 * testSMSS}, 54 * testSMSS},
			{"C-CC-2 slow start ends at ssthresh", 12, []uint32{2 * testSMSS}, 12 * testSMSS},
		} {
			t.Run(c.name+" "+name, func(t *testing.T) {
				f := newFlow(New(name), 10, c.ssthresh, 100*time.Millisecond)
				for _, n := range c.acks {
					f.ack(n, true)
				}
				if f.w.Cwnd != c.want {
					t.Errorf("cwnd = %d, want %d", f.w.Cwnd, c.want)
				}
			})
		}
	}
}

func TestNewRenoAvoidance(t *testing.T) {
	for name, per := range map[string]uint32{
		"an ACK a segment":             testSMSS,
		"an ACK every other segment":   2 * testSMSS,
		"ACKs of 100 octets":           100,
		"ACKs of a whole window":       math.MaxUint32,
		"ACKs of 64 KB super-segments": 44 * testSMSS,
	} {
		t.Run("C-CC-3 at most SMSS per RTT: "+name, func(t *testing.T) {
			f := newFlow(new(newReno), 20, 20, 100*time.Millisecond)
			for rtt := range uint32(20) {
				if got, want := f.w.Cwnd, (20+rtt)*testSMSS; got != want {
					t.Fatalf("after %d RTT cwnd = %d, want %d", rtt, got, want)
				}
				f.roundTrip(per)
			}
		})
	}
	t.Run("C-CC-3 octets left over from slow start are not counted twice", func(t *testing.T) {
		f := newFlow(new(newReno), 10, 12, 100*time.Millisecond)
		f.ack(5*testSMSS, true) // two for slow start, three count toward the next twelve
		f.ack(9*testSMSS-1, true)
		if f.w.Cwnd != 12*testSMSS {
			t.Fatalf("cwnd = %d one octet before the window is acknowledged", f.w.Cwnd)
		}
		f.ack(1, true)
		if f.w.Cwnd != 13*testSMSS {
			t.Fatalf("cwnd = %d after the window is acknowledged", f.w.Cwnd)
		}
	})
	for name, lose := range map[string]func(f *flow){
		"loss":    (*flow).lose,
		"timeout": func(f *flow) { f.law.onTimeout(); f.w.Cwnd /= 2 },
	} {
		t.Run("C-CC-3 what was counted before a "+name+" counts no more", func(t *testing.T) {
			f := newFlow(new(newReno), 20, 10, 100*time.Millisecond)
			f.ack(20*testSMSS-1, true)
			lose(f)
			f.ack(10*testSMSS-1, true)
			if f.w.Cwnd != 10*testSMSS {
				t.Fatalf("cwnd = %d one octet before the window is acknowledged", f.w.Cwnd)
			}
			f.ack(1, true)
			if f.w.Cwnd != 11*testSMSS {
				t.Errorf("cwnd = %d after the window is acknowledged", f.w.Cwnd)
			}
		})
	}
	t.Run("C-CC-3 cwnd cut by the connection buys no second SMSS", func(t *testing.T) {
		f := newFlow(new(newReno), 100, 4, 100*time.Millisecond)
		f.ack(99*testSMSS, true)
		f.w.Cwnd = 10 * testSMSS // restart after idle
		grown := 0
		for range 9 {
			before := f.w.Cwnd
			f.ack(testSMSS, true)
			if f.w.Cwnd != before {
				grown++
			}
		}
		if grown > 1 || f.w.Cwnd > 11*testSMSS {
			t.Errorf("cwnd = %d after less than a window of ACKs", f.w.Cwnd)
		}
	})
}

func TestNewRenoLoss(t *testing.T) {
	for _, c := range []struct{ cwnd, flight, want uint32 }{
		{100, 100, 50}, {100, 7, 3}, {100, 4, 2}, {100, 3, 2}, {100, 0, 2}, // the flight counts, not cwnd
	} {
		f := newFlow(new(newReno), c.cwnd, c.cwnd, time.Second)
		want := max(c.flight*testSMSS/2, 2*testSMSS)
		if got := f.law.onLoss(f.w.Cwnd, c.flight*testSMSS, f.w.SMSS); got != want {
			t.Errorf("ssthresh for flight %d = %d, want %d", c.flight, got, want)
		}
	}
}

// law is what tells controllers apart, called as their methods call it outside of recovery.
type law struct{ c Controller }

var scratch Window // one of its own would be allocated for each call

func (l law) onAck(w *Window, acked, round uint32, limited bool, now mono.Time) {
	switch c := l.c.(type) {
	case *cubic:
		c.grow(w, acked, limited, now)
	case *newReno:
		if limited {
			c.grow(w, acked, round)
		}
	}
}

func (l law) onLoss(cwnd, flight, smss uint32) uint32 {
	if c, ok := l.c.(*cubic); ok {
		return c.cut(cwnd, smss)
	}
	return l.c.(*newReno).cut(flight, smss)
}

func (l law) onTimeout() { l.c.OnTimeout(&scratch, Reduction{Again: true}, 0) }

func (l law) onIdle(now mono.Time) { l.c.OnIdle(&scratch, 0, now) }

func (l law) onUndo() { l.c.OnUndo(&scratch, Prior{}, 0) }

// TestCongestionControls holds what is true of every controller.
func TestCongestionControls(t *testing.T) {
	if New("vegas") != nil {
		t.Error("an unknown name has a controller")
	}
	for _, name := range []string{"cubic", "reno"} {
		t.Run(name, func(t *testing.T) {
			if got := New(name).Name(); got != name {
				t.Errorf("Name() = %q", got)
			}
			t.Run("not limited by cwnd, no growth", func(t *testing.T) {
				for _, ssthresh := range []uint32{5, 100} {
					f := newFlow(New(name), 10, ssthresh, 10*time.Millisecond)
					for range 1000 {
						f.now = f.now.Add(f.rtt)
						f.ack(testSMSS, false)
					}
					if f.w.Cwnd != 10*testSMSS {
						t.Errorf("ssthresh %d: cwnd grew to %d", ssthresh, f.w.Cwnd)
					}
				}
			})
			t.Run("days without loss", func(t *testing.T) { testDays(t, New(name)) })
			t.Run("no allocation", func(t *testing.T) {
				f := newFlow(New(name), 10, 20, 10*time.Millisecond)
				if n := testing.AllocsPerRun(100, func() {
					f.roundTrip(testSMSS)
					f.law.onIdle(f.now)
					f.lose()
					f.law.onTimeout()
					f.law.onUndo()
				}); n != 0 {
					t.Errorf("%v allocations", n)
				}
			})
			t.Run("any calls", func(t *testing.T) { testAnyCalls(t, name) })
		})
	}
}

// testDays holds that cwnd saturates: it reaches the cap, by slow start as well as by avoidance, and stays.
func testDays(t *testing.T, l Controller) {
	for _, ssthresh := range []uint32{10, math.MaxUint32 / testSMSS} {
		f := newFlow(l, 10, ssthresh, 100*time.Millisecond)
		f.w.Cwnd = MaxCwnd - 1000*testSMSS
		for range 2000 {
			f.now = f.now.Add(10 * time.Minute)
			before := f.w.Cwnd
			f.ack(f.w.Cwnd, true)
			if f.w.Cwnd < before || f.w.Cwnd > MaxCwnd {
				t.Fatalf("cwnd went from %d to %d", before, f.w.Cwnd)
			}
		}
		if f.w.Cwnd != MaxCwnd {
			t.Fatalf("cwnd = %d after two weeks, want the cap %d", f.w.Cwnd, MaxCwnd)
		}
	}
}

// testAnyCalls calls in any order with any arguments. An ACK never shrinks cwnd and never grows it by more than
// one segment beyond what it acknowledges, and the threshold is never below two segments.
func testAnyCalls(t *testing.T, name string) {
	rng := rand.New(rand.NewPCG(7, 8))
	for range 300 {
		f := newFlow(New(name), 1+rng.Uint32N(100), 1+rng.Uint32N(100), 0)
		f.w.SMSS = 1 + rng.Uint32N(9000)
		f.now = mono.Time(1 + rng.Uint64N(1<<60))
		for range 300 {
			f.now = f.now.Add(time.Duration(rng.Uint64N(1 << rng.UintN(45))))
			f.w.SRTT = time.Duration(rng.Uint64N(1 << 34))
			before := f.w.Cwnd
			switch rng.UintN(8) {
			case 0:
				f.w.Ssthresh = f.law.onLoss(f.w.Cwnd, rng.Uint32N(1<<rng.UintN(31)), f.w.SMSS)
				if f.w.Ssthresh < 2*f.w.SMSS || f.w.Cwnd != before {
					t.Fatalf("OnLoss: ssthresh %d, SMSS %d, cwnd %d to %d", f.w.Ssthresh, f.w.SMSS, before, f.w.Cwnd)
				}
				f.w.Cwnd = f.w.Ssthresh
			case 1:
				f.law.onTimeout()
				f.w.Cwnd = f.w.SMSS
			case 2:
				f.law.onIdle(f.now)
				f.w.Cwnd = min(f.w.Cwnd, 10*f.w.SMSS)
			case 3:
				f.law.onUndo()
				f.w.Cwnd = max(f.w.Cwnd, rng.Uint32N(MaxCwnd))
			default:
				acked := rng.Uint32N(1 << rng.UintN(32))
				f.ack(acked, rng.UintN(4) > 0)
				if f.w.Cwnd < before || uint64(f.w.Cwnd) > uint64(before)+uint64(acked)+uint64(f.w.SMSS) || f.w.Cwnd > MaxCwnd {
					t.Fatalf("ACK of %d: cwnd went from %d to %d", acked, before, f.w.Cwnd)
				}
			}
		}
	}
}
