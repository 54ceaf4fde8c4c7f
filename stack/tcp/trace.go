package tcp

import (
	"fmt"

	"github.com/unet-go/unet/internal/mono"
)

// TraceKind says what a TraceEvent is about.
type TraceKind uint8

// The kinds of events, with the fields that they fill in.
const (
	// TraceState: the state has changed from From to To.
	TraceState TraceKind = iota
	// TraceSent: a segment leaves, with Flags, Seq, Ack, Len octets of text, and Window as in the header.
	TraceSent
	// TraceReceived: a segment has arrived and is about to be processed, with the same fields.
	TraceReceived
	// TraceWindow: the peer offers a window of Window octets.
	TraceWindow
	// TraceCwnd: the congestion window is now Window octets, and the slow start threshold Ssthresh.
	TraceCwnd
	// TraceLoss: Len octets from Seq are found to be lost; Detail says how.
	TraceLoss
	// TraceTimerSet: the retransmission timer expires At, or is stopped if that is zero; Detail says what it waits for. In
	// CLOSED and TIME-WAIT there is no timer, and no event says so.
	TraceTimerSet
	// TraceTimerFired: the retransmission timer has expired; Detail says what it waited for.
	TraceTimerFired
)

// TraceEvent is one event of a connection, for Env.Trace. Fields that its Kind does not name are zero.
type TraceEvent struct {
	Kind     TraceKind
	From, To State
	Flags    Flags
	Seq, Ack Seq
	Len      uint32
	Window   uint32
	Ssthresh uint32
	At       mono.Time
	Detail   string
}

// String returns the event on one line.
func (e TraceEvent) String() string {
	switch e.Kind {
	case TraceState:
		return fmt.Sprintf("state %v -> %v", e.From, e.To)
	case TraceSent, TraceReceived:
		verb := "sent"
		if e.Kind == TraceReceived {
			verb = "received"
		}
		return fmt.Sprintf("%s %v seq %d ack %d len %d win %d", verb, e.Flags, e.Seq, e.Ack, e.Len, e.Window)
	case TraceWindow:
		return fmt.Sprintf("window %d", e.Window)
	case TraceCwnd:
		return fmt.Sprintf("cwnd %d ssthresh %d", e.Window, e.Ssthresh)
	case TraceLoss:
		return fmt.Sprintf("lost seq %d len %d: %s", e.Seq, e.Len, e.Detail)
	case TraceTimerSet:
		if e.At == 0 {
			return "timer stopped"
		}
		return fmt.Sprintf("timer set to %d: %s", e.At, e.Detail)
	case TraceTimerFired:
		return "timer fired: " + e.Detail
	}
	return "unknown"
}
