package cc

import (
	"math"
	"testing"
	"time"
	"unsafe"
)

// cubicModel is RFC 9438 written down as it stands: segments and seconds, in float64, without rounding.
type cubicModel struct {
	cwnd, wMax, cwndEpoch, cwndPrior, wEst, epoch, k float64
}

func (m *cubicModel) lose() {
	m.cwndPrior = m.cwnd
	if m.cwnd < m.wMax {
		m.wMax = m.cwnd * (1 + 0.7) / 2
	} else {
		m.wMax = m.cwnd
	}
	m.cwnd *= 0.7
	m.epoch = math.NaN()
}

func (m *cubicModel) ack(segments, rtt, now float64) {
	if math.IsNaN(m.epoch) {
		m.epoch, m.cwndEpoch, m.wEst = now, m.cwnd, m.cwnd
		m.k = math.Cbrt((m.wMax - m.cwndEpoch) / 0.4)
	}
	w := func(t float64) float64 { return 0.4*math.Pow(t-m.k, 3) + m.wMax }
	t := now - m.epoch
	alpha := 3 * (1 - 0.7) / (1 + 0.7)
	if m.wEst >= m.cwndPrior {
		alpha = 1
	}
	m.wEst += alpha * segments / m.cwnd
	if w(t) < m.wEst {
		m.cwnd = max(m.cwnd, m.wEst)
		return
	}
	target := min(max(w(t+rtt), m.cwnd), 1.5*m.cwnd)
	m.cwnd += segments * (target - m.cwnd) / m.cwnd
}

// compare runs both over the same ACKs and fails where they differ by more than a segment.
func compare(t *testing.T, f *flow, m *cubicModel, trips int, per uint32) {
	t.Helper()
	for trip := range trips {
		flight, start := f.w.Cwnd, f.now
		for sent := uint32(0); sent < flight; {
			n := min(per, flight-sent)
			sent += n
			f.now = start.Add(time.Duration(float64(f.rtt) * float64(sent) / float64(flight)))
			f.ack(n, true)
			m.ack(float64(n)/testSMSS, f.rtt.Seconds(), time.Duration(f.now).Seconds())
		}
		if math.Abs(f.segments()-m.cwnd) > 1 {
			t.Fatalf("after %d RTT cwnd = %.2f segments, the model has %.2f", trip+1, f.segments(), m.cwnd)
		}
	}
}

// lossAt returns a flow and a model that have just lost at cwnd segments.
func lossAt(cwnd uint32, rtt time.Duration) (*flow, *cubicModel) {
	f, m := newFlow(new(cubic), cwnd, cwnd, rtt), &cubicModel{cwnd: float64(cwnd)}
	f.lose()
	m.lose()
	return f, m
}

func TestCubicCurve(t *testing.T) {
	for _, c := range []struct {
		name  string
		cwnd  uint32
		rtt   time.Duration
		trips int
		per   uint32
	}{
		{"100 ms, 1000 segments", 1000, 100 * time.Millisecond, 200, testSMSS},
		{"100 ms, 1000 segments, ACKs of 64 KB", 1000, 100 * time.Millisecond, 200, 44 * testSMSS},
		{"40 ms, 300 segments, delayed ACKs", 300, 40 * time.Millisecond, 300, 2 * testSMSS},
		{"1 s, 50 segments", 50, time.Second, 20, testSMSS},
	} {
		t.Run("C-CUB-1 cwnd follows the model within 1 MSS: "+c.name, func(t *testing.T) {
			f, m := lossAt(c.cwnd, c.rtt)
			compare(t, f, m, c.trips, c.per)
			if f.segments() < 1.2*float64(c.cwnd) {
				t.Fatalf("cwnd = %.1f segments: the convex part was not reached", f.segments())
			}
			f.lose()
			m.lose()
			compare(t, f, m, c.trips/2, c.per)
		})
	}
	t.Run("C-CUB-1 plateau at W_max after K seconds", func(t *testing.T) {
		f, _ := lossAt(1000, 20*time.Millisecond)
		f.ack(testSMSS, true)
		begin := f.now
		k := time.Duration(math.Cbrt(300/0.4) * float64(time.Second)) // 9.09 s
		for f.now.Sub(begin) < k {
			f.roundTrip(testSMSS)
		}
		if got := f.segments(); math.Abs(got-1000) > 1 {
			t.Errorf("cwnd = %.2f segments after K = %v, want W_max = 1000", got, k)
		}
	})
	t.Run("C-CUB-1 target is at most 1.5 cwnd", func(t *testing.T) {
		f, _ := lossAt(1000, 100*time.Millisecond)
		f.ack(testSMSS, true)
		f.now = f.now.Add(time.Minute) // the curve is far above by now
		before := f.w.Cwnd
		f.ack(before, true)
		if want := before + before/2; f.w.Cwnd != want {
			t.Errorf("cwnd went from %d to %d, want %d", before, f.w.Cwnd, want)
		}
	})
}

