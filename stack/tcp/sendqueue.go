package tcp

import (
	"github.com/unet-go/unet/internal/fifo"
	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
)

// chunk is a run of the send queue. Data may have room after its length. Only the last chunk of a queue is appended to: the
// octets that segments refer to never change.
type chunk struct {
	seq  Seq
	span Span
}

// sendQueue holds the text that was written and is not acknowledged: [first, end) of the sequence space.
type sendQueue struct {
	first, end Seq
	chunks     fifo.Queue[chunk]
	storage    int // octets that the chunks pin
}

// maxChunk is the largest piece of storage that a queue allocates at once, leanChunk the largest one while memory is short:
// the little text that a connection may queue then must not pin many times its size.
const (
	maxChunk  = 65536
	leanChunk = 2048
)

func (q *sendQueue) len() uint32 { return q.end.Distance(q.first) }

// write copies p into the queue, in pieces of at most most octets. The caller has checked that there is room.
func (q *sendQueue) write(p []byte, most int, alloc func(int) Span) {
	for len(p) > 0 {
		if q.chunks.Len() > 0 {
			last := &q.chunks.Last().span
			if room := cap(last.Data) - len(last.Data); room > 0 {
				take := min(room, len(p))
				last.Data = append(last.Data, p[:take]...)
				q.end = q.end.Add(uint32(take))
				p = p[take:]
				continue
			}
		}
		// A queue that is long already is likely to get as much again.
		want := min(max(len(p), int(q.len())), most)
		s := alloc(want)
		s.Data = s.Data[:0]
		q.storage += s.Pinned()
		q.chunks.Push(chunk{seq: q.end, span: s})
	}
}

// append appends a span that the caller has filled, and takes ownership of it.
func (q *sendQueue) append(s Span) {
	s.Data = s.Data[:len(s.Data):len(s.Data)]
	q.storage += s.Pinned()
	q.chunks.Push(chunk{seq: q.end, span: s})
	q.end = q.end.Add(uint32(len(s.Data)))
}

// free drops the text before una.
func (q *sendQueue) free(una Seq) {
	for q.chunks.Len() > 0 {
		ch := q.chunks.First()
		if una.LessThan(ch.seq.Add(uint32(len(ch.span.Data)))) {
			break
		}
		q.storage -= ch.span.Pinned()
		ch.span.Release()
		q.chunks.Pop()
	}
	q.first = una
}

// gather appends to dst the spans of [seq, seq+n).
func (q *sendQueue) gather(dst []Span, seq Seq, n uint32) []Span {
	chunks := q.chunks.Items()
	low, high := 0, len(chunks)
	for low+1 < high {
		mid := (low + high) / 2
		if seq.LessThan(chunks[mid].seq) {
			high = mid
		} else {
			low = mid
		}
	}
	for i := low; n > 0 && i < len(chunks); i++ {
		ch := &chunks[i]
		off := seq.Distance(ch.seq)
		take := min(uint32(len(ch.span.Data))-off, n)
		if take == 0 {
			continue
		}
		dst = append(dst, Span{Data: ch.span.Data[off : off+take], Owner: ch.span.Owner})
		seq, n = seq.Add(take), n-take
	}
	return dst
}

// release drops everything.
func (q *sendQueue) release() {
	if q.chunks.Len() > 0 {
		chunks := q.chunks.Items()
		for i := range chunks {
			chunks[i].span.Release()
		}
		q.chunks.Reset()
	}
	q.storage = 0
	q.first = q.end
}

// sender is the state that a connection has only while something is queued or in flight.
type sender struct {
	q  sendQueue
	sb scoreboard
	recovery
	kind       timerKind   // the purpose for which timerRetransmit runs
	spare      *controller // a blank one, for the next connection that needs one
	charged    int         // how much of q.storage is counted in Env.Buffered
	up         Seq         // SND.UP
	urgent     bool        // SND.UP is ahead of SND.UNA
	partialEnd Seq         // the end of the last partial segment
	partial    bool        // partialEnd is ahead of SND.UNA
	pushed     bool        // the text that is queued now is sent even if it ends in a partial segment
	probing    bool        // a tail loss probe is being sent
	larger     bool        // a probe of the path's MTU is being sent
}

// sending returns the connection's sender, and makes one if there is none.
func (c *Conn) sending() *sender {
	if c.tx != nil {
		return c.tx
	}
	if n := len(c.env.senders); n > 0 {
		c.tx, c.env.senders[n-1] = c.env.senders[n-1], nil
		c.env.senders = c.env.senders[:n-1]
	} else {
		c.tx = new(sender)
	}
	start := c.snd.nxt
	if c.state == SynSent || c.state == SynReceived {
		start = c.snd.iss.Add(1)
	}
	c.tx.q.first, c.tx.q.end, c.tx.fack = start, start, start
	c.tx.flight.Usage.Begin(uint32(start), c.lastSend)
	if c.cc == nil {
		if c.cc, c.tx.spare = c.tx.spare, nil; c.cc == nil || c.cc.Name() != c.congestionControl() {
			c.cc = &controller{Controller: cc.New(c.congestionControl())}
		}
	}
	if s := c.cc.Sampler(); s != nil {
		c.tx.sb.sampleFor(s)
	}
	return c.tx
}

