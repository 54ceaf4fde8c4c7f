package tcp

import (
	"math"
	"syscall"
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
)

// timerKind says what timerRetransmit is running for. Exactly one of them runs at a time (RFC 8985 8).
type timerKind uint8

const (
	kindRTO     timerKind = iota // retransmission timeout (RFC 6298)
	kindProbe                    // tail loss probe (RFC 8985 7)
	kindReorder                  // end of the reordering window (RFC 8985 6.3)
	kindPersist                  // zero-window probe (RFC 9293 3.8.6.1)
)

var timerKinds = [...]string{"retransmission timeout", "tail loss probe", "reordering", "zero-window probe"}

func (k timerKind) String() string { return timerKinds[k] }

const (
	// suspended is how late a timer must be to conclude that the host was asleep. That time does not count against the
	// peer, whose answers during the sleep have not been read yet.
	suspended    = 10 * time.Second
	holdTime     = 200 * time.Millisecond // RFC 9293 3.8.6.2.1: 0.1 to 1 s
	maxACKDelay  = 200 * time.Millisecond // WCDelAckT of RFC 8985 7.2
	minPTO       = 10 * time.Millisecond
	orphanR2     = 120 * time.Second // R2 of a closed connection, at least 100 s (RFC 9293 3.8.3)
	orphanTries  = 8                 // the same in timeouts, if RTO was backed off before; Linux's tcp_orphan_retries
	defaultIdle  = 7200              // seconds, RFC 9293 3.8.4
	defaultIntvl = 75
	defaultCount = 9
)

// Timeout acts on each deadline that has passed (RFC 9293 3.10.8).
func (c *Conn) Timeout(now mono.Time) {
	due := func(i int) bool { return c.timers[i] != 0 && c.timers[i] <= now }
	if due(timerClose) {
		c.timers[timerClose] = 0
		c.end(0)
		return
	}
	if due(timerRetransmit) {
		if late := now.Sub(c.timers[timerRetransmit]); late >= suspended && c.stalledSince != 0 {
			c.stalledSince = c.stalledSince.Add(late)
		}
		c.timers[timerRetransmit] = 0
		if c.env.Trace != nil {
			c.env.Trace(c, TraceEvent{Kind: TraceTimerFired, Detail: c.timerDetail()})
		}
		c.retransmitTimeout(now)
	}
	if due(timerKeepalive) {
		c.timers[timerKeepalive] = 0
		c.keepaliveTimeout(now)
	}
	if due(timerHold) {
		c.timers[timerHold] = 0
		c.set(flagHoldExpired)
	}
	if due(timerACK) {
		c.timers[timerACK] = 0
		if c.rcv.nxt != c.rcv.acked {
			c.set(flagACKNow)
			c.clear(flagInteractive) // the application does not answer, and the peer should not have to wait
			c.set(flagUnanswered)
		}
	}
	c.Output(now)
}

func (c *Conn) retransmitTimeout(now mono.Time) {
	if c.state == SynSent || c.state == SynReceived {
		c.synTimeout(now)
		return
	}
	if c.tx == nil {
		return
	}
	if now >= c.giveUpAt() || c.expendable(now) {
		c.giveUp(now)
		return
	}
	switch c.tx.kind {
	case kindPersist:
		c.countTimeout()
		c.rtoFrom = now
		if c.urgentMode() {
			c.sendACKAt(c.snd.una, now) // the probe is before the window, where the peer ignores an urgent pointer
		}
		c.sendProbe(c.snd.una.Sub(1), now)
	case kindProbe:
		c.tailLossProbe(now)
	case kindReorder:
		c.detect(now)
		if !c.recovering() && c.tx.sb.lost > 0 {
			ev := ackEvent{flight: c.flightSize(), sacked: c.tx.sb.sacked, pipe: c.pipe()}
			c.enterRecovery(&ev, now)
			c.tellACK(&ev, cc.Recovery, false, now)
		}
	case kindRTO:
		c.env.Counters.Timeouts++
		c.countTimeout()
		c.doubt()
		c.rtoFrom = now
		if s := c.searching(); s != nil {
			c.probeTimedOut(s)
		}
		c.suspectBlackHole()
		c.timeoutRecovery(now)
	}
}

// countTimeout counts an expiry of the timer. An advance of SND.UNA resets the number of retransmissions, but not the
// backoff: that needs a round-trip time, which a segment sent more than once does not give (Karn's rule).
func (c *Conn) countTimeout() {
	if c.retransmits < math.MaxUint8 {
		c.retransmits++
	}
	if c.backoff < math.MaxUint8 {
		c.backoff++
	}
}

// doubt raises the event Doubtful when R1 is reached, and again at each later timeout.
func (c *Conn) doubt() {
	if c.retransmits >= r1 {
		c.events |= Doubtful
	}
}

