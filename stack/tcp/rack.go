package tcp

import (
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
)

// reordering is what RACK has learnt about the order in which the path delivers (RFC 8985 5.2, 6.2). It outlives
// the flight.
type reordering struct {
	seen    bool  // something sent once has arrived behind what was sent after it
	inRound bool  // a D-SACK has widened the window, until round is acknowledged
	mult    uint8 // RACK.reo_wnd_mult less one
	left    uint8 // RACK.reo_wnd_persist: recoveries until mult falls back
	round   Seq   // RACK.dsack_round
}

// reoPersist is for how many recoveries a widened reordering window lasts (RFC 8985 6.2 step 4).
const reoPersist = 16

// noteDelivered updates RACK's view for a record that has just been delivered (RFC 8985 6.2 step 1 to 3).
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
		// Ahead of a hole the timestamp echoed is of what came before the hole, and tells nothing.
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

// sentAfter orders transmissions, those of one moment by their sequence numbers.
func sentAfter(t1 mono.Time, s1 Seq, t2 mono.Time, s2 Seq) bool {
	return t1 > t2 || t1 == t2 && s2.LessThan(s1)
}

// widen makes the reordering window a quarter of MinRTT wider, once a round, since a D-SACK says that something
// was sent again in vain (RFC 8985 6.2 step 4).
func (r *reordering) widen(una, nxt Seq) {
	if r.pass(una); r.inRound {
		return
	}
	r.inRound, r.round = true, nxt
	r.mult = min(r.mult+1, 64)
	r.left = reoPersist
}

// pass ends the round when SND.UNA has come to its end: half the ring later that end would stand ahead again.
func (r *reordering) pass(una Seq) {
	if r.inRound && r.round.LessThanEq(una) {
		r.inRound, r.round = false, 0
	}
}

// recovered counts the recoveries that a widened window lasts.
func (r *reordering) recovered() {
	if r.left > 0 {
		if r.left--; r.left == 0 {
			r.mult = 0
		}
	}
}

// reorderWindow is RACK.reo_wnd: none while nothing says that the path reorders and either recovery is on or what
// was selectively acknowledged would have been enough for RFC 6675.
func (c *Conn) reorderWindow() time.Duration {
	reo := &c.cc.loss.reo
	if !reo.seen && (c.recovering() || c.tx.sb.dupThresh(uint32(c.smss))) {
		return 0
	}
	return min(micros(c.minRTT)/4*time.Duration(reo.mult+1), micros(c.srtt))
}

// detect marks what RACK deems lost: sent so long before something that was delivered that reordering does
// not explain it (RFC 8985 6.2 step 5). It notes when the next suspect becomes lost.
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
				break // what stands behind it was sent later still, if only for the first time
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

// loseExpired marks what a retransmission timeout says is lost: the first segment, and all that was sent longer
// ago than a delivery takes (RFC 8985 6.3). Without SACK there is no telling, and all is.
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
