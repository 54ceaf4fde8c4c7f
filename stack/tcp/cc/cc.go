package cc

import (
	"time"

	"github.com/unet-go/unet/internal/mono"
)

// MaxCwnd caps the congestion window in octets: no window that a peer can offer is larger (RFC 7323 2.3), so
// a flow that never sees a loss gains nothing by going on, and cwnd can never wrap.
const MaxCwnd = 1 << 30

// InitialWindow is IW of RFC 6928 2, in octets.
func InitialWindow(smss uint32) uint32 { return min(10*smss, max(2*smss, 14600)) }

// Window is what a connection and its Controller share during a call. All sizes are octets. A Controller sets Cwnd and
// Ssthresh; the rest is for it to read.
type Window struct {
	// Cwnd is the congestion window, Ssthresh the slow start threshold (RFC 5681 2). The connection takes them over after
	// the call, Cwnd as one SMSS at least and MaxCwnd at most.
	Cwnd, Ssthresh uint32
	// SMSS is the sender's maximum segment size: the payload of a full segment.
	SMSS uint32
	// InFlight is how much is in the network, as far as one can tell (pipe of RFC 6675 4).
	InFlight uint32
	// Used is the most that was lately in the network.
	Used uint32
	// SRTT is the smoothed round-trip time, MinRTT the smallest one seen; zero before the first sample.
	SRTT, MinRTT time.Duration
	// Flight is what is remembered until everything in flight is acknowledged.
	Flight *Flight
}

// InSlowStart says whether cwnd is below ssthresh.
func (w *Window) InSlowStart() bool { return w.Cwnd < w.Ssthresh }

// Flight is the part of congestion control's state that a connection keeps only while something is queued or in flight.
// Its zero value is ready, with Usage begun.
type Flight struct {
	HyStart HyStart
	Usage   Usage
	PRR     PRR
}

// Phase says how far a connection's loss recovery is.
type Phase uint8

const (
	// Open: no loss is being recovered from.
	Open Phase = iota
	// Reduced: no loss is being recovered from, and the window was cut for what is in flight because of ECN.
	Reduced
	// Recovery is fast recovery (RFC 6675, RFC 8985, RFC 9937).
	Recovery
	// Timeout is the time after an expiry of the retransmission timer, until what was in flight then is acknowledged.
	Timeout
)

// Ack is what one acknowledgment says.
type Ack struct {
	// Acked is how many octets SEG.ACK newly acknowledges, Delivered how many it or SACK newly say to be delivered.
	Acked, Delivered uint32
	// Una and Nxt are SND.UNA and SND.NXT after it. They are compared around the ring of sequence numbers.
	Una, Nxt uint32
	// RTT is the round-trip time that it measures, zero for none.
	RTT time.Duration
	// Phase is that of loss recovery after it.
	Phase Phase
	// Safe says that it makes progress and shows no further loss (SafeACK of RFC 9937).
	Safe bool
	// Forced says that the next segment leaves whatever cwnd says.
	Forced bool
	// Echo says that it echoes congestion (RFC 3168).
	Echo bool
	// Sample is the delivery rate that it shows; nil for a Controller without a Sampler. It is valid during the call.
	Sample *Sample
}

// Loss is a record, a run of octets that was sent at one time, that was just found to be lost.
type Loss struct {
	// Octets is the record's length.
	Octets uint32
	// SentAt is when it was sent last, and Sent what was known then; its InFlight includes the record.
	SentAt mono.Time
	Sent   Stamp
	// Lost is what all records lost so far have had in octets, this one included.
	Lost uint64
}

// Reduction is the beginning of a fast recovery, or an expiry of the retransmission timer.
type Reduction struct {
	// Flight is FlightSize (RFC 5681 2).
	Flight uint32
	// InNetwork is RecoverFS of RFC 9937 6.2: what was in flight without what SACK says to be delivered.
	InNetwork uint32
	// Again says that the window was reduced for this flight before.
	Again bool
}

// Signal is congestion that was told otherwise than by a loss to be recovered from.
type Signal uint8

const (
	// Echoed: a router has marked a segment, and the peer echoes it (RFC 3168 6.1.2).
	Echoed Signal = iota
	// Repaired: the tail loss probe has repaired a loss (RFC 8985 7.4).
	Repaired
)

// Controller decides how large the congestion window is. The calls for one connection are serialised and must not
// allocate. There is one Controller for each connection that has lost something or has something in flight.
type Controller interface {
	// Name is the controller's name as the option TCP_CONGESTION takes it: "cubic", "reno".
	Name() string
	// Blank says whether the controller remembers no more than a new one would. An idle connection then goes without.
	Blank() bool
	// Sampler returns what measures the delivery rate for this controller, always the same, or nil if it needs no samples:
	// then none are made, and what is in flight needs no room for them.
	Sampler() *Sampler
	// PacingRate returns how many octets a second the controller wants to be sent at most, 0 for no limit of its own.
	PacingRate() uint64
	// OnAck tells of an acknowledgment in any phase. A Controller without a Sampler hears only of those that newly
	// acknowledge something by SEG.ACK or belong to fast recovery, which also begins with a call.
	OnAck(w *Window, a *Ack, now mono.Time)
	// OnLost tells of each record that is found to be lost; only a Controller with a Sampler hears of it. Recovery, if it
	// begins with that loss, begins afterwards.
	OnLost(w *Window, l *Loss, now mono.Time)
	// OnRecovery tells that fast recovery begins. OnAck follows, with Phase Recovery.
	OnRecovery(w *Window, r Reduction, now mono.Time)
	// OnRecovered tells that all that was in flight when fast recovery began is acknowledged.
	OnRecovered(w *Window, now mono.Time)
	// OnTimeout tells that the retransmission timer has expired: only what is sent again now is thought to be in the
	// network.
	OnTimeout(w *Window, r Reduction, now mono.Time)
	// OnSignal tells of congestion without a recovery. flight is FlightSize when it was found.
	OnSignal(w *Window, s Signal, flight uint32, now mono.Time)
	// OnUndo tells that the latest recovery or timeout was for nothing: all had arrived. prior holds Cwnd and Ssthresh from
	// before it.
	OnUndo(w *Window, prior Prior, now mono.Time)
	// OnIdle tells that something is about to be sent after more than one RTO without anything in flight.
	OnIdle(w *Window, idle time.Duration, now mono.Time)
}

// Prior is what a reduction has taken.
type Prior struct{ Cwnd, Ssthresh uint32 }

// grow adds n octets to cwnd, up to MaxCwnd.
func (w *Window) grow(n uint32) {
	if w.Cwnd < MaxCwnd {
		w.Cwnd += min(n, MaxCwnd-w.Cwnd)
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
