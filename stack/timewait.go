package stack

import (
	"unsafe"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp"
)

// timeWait is the record of a connection in TIME-WAIT. All records wait about equally long, so they are in a list in the
// order of their deadlines, which is cheaper than a wheel.
type timeWait struct {
	flow
	prev, next *timeWait
	tcp        tcp.TimeWait
}

// timeWaitList holds a shard's records. The one at the head ends first.
type timeWaitList struct {
	head, tail *timeWait
	len        int
}

// deadline returns when the first record ends, 0 if there is none.
func (l *timeWaitList) deadline() mono.Time {
	if l.head == nil {
		return 0
	}
	return l.head.tcp.Deadline()
}

// add puts w after the records that end before it or at the same time.
func (l *timeWaitList) add(w *timeWait) {
	at := l.tail
	for at != nil && at.tcp.Deadline() > w.tcp.Deadline() {
		at = at.prev
	}
	w.prev = at
	if at == nil {
		w.next, l.head = l.head, w
	} else {
		w.next, at.next = at.next, w
	}
	if w.next == nil {
		l.tail = w
	} else {
		w.next.prev = w
	}
	l.len++
}

func (l *timeWaitList) remove(w *timeWait) {
	if w.prev == nil {
		l.head = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		l.tail = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.prev, w.next = nil, nil
	l.len--
}

// expireTimeWaitsLocked removes the records whose time has come.
func (s *shard) expireTimeWaitsLocked(now mono.Time) {
	for l := &s.timeWaits; l.head != nil && l.head.tcp.Deadline() <= now; {
		s.removeTimeWaitLocked(l.head)
	}
}

// enterTimeWaitLocked puts a record into the connection's place in the table. When there are too many records it removes
// the oldest (ledger D-TW-1).
func (c *TCPConn) enterTimeWaitLocked(now mono.Time) {
	s := c.shard
	w := &timeWait{tcp: c.tcp.TimeWait(now)}
	w.kind = timeWaitFlow
	s.flows.replace(&c.flow, &w.flow)
	s.timeWaits.add(w)
	if s.timeWaits.len > max(s.layer.limits.timeWait/len(s.layer.shards), 1) {
		s.events.timeWaitOverflows++
		s.removeTimeWaitLocked(s.timeWaits.head)
	}
}

func (s *shard) removeTimeWaitLocked(w *timeWait) {
	s.timeWaits.remove(w)
	s.removeLocked(&w.flow)
}

// timeWaitLocked passes a segment to a TIME-WAIT record.
func (s *shard) timeWaitLocked(w *timeWait, in *inbound, now mono.Time) {
	before := w.tcp.Deadline()
	ttl, tos := w.tcp.TTL()
	var reply tcp.Segment
	switch w.tcp.SegmentArrives(&s.env, &in.seg, &reply, now) {
	case tcp.Drop, tcp.Complete:
	case tcp.Reply:
		s.replyLocked(&reply, s.layer.core.tuple(&in.key), ttl, tos)
	case tcp.Remove:
		s.removeTimeWaitLocked(w)
		s.replyLocked(&reply, s.layer.core.tuple(&in.key), ttl, tos)
		return
	case tcp.Reopen:
		s.reopenLocked(w, in, now)
		return
	}
	if w.tcp.Deadline() != before {
		s.timeWaits.remove(w)
		s.timeWaits.add(w)
	}
}

// reopenLocked lets a SYN take the four-tuple over, if there is a listener (RFC 9293 3.6.1, RFC 6191).
func (s *shard) reopenLocked(w *timeWait, in *inbound, now mono.Time) {
	g := s.layer.listen.find(s.layer.core.local(&in.key))
	if g == nil {
		s.refuseLocked(in)
		return
	}
	if tcp.ListenArrives(&in.seg) != tcp.ListenSYN {
		return
	}
	if listener := g.pick(in.hash); listener == nil || listener.full() {
		s.events.listenOverflows++
		return
	}
	floor := w.tcp.ISSFloor()
	s.removeTimeWaitLocked(w)
	s.synLocked(in, g, floor, now)
}

func (f *flow) timeWait() *timeWait { return (*timeWait)(unsafe.Pointer(f)) }
