package tcp

import (
	"time"

	"github.com/unet-go/unet/internal/mono"
)

// Verdict says what the owner of a record must do after a call.
type Verdict uint8

const (
	// Drop does nothing.
	Drop Verdict = iota
	// Reply sends reply.
	Reply
	// Remove removes the record from the table, and sends reply if its Flags are not zero.
	Remove
	// Complete makes a connection from a HalfOpen record, by Conn.Accept.
	Complete
	// Reopen removes a TimeWait record and passes the segment, a SYN, to the listener.
	Reopen
)

// HalfOpen stands for a connection in SYN-RECEIVED that came from LISTEN: no buffers, no TCB.
type HalfOpen struct {
	iss, irs           Seq
	tsRecent, tsOffset uint32
	sent               mono.Time // when the SYN-ACK was first sent
	deadline           mono.Time
	lastOOW            mono.Time
	wnd, rcvWnd        uint16 // as in the SYNs: not scaled
	mss                uint16 // the peer's
	ourMSS             uint16
	sndScale, rcvScale uint8
	retries            uint8
	flags              halfFlag
	ttl, tos           uint8 // the listener's
}

type halfFlag uint8

const (
	halfScaled halfFlag = 1 << iota
	halfSACK
	halfTimestamps
	halfSYNCookie
	halfECN
	halfDeferred // the handshake is complete, but the listener waits for text
)

// Init makes the record of a SYN (RFC 9293 3.10.7.2, third check). The initial sequence number stands
// after floor. Text on the SYN is left to be sent again.
func (h *HalfOpen) Init(env *Env, t Tuple, p Path, o *Options, seg *Segment, floor ISSFloor, now mono.Time) {
	h.take(env, p, o, seg)
	h.iss, h.tsOffset = env.initial(t, floor, now)
	h.sent = now
	h.deadline = now.Add(initialRTO)
}

// take sets the fields from the SYN, and decides about our answer.
func (h *HalfOpen) take(env *Env, p Path, o *Options, seg *Segment) {
	*h = HalfOpen{irs: seg.Seq, wnd: seg.Window, mss: 536, ttl: o.TTL, tos: o.TOS}
	if p.V6 {
		h.mss = 1220
	}
	if seg.Options&OptMSS != 0 {
		h.mss = seg.MSS
	}
	h.rcvWnd = uint16(min(o.recvBuffer(env.Config), 65535))
	h.ourMSS = p.advertisedMSS(o)
	if seg.Options&OptWindowScale != 0 {
		h.flags |= halfScaled
		h.sndScale = min(seg.WindowScale, maxScale)
		h.rcvScale = scaleFor(receiveCap(env.Config, o))
	}
	if seg.Options&OptSACKPermitted != 0 && !env.Config.NoSACK {
		h.flags |= halfSACK
	}
	if asksECN(seg) && o.ecn(env.Config) != ECNOff {
		h.flags |= halfECN
	}
	if seg.Options&OptTimestamps != 0 && !env.Config.NoTimestamps {
		h.flags |= halfTimestamps
		h.tsRecent = seg.TSVal
	}
}

// SynAck fills reply with the SYN-ACK.
func (h *HalfOpen) SynAck(env *Env, reply *Segment, now mono.Time) {
	*reply = Segment{Seq: h.iss, Ack: h.irs.Add(1), Flags: SYN | ACK, Window: h.rcvWnd,
		Options: OptMSS, MSS: h.ourMSS}
	if h.flags&halfECN != 0 {
		reply.Flags |= ECE
	}
	if h.flags&halfScaled != 0 {
		reply.Options |= OptWindowScale
		reply.WindowScale = h.rcvScale
	}
	if h.flags&halfSACK != 0 {
		reply.Options |= OptSACKPermitted
	}
	h.stamp(env, reply, now)
	if h.flags&halfSYNCookie != 0 && h.flags&halfTimestamps != 0 {
		reply.TSVal = h.cookieStamp(reply.TSVal)
	}
}

// Reset fills reply with a RST that ends the peer's connection.
func (h *HalfOpen) Reset(env *Env, reply *Segment, now mono.Time) {
	env.Counters.ResetsOut++
	*reply = Segment{Seq: h.iss.Add(1), Ack: h.irs.Add(1), Flags: RST | ACK}
	h.stamp(env, reply, now)
}

func (h *HalfOpen) stamp(env *Env, reply *Segment, now mono.Time) {
	if h.flags&halfTimestamps != 0 {
		reply.Options |= OptTimestamps
		reply.TSVal, reply.TSEcr = env.stamp(now)+h.tsOffset, h.tsRecent
	}
}