func TestCubicRenoFriendly(t *testing.T) {
	const alpha = 3 * 0.3 / 1.7
	// 10 ms and 20 segments: K is 2.5 s, in which Reno makes 250 round trips.
	t.Run("C-CUB-2 alpha 3(1-b)/(1+b) up to the prior cwnd, then 1", func(t *testing.T) {
		f, m := lossAt(20, 10*time.Millisecond)
		compare(t, f, m, 10, testSMSS)
		if got, want := f.segments(), 14+10*alpha; math.Abs(got-want) > 0.5 {
			t.Fatalf("10 RTT after the loss cwnd = %.2f segments, want %.2f", got, want)
		}
		for f.segments() < 20 {
			compare(t, f, m, 1, testSMSS)
		}
		before := f.segments()
		compare(t, f, m, 20, testSMSS)
		if got := f.segments() - before; math.Abs(got-20) > 1 {
			t.Errorf("20 RTT past the prior cwnd added %.2f segments, want 20", got)
		}
	})
	t.Run("C-CUB-2 small BDP: no slower than Reno over many losses", func(t *testing.T) {
		const limit = 20 // segments that the path holds
		sum := func(l Controller) (octets float64) {
			f := newFlow(l, limit, limit, 10*time.Millisecond)
			f.lose()
			for range 2000 {
				f.roundTrip(testSMSS)
				octets += float64(f.w.Cwnd)
				if f.w.Cwnd >= limit*testSMSS {
					f.lose()
				}
			}
			return octets
		}
		if c, r := sum(new(cubic)), sum(new(newReno)); c < r {
			t.Errorf("CUBIC sent %.0f octets, Reno %.0f", c, r)
		}
	})
}

func TestCubicLoss(t *testing.T) {
	for _, c := range []struct {
		name                   string
		cwnd, flight, ssthresh uint32 // octets
	}{
		{"flight fills cwnd", 100_000, 100_000, 70_000},
		{"flight below cwnd", 100_000, 50_000, 70_000},
		{"two segments at least", 4000, 4000, 2 * testSMSS},
		{"no flight", 100_000, 0, 70_000},
		{"largest window", MaxCwnd, MaxCwnd, 751_619_276},
	} {
		t.Run("C-CUB-3 ssthresh: "+c.name, func(t *testing.T) {
			w := Window{Cwnd: c.cwnd, Ssthresh: c.cwnd, SMSS: testSMSS}
			if got := (law{new(cubic)}).onLoss(w.Cwnd, c.flight, w.SMSS); got != c.ssthresh {
				t.Errorf("ssthresh = %d, want %d", got, c.ssthresh)
			}
			if w.Cwnd != c.cwnd {
				t.Errorf("cwnd = %d: setting it is the connection's", w.Cwnd)
			}
		})
	}
	t.Run("C-CUB-3 fast convergence lowers W_max when the last one was not reached", func(t *testing.T) {
		var c cubic
		w := Window{SMSS: testSMSS}
		for _, loss := range []struct{ cwnd, wMax uint32 }{
			{100_000, 100_000},
			{80_000, 68_000}, // 80,000 * (1 + 0.7) / 2
			{68_000, 68_000}, // reached again
			{90_000, 90_000},
		} {
			w.Cwnd = loss.cwnd
			c.cut(loss.cwnd, testSMSS)
			if c.wMax != loss.wMax {
				t.Errorf("loss at cwnd %d: W_max = %d, want %d", loss.cwnd, c.wMax, loss.wMax)
			}
		}
	})
}

