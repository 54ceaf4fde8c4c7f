package ip

import (
	"context"
	"sync"
	"time"
)

// lastWrites is how long Close waits for a device that accepts no frame, and for neighbours that do not answer. A device
// that accepts frames, however slowly, gets all of them.
const lastWrites = time.Second

// holdFlushes keeps what is queued from now on for finish. A flush in progress goes on.
func (q *Queue) holdFlushes() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ending = true
	q.change.L = &q.mu
}

// seal makes the queue refuse further frames; finish ends when it has written those that are in it.
func (q *Queue) seal() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sealed = true
	q.change.Broadcast()
}

// finish waits for the flush in progress and writes out what is queued, and what comes until the queue is sealed.
func (q *Queue) finish() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		for q.flushing {
			q.change.Wait()
		}
		q.drainLocked()
		if q.sealed {
			return
		}
		q.change.Wait()
	}
}

// HoldFlushes keeps what is queued from now on for Finish, so that no device can hold up what comes until then.
func (l *Layer) HoldFlushes() {
	for _, ifc := range l.Interfaces() {
		for _, q := range ifc.queues {
			q.holdFlushes()
		}
	}
}

// Finish writes out what is queued for all interfaces, each queue on a goroutine of its own, which loops counts. What
// waits for a neighbour's link address has a second to get it. Finish returns when all has left, or when for a
// second no device has taken a frame.
func (l *Layer) Finish(loops *sync.WaitGroup) {
	var queues []*Queue
	for _, ifc := range l.Interfaces() {
		queues = append(queues, ifc.queues...)
	}
	finished := make(chan struct{}, len(queues))
	for _, q := range queues {
		loops.Go(func() {
			q.finish()
			finished <- struct{}{}
		})
	}
	patience := time.NewTicker(lastWrites)
	defer patience.Stop()
	before := l.framesOut()
	if l.AwaitNeighbors(context.Background(), lastWrites) {
		patience.Reset(lastWrites) // the devices have just got something
	}
	for _, q := range queues {
		q.seal()
	}
	for left := len(queues); left > 0; {
		select {
		case <-finished:
			left--
		case <-patience.C:
			now := l.framesOut()
			if now == before {
				return
			}
			before = now
		}
	}
}

// framesOut returns how many frames the devices have taken.
func (l *Layer) framesOut() (n uint64) {
	for _, ifc := range l.Interfaces() {
		n += ifc.device.counters.framesOut.Load()
	}
	return n
}

// AwaitNeighbors waits until no packet waits for a neighbour, or d has passed, or ctx is done. It says whether none waits.
func (l *Layer) AwaitNeighbors(ctx context.Context, d time.Duration) (settled bool) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for _, ifc := range l.Interfaces() {
		for _, c := range ifc.neighbors {
			if c == nil || ifc.currentState().over() {
				continue
			}
			if settled := c.whenSettled(); settled != nil {
				select {
				case <-settled:
				case <-ctx.Done():
					return false
				}
			}
		}
	}
	return true
}
