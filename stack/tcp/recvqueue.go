package tcp

import (
	"github.com/unet-go/unet/internal/fifo"
	"github.com/unet-go/unet/internal/mono"
)

// receiver is the state that a connection has only while it holds text that is unread or out of order.
type receiver struct {
	spans fifo.Queue[Span] // text in order; only the last one may be appended to
	off   int              // octets of the first span already read
	bytes int              // unread octets
	ooo   reassembly

	urgent  urgentMark
	storage int // octets that the spans pin
	charged int // how much of storage and of ooo.charge is counted in Env.Buffered
}

func (c *Conn) receiving() *receiver {
	if c.rx != nil {
		return c.rx
	}
	if n := len(c.env.receivers); n > 0 {
		c.rx, c.env.receivers[n-1] = c.env.receivers[n-1], nil
		c.env.receivers = c.env.receivers[:n-1]
	} else {
		c.rx = new(receiver)
	}
	return c.rx
}

// dropReceiver gives the receiver back when it is empty.
func (c *Conn) dropReceiver() {
	rx := c.rx
	if rx == nil {
		return
	}
	c.chargeReceive()
	if rx.bytes > 0 || !rx.ooo.idle() || rx.urgent.state != urgentNone {
		return
	}
	if rx.spans.Len() > 0 {
		spans := rx.spans.Items()
		for i := range spans {
			rx.storage -= spans[i].Pinned()
			spans[i].Release()
		}
		rx.spans.Reset()
	}
	c.chargeReceive()
	c.rx = nil
	// The fields are set one by one: a composite literal would be built on the stack and copied, for every request.
	rx.off, rx.bytes = 0, 0
	rx.storage, rx.charged, rx.urgent = 0, 0, urgentMark{}
	rx.ooo.reset()
	if rx.spans.Cap() <= 1024 && len(c.env.receivers) < maxFree {
		c.env.receivers = append(c.env.receivers, rx)
	}
}

// keepable says whether to keep text by reference: it fills at least half of the buffer that a reference would pin.
func keepable(t Span) bool { return t.Owner != nil && 2*len(t.Data) >= t.Owner.Cap() }

// hold returns a span that keeps text: by reference if the text fills its buffer well enough, otherwise as a copy. hint is
// how much more text is likely to follow.
func hold(t Span, hint int, alloc func(int) Span) Span {
	if keepable(t) {
		return keep(t)
	}
	s := alloc(max(len(t.Data), min(hint, 16384)))
	s.Data = append(s.Data[:0], t.Data...)
	return s
}

// keep returns t with a new reference, and without the room after its text.
func keep(t Span) Span {
	t.Owner.Retain()
	t.Data = t.Data[:len(t.Data):len(t.Data)]
	return t
}

// leastStorage is the smallest storage in octets: a copy would pin as much.
const leastStorage = 256

// push appends text, which it borrows. A lean queue allocates no room for text that may follow.
func (r *receiver) push(t Span, lean bool, alloc func(int) Span) {
	r.bytes += len(t.Data)
	hint := 0
	if r.spans.Len() > 0 && !keepable(t) {
		// No more room than the last span has text: otherwise single octets between full segments could pin many times
		// their size.
		last := r.spans.Last()
		if !lean {
			hint = 2 * len(last.Data)
		}
		take := min(cap(last.Data)-len(last.Data), len(t.Data))
		last.Data = append(last.Data, t.Data[:take]...)
		t.Data = t.Data[take:]
	}
	if len(t.Data) > 0 {
		var s Span
		if r.spans.Len() == 0 && t.Owner != nil && t.Owner.Cap() <= leastStorage {
			s = keep(t) // alone in the queue, it pins no more than a copy
		} else {
			s = hold(t, hint, alloc)
		}
		r.storage += s.Pinned()
		r.spans.Push(s)
	}
}