// giveUpAt returns when the connection ends because the data in flight has made no progress: R2 of RFC 9293 3.8.3. There is
// no such limit while the peer answers probes of its closed window (MUST-37), except for a connection that the user has
// closed (CVE-2008-4609) and for an explicit user timeout.
func (c *Conn) giveUpAt() mono.Time {
	persist := c.tx.kind == kindPersist
	switch {
	case c.opts.UserTimeout > 0:
		return c.stalledSince.Add(time.Duration(c.opts.UserTimeout) * time.Millisecond)
	case c.has(flagClosed) && persist:
		return c.stalledSince.Add(c.env.Config.OrphanTimeout)
	case c.has(flagClosed):
		return c.orphanEnd()
	case persist:
		return max(c.lastReceive, c.stalledSince).Add(c.env.Config.UserTimeout)
	}
	return c.stalledSince.Add(c.env.Config.UserTimeout)
}

// orphanEnd is giveUpAt of a connection that the user has closed. If RTO was backed off before SND.UNA last advanced, only
// one or two retransmissions would fit into orphanR2, and on a lossy path that still delivers the end of the stream would be
// lost. In that case it allows a number of retransmissions, and an RTO after the last one for its answer.
func (c *Conn) orphanEnd() mono.Time {
	end := c.stalledSince.Add(min(orphanR2, c.env.Config.UserTimeout))
	if c.backoff <= c.retransmits || c.env.Config.UserTimeout < orphanR2 {
		return end
	}
	left := time.Duration(1 + orphanTries - min(int(c.retransmits), orphanTries))
	return max(end, c.rtoFrom.Add(left*c.backedOffRTO()))
}

// expendable says whether to end a connection that the user has closed because the host has no memory for others: the peer
// has never acknowledged anything and offers no window, as sockstress does, or has acknowledged nothing new for a quarter of
// Config.OrphanTimeout and three timeouts. One timeout is not enough: the peer may answer the retransmission.
func (c *Conn) expendable(now mono.Time) bool {
	if !c.has(flagClosed) || c.env.Pressure < Exhausted {
		return false
	}
	switch c.tx.kind {
	case kindPersist:
		if !c.has(flagTaken) {
			return true
		}
	case kindRTO:
	default: // kindProbe and kindReorder: an acknowledgment may still come
		return false
	}
	// Since each timeout doubles the next, the third one comes 7/4 of the last interval after the progress.
	three := c.backedOffRTO() / 4 * 7
	return now.Sub(c.stalledSince) >= max(c.env.Config.OrphanTimeout/4, three)
}

func (c *Conn) giveUp(now mono.Time) {
	c.env.Counters.UserTimeouts++
	if c.has(flagClosed) {
		c.sendReset(c.acceptableSeq(), now)
		c.end(0)
		return
	}
	c.end(c.timeoutErrno())
}

// timeoutErrno returns ETIMEDOUT, or the error that an ICMP message has reported (SHLD-25).
func (c *Conn) timeoutErrno() syscall.Errno {
	if c.soft != 0 {
		return syscall.Errno(c.soft)
	}
	return syscall.ETIMEDOUT
}

// armRetransmit sets timerRetransmit to the earliest moment at which something must be done about the data in flight, and
// stops it if there is none (RFC 6298 5.2).
func (c *Conn) armRetransmit(now mono.Time) {
	switch c.state {
	case SynSent, SynReceived:
		return
	case Closed, Listen, Established, FinWait1, FinWait2, CloseWait, Closing, LastAck, TimeWaitState:
	}
	tx := c.tx
	if tx == nil {
		c.setRetransmit(0)
		return
	}
	flight := c.flightSize()
	unsent := tx.q.end != c.snd.nxt && !c.has(flagFINSent) || c.finPending()
	if flight == 0 && !unsent {
		c.setRetransmit(0)
		return
	}
	var at mono.Time
	switch {
	case c.snd.wnd == 0:
		if tx.kind != kindPersist {
			tx.kind = kindPersist
			c.rtoFrom = now
		}
		at = c.rtoFrom.Add(c.backedOffRTO())
	case flight == 0:
		// Nagle's algorithm, cork or silly window avoidance hold the text back, and have a timer of their own.
		c.setRetransmit(0)
		return
	default:
		at = c.lossDeadline()
	}
	c.setRetransmit(max(min(at, c.giveUpAt()), now+1))
}

// lossDeadline returns when to look for losses in flight, and sets the kind of the timer.
func (c *Conn) lossDeadline() mono.Time {
	tx := c.tx
	rto := c.rtoFrom.Add(c.backedOffRTO())
	tx.kind = kindRTO
	if tx.reoAt != 0 {
		if tx.reoAt < rto {
			tx.kind = kindReorder
			return tx.reoAt
		}
		return rto
	}
	if !c.has(flagSACK) || c.recovering() || c.has(flagTLPOut) || tx.sb.sacked > 0 || c.backoff > 0 {
		return rto
	}
	tx.kind = kindProbe
	return min(max(c.lastSend, c.rtoFrom).Add(c.probeTimeout()), rto)
}

