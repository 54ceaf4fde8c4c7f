package tcp

import (
	"time"

	"github.com/unet-go/unet/internal/mono"
)

// Window is the congestion state that a connection shares with its CongestionControl. All sizes are octets.
type Window struct {
	// Cwnd is the congestion window, Ssthresh the slow start threshold (RFC 5681 2).
	Cwnd, Ssthresh uint32
	// SMSS is the sender's maximum segment size: the payload of a full segment.
	SMSS uint32
	// Flight is the most that was in the network in a window of data that Cwnd has limited, at most Cwnd: all of it but
	// the room in which no full segment finds place. It is what a round trip acknowledges. Zero where that is not known.
	Flight uint32
	// SRTT is the smoothed round-trip time, MinRTT the smallest one seen; zero before the first sample.
	SRTT, MinRTT time.Duration
}

// InSlowStart says whether cwnd is below ssthresh.
func (w *Window) InSlowStart() bool { return w.Cwnd < w.Ssthresh }

// CongestionControl decides how the congestion window moves. The connection calls it while it is not in
// loss recovery; it detects loss, keeps the flight within Cwnd, and undoes spurious cuts by itself. The
// calls are serialised and must not allocate.
type CongestionControl interface {
	// Name is the controller's name as the option TCP_CONGESTION takes it: "cubic", "reno".
	Name() string
	// OnAck tells that acked octets were newly acknowledged outside recovery. limited says that Cwnd
	// was what limited the flow in this window of data, or in slow start that at least half of Cwnd was used: only then
	// may Cwnd grow (RFC 5681 errata, RFC 7661 4.3). rtt is the sample that
	// this ACK gave, zero for none.
	OnAck(w *Window, acked uint32, limited bool, rtt time.Duration, now mono.Time)
	// OnLoss returns the ssthresh for a loss event with flight octets outstanding, at least 2*SMSS
	// (RFC 5681 equation 4, RFC 9438 4.6), and notes the event. Cwnd is no more than twice what was lately used, or the
	// initial window. The connection sets Cwnd itself.
	OnLoss(w *Window, flight uint32, now mono.Time) uint32
	// OnTimeout tells that the retransmission timer expired; OnLoss was called before it when this is the
	// first expiry for the data. The connection sets Cwnd to one SMSS itself.
	OnTimeout(w *Window, now mono.Time)
	// OnIdle tells that the connection begins to send again after idle without any data in flight.
	OnIdle(w *Window, idle time.Duration, now mono.Time)
	// OnUndo tells that the last loss event was spurious; the connection has restored Cwnd and Ssthresh.
	OnUndo(w *Window, now mono.Time)
}

// controller is a connection's CongestionControl, with what loss recovery remembers beyond the flight.
type controller struct {
	CongestionControl
	loss lossMemory
}

// lossMemory is what loss recovery remembers while nothing is in flight.
type lossMemory struct {
	reo    reordering
	undo   undo
	dsacks uint32 // reports of duplicates
	tlpEnd Seq    // SND.NXT when the tail loss probe was sent
}

// blank says whether the controller knows no more than a new one would, as most do that never met a loss: then
// an idle connection goes without.
func (c *controller) blank() bool {
	if c.loss != (lossMemory{tlpEnd: c.loss.tlpEnd}) {
		return false
	}
	switch cc := c.CongestionControl.(type) {
	case *cubic:
		return cc.blank()
	case *newReno:
		return cc.blank()
	}
	return false
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
	c.cc.CongestionControl = newCongestionControl(c.congestionControl())
}

// HasCongestionControl says whether there is a controller of that name, as Config.CongestionControl takes it.
func HasCongestionControl(name string) bool { return name == "cubic" || name == "reno" }

// newCongestionControl returns a controller of the given name ("cubic" or "reno") in its initial state, or
// nil where the name is unknown.
func newCongestionControl(name string) CongestionControl {
	switch name {
	case "cubic":
		return new(cubic)
	case "reno":
		return new(newReno)
	}
	return nil
}

// maxCwnd caps the congestion window in octets: no window that a peer can offer is larger (RFC 7323 2.3), so
// a flow that never sees a loss gains nothing by going on, and cwnd can never wrap.
const maxCwnd = 1 << 30

// grow adds n octets to cwnd, up to maxCwnd.
func (w *Window) grow(n uint32) {
	if w.Cwnd < maxCwnd {
		w.Cwnd += min(n, maxCwnd-w.Cwnd)
	}
}

// slowStart grows cwnd by the octets acknowledged, as far as ssthresh, and returns those left over for
// congestion avoidance (RFC 5681 3.1). One ACK counts in full however much it covers: there is no L of RFC 3465
// (ledger Z-14).
func (w *Window) slowStart(acked uint32) uint32 {
	n := min(acked, w.Ssthresh-w.Cwnd)
	w.grow(n)
	if w.InSlowStart() {
		return 0
	}
	return acked - n
}