// pushOwned appends a span and takes ownership of its reference. If its text fits into the last span it is copied there:
// otherwise a peer that sends every second octet first could make each octet pin storage of its own.
func (r *receiver) pushOwned(s Span) {
	r.bytes += len(s.Data)
	if r.spans.Len() > 0 && !keepable(s) {
		last := r.spans.Last()
		if cap(last.Data)-len(last.Data) >= len(s.Data) {
			last.Data = append(last.Data, s.Data...)
			s.Release()
			return
		}
	}
	r.storage += s.Pinned()
	r.spans.Push(s)
}

// next drops the first span, which has been read. storage is the number of octets that it pinned.
func (r *receiver) next(storage int) {
	r.storage -= storage
	r.spans.Pop()
	r.off = 0
}

// read skips the first skip octets and copies the following ones to p. With consume it removes all of these from the queue.
// It returns how many octets it copied.
func (r *receiver) read(p []byte, skip int, consume bool) int {
	n, i, off := 0, 0, r.off
	spans := r.spans.Items()
	if consume {
		r.bytes -= skip
	}
	for (skip > 0 || n < len(p)) && i < len(spans) {
		s := &spans[i]
		if skip > 0 {
			k := min(skip, len(s.Data)-off)
			skip, off = skip-k, off+k
		}
		k := copy(p[n:], s.Data[off:])
		n, off = n+k, off+k
		if off < len(s.Data) {
			break
		}
		if !consume {
			i, off = i+1, 0
			continue
		}
		storage := s.Pinned()
		s.Release()
		r.next(storage)
		spans, off = r.spans.Items(), 0
	}
	if consume {
		r.off = off
		r.bytes -= n
	}
	return n
}

// Readable returns the number of octets that Receive would return now. An urgent octet that is not part of the stream does
// not count, and neither does text after the urgent mark while the reader is before it.
func (c *Conn) Readable() int {
	if c.rx == nil {
		return 0
	}
	_, n := c.toMark()
	return n
}

// EOF says whether the peer's FIN has been reached; text before it may still be unread.
func (c *Conn) EOF() bool { return c.has(flagFINReceived | flagReadShut) }

// Peek copies text to p and leaves it in the queue.
func (c *Conn) Peek(p []byte) int { return c.PeekAt(p, 0) }

// PeekAt is Peek of the text after the first off octets.
func (c *Conn) PeekAt(p []byte, off int) int {
	if c.rx == nil {
		return 0
	}
	skip, n := c.toMark()
	n = max(n-off, 0)
	return c.rx.read(p[:min(len(p), n)], skip+off, false)
}

// Discard removes up to n octets like Receive, without copying them.
func (c *Conn) Discard(n int, now mono.Time) int {
	if c.rx == nil {
		return 0
	}
	skip, waits := c.toMark()
	if n = min(n, waits); n == 0 {
		return 0
	}
	atMark := c.AtMark()
	c.rx.read(nil, skip+n, true)
	c.passMark(atMark)
	c.afterRead(n, now)
	return n
}

// RecvLowat returns Options.RecvLowat, at least 1.
func (c *Conn) RecvLowat() int {
	if c.opts == nil {
		return 1
	}
	return int(max(c.opts.RecvLowat, 1))
}

// ReadyToRead says whether RecvLowat octets can be read, or the window does not let the peer send more.
func (c *Conn) ReadyToRead() bool {
	n := c.Readable()
	return n > 0 && (n >= c.RecvLowat() || c.WindowFull())
}

// WindowFull says whether the peer cannot send a full segment before something is read.
func (c *Conn) WindowFull() bool { return c.rcv.wnd() < uint32(c.rmss) }

// Receive copies text to p, removes it from the queue (RFC 9293 3.10.3), and returns its length, 0 if there is none. It stops
// at the mark of urgent data. If this opens the window by enough, it sends a window update.
func (c *Conn) Receive(p []byte, now mono.Time) int {
	if c.rx == nil {
		return 0
	}
	skip, n := c.toMark()
	if n = min(n, len(p)); n == 0 {
		return 0
	}
	atMark := c.AtMark()
	c.rx.read(p[:n], skip, true)
	c.passMark(atMark)
	c.afterRead(n, now)
	return n
}

