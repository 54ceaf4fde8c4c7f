package cc

import "time"

// The constants of RFC 9406 4.3. There is no L: as everywhere in slow start an ACK counts in full (ledger Z-14).
const (
	hystartMinThresh = 4 * time.Millisecond
	hystartMaxThresh = 16 * time.Millisecond
	hystartDivisor   = 8
	hystartSamples   = 8
	hystartGrowth    = 4 // CSS_GROWTH_DIVISOR
	hystartRounds    = 5 // CSS_ROUNDS
)

// HyStart is HyStart++ (RFC 9406): it leaves the first slow start before the queue overflows, when the round-trip
// time begins to rise. A rise leads to Conservative Slow Start, which grows a quarter as fast, and ends slow start
// if it lasts. It is the same for all controllers, and lives as long as the flight does. Times are microseconds; zero
// stands for infinity. The zero value is ready.
type HyStart struct {
	end      uint32 // windowEnd: SND.NXT when the round began
	started  bool   // there is a round
	samples  uint8  // rttSampleCount
	cssRound uint8  // rounds of Conservative Slow Start, this one included; zero in slow start
	last     int32  // lastRoundMinRTT
	current  int32  // currentRoundMinRTT
	baseline int32  // cssBaselineMinRtt
}

// onAck looks at one ACK and returns how many of the octets that it acknowledges count for slow start.
func (h *HyStart) onAck(w *Window, a *Ack) uint32 {
	acked, rtt := a.Acked, a.RTT
	if w.Ssthresh < MaxCwnd { // it is not the first slow start
		return acked
	}
	if !h.started || reached(a.Una, h.end) {
		h.newRound(w, a.Nxt)
		if !w.InSlowStart() {
			return acked
		}
	}
	if rtt > 0 {
		us := int32(min(rtt/time.Microsecond, 1<<30)) + 1
		if h.current == 0 || us < h.current {
			h.current = us
		}
		h.samples += uint8(min(1, hystartSamples-int(h.samples)))
	}
	if h.samples == hystartSamples {
		h.judge()
	}
	if h.cssRound > 0 {
		return acked / hystartGrowth
	}
	return acked
}

// Round returns where the round ends that is being measured, and whether there is one.
func (h *HyStart) Round() (end uint32, started bool) { return h.end, h.started }

// pass ends the round when SND.UNA has come to its end by acknowledgments that onAck does not see: half the ring later
// that end would stand ahead again.
func (h *HyStart) pass(una uint32) {
	if h.started && reached(una, h.end) {
		h.started = false
	}
}

// newRound begins a round, and ends slow start when enough of them were conservative.
func (h *HyStart) newRound(w *Window, nxt uint32) {
	h.last, h.current, h.samples = h.current, 0, 0
	h.started, h.end = true, nxt
	if h.cssRound == 0 {
		return
	}
	if h.cssRound++; h.cssRound > hystartRounds {
		*h = HyStart{}
		w.Ssthresh = w.Cwnd
	}
}

// judge compares the round's smallest round-trip time, of enough samples, with that of the round before, or with
// the one that made growth conservative.
func (h *HyStart) judge() {
	if h.cssRound > 0 {
		if h.current < h.baseline {
			h.cssRound, h.baseline = 0, 0 // it was jitter
		}
		return
	}
	if h.last == 0 {
		return
	}
	last := micros(h.last)
	if micros(h.current) >= last+min(max(last/hystartDivisor, hystartMinThresh), hystartMaxThresh) {
		h.cssRound, h.baseline = 1, h.current
	}
}

func micros(n int32) time.Duration { return time.Duration(n) * time.Microsecond }
