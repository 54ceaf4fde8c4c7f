package tcp

import (
	"github.com/unet-go/unet/internal/fifo"
	"github.com/unet-go/unet/internal/mono"
)

// receiver is what a connection has only while text waits to be read or to be put in order.
type receiver struct {
	spans fifo.Queue[Span] // text in order; only the last one may be appended to
	off   int              // octets of the first span already read
	bytes int              // octets waiting
	ooo   reassembly

	urgent  urgentMark
	storage int // octets that the spans pin
	charged int // of that and of ooo, what Env.Buffered counts
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
	// Field by field: a whole new value would be built on the stack and copied, for every request.
	rx.off, rx.bytes = 0, 0
	rx.storage, rx.charged, rx.urgent = 0, 0, urgentMark{}
	rx.ooo.reset()
	if rx.spans.Cap() <= 1024 && len(c.env.receivers) < maxFree {
		c.env.receivers = append(c.env.receivers, rx)
	}
}

// keepable says whether text is worth keeping by reference: it fills at least half of what it would pin.
func keepable(t Span) bool { return t.Owner != nil && 2*len(t.Data) >= t.Owner.Cap() }

// hold returns a span of its own for text: a reference where that is fair, a copy where it would pin far
// more than it holds. hint is how much more text is likely to follow.
func hold(t Span, hint int, alloc func(int) Span) Span {
	if keepable(t) {
		return keep(t)
	}
	s := alloc(max(len(t.Data), min(hint, 16384)))
	s.Data = append(s.Data[:0], t.Data...)
	return s
}

// keep returns t with a reference of its own, and without the room behind it.
func keep(t Span) Span {
	t.Owner.Retain()
	t.Data = t.Data[:len(t.Data):len(t.Data)]
	return t
}

// leastStorage is storage in octets that a copy would pin too.
const leastStorage = 256

// push appends text, which it borrows. A lean queue asks for no room for what may follow.
func (r *receiver) push(t Span, lean bool, alloc func(int) Span) {
	r.bytes += len(t.Data)
	hint := 0
	if r.spans.Len() > 0 && !keepable(t) {
		// More room than what lies before it has filled would let single octets between full segments pin
		// many times what they hold.
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
			s = keep(t) // alone in the queue: nothing will pin more for it
		} else {
			s = hold(t, hint, alloc)
		}
		r.storage += s.Pinned()
		r.spans.Push(s)
	}
}

// pushOwned appends a span and takes ownership of its reference. What fits behind the last span is copied
// there, or a peer that sends every second octet first could make each pin storage of its own.
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

// next drops the first span, which pinned so many octets, once it has been read.
func (r *receiver) next(storage int) {
	r.storage -= storage
	r.spans.Pop()
	r.off = 0
}

// read passes over the first skip octets and copies what follows to p; with consume it takes both. It returns
// how many it has copied.
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

// Readable returns the octets that Receive would return now. An urgent octet that is not part of the stream
// does not count, and neither does what stands behind the mark while the reader is before it.
func (c *Conn) Readable() int {
	if c.rx == nil {
		return 0
	}
	_, n := c.toMark()
	return n
}

// EOF says whether the peer's FIN has been reached; text before it may still be unread.
func (c *Conn) EOF() bool { return c.has(flagFINReceived | flagReadShut) }

// Peek copies text to p without taking it.
func (c *Conn) Peek(p []byte) int { return c.PeekAt(p, 0) }

// PeekAt is Peek of what stands behind the first off octets.
func (c *Conn) PeekAt(p []byte, off int) int {
	if c.rx == nil {
		return 0
	}
	skip, n := c.toMark()
	n = max(n-off, 0)
	return c.rx.read(p[:min(len(p), n)], skip+off, false)
}

// Discard takes up to n octets as Receive does, and drops them.
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

// ReadyToRead says whether RecvLowat octets wait, or as many as the peer may send.
func (c *Conn) ReadyToRead() bool {
	n := c.Readable()
	return n > 0 && (n >= c.RecvLowat() || c.WindowFull())
}

// WindowFull says whether the peer may send no full segment before something is read.
func (c *Conn) WindowFull() bool { return c.rcv.wnd() < uint32(c.rmss) }

// Receive takes text (RFC 9293 3.10.3) and returns its length, 0 when none waits. It stops at the mark of
// urgent data. Where it opens the window by enough, it tells the peer.
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

// ReceiveSpan takes the first run of text with its reference, which the caller releases. Its Data is empty
// when none waits.
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
	// The acknowledgment that the end of the burst sends, unless the answer carries it, says this as well.
	if c.canReceive() && !c.has(flagACKSoon) && (c.windowUpdateDue() || c.peerWaits()) {
		c.sendACK(now)
		c.armRetransmit(now)
	}
	c.dropReceiver()
}

// desiredEdge is where the right edge of the window would stand if the buffer's free room were all offered,
// as far as the window field can express it.
func (c *Conn) desiredEdge() Seq {
	return c.rcv.nxt.Add(uint32(min(max(c.receiveLimit()-c.unread(), 0), 65535<<c.rcvScale)))
}

// unread returns what text charges against the receive buffer: what waits in order, unless nobody will
// read it. Text out of order lies inside the window that was offered for it.
func (c *Conn) unread() int {
	if c.rx == nil {
		return 0
	}
	return c.rx.bytes
}

// windowUpdateDue says whether the reader has made room that is worth a segment of its own: at least a
// segment or half of the buffer (RFC 9293 3.8.6.2.2), and as much as the peer has left, so that a stream
// earns one update for many reads.
func (c *Conn) windowUpdateDue() bool {
	edge := c.desiredEdge()
	if edge.LessThanEq(c.rcv.edge) {
		return false
	}
	gain := edge.Distance(c.rcv.edge)
	return gain >= min(uint32(c.rcvBuf)/2, uint32(c.rmss)) && gain >= c.rcv.wnd()
}

// peerWaits says whether the peer may be waiting for an acknowledgment before it sends more: its send buffer may be
// smaller than two segments, or Nagle's algorithm hold a rest back. All that it sent is read, a delayed acknowledgment
// has come as late as it may, and nobody here has answered since. Linux acknowledges a pushed segment then too.
func (c *Conn) peerWaits() bool {
	return c.has(flagUnanswered) && (c.rx == nil || c.rx.bytes == 0) && c.rcv.nxt != c.rcv.acked
}

// tuneReceive grows the receive buffer to twice what the reader takes in a round trip, as soon as he has taken
// it: what comes in one burst counts together, so that the next response may be twice as large.
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
