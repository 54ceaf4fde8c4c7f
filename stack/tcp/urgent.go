package tcp

import (
	"syscall"

	"github.com/unet-go/unet/internal/mono"
)

// Urgent data (RFC 9293 3.8.5, RFC 6093) is a mark in the stream: SND.UP and RCV.UP name the octet after it
// (MUST-62). In POSIX the octet before the mark can be read out of band.

// urgentState is what has happened with the octet before RCV.UP.
type urgentState uint8

const (
	urgentNone  urgentState = iota // no pointer has come, or the reader has passed it
	urgentAhead                    // the pointer has arrived, the octet has not
	urgentHere                     // the octet can be read out of band
	urgentTaken                    // it was read; the reader of the stream has not passed its place yet
)

// urgentMark is the receiver's side.
type urgentMark struct {
	up    Seq // RCV.UP
	state urgentState
	octet byte
}

// urgentMode says whether SND.UP is ahead of what the peer has acknowledged.
func (c *Conn) urgentMode() bool { return c.tx != nil && c.tx.urgent }

// SendUrgent is Send of urgent data: SND.UP moves to its end (RFC 9293 3.10.2). The peer learns of it even if its window is
// closed.
func (c *Conn) SendUrgent(p []byte, now mono.Time) int {
	n := c.Queue(p, now)
	if n == 0 {
		return 0
	}
	c.tx.up, c.tx.urgent = c.tx.q.end, true
	next := c.snd.nxt
	c.Output(now)
	if c.synchronized() && c.snd.nxt == next {
		c.sendACK(now) // no text could be sent to carry the pointer
	}
	return n
}

// fillUrgent sets the urgent pointer of a segment, as far as the field reaches. Later segments move it further.
func (c *Conn) fillUrgent(seg *Segment) {
	if c.urgentMode() && seg.Seq.LessThan(c.tx.up) {
		seg.Flags |= URG
		seg.Urgent = uint16(min(c.tx.up.Distance(seg.Seq), 65535))
	}
}

// checkURG is the sixth check of RFC 9293 3.10.7.4.
func (c *Conn) checkURG(seg *Segment) {
	if seg.Has(URG) {
		c.takePointer(seg)
	}
	if c.rx == nil || c.rx.urgent.state != urgentAhead {
		return
	}
	u := &c.rx.urgent
	if at := u.up.Sub(1); at.InWindow(seg.Seq, seg.TextLen) {
		u.octet, u.state = seg.Text.Data[at.Distance(seg.Seq)], urgentHere
		c.events |= Urgent
	}
}

// takePointer moves RCV.UP forward, never back, and raises the event Urgent (MUST-32). A pointer of zero names no octet, and
// one at text that was received before comes too late.
func (c *Conn) takePointer(seg *Segment) {
	up := seg.Seq.Add(uint32(seg.Urgent))
	switch {
	case seg.Urgent == 0 || !c.canReceive() || c.has(flagReadShut|flagClosed) || up.LessThanEq(c.rcv.nxt):
		return
	case c.rx != nil && c.rx.urgent.state != urgentNone && up.LessThanEq(c.rx.urgent.up):
		return
	}
	if ahead, marked := c.markAhead(); marked && ahead == 0 && c.opts.OutOfBand && c.rx.bytes > 0 {
		// The reader is at an older mark, whose octet is dropped. An octet that the reader has not reached yet stays in the
		// stream, as in Linux.
		c.rx.read(nil, 1, true)
	}
	c.receiving().urgent = urgentMark{up: up, state: urgentAhead}
	c.events |= Urgent
}

// markAhead returns how many octets are between the reader and the urgent octet, and whether there is a mark.
func (c *Conn) markAhead() (ahead uint32, marked bool) {
	if c.rx == nil || c.rx.urgent.state == urgentNone {
		return 0, false
	}
	next := c.rcv.nxt.Sub(uint32(c.rx.bytes))
	if c.has(flagFINReceived) {
		next = next.Sub(1)
	}
	return c.rx.urgent.up.Sub(1).Distance(next), true
}

// toMark returns how many octets n the next read may return, since a read stops at the mark, and how many octets it must skip
// before: an urgent octet that is not part of the stream.
func (c *Conn) toMark() (skip, n int) {
	waits := c.rx.bytes
	switch ahead, marked := c.markAhead(); {
	case !marked || int64(ahead) >= int64(waits):
		return 0, waits
	case ahead > 0:
		return 0, int(ahead)
	case c.opts.OutOfBand:
		return 1, waits - 1
	}
	return 0, waits
}

// passMark forgets the mark after a read by a reader that was at the mark.
func (c *Conn) passMark(atMark bool) {
	if atMark && c.rx != nil {
		c.rx.urgent = urgentMark{}
	}
}

// AtMark says whether the reader is at the mark: the next octet is the urgent one (SIOCATMARK). While the reader is before it,
// or it has not arrived yet, urgent data remains (MUST-33).
func (c *Conn) AtMark() bool {
	ahead, marked := c.markAhead()
	return marked && ahead == 0
}

// UrgentAhead says whether the peer has announced urgent data that the user has neither taken nor passed.
func (c *Conn) UrgentAhead() bool {
	return c.rx != nil && (c.rx.urgent.state == urgentAhead || c.rx.urgent.state == urgentHere)
}

// ReceiveUrgent returns the urgent octet out of band; without peek it can be read only once. The error is EAGAIN if the pointer
// has arrived but the octet has not, and EINVAL if there is none, it was read before, or it belongs to the stream because
// Options.OutOfBand is off.
func (c *Conn) ReceiveUrgent(peek bool) (byte, syscall.Errno) {
	if c.rx == nil || !c.opts.OutOfBand {
		return 0, syscall.EINVAL
	}
	u := &c.rx.urgent
	switch u.state {
	case urgentAhead:
		return 0, syscall.EAGAIN
	case urgentHere:
		if !peek {
			u.state = urgentTaken
		}
		return u.octet, 0
	case urgentNone, urgentTaken:
	}
	return 0, syscall.EINVAL
}

// onlyTaken says whether the only unread octet is an urgent one that was read out of band.
func (c *Conn) onlyTaken() bool {
	return c.rx.bytes == 1 && c.rx.urgent.state == urgentTaken && c.AtMark()
}

// dropMark forgets urgent data that will never arrive or never be read.
func (c *Conn) dropMark() {
	if c.rx != nil {
		c.rx.urgent = urgentMark{}
	}
}