func (h *HalfOpen) ack(env *Env, reply *Segment, now mono.Time) Verdict {
	if !oowAllowed(&h.lastOOW, now) || !env.challenge.allow(env, now) {
		env.Counters.DroppedChallengeACKs++
		return Drop
	}
	env.Counters.ChallengeACKs++
	*reply = Segment{Seq: h.iss.Add(1), Ack: h.irs.Add(1), Flags: ACK, Window: h.rcvWnd >> h.rcvScale}
	h.stamp(env, reply, now)
	return Reply
}

// SegmentArrives is RFC 9293 3.10.7.4 for SYN-RECEIVED of a passive open. Complete leaves the record as it is, so that the
// caller can ignore the segment if the accept queue is full.
func (h *HalfOpen) SegmentArrives(env *Env, seg, reply *Segment, now mono.Time) Verdict {
	nxt := h.irs.Add(1)
	if seg.Has(RST) {
		switch {
		case seg.Seq == nxt:
			env.Counters.ResetsIn++
			*reply = Segment{}
			return Remove
		case seg.Seq.InWindow(nxt, uint32(h.rcvWnd)):
			return h.ack(env, reply, now)
		}
		return Drop
	}
	if seg.Has(SYN) {
		if seg.Seq == h.irs && !seg.Has(ACK) {
			h.SynAck(env, reply, now) // the peer has not received it yet
			return Reply
		}
		return h.ack(env, reply, now)
	}
	if h.flags&halfTimestamps != 0 && seg.Options&OptTimestamps != 0 && int32(seg.TSVal-h.tsRecent) < 0 {
		env.Counters.DroppedPAWS++
		return h.ack(env, reply, now)
	}
	n := seg.Len()
	if !seg.Seq.InWindow(nxt, uint32(h.rcvWnd)) && (n == 0 || !seg.End().Sub(1).InWindow(nxt, uint32(h.rcvWnd))) {
		env.Counters.DroppedOutOfWindow++
		return h.ack(env, reply, now)
	}
	if !seg.Has(ACK) {
		env.Counters.DroppedNoACK++
		return Drop
	}
	if seg.Ack != h.iss.Add(1) {
		env.Counters.DroppedBadACK++
		env.Counters.ResetsOut++
		*reply = Segment{Seq: seg.Ack, Flags: RST}
		h.stamp(env, reply, now)
		reply.TSEcr = 0 // there is no acknowledgment (RFC 7323 3.2)
		return Reply
	}
	return Complete
}

// Defer says whether to ignore a segment that would complete h, because the listener waits for text (Options.DeferAccept) and
// the segment has none. After that time the SYN-ACK is sent once more, and the answer to it completes h even without text.
func (h *HalfOpen) Defer(o *Options, seg *Segment) bool {
	retries, wait := deferral(o.DeferAccept)
	if seg.TextLen > 0 || seg.Has(FIN) || int(h.retries) >= retries {
		return false
	}
	h.flags |= halfDeferred
	h.retries = uint8(retries - 1)
	h.deadline = h.sent.Add(wait)
	return true
}

// deferral returns how many times a SYN-ACK would be retransmitted within so many seconds, rounded up, and how long that
// takes.
func deferral(seconds uint16) (retries int, wait time.Duration) {
	for step := initialRTO; wait < time.Duration(seconds)*time.Second && retries < 255; retries++ {
		wait += step
		step = min(2*step, maxDeferStep)
	}
	return retries, wait
}

// DeferSeconds returns what Options.DeferAccept comes to: as in Linux, the time that a whole number of
// retransmissions of the SYN-ACK takes, at least seconds. Zero for no time or less.
func DeferSeconds(seconds int) uint16 {
	_, wait := deferral(uint16(min(max(seconds, 0), 65535)))
	return uint16(wait / time.Second)
}

// maxDeferStep is Linux's longest interval of retransmissions.
const maxDeferStep = 120 * time.Second

// Timeout sends the SYN-ACK again with doubling intervals, and gives up after Config.SYNACKRetries.
func (h *HalfOpen) Timeout(env *Env, reply *Segment, now mono.Time) Verdict {
	*reply = Segment{}
	if now < h.deadline {
		return Drop
	}
	if int(h.retries) >= env.Config.SYNACKRetries && h.flags&halfDeferred == 0 {
		return Remove
	}
	h.flags &^= halfDeferred
	h.retries++
	env.Counters.Retransmitted++
	h.deadline = now.Add(min(initialRTO<<min(h.retries, 16), env.Config.MaxRTO, 10*time.Minute))
	h.SynAck(env, reply, now)
	return Reply
}

// TTL returns the TTL and the traffic class of the listener's Options.
func (h *HalfOpen) TTL() (ttl, tos uint8) { return h.ttl, h.tos }

// Deadline returns when Timeout is to be called.
func (h *HalfOpen) Deadline() mono.Time { return h.deadline }
