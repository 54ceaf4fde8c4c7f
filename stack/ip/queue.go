package ip

import (
	"sync"
	"sync/atomic"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/internal/span"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// maxQueuedFrames bounds what waits for a device. TCP's windows keep it far below; UDP can reach it.
const maxQueuedFrames = 16384

// MaxQueueOctets is what Config.QueueOctets is at most by default, and MaxLoopbackOctets what Config.LoopbackOctets is.
const (
	MaxQueueOctets    = 32 << 20
	MaxLoopbackOctets = 64 << 20
)

// Queue is one queue of a device. Its receive loop reads from it. Frames to be written wait in it until some goroutine
// flushes it; one goroutine flushes at a time, so frames leave in the order in which they were put.
type Queue struct {
	dev     link.Device
	glancer link.Glancer // dev, if it is one, else nil
	device  *deviceState
	queued  atomic.Int32 // len(pending), to look at without the lock

	mu       sync.Mutex
	pending  []link.Frame
	octets   int          // of the buffers that the headers of pending stand in
	limit    int          // of octets, beside the text that TCP counts; 0 for none
	spare    []link.Frame // the array that pending had before the last flush
	flushing bool
	burst    bool  // a receive burst is in progress: its end flushes
	dead     bool  // the device has failed: no more frames are accepted
	failures int   // Writes in a row that have failed
	fatal    error // of the Write after which the device is given up

	ending bool      // the host is being closed: only finish may start to write
	sealed bool      // no more frames are accepted
	change sync.Cond // with ending: a flush is over, a frame was queued, or the queue is sealed

	// retryAt is when to write again after one has failed, a mono.Time; 0 for at once. It changes under mu.
	retryAt atomic.Int64
	// gone is the same as dead, readable without the lock when a queue is chosen among several.
	gone atomic.Bool
}

// deviceState is what the queues of one device share.
type deviceState struct {
	base      *base
	counters  interfaceCounters
	lastError atomic.Pointer[error]
}

type interfaceCounters struct {
	framesIn, octetsIn, framesOut, octetsOut, writeErrors atomic.Uint64
}

func (d *deviceState) noteError(err error) { d.lastError.Store(&err) }

// put moves f to the end of the queue, with references of its own to the spans of gather behind it, and leaves
// f empty. A full queue drops f.
func (q *Queue) put(f *link.Frame, gather []span.Span) {
	q.mu.Lock()
	size := 0
	if b := f.Buffer(); b != nil {
		size = b.Cap()
	}
	slot := q.extendLocked(size)
	if slot == nil {
		reason := drop.TxQueueFull
		switch {
		case q.dead:
			reason = drop.InterfaceFailed
		case q.sealed:
			reason = drop.Closing
		}
		q.mu.Unlock()
		f.Release()
		q.device.base.drop(reason)
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
func appendSpans(f *link.Frame, gather []span.Span) {
	for _, s := range gather {
		if len(s.Data) > 0 {
			f.Append(s.Data, s.Owner.(*link.Buffer))
		}
	}
}

// extendLocked returns the queue's new last frame, empty, or nil when the queue is sealed, its device has failed, or there
// is no room for one whose buffer is so large.
func (q *Queue) extendLocked(size int) *link.Frame {
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

// Read reads frames as link.Device says. The caller calls ReadDone when it has taken them.
func (q *Queue) Read(frames []link.Frame) (int, error) {
	if q.glancer != nil {
		return q.glancer.ReadHeld(frames)
	}
	return q.dev.Read(frames)
}

// CanTry says whether TryRead may be called.
func (q *Queue) CanTry() bool { return q.glancer != nil }

// TryRead reads the frames that wait at the device now, unless its receive loop is about it. The caller calls ReadDone
// when it has taken any.
func (q *Queue) TryRead(frames []link.Frame) int { return q.glancer.TryRead(frames) }

// ReadDone says that the frames of the last Read or TryRead have been taken.
func (q *Queue) ReadDone() {
	if q.glancer != nil {
		q.glancer.ReadDone()
	}
}

// BeginBurst makes Flush leave the work to the end of the burst.
func (q *Queue) BeginBurst() {
	q.mu.Lock()
	q.burst = true
	q.mu.Unlock()
}

// EndBurst ends what BeginBurst began. The caller flushes.
func (q *Queue) EndBurst() {
	q.mu.Lock()
	q.burst = false
	q.mu.Unlock()
}

// flush writes out all frames, those that come while it writes included, unless a receive burst is in progress. Those
// that the device refuses stay for a later try, or are dropped with the host or the device at its end.
func (q *Queue) flush() { q.drain(false) }

// FlushEarly is flush that a receive burst does not hold up.
func (q *Queue) FlushEarly() { q.drain(true) }

func (q *Queue) drain(early bool) {
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
		q.device.base.Clock.Armed(retry)
	}
}

// drainLocked writes out all frames, and gives the lock back while it writes. No flush is in progress. Where the device
// fails it returns when the clock's goroutine must look after the queue, else 0.
func (q *Queue) drainLocked() (retry mono.Time) {
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
func (q *Queue) send(frames []link.Frame) (rest []link.Frame, err error) {
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
	c := &q.device.counters
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

func putLinkHeader(f *link.Frame, dst, src link.MAC, etherType uint16) {
	eth := wire.Ethernet{Dst: dst, Src: src, Type: etherType}
	eth.Marshal(f.Header)
}
