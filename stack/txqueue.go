package stack

import (
	"sync"
	"sync/atomic"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/tcp"
)

// maxQueuedFrames and maxQueuedOctets bound a transmit queue, the latter what its frames pin beside the text that TCP
// counts. TCP's windows keep it far below; UDP can reach it.
const (
	maxQueuedFrames = 16384
	maxQueuedOctets = 32 << 20
)

// txQueue holds the frames for one device queue until somebody flushes it. One goroutine flushes at a time,
// so frames leave in the order in which they were put.
type txQueue struct {
	dev    link.Device
	glance glance // zero where the device is no link.Glancer
	iface  *iface
	queued atomic.Int32 // len(pending), to look at without the lock

	mu       sync.Mutex
	pending  []link.Frame
	octets   int          // of the buffers that the headers of pending stand in
	limit    int          // of octets; 0 for none
	spare    []link.Frame // the array that pending had before the last flush
	flushing bool
	burst    bool  // a receive burst is in progress: its end flushes
	dead     bool  // the device has failed: nothing is queued any more
	failures int   // Writes in a row that have failed
	fatal    error // of the Write that was the last

	ending bool      // the host closes: finish alone begins to write
	sealed bool      // nothing is queued any more
	change sync.Cond // with ending: a flush is over, a frame was queued, or the queue is sealed

	// retryAt is when to write again after one has failed, a mono.Time; 0 for at once. It changes under mu.
	retryAt atomic.Int64
	// gone is dead, for those who choose among several queues.
	gone atomic.Bool
}

// put moves f to the end of the queue, with references of its own to the spans of gather behind it, and leaves
// f empty. A full queue drops f.
func (q *txQueue) put(f *link.Frame, gather []tcp.Span) {
	q.mu.Lock()
	size := 0
	if b := f.Buffer(); b != nil {
		size = b.Cap()
	}
	slot := q.extendLocked(size)
	if slot == nil {
		reason := DropTxQueueFull
		switch {
		case q.dead:
			reason = DropInterfaceFailed
		case q.sealed:
			reason = DropClosing
		}
		q.mu.Unlock()
		f.Release()
		q.iface.host.drop(reason)
		return
	}
	spans := slot.Payload // the array is used again
	*slot = *f
	if slot.Payload == nil {
		slot.Payload = spans[:0]
	}
	appendSpans(slot, gather)
	if q.ending {
		q.change.Broadcast()
	}
	q.mu.Unlock()
	*f = link.Frame{}
}

// appendSpans adds spans that are all kept by buffers to f.
func appendSpans(f *link.Frame, gather []tcp.Span) {
	for _, s := range gather {
		if len(s.Data) > 0 {
			f.Append(s.Data, s.Owner.(*link.Buffer))
		}
	}
}

// extendLocked returns the queue's new last frame, empty, or nil when the queue is sealed, its device has failed, or there
// is no room for one whose buffer is so large.
func (q *txQueue) extendLocked(size int) *link.Frame {
	n := len(q.pending)
	if n >= maxQueuedFrames || q.limit > 0 && n > 0 && q.octets+size > q.limit || q.sealed || q.dead {
		return nil
	}
	q.octets += size
	if n < cap(q.pending) {
		q.pending = q.pending[:n+1] // the frame that stood here keeps its Payload array
	} else {
		q.pending = append(q.pending, link.Frame{})
	}
	q.queued.Store(int32(n + 1))
	return &q.pending[n]
}

// beginBurst makes flush leave the work to endBurst.
func (q *txQueue) beginBurst() {
	q.mu.Lock()
	q.burst = true
	q.mu.Unlock()
}

// endBurst ends what beginBurst began. The caller flushes.
func (q *txQueue) endBurst() {
	q.mu.Lock()
	q.burst = false
	q.mu.Unlock()
}

// flush writes out all frames, those that come while it writes included, unless a receive burst is in progress. Those
// that the device refuses stay for a later try, or are dropped with the host or the device at its end.
func (q *txQueue) flush() { q.drain(false) }

// drain is flush that a burst may be told not to hold up.
func (q *txQueue) drain(early bool) {
	if q.queued.Load() == 0 {
		return
	}
	q.mu.Lock()
	var retry mono.Time
	if !q.flushing && !q.ending && (!q.burst || early) && q.retryAt.Load() == 0 {
		retry = q.drainLocked()
	}
	q.mu.Unlock()
	if retry != 0 {
		q.iface.host.clock.Armed(retry)
	}
}

// drainLocked writes out all frames, and gives the lock back while it writes. No flush is in progress. Where the device
// fails it returns when the clock's goroutine must look after the queue, else 0.
func (q *txQueue) drainLocked() (retry mono.Time) {
	q.flushing = true
	for len(q.pending) > 0 && retry == 0 {
		frames := q.pending
		q.pending, q.spare, q.octets = q.spare[:0], nil, 0
		q.queued.Store(0)
		q.mu.Unlock()
		rest, err := q.send(frames)
		q.mu.Lock()
		again := false
		if err == nil {
			q.failures = 0
		} else if retry, again = q.failedWriteLocked(err); again {
			q.requeueLocked(rest)
			continue
		}
		for i := range rest {
			rest[i].Release()
		}
		q.spare = frames[:0]
	}
	q.flushing = false
	if q.ending {
		q.change.Broadcast()
	}
	return retry
}

// send hands frames to the device and releases those that it took. The others it returns, moved to the front of the
// array, with the device's error.
func (q *txQueue) send(frames []link.Frame) (rest []link.Frame, err error) {
	var octets int
	for i := range frames {
		octets += frames[i].Len()
	}
	n, err := q.write(frames)
	if n < len(frames) {
		for i := range frames[n:] {
			octets -= frames[n+i].Len()
		}
	}
	c := &q.iface.counters
	c.octetsOut.Add(uint64(octets))
	for i := range frames[:n] {
		frames[i].Release()
	}
	rest = frames[:len(frames)-n]
	if n > 0 {
		for i := range rest {
			rest[i], frames[n+i] = frames[n+i], rest[i] // each frame keeps an array of its own for its Payload
		}
	}
	return rest, err
}
