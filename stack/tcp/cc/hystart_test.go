package cc

import (
	"testing"
	"time"

	"github.com/unet-go/unet/internal/mono"
)

// ramp drives a controller through slow start, a round trip at a time.
type ramp struct {
	law law
	h   HyStart
	w   Window
	una uint32
	now mono.Time
}

func newRamp(name string) *ramp {
	return &ramp{law: law{New(name)}, now: mono.Time(time.Hour),
		w: Window{Cwnd: 20 * testSMSS, Ssthresh: MaxCwnd, SMSS: testSMSS}}
}

// round acknowledges one window, segment by segment, with the round-trip time that rtt gives for each, and returns by
// which factor the window has grown.
func (r *ramp) round(rtt func(i int) time.Duration) float64 {
	before := r.w.Cwnd
	nxt := r.una + before
	for i := range int(before / testSMSS) {
		r.una, nxt = r.una+testSMSS, nxt+testSMSS
		r.now = r.now.Add(time.Millisecond)
		acked := r.h.onAck(&r.w, &Ack{Una: r.una, Nxt: nxt - testSMSS, Acked: testSMSS, RTT: rtt(i)})
		r.law.onAck(&r.w, acked, 0, true, r.now)
	}
	return float64(r.w.Cwnd) / float64(before)
}

func (r *ramp) steady(ms int) float64 {
	return r.round(func(int) time.Duration { return time.Duration(ms) * time.Millisecond })
}

func TestHyStart(t *testing.T) {
	near := func(t *testing.T, what string, got, want float64) {
		t.Helper()
		if got < want-0.06 || got > want+0.06 {
			t.Errorf("%s: grows by %.2f, want %.2f", what, got, want)
		}
	}
	for _, name := range []string{"cubic", "reno"} {
		t.Run("C-HS-1 a rise that lasts ends slow start after five rounds of a quarter of the growth, "+name, func(t *testing.T) {
			r := newRamp(name)
			near(t, "first round", r.steady(100), 2)
			near(t, "second round", r.steady(105), 2) // below the threshold of an eighth
			// The eighth sample shows the rise: from there on a quarter.
			g := r.steady(120)
			if g <= 1.25 || g >= 1.5 {
				t.Errorf("the round of the rise grows by %.2f", g)
			}
			for i := 2; i <= hystartRounds; i++ {
				near(t, "conservative round", r.steady(120+i), 1.25)
				if r.w.Ssthresh != MaxCwnd {
					t.Fatalf("slow start ends in round %d", i)
				}
			}
			cwnd := r.w.Cwnd
			if g := r.steady(130); g > 1.1 || r.w.Ssthresh < cwnd || r.w.Ssthresh > cwnd+cwnd/20 {
				t.Errorf("congestion avoidance grows by %.2f, ssthresh %d, want %d", g, r.w.Ssthresh, cwnd)
			}
		})
		t.Run("C-HS-1 jitter keeps slow start, "+name, func(t *testing.T) {
			r := newRamp(name)
			for range 6 {
				near(t, "jitter", r.round(func(i int) time.Duration { return time.Duration(100+i*7%60) * time.Millisecond }), 2)
			}
		})
		t.Run("C-HS-1 the threshold is an eighth, 4 ms at least and 16 at most, "+name, func(t *testing.T) {
			for _, c := range []struct {
				rtt, rise int
				slower    bool
			}{{8, 3, false}, {8, 5, true}, {80, 9, false}, {80, 11, true}, {400, 15, false}, {400, 17, true}} {
				r := newRamp(name)
				r.steady(c.rtt)
				if g := r.steady(c.rtt + c.rise); (g < 1.9) != c.slower {
					t.Errorf("RTT %d rises by %d: window grows by %.2f", c.rtt, c.rise, g)
				}
			}
		})
		t.Run("C-HS-1 fewer than eight samples decide nothing, "+name, func(t *testing.T) {
			r := newRamp(name)
			r.steady(100)
			near(t, "seven samples", r.round(func(i int) time.Duration {
				if i < hystartSamples-1 {
					return 200 * time.Millisecond
				}
				return 0
			}), 2)
		})
		t.Run("C-HS-2 slow start resumes when the round-trip time falls, "+name, func(t *testing.T) {
			r := newRamp(name)
			r.steady(100)
			r.steady(118)
			near(t, "conservative", r.steady(118), 1.25)
			if g := r.steady(110); g < 1.7 {
				t.Errorf("grows by %.2f after the fall", g)
			}
			near(t, "resumed", r.steady(110), 2)
			if r.w.Ssthresh != MaxCwnd {
				t.Error("slow start has ended")
			}
		})
		t.Run("C-HS-2 only the first slow start, "+name, func(t *testing.T) {
			r := newRamp(name)
			r.w.Ssthresh = MaxCwnd / 2
			r.steady(100)
			near(t, "second slow start", r.steady(200), 2)
		})
	}
}
