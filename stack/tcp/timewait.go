package tcp

import (
	"time"

	"github.com/unet-go/unet/internal/mono"
)

// TimeWait represents a connection in TIME-WAIT (RFC 9293 3.6.1). It has what is needed to acknowledge the peer's FIN again,
// and to tell a new SYN from an old one.
type TimeWait struct {
	deadline           mono.Time
	lastOOW            mono.Time
	sndNxt, rcvNxt     Seq
	tsRecent, tsOffset uint32
	wnd                uint32
	rcvScale           uint8
	flags              timeWaitFlag
	ttl, tos           uint8
}

type timeWaitFlag uint8

const (
	timeWaitTimestamps timeWaitFlag = 1 << iota
	timeWaitStale                   // tsRecent is too old for comparisons (RFC 7323 5.5)
	timeWaitAnswered                // the last acknowledgment was for a SYN that could be an old one
)

// TimeWait returns the record that replaces the connection after EnteredTimeWait.
func (c *Conn) TimeWait(now mono.Time) TimeWait {
	ttl, tos := c.TTL()
	w := TimeWait{
		deadline: now.Add(2 * c.env.Config.MSL),
		sndNxt:   c.snd.nxt, rcvNxt: c.rcv.nxt, wnd: c.rcv.wnd(), rcvScale: c.rcvScale,
		tsRecent: c.tsRecent, tsOffset: c.tsOffset, ttl: ttl, tos: tos,
	}
	if c.has(flagTimestamps) {
		w.flags |= timeWaitTimestamps
		if now.Sub(c.tsRecentAt) >= pawsIdle {
			w.flags |= timeWaitStale // the FIN did not carry the option
		}
	}
	return w
}

func (w *TimeWait) has(f timeWaitFlag) bool { return w.flags&f != 0 }

// TTL returns the TTL and the traffic class that the connection's Options had.
func (w *TimeWait) TTL() (ttl, tos uint8) { return w.ttl, w.tos }

// Deadline returns when the record expires: two MSL after the last FIN.
func (w *TimeWait) Deadline() mono.Time { return w.deadline }

// reuseAfter is how long after its last segment a connection's four-tuple may be dialled again.
const reuseAfter = time.Second

// Reusable says whether an active open may reuse the four-tuple: the peer uses timestamps, and ours have increased, so that
// PAWS distinguishes the segments of the new connection from those of the old one (RFC 6191).
func (w *TimeWait) Reusable(env *Env, now mono.Time) bool {
	return w.has(timeWaitTimestamps) && now.Sub(w.deadline.Add(-2*env.Config.MSL)) >= reuseAfter
}

// ISSFloor returns what the initial sequence number of the four-tuple's next connection must stand after.
func (w *TimeWait) ISSFloor() ISSFloor { return ISSFloor{after: w.sndNxt.Add(65536), set: true} }

// SegmentArrives is RFC 9293 3.10.7.4 for TIME-WAIT, with the rules for reuse of RFC 9293 3.6.1 and RFC
// 6191 2, and without the assassination that RFC 1337 warns of: a RST counts only at the number of an acknowledgment that
// has answered a SYN. So says a peer that has forgotten the connection, and lets it dial again with its next SYN.
func (w *TimeWait) SegmentArrives(env *Env, seg, reply *Segment, now mono.Time) Verdict {
	*reply = Segment{}
	if seg.Has(RST) {
		if seg.Seq == w.rcvNxt && (w.has(timeWaitAnswered) || env.Config.TimeWaitObeysReset) {
			env.Counters.ResetsIn++
			return Remove
		}
		return Drop
	}
	if seg.Has(SYN) && !seg.Has(ACK) && w.reopens(seg) {
		return Reopen
	}
	old := w.stamped(seg) && int32(seg.TSVal-w.tsRecent) < 0
	if !old && seg.Flags&(SYN|ACK) == 0 && seg.acceptable(w.rcvNxt, w.wnd) {
		env.Counters.DroppedNoACK++ // the fifth check
		return Drop
	}
	if !old && seg.Has(FIN|ACK) && seg.End() == w.rcvNxt {
		w.deadline = now.Add(2 * env.Config.MSL)
		return w.ack(env, reply, now)
	}
	if !old && seg.Seq == w.rcvNxt && seg.Len() == 0 {
		return Drop // nothing that needs an answer
	}
	if seg.TextLen == 0 && !oowAllowed(&w.lastOOW, now) {
		env.Counters.DroppedChallengeACKs++
		return Drop
	}
	v := w.ack(env, reply, now)
	if seg.Has(SYN) && !seg.Has(ACK) {
		w.flags |= timeWaitAnswered
	}
	return v
}

// stamped says whether the timestamp of a segment can be compared with TS.Recent.
func (w *TimeWait) stamped(seg *Segment) bool {
	return w.flags&(timeWaitTimestamps|timeWaitStale) == timeWaitTimestamps && seg.Options&OptTimestamps != 0
}

// reopens says whether a SYN is surely newer than all segments of the connection that was.
func (w *TimeWait) reopens(seg *Segment) bool {
	if w.stamped(seg) && seg.TSVal != w.tsRecent {
		return int32(seg.TSVal-w.tsRecent) > 0
	}
	return w.rcvNxt.LessThan(seg.Seq)
}

func (w *TimeWait) ack(env *Env, reply *Segment, now mono.Time) Verdict {
	w.flags &^= timeWaitAnswered
	reply.Seq, reply.Ack, reply.Flags = w.sndNxt, w.rcvNxt, ACK
	reply.Window = uint16(min(w.wnd>>w.rcvScale, 65535))
	if w.has(timeWaitTimestamps) {
		reply.Options = OptTimestamps
		reply.TSVal, reply.TSEcr = env.stamp(now)+w.tsOffset, w.tsRecent
	}
	return Reply
}
