package stack

import (
	"context"
	"time"
)

// lastWrites is how long Close waits for a device that takes no frame, and for neighbours that do not say their link
// address. A device that takes some, however slowly, gets all.
const lastWrites = time.Second

// holdFlushes keeps what is queued from now on for finish. A flush in progress goes on.
func (q *txQueue) holdFlushes() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ending = true
	q.change.L = &q.mu
}

// seal keeps everything further out of the queue; finish ends with what is in it.
func (q *txQueue) seal() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sealed = true
	q.change.Broadcast()
}

// finish waits for the flush in progress and writes out what is queued, and what comes until the queue is sealed.
func (q *txQueue) finish() {
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

// finishQueues writes out what is queued for all interfaces of t, each queue on a goroutine of its own, which loops
// counts. What waits for a neighbour's link address has lastWrites to get it. finishQueues returns when all has left, or
// when for lastWrites no device has taken a frame.
func (h *Host) finishQueues(t *topology) {
	var queues []*txQueue
	for _, ifc := range t.ifaces {
		queues = append(queues, ifc.queues...)
	}
	finished := make(chan struct{}, len(queues))
	for _, q := range queues {
		h.loops.Go(func() {
			q.finish()
			finished <- struct{}{}
		})
	}
	patience := time.NewTicker(lastWrites)
	defer patience.Stop()
	before := t.framesOut()
	if t.awaitNeighbors(context.Background(), lastWrites) {
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
			now := t.framesOut()
			if now == before {
				return
			}
			before = now
		}
	}
}

// framesOut returns how many frames the devices have taken.
func (t *topology) framesOut() (n uint64) {
	for _, ifc := range t.ifaces {
		n += ifc.counters.framesOut.Load()
	}
	return n
}