// probeTimeout is PTO of RFC 8985 7.2, with a minimum: on a path of microseconds each request would need a timer of its own.
func (c *Conn) probeTimeout() time.Duration {
	if c.srtt == 0 {
		return time.Second
	}
	pto := 2 * micros(c.srtt)
	if c.flightSize() <= uint32(c.smss) {
		pto += maxACKDelay
	}
	return max(pto, minPTO)
}

// tailLossProbe sends new text if the windows allow, otherwise the last segment again, so that the peer's answer shows which
// text is missing (RFC 8985 7.3).
func (c *Conn) tailLossProbe(now mono.Time) {
	tx := c.tx
	c.env.Counters.Probes++
	tx.ignoreCwnd, tx.probing = true, true
	fresh := c.sendNew(now)
	tx.ignoreCwnd, tx.probing = false, false
	if !fresh {
		i := len(tx.sb.recs) - 1
		if i < tx.sb.head {
			return
		}
		r := &tx.sb.recs[i]
		if c.textOf(r) == 0 && i > tx.sb.head && tx.sb.recs[i-1].flags == r.flags {
			// The last segment is a FIN without text: if it was lost, so may be the text before it. Both are sent again.
			tx.sb.join(i-1, i+1)
			i--
			r = &tx.sb.recs[i]
		}
		if mss, text := c.segmentSize(), c.textOf(r); text > mss {
			tx.sb.split(i, text-mss)
			i++
		}
		c.resend(i, now)
		c.set(flagTLPRetrans)
	}
	c.set(flagTLPOut)
	c.cc.loss.tlpEnd = c.snd.nxt
	c.rtoFrom = now
}

// armKeepalive restarts the keepalive timer (RFC 9293 3.8.4).
func (c *Conn) armKeepalive(now mono.Time) {
	c.probes = 0
	c.timers[timerKeepalive] = 0
	if c.opts.KeepAlive && (c.synchronized() || c.state == Established) {
		c.timers[timerKeepalive] = now.Add(c.keepIdle())
	}
}

func (c *Conn) keepIdle() time.Duration {
	return time.Duration(orDefault(uint32(c.opts.KeepIdle), defaultIdle)) * time.Second
}

func orDefault(v, def uint32) uint32 {
	if v == 0 {
		return def
	}
	return v
}

// keepaliveTimeout probes a peer that has been silent for the idle time while nothing is in flight, and ends the connection
// if enough probes have not been answered. A user timeout replaces the number of probes.
func (c *Conn) keepaliveTimeout(now mono.Time) {
	if !c.opts.KeepAlive || c.state == TimeWaitState {
		return
	}
	interval := time.Duration(orDefault(uint32(c.opts.KeepInterval), defaultIntvl)) * time.Second
	if c.tx != nil && (c.flightSize() > 0 || c.tx.q.len() > 0) {
		c.probes = 0
		c.timers[timerKeepalive] = now.Add(c.keepIdle())
		return
	}
	silent := now.Sub(c.lastReceive)
	if c.probes == 0 && silent < c.keepIdle() {
		c.timers[timerKeepalive] = c.lastReceive.Add(c.keepIdle())
		return
	}
	failed := c.probes >= uint8(orDefault(uint32(c.opts.KeepCount), defaultCount))
	if ut := c.opts.UserTimeout; ut > 0 {
		failed = c.probes > 0 && silent >= time.Duration(ut)*time.Millisecond
	}
	if failed {
		c.env.Counters.KeepaliveFails++
		c.sendReset(c.acceptableSeq(), now)
		c.end(c.timeoutErrno())
		return
	}
	c.probes++
	c.sendProbe(c.snd.nxt.Sub(1), now)
	c.timers[timerKeepalive] = now.Add(interval)
}

// timerDetail says what the retransmission timer is running for.
func (c *Conn) timerDetail() string {
	if c.tx == nil || c.state == SynSent || c.state == SynReceived {
		return "SYN"
	}
	return c.tx.kind.String()
}

// setRetransmit sets timerRetransmit, to zero to stop it.
func (c *Conn) setRetransmit(at mono.Time) {
	if at != c.timers[timerRetransmit] && c.env.Trace != nil {
		c.traceTimer(at)
	}
	c.timers[timerRetransmit] = at
}

func (c *Conn) traceTimer(at mono.Time) {
	e := TraceEvent{Kind: TraceTimerSet, At: at}
	if at != 0 {
		e.Detail = c.timerDetail()
	}
	c.env.Trace(c, e)
}