// ReceiveSpan removes the first run of text and returns it with its reference, which the caller releases. Data is empty if
// there is no text.
func (c *Conn) ReceiveSpan(now mono.Time) Span {
	r := c.rx
	if r == nil {
		return Span{}
	}
	skip, n := c.toMark()
	if n == 0 {
		return Span{}
	}
	atMark := c.AtMark()
	r.read(nil, skip, true)
	s := *r.spans.First()
	end := len(s.Data)
	s.Data = s.Data[r.off:end:end]
	if n < len(s.Data) {
		s.Data = s.Data[:n:n]
		s.Owner.Retain()
		r.off += n
	} else {
		r.next(s.Pinned())
	}
	r.bytes -= len(s.Data)
	c.passMark(atMark)
	c.afterRead(len(s.Data), now)
	return s
}

func (c *Conn) afterRead(n int, now mono.Time) {
	if n == 0 {
		return
	}
	c.tuneReceive(uint32(n), now)
	if c.rx.bytes == 0 {
		c.set(flagKeepsUp)
	}
	// With flagACKSoon the end of the burst sends an acknowledgment, or the answer carries it: it has the new window too.
	if c.canReceive() && !c.has(flagACKSoon) && (c.windowUpdateDue() || c.peerWaits()) {
		c.sendACK(now)
		c.armRetransmit(now)
	}
	c.dropReceiver()
}

// desiredEdge returns the right edge of a window that offers all free room of the buffer, as far as the window field can
// express it.
func (c *Conn) desiredEdge() Seq {
	return c.rcv.nxt.Add(uint32(min(max(c.receiveLimit()-c.unread(), 0), 65535<<c.rcvScale)))
}

// unread returns how many octets count against the receive buffer: the unread text in order. Text out of order is inside the
// window, which was offered out of the free room already.
func (c *Conn) unread() int {
	if c.rx == nil {
		return 0
	}
	return c.rx.bytes
}

// windowUpdateDue says whether the reader has freed enough room for a window update: at least a segment or half of the buffer
// (RFC 9293 3.8.6.2.2), and as much as is left of the window, so that a stream has one update for many reads.
func (c *Conn) windowUpdateDue() bool {
	edge := c.desiredEdge()
	if edge.LessThanEq(c.rcv.edge) {
		return false
	}
	gain := edge.Distance(c.rcv.edge)
	return gain >= min(uint32(c.rcvBuf)/2, uint32(c.rmss)) && gain >= c.rcv.wnd()
}

// peerWaits says whether the peer may be waiting for an acknowledgment before it sends more: its send buffer may be smaller
// than two segments, or Nagle's algorithm may hold back the rest of a write. The signs are that all of its text is read, and
// that the last delayed acknowledgment left without text, because the application had not answered. Linux acknowledges a
// pushed segment then too.
func (c *Conn) peerWaits() bool {
	return c.has(flagUnanswered) && (c.rx == nil || c.rx.bytes == 0) && c.rcv.nxt != c.rcv.acked
}

// tuneReceive grows the receive buffer to twice the octets that were read in a round trip, as soon as they are read. So the
// window allows the next response to be twice as large as this one.
func (c *Conn) tuneReceive(n uint32, now mono.Time) {
	if c.has(flagRecvFixed) || c.env.Pressure != Ample || c.srtt == 0 {
		c.drsCopied, c.drsSince = 0, now
		return
	}
	if now.Sub(c.drsSince) >= micros(c.srtt) {
		c.set(flagTuning)
		c.drsCopied, c.drsSince = 0, now
	}
	if c.drsCopied += n; !c.has(flagTuning) {
		return
	}
	want := min(2*int64(c.drsCopied)+16*int64(c.rmss), int64(c.opts.clamp(c.env.Config.MaxRecvBuffer)))
	if want > int64(c.rcvBuf) {
		c.rcvBuf = int32(want)
	}
}