// TestCubicPause holds that a pause leaves no trace: the window afterwards is, to the octet, the one of a flow
// that did not pause.
func TestCubicPause(t *testing.T) {
	pauses := map[string]func(*flow){
		"C-CUB-4 idle 60 s, no jump": func(f *flow) {
			f.now = f.now.Add(time.Minute)
			f.law.onIdle(f.now)
		},
		"C-CUB-4 application-limited 60 s, no jump": func(f *flow) {
			for range 600 {
				f.now = f.now.Add(100 * time.Millisecond)
				f.ack(testSMSS, false)
			}
		},
	}
	for name, pause := range pauses {
		t.Run(name, func(t *testing.T) {
			steady, _ := lossAt(500, 100*time.Millisecond)
			paused, _ := lossAt(500, 100*time.Millisecond)
			for trip := range 100 {
				steady.roundTrip(testSMSS)
				paused.roundTrip(testSMSS)
				if steady.w.Cwnd != paused.w.Cwnd {
					t.Fatalf("RTT %d: cwnd = %d, without pauses %d", trip, paused.w.Cwnd, steady.w.Cwnd)
				}
				if trip%30 == 20 {
					pause(paused)
				}
			}
			if steady.segments() < 505 {
				t.Fatalf("cwnd = %.1f segments: the convex part was not reached", steady.segments())
			}
		})
	}
}

// TestCubicUndo holds that a spurious loss leaves no trace once the connection has put cwnd and ssthresh back.
func TestCubicUndo(t *testing.T) {
	for _, timeout := range []bool{false, true} {
		steady, _ := lossAt(500, 100*time.Millisecond)
		spurious, _ := lossAt(500, 100*time.Millisecond)
		for trip := range 100 {
			steady.roundTrip(testSMSS)
			spurious.roundTrip(testSMSS)
			if steady.w.Cwnd != spurious.w.Cwnd {
				t.Fatalf("RTT %d: cwnd = %d, without the loss %d", trip, spurious.w.Cwnd, steady.w.Cwnd)
			}
			if trip == 40 {
				before := spurious.w
				spurious.w.Ssthresh = spurious.law.onLoss(spurious.w.Cwnd, spurious.w.Cwnd, spurious.w.SMSS)
				if timeout {
					spurious.law.onTimeout()
				}
				spurious.w = before
				spurious.law.onUndo()
			}
		}
	}
}

// TestCubicTimeout holds that the congestion avoidance after a timeout begins at its plateau (RFC 9438 4.8), not
// on the way back up to a W_max of before.
func TestCubicTimeout(t *testing.T) {
	t.Run("C-CUB-1 after a timeout the curve begins at its plateau", func(t *testing.T) {
		f, _ := lossAt(500, 100*time.Millisecond)
		f.roundTrip(testSMSS)
		f.w.Ssthresh = f.law.onLoss(f.w.Cwnd, f.w.Cwnd, f.w.SMSS)
		f.law.onTimeout()
		f.w.Cwnd = testSMSS
		for f.w.InSlowStart() {
			f.roundTrip(testSMSS)
		}
		before := f.segments()
		for range 5 {
			f.roundTrip(testSMSS)
		}
		// Half a second of 0.4 t^3 is nothing, five round trips of W_est are 5 alpha; towards W_max it would be a hundred.
		if got := f.segments() - before; got < 1 || got > 4 {
			t.Errorf("cwnd grew by %.2f segments in five RTT, want 5 alpha = 2.65", got)
		}
	})
}

func TestCubicSize(t *testing.T) {
	if n := unsafe.Sizeof(cubic{}); n > 64 {
		t.Errorf("the state has %d octets, more than 64", n)
	}
}
