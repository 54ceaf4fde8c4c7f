package sim

import (
	"sync"
	"time"

	"github.com/unet-go/unet/stack/link"
)

// flight holds the frames that are not due yet, in a heap by due time and order of departure, and owns the
// goroutine that delivers them.
type flight struct {
	segment *Segment
	kick    chan struct{} // capacity 1: the earliest due time has changed
	quit    chan struct{}
	done    chan struct{}

	mu      sync.Mutex
	heap    []*airborne
	free    *airborne
	seq     uint64
	running bool
	stopped bool
}

// airborne is a departure in the heap, or a free one, in a linked list.
type airborne struct {
	departure
	seq  uint64
	next *airborne
}

func (a *airborne) before(b *airborne) bool {
	return a.due < b.due || a.due == b.due && a.seq < b.seq
}

func (fl *flight) init(s *Segment) {
	fl.segment = s
	fl.kick = make(chan struct{}, 1)
	fl.quit = make(chan struct{})
	fl.done = make(chan struct{})
}

// push takes ownership of the frames in held.
func (fl *flight) push(held []departure) {
	fl.mu.Lock()
	if fl.stopped {
		fl.mu.Unlock()
		for i := range held {
			held[i].frame.Release()
		}
		return
	}
	first := fl.first()
	for i := range held {
		a := fl.free
		if a == nil {
			a = new(airborne)
		} else {
			fl.free = a.next
		}
		fl.seq++
		*a = airborne{departure: held[i], seq: fl.seq}
		fl.insert(a)
	}
	if !fl.running {
		fl.running = true
		go fl.run()
	}
	earlier := fl.first() != first
	fl.mu.Unlock()
	if earlier {
		select {
		case fl.kick <- struct{}{}:
		default:
		}
	}
}

func (fl *flight) first() *airborne {
	if len(fl.heap) == 0 {
		return nil
	}
	return fl.heap[0]
}

// run delivers frames as they become due, until quit.
func (fl *flight) run() {
	defer close(fl.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var landed []departure
	var batch []link.Frame
	for {
		var wait time.Duration
		landed, wait = fl.land(landed[:0])
		if len(landed) > 0 {
			batch = fl.deliver(landed, batch)
			clear(landed)
			continue
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-fl.kick:
		case <-fl.quit:
			return
		}
	}
}

// land appends the departures that are due to landed, and returns the time until the next one is due.
func (fl *flight) land(landed []departure) ([]departure, time.Duration) {
	now := fl.segment.now()
	fl.mu.Lock()
	defer fl.mu.Unlock()
	for a := fl.first(); a != nil && a.due <= now; a = fl.first() {
		landed = append(landed, a.departure)
		fl.removeFirst()
		*a = airborne{next: fl.free}
		fl.free = a
	}
	if a := fl.first(); a != nil {
		return landed, a.due - now
	}
	return landed, time.Hour
}

// deliver forwards departures in their order: successive ones of the same sender in one call. It returns batch.
func (fl *flight) deliver(landed []departure, batch []link.Frame) []link.Frame {
	for i := 0; i < len(landed); {
		from, ordered := landed[i].from, int64(0)
		batch = batch[:0]
		for ; i < len(landed) && landed[i].from == from; i++ {
			batch = append(batch, landed[i].frame)
			if landed[i].ordered {
				ordered++
			}
		}
		fl.segment.forward(from, batch)
		clear(batch)
		// Only now may the sender deliver directly again: no earlier frame of it is in flight that could be overtaken.
		from.ordered.Add(-ordered)
	}
	return batch
}

// stop ends the goroutine, waits for it and discards the frames in flight.
func (fl *flight) stop() {
	fl.mu.Lock()
	running := fl.running
	if !fl.stopped {
		fl.stopped = true
		close(fl.quit)
	}
	fl.mu.Unlock()
	if running {
		<-fl.done
	}
	fl.mu.Lock()
	defer fl.mu.Unlock()
	for _, a := range fl.heap {
		a.frame.Release()
	}
	fl.heap, fl.free = nil, nil
}

// insert and removeFirst are those of an ordinary binary heap; container/heap would allocate for its interface.
func (fl *flight) insert(a *airborne) {
	h := append(fl.heap, a)
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !a.before(h[parent]) {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = a
	fl.heap = h
}

func (fl *flight) removeFirst() {
	last := len(fl.heap) - 1
	a := fl.heap[last]
	fl.heap[last] = nil
	h := fl.heap[:last]
	fl.heap = h
	if last == 0 {
		return
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= last {
			break
		}
		if right := child + 1; right < last && h[right].before(h[child]) {
			child = right
		}
		if !h[child].before(a) {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = a
}
