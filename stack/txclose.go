package stack

import "time"

// lastWrites is how long Close waits for a device that takes no frame. One that takes some, however slowly, gets all.
const lastWrites = time.Second

// holdFlushes keeps what is queued from now on for finish. A flush in progress goes on.
func (q *txQueue) holdFlushes() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ending = true
	q.idle.L = &q.mu
}

// finish waits for the flush in progress and writes out what is queued; what comes later is dropped.
func (q *txQueue) finish() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sealed = true
	for q.flushing {
		q.idle.Wait()
	}
	q.drainLocked()
}

// finishQueues writes out what is queued for all interfaces of t, each queue on a goroutine of its own, which loops
// counts. It returns when all has left, or when for lastWrites no device has taken a frame.
func (h *Host) finishQueues(t *topology) {
	left := 0
	for _, ifc := range t.ifaces {
		left += len(ifc.queues)
	}
	finished := make(chan struct{}, left)
	for _, ifc := range t.ifaces {
		for _, q := range ifc.queues {
			h.loops.Go(func() {
				q.finish()
				finished <- struct{}{}
			})
		}
	}
	patience := time.NewTicker(lastWrites)
	defer patience.Stop()
	for before := t.framesOut(); left > 0; {
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
