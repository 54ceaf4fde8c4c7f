package tcp

import (
	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
)

// controller is a connection's congestion control, with what loss recovery remembers while nothing is in flight.
type controller struct {
	cc.Controller
	loss lossMemory
}

// lossMemory is what loss recovery remembers while nothing is in flight.
type lossMemory struct {
	reo    reordering
	undo   undo
	dsacks uint32 // reports of duplicates
	tlpEnd Seq    // SND.NXT when the tail loss probe was sent
	search *mtuSearch
}

// blank says whether the controller knows no more than a new one would, as most do that never met a loss: then
// an idle connection goes without.
func (c *controller) blank() bool {
	return c.loss == (lossMemory{tlpEnd: c.loss.tlpEnd}) && c.Blank()
}

// congestionControl returns the name of the controller that the connection is to have.
func (c *Conn) congestionControl() string {
	if name := c.opts.CongestionControl; name != "" && HasCongestionControl(name) {
		return name
	}
	return c.env.Config.CongestionControl
}

// changeController gives the connection the controller that its options name. Cwnd and ssthresh stay; what the
// old one knew of the path's past is forgotten.
func (c *Conn) changeController() {
	if c.cc == nil || c.cc.Name() == c.congestionControl() {
		return
	}
	c.cc.Controller = cc.New(c.congestionControl())
	if c.tx != nil {
		c.tx.sb.sampleFor(c.cc.Sampler())
	}
}

// HasCongestionControl says whether there is a controller of that name, as Config.CongestionControl takes it.
func HasCongestionControl(name string) bool { return cc.Has(name) }

// PacingRate returns how many octets a second the congestion control wants to be sent at most, 0 for no limit.
func (c *Conn) PacingRate() uint64 {
	if c.cc == nil {
		return 0
	}
	return c.cc.PacingRate()
}

// window returns the Env's scratch window with what the controller is to see: one on the stack would escape
// through the interface, an allocation for each ACK.
func (c *Conn) window() *cc.Window {
	w := &c.env.window
	w.Cwnd, w.Ssthresh, w.SMSS = c.cwnd, c.ssthresh, uint32(c.smss)
	w.InFlight, w.Used = c.pipe(), c.recentUse
	w.SRTT, w.MinRTT = micros(c.srtt), micros(c.minRTT)
	w.Flight = &c.env.noFlight
	if c.tx != nil {
		w.Flight = &c.tx.flight
	}
	return w
}

// setCwnd is the one place that sets cwnd and ssthresh.
func (c *Conn) setCwnd(cwnd, ssthresh uint32) {
	cwnd = min(max(cwnd, uint32(c.smss)), cc.MaxCwnd)
	if c.env.Trace != nil {
		c.traceCwnd(cwnd, ssthresh)
	}
	c.cwnd, c.ssthresh = cwnd, ssthresh
}

func (c *Conn) traceCwnd(cwnd, ssthresh uint32) {
	if cwnd != c.cwnd || ssthresh != c.ssthresh {
		c.env.Trace(c, TraceEvent{Kind: TraceCwnd, Window: cwnd, Ssthresh: ssthresh})
	}
}

// takeWindow takes over what the controller has decided.
func (c *Conn) takeWindow(w *cc.Window) { c.setCwnd(w.Cwnd, w.Ssthresh) }

// tellACK tells the controller of an acknowledgment, and lets the send buffer grow with cwnd where grow says so.
func (c *Conn) tellACK(ev *ackEvent, phase cc.Phase, grow bool, now mono.Time) {
	w, a := c.window(), &c.env.ack
	a.Acked, a.Delivered, a.RTT = ev.acked, ev.delivered, ev.rtt
	a.Una, a.Nxt = uint32(c.snd.una), uint32(c.snd.nxt)
	a.Phase, a.Safe, a.Forced, a.Echo = phase, ev.safe, c.tx.ignoreCwnd, ev.echo
	a.Sample = nil
	if s := c.tx.sb.sampler; s != nil {
		a.Sample = s.Take(ev.pipe, w.MinRTT)
	}
	c.cc.OnAck(w, a, now)
	c.takeWindow(w)
	if grow && !c.has(flagSendFixed) && c.env.Pressure == Ample {
		// More than the peer's window can never be in flight, though cwnd may be up to twice that.
		want := min(int64(min(w.Cwnd, c.snd.maxWnd))*2, int64(c.env.Config.MaxSendBuffer))
		c.sndBuf = max(c.sndBuf, int32(want))
	}
}

// signal tells the controller of congestion without a recovery. What was lost before is not undone any more.
func (c *Conn) signal(s cc.Signal, flight uint32, now mono.Time) {
	c.cc.loss.undo.armed = false
	w := c.window()
	c.cc.OnSignal(w, s, flight, now)
	c.takeWindow(w)
	c.tellCWR()
}

// noteUsage takes what the sending of new text, or cwnd in its way, says about the use of cwnd.
func (c *Conn) noteUsage(sent bool, now mono.Time) {
	pipe := c.pipe()
	if limited := pipe+uint32(c.smss) > c.cwnd; sent || limited {
		c.tx.flight.Usage.Note(pipe, uint32(c.snd.una), uint32(c.snd.nxt), limited, &c.recentUse, micros(c.rto), now)
	}
}

// forgetUsage ends the window of data: cwnd has been set to what this window did not measure.
func (c *Conn) forgetUsage() { c.tx.flight.Usage.Forget(uint32(c.snd.una)) }

// stampSent stamps record i, of whose octets n have just been sent, for a controller that wants delivery rates.
func (c *Conn) stampSent(i int, n uint32, now mono.Time) {
	sb := &c.tx.sb
	sb.stamps[i] = sb.sampler.Sent(n, c.pipe(), now)
}

// noteAppLimited tells such a controller when the application has not written enough to fill cwnd.
func (c *Conn) noteAppLimited() {
	sb := &c.tx.sb
	if sb.lost > 0 || c.tx.q.end.Distance(c.snd.nxt) >= uint32(c.smss) && c.snd.nxt.LessThan(c.tx.q.end) {
		return
	}
	if pipe := c.pipe(); pipe < c.cwnd {
		sb.sampler.AppLimited(pipe)
	}
}