// maxFree bounds the lists of spare senders and receivers of an Env.
const maxFree = 256

// dropSender drops the queue and gives the sender back to the Env.
func (c *Conn) dropSender() {
	tx := c.tx
	if tx == nil {
		return
	}
	tx.q.release()
	c.chargeSend()
	tx.sb.reset()
	tx.recovery, tx.kind, tx.urgent = recovery{}, kindRTO, false
	tx.partial, tx.pushed = false, false
	c.tx = nil
	c.env.window.Flight = &c.env.noFlight // which would keep tx
	if c.cc != nil && !c.has(flagTLPOut) && c.cc.blank() {
		c.cc, tx.spare = nil, c.cc
	}
	if len(c.env.senders) < maxFree {
		c.env.senders = append(c.env.senders, tx)
	}
}

// Send copies as much of p into the send queue as there is room for, calls Output, and returns the number of octets copied:
// 0 if the buffer is full, the stream has been ended, or the connection is not open. In SYN-SENT and SYN-RECEIVED the text
// is only queued (RFC 9293 3.10.2).
func (c *Conn) Send(p []byte, now mono.Time) int {
	n := c.Queue(p, now)
	if n > 0 {
		c.Output(now)
	}
	return n
}

// Queue is Send without the call of Output, which the caller makes soon.
func (c *Conn) Queue(p []byte, now mono.Time) int {
	n := c.admit(len(p), now)
	if n > 0 {
		c.sending().q.write(p[:n], c.chunkSize(), c.env.Alloc)
		c.chargeSend()
	}
	return n
}

// SendSpan is Send without a copy: it takes ownership of a span that the caller has filled. If there is any room it takes the
// whole span, otherwise nothing, and the span remains the caller's.
func (c *Conn) SendSpan(s Span, now mono.Time) bool {
	if c.admit(len(s.Data), now) == 0 {
		return false
	}
	c.sending().q.append(s)
	c.chargeSend()
	c.Output(now)
	return true
}

// admit returns how many of n octets may be queued. If these are fewer than n it notes that the writer waits for room.
func (c *Conn) admit(n int, now mono.Time) int {
	switch c.state {
	case SynSent, SynReceived, Established, CloseWait:
	case Closed, Listen, FinWait1, FinWait2, Closing, LastAck, TimeWaitState:
		return 0
	}
	if c.has(flagFINQueued) {
		return 0
	}
	room := c.SendSpace()
	if lowat := c.opts.NotSentLowat; lowat > 0 {
		room = min(room, max(int(lowat)-c.notSent(), 0))
	}
	if room < n {
		c.set(flagWantWrite)
	}
	if room > 0 && n > 0 {
		if c.stalledSince == 0 {
			c.stalledSince = now
		}
		if c.tx != nil {
			c.tx.pushed = false // Flush applied only to the text queued before
		}
	}
	return min(n, room)
}

// SendSize returns the payload of the largest segment, or super-segment, that is sent at once: after writes of this size
// there is no remainder.
func (c *Conn) SendSize() int {
	if c.smss == 0 {
		return minMSS
	}
	if mss := c.segmentSize(); c.superSize(mss) == mss {
		return int(maxChunk / mss * mss)
	}
	return int(c.superSize(c.segmentSize()))
}

// SendSpace returns how many octets Send would take now.
func (c *Conn) SendSpace() int { return max(c.sendLimit()-c.SendQueued(), 0) }

// SendQueued returns how many octets were written and are not acknowledged.
func (c *Conn) SendQueued() int {
	if c.tx == nil {
		return 0
	}
	return int(c.tx.q.len())
}

// Writable says whether a third of the send buffer is free, or writing would fail immediately.
func (c *Conn) Writable() bool {
	if c.handshaking() {
		return false
	}
	if c.err != 0 || c.opts == nil || c.has(flagFINQueued) {
		return true
	}
	lowat := int(c.opts.NotSentLowat)
	return c.SendSpace() >= c.sendLimit()/3 && (lowat == 0 || 2*c.notSent() < lowat)
}

// notSent returns how many octets were written and never sent.
func (c *Conn) notSent() int {
	if c.tx == nil || !c.snd.nxt.LessThan(c.tx.q.end) {
		return 0
	}
	if c.state == SynSent || c.state == SynReceived {
		return int(c.tx.q.len())
	}
	return int(c.tx.q.end.Distance(c.snd.nxt))
}

// tellWritable raises the event Writable if a writer waits for it and the connection has become writable.
func (c *Conn) tellWritable() {
	if c.has(flagWantWrite) && c.Writable() {
		c.clear(flagWantWrite)
		c.events |= Writable
	}
}

// AwaitWritable is Writable; if it returns false the event Writable is raised later.
func (c *Conn) AwaitWritable() bool {
	if c.Writable() {
		return true
	}
	c.set(flagWantWrite)
	return false
}
