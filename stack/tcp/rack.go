package tcp

import (
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
)

// reordering is what RACK has learnt about the order in which the path delivers (RFC 8985 5.2, 6.2). It is kept when nothing
// is in flight.
type reordering struct {
	seen    bool  // a segment sent once was delivered after one that was sent later
	inRound bool  // a D-SACK has widened the window, until round is acknowledged
	mult    uint8 // RACK.reo_wnd_mult less one
	persist uint8 // RACK.reo_wnd_persist: recoveries until mult falls back
	round   Seq   // RACK.dsack_round
}

// reoPersist is the number of recoveries for which a widened reordering window lasts (RFC 8985 6.2 step 4).
const reoPersist = 16

// noteDelivered updates RACK's state for a record that has just been delivered (RFC 8985 6.2 step 1 to 3).
func (c *Conn) noteDelivered(r *record, st *cc.Stamp, ev *ackEvent, seg *Segment, now mono.Time) {
	tx := c.tx
	if tx.sb.sampler != nil {
		tx.sb.sampler.Record(st, r.n, uint32(r.end()), r.xmit, now)
	}
	rtt := now.Sub(r.xmit)
	if r.flags&recRetrans != 0 {
		ev.retrans = true
		// The acknowledgment may be for the first transmission.
		if rtt < micros(c.minRTT) {
			return
		}
		// For a record after a hole the echoed timestamp is of a segment before the hole, and says nothing about this one.
		if c.has(flagTimestamps) && seg.Options&OptTimestamps != 0 && seg.TSEcr != 0 && r.end().LessThanEq(seg.Ack) &&
			int32(seg.TSEcr-(tsClock(r.xmit)+c.tsOffset)) < 0 {
			ev.late = true
			return
		}
	} else {
		if r.xmit >= ev.newest {
			ev.newest, ev.rtt = r.xmit, max(rtt, 1)
		}
		if r.end().LessThan(tx.fack) {
			c.cc.loss.reo.seen = true
		}
		if r.end().LessThanEq(c.recover) {
			ev.original = true
		}
	}
	tx.fack = maxSeq(tx.fack, r.end())
	if sentAfter(r.xmit, r.end(), tx.rackXmit, tx.rackEnd) {
		tx.rackXmit, tx.rackEnd, tx.rackRTT = r.xmit, r.end(), rtt
	}
}

// sentAfter says whether transmission 1 was after transmission 2. Of two at the same moment the one with the higher
// sequence number was later.
func sentAfter(t1 mono.Time, s1 Seq, t2 mono.Time, s2 Seq) bool {
	return t1 > t2 || t1 == t2 && s2.LessThan(s1)
}

// widen widens the reordering window by a quarter of MinRTT, at most once in a round, because a D-SACK has reported an
// unnecessary retransmission (RFC 8985 6.2 step 4).
func (r *reordering) widen(una, nxt Seq) {
	if r.pass(una); r.inRound {
		return
	}
	r.inRound, r.round = true, nxt
	r.mult = min(r.mult+1, 64)
	r.persist = reoPersist
}

// pass ends the round when SND.UNA has reached its end: 2^31 octets later that end would seem to be ahead again.
func (r *reordering) pass(una Seq) {
	if r.inRound && r.round.LessThanEq(una) {
		r.inRound, r.round = false, 0
	}
}

// recovered counts a recovery, and narrows a widened window after reoPersist of them.
func (r *reordering) recovered() {
	if r.persist > 0 {
		if r.persist--; r.persist == 0 {
			r.mult = 0
		}
	}
}

// reorderWindow is RACK.reo_wnd. It is zero while no reordering was seen on the path and either the connection is in recovery
// or RFC 6675 would consider the first segment lost.
func (c *Conn) reorderWindow() time.Duration {
	reo := &c.cc.loss.reo
	if !reo.seen && (c.recovering() || c.tx.sb.dupThresh(uint32(c.smss))) {
		return 0
	}
	return min(micros(c.minRTT)/4*time.Duration(reo.mult+1), micros(c.srtt))
}

// detect marks the records that RACK considers lost: they were sent so long before another one that was delivered that
// reordering does not explain it (RFC 8985 6.2 step 5). For records that may become lost it sets reoAt.
func (c *Conn) detect(now mono.Time) {
	tx := c.tx
	tx.reoAt = 0
	if tx.rackXmit == 0 || tx.sb.len() == 0 {
		return
	}
	wnd := c.reorderWindow()
	for i := tx.sb.head; i < len(tx.sb.recs); i++ {
		r := &tx.sb.recs[i]
		if r.flags&(recSacked|recLost) != 0 {
			continue
		}
		if !sentAfter(tx.rackXmit, tx.rackEnd, r.xmit, r.end()) {
			if r.flags&recRetrans == 0 {
				break // the records after it were sent even later, or are retransmissions, which are newer still
			}
			continue
		}
		due := r.xmit.Add(tx.rackRTT + wnd)
		if due <= now {
			c.noteLoss(i, lossByTime, now)
		} else {
			tx.reoAt = max(tx.reoAt, due)
		}
	}
}

// loseExpired marks the records that are lost according to a retransmission timeout: the first one, and all that were sent
// longer ago than a delivery takes (RFC 8985 6.3). Without SACK these cannot be told from others, and all are lost.
func (c *Conn) loseExpired(now mono.Time) {
	sb := &c.tx.sb
	sb.checkReneging()
	limit := c.tx.rackRTT
	if limit == 0 {
		limit = micros(c.srtt)
	}
	limit += c.reorderWindow()
	for i := sb.head; i < len(sb.recs); i++ {
		if i == sb.head || !c.has(flagSACK) || sb.recs[i].xmit.Add(limit) <= now {
			c.noteLoss(i, lossByTimeout, now)
		}
	}
}
