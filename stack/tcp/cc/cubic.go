package cc

import (
	"math"
	"time"

	"github.com/unet-go/unet/internal/mono"
)

// The constants of RFC 9438 4.1 and 5.
const (
	cubicC    = 0.4 // segments per second cubed
	cubicBeta = 0.7
	// cubicAlpha makes the Reno-friendly window as fast on average as Reno's, which halves (4.3).
	cubicAlpha = 3 * (1 - cubicBeta) / (1 + cubicBeta)
)

// cubic is the congestion control of RFC 9438. Its zero value is ready. Windows are in octets where the RFC
// counts segments. There is no t_epoch: the curve is kept by the moment at which it passes W_max, the RFC's
// t_epoch + K, so that time which must not count only moves that moment on.
type cubic struct {
	lossBased
	cubicEpoch
	undo cubicEpoch // as it was before the latest loss

	last     mono.Time // of the latest call
	fraction float32   // of an octet, still to be added to cwnd
}

// cubicEpoch is what a congestion event changes and the undo of a spurious one brings back (RFC 9438 4.9).
type cubicEpoch struct {
	// plateau is the moment at which W_cubic is W_max; zero outside congestion avoidance.
	plateau mono.Time
	// wEst is W_est, the window that Reno would have.
	wEst float64
	// wMax is W_max; zero before the first loss and after a timeout.
	wMax uint32
	// cwndPrior is cwnd_prior, the window at the latest loss.
	cwndPrior uint32
}

// Blank says whether there is nothing to remember; last counts only beside a plateau.
func (c *cubic) Blank() bool {
	return c.cubicEpoch == cubicEpoch{} && c.undo == cubicEpoch{} && c.fraction == 0
}

// Name returns "cubic".
func (c *cubic) Name() string { return "cubic" }

// OnAck grows cwnd outside of recovery.
func (c *cubic) OnAck(w *Window, a *Ack, now mono.Time) {
	if acked, _, limited, ok := c.lossBased.onAck(w, a); ok {
		c.grow(w, acked, limited, now)
	}
}

// OnRecovery cuts ssthresh, if ECN has not done so for this flight.
func (c *cubic) OnRecovery(w *Window, r Reduction, _ mono.Time) {
	if !r.Again {
		w.Ssthresh = c.cut(w.validated(), w.SMSS)
	}
	c.beginReduction(w, r)
}

// OnTimeout sets cwnd to one segment (RFC 5681 3.1, RFC 6675 5.1).
func (c *cubic) OnTimeout(w *Window, r Reduction, _ mono.Time) {
	if !r.Again {
		w.Ssthresh = c.cut(w.validated(), w.SMSS)
	}
	c.timeout()
	w.Cwnd = w.SMSS
}

// OnSignal cuts cwnd and ssthresh.
func (c *cubic) OnSignal(w *Window, _ Signal, _ uint32, _ mono.Time) {
	c.onSignal(w, c.cut(w.validated(), w.SMSS))
}

// OnUndo brings back cwnd, ssthresh and the curve.
func (c *cubic) OnUndo(w *Window, prior Prior, _ mono.Time) {
	c.onUndo(w, prior)
	c.uncut()
}

// OnIdle takes the idle time out of the curve, and restarts.
func (c *cubic) OnIdle(w *Window, _ time.Duration, now mono.Time) {
	c.exclude(now)
	c.restart(w)
}

// grow grows cwnd along the cubic curve, or as Reno would where that is more.
func (c *cubic) grow(w *Window, acked uint32, limited bool, now mono.Time) {
	if !limited {
		c.exclude(now)
		return
	}
	c.last = now
	if w.InSlowStart() {
		c.plateau = 0
		if acked = w.slowStart(acked); acked == 0 {
			return
		}
	}
	if c.plateau == 0 {
		c.begin(w, now)
	}
	// An ACK may cover more than cwnd when cwnd has just been cut. It is one window's worth at most.
	acked = min(acked, w.Cwnd)
	c.friendly(w, acked)
	if c.curve(w, now) < c.wEst {
		// Never faster than slow start, should the connection have cut cwnd after an idle time.
		if est := uint32(c.wEst); est > w.Cwnd {
			w.grow(min(est-w.Cwnd, acked))
		}
		return
	}
	cwnd := float64(w.Cwnd)
	target := min(c.curve(w, now.Add(w.SRTT)), 1.5*cwnd)
	if target <= cwnd {
		return
	}
	n := float64(acked)*(target-cwnd)/cwnd + float64(c.fraction)
	whole := math.Floor(n)
	c.fraction = float32(n - whole)
	w.grow(uint32(whole))
}

// begin starts a congestion avoidance stage (RFC 9438 4.2). After a timeout, or when slow start ended without a
// loss, the stage begins at the plateau (4.8, 4.10).
func (c *cubic) begin(w *Window, now mono.Time) {
	c.wMax = max(c.wMax, w.Cwnd)
	segments := float64(c.wMax-w.Cwnd) / float64(max(w.SMSS, 1))
	k := math.Cbrt(segments / cubicC)
	c.plateau = now.Add(time.Duration(k * float64(time.Second)))
	c.wEst = float64(w.Cwnd)
	c.fraction = 0
}

// curve returns W_cubic at the moment at, in octets (RFC 9438 equation 1).
func (c *cubic) curve(w *Window, at mono.Time) float64 {
	t := at.Sub(c.plateau).Seconds()
	return cubicC*t*t*t*float64(w.SMSS) + float64(c.wMax)
}

// friendly moves W_est on by one ACK (RFC 9438 4.3). Past the window of the latest loss it grows as fast as
// Reno does, since Reno would have lost again by then.
func (c *cubic) friendly(w *Window, acked uint32) {
	alpha := cubicAlpha
	if c.wEst >= float64(c.cwndPrior) {
		alpha = 1
	}
	c.wEst += alpha * float64(w.SMSS) * float64(acked) / float64(max(w.Cwnd, 1))
	c.wEst = min(c.wEst, MaxCwnd)
}

// exclude takes the time since the latest call out of the curve: cwnd was not what held the flow back (RFC
// 9438 4.2, 5.8).
func (c *cubic) exclude(now mono.Time) {
	if c.plateau != 0 && now > c.last {
		c.plateau += now - c.last
	}
	c.last = now
}

// cut returns 0.7 of cwnd, at least two segments, for ssthresh, and remembers the window that was too large, or less
// where the flow did not even get back to the previous one, to make room for a new flow (RFC 9438 4.6, 4.7). It is
// cwnd that counts and not the flight, which the end of a response leaves far too small: cwnd grows only with its use,
// and the caller has brought it down to what was lately used, as RFC 9438 4.6 asks for.
func (c *cubic) cut(cwnd, smss uint32) uint32 {
	c.undo = c.cubicEpoch
	c.cwndPrior = cwnd
	if cwnd < c.wMax {
		c.wMax = uint32(float64(cwnd) * (1 + cubicBeta) / 2)
	} else {
		c.wMax = cwnd
	}
	c.plateau = 0
	return max(uint32(float64(cwnd)*cubicBeta), 2*smss)
}

// timeout makes the congestion avoidance after the coming slow start begin at its plateau (RFC 9438 4.8).
func (c *cubic) timeout() {
	c.plateau = 0
	c.wMax = 0
}

// uncut brings back the curve from before the latest loss (RFC 9438 4.9).
func (c *cubic) uncut() { c.cubicEpoch = c.undo }
