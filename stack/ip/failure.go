package ip

import (
	"errors"
	"io"
	"time"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/link"
)

// A call of a device that fails is made again after a pause, of a millisecond first and then of twice the last. So
// many calls in a row may fail, which takes a second in all; the next one that does is the device's last.
const (
	deviceTries = 10
	firstPause  = time.Millisecond
	// closeTries is deviceTries for Writes while the host is being closed, which waits for them: 63 ms.
	closeTries = 6
)

// ErrFrameCount is the error of a device that has moved fewer than no frames, or more than there were.
var ErrFrameCount = errors.New("the device has moved fewer than no frames, or more than there were")

// LastFailure says whether a device whose calls have failed so often in a row, the last one with err, is given up.
func LastFailure(failures int, err error) bool { return final(err) || failures > deviceTries }

// final says whether no call of the device can succeed after one that has returned err.
func final(err error) bool { return errors.Is(err, link.ErrClosed) || errors.Is(err, link.ErrGone) }

// PauseAfter returns how long to wait after so many failures in a row, at least one.
func PauseAfter(failures int) time.Duration { return firstPause << (failures - 1) }

// failedWriteLocked decides what becomes of the queue after a Write that has returned err. again says that the frames are
// to be kept, at when the clock's goroutine must look after the queue, 0 for never. The caller tells the clock when it
// no longer holds q.mu. While the host is being closed the pause is made here, without the lock.
func (q *Queue) failedWriteLocked(err error) (at mono.Time, again bool) {
	b := q.device.base
	q.device.counters.writeErrors.Add(1)
	q.device.noteError(err)
	q.failures++
	switch {
	case q.dead || q.fatal != nil:
		return 0, false
	case b.over():
		if final(err) || q.failures > closeTries {
			return 0, false
		}
		q.mu.Unlock()
		time.Sleep(PauseAfter(q.failures))
		q.mu.Lock()
		return 0, !q.dead
	}
	now := b.now()
	if LastFailure(q.failures, err) {
		// The clock's goroutine closes the device. This goroutine may be in the middle of a read of the same device,
		// for which Close would wait for ever. The receive loop learns of the end by the error of its Read.
		q.fatal = err
		at = now
	} else {
		at = now.Add(PauseAfter(q.failures))
		again = true
	}
	q.retryAt.Store(int64(at))
	return at, again
}

// nextDeadline implements source: a queue has a deadline while it waits to write again.
func (q *Queue) nextDeadline() (mono.Time, bool) {
	at := mono.Time(q.retryAt.Load())
	return at, at != 0
}

func (q *Queue) advance(mono.Time) []Report {
	q.mu.Lock()
	q.retryAt.Store(0)
	fatal := q.fatal
	q.mu.Unlock()
	if fatal != nil {
		_ = q.dev.Close()
		return nil
	}
	q.flush()
	return nil
}

// kill ends the queue: what waits in it and what comes is dropped. It returns the error of the writer that gave the
// device up, if it was one.
func (q *Queue) kill() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dead = true
	q.gone.Store(true)
	q.retryAt.Store(0)
	for i := range q.pending {
		q.pending[i].Release()
	}
	q.pending, q.spare, q.octets = nil, nil, 0
	q.queued.Store(0)
	return q.fatal
}

// requeueLocked puts frames that were not written back to the front of the queue. It drops what that leaves no room for.
func (q *Queue) requeueLocked(frames []link.Frame) {
	newer := q.pending
	room := max(maxQueuedFrames-len(frames), 0)
	q.pending = append(frames, newer[:min(room, len(newer))]...)
	for i := range newer {
		if i >= room {
			newer[i].Release()
			q.device.base.drop(drop.TxQueueFull)
		}
		newer[i] = link.Frame{}
	}
	q.octets = 0
	for i := range q.pending {
		if b := q.pending[i].Buffer(); b != nil {
			q.octets += b.Cap()
		}
	}
	q.queued.Store(int32(len(q.pending)))
}

// NoteError keeps an error of the device that passes, for InterfaceStats.
func (q *Queue) NoteError(err error) { q.device.noteError(err) }

// write hands frames to the device in order, and returns how many it took.
func (q *Queue) write(frames []link.Frame) (n int, err error) {
	for n < len(frames) && err == nil {
		var k int
		switch k, err = q.dev.Write(frames[n:]); {
		case k < 0:
			k, err = 0, ErrFrameCount
		case k > len(frames)-n:
			k, err = len(frames)-n, ErrFrameCount
		case k == 0 && err == nil:
			err = io.ErrShortWrite
		}
		n += k
		q.device.counters.framesOut.Add(uint64(k)) // of each Write, so that Close sees whether the device goes on
	}
	return n, err
}
