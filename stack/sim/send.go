package sim

import (
	"sync"
	"time"

	"github.com/unet-go/unet/internal/fifo"
	"github.com/unet-go/unet/stack/link"
)

// sender is the sending side of a port, with its lock.
type sender struct {
	mu     sync.Mutex
	seed   uint64
	number uint64 // of the frame, from 1
	bad    bool   // state of the burst model

	busy    time.Duration // the transmitter is busy until then
	rest    int64         // busy was rounded down by this, in 1/restOf ns
	restOf  int64
	leaving fifo.Queue[time.Duration] // when each frame that waits for the rate will have left

	last time.Duration // due time of the latest ordered departure

	direct []link.Frame // to deliver at the end of Write
	held   []departure  // to put in flight at the end of Write
}

// departure is a frame on its way from the sender to the switch.
type departure struct {
	frame link.Frame
	from  *Port
	due   time.Duration
	// ordered frames arrive in the order of their departure; other frames were chosen to be overtaken.
	ordered bool
}

// fate tells what will happen to one frame.
type fate struct {
	reason                      Reason
	corrupt, duplicate, reorder bool
	jitter                      time.Duration
	bit                         uint64
}

// Write sends frames, as link.Device says. It copies them, or shares the buffer of a frame that cannot be changed on the
// way, and returns at once, however long the delay is.
func (p *Port) Write(frames []link.Frame) (int, error) {
	w, s := &p.write, p.segment
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.closed.Load() {
		return 0, link.ErrClosed
	}
	pl, taps := p.plan.Load(), s.taps.Load()
	var now time.Duration
	if pl.timed || taps != nil || p.ordered.Load() > 0 {
		now = s.now()
	}
	var octets int
	for i := range frames {
		f, ok := link.Frame{}, false
		if pl.perfect {
			f, ok = frames[i].Share()
		}
		if !ok {
			f = copyFrame(&frames[i])
		}
		octets += len(f.Header)
		var ft fate
		due := now
		w.number++
		if ft.reason = p.check(pl, &f); ft.reason == None && !pl.perfect {
			due = p.judge(pl, &f, now, &ft)
		}
		if taps != nil {
			s.record(*taps, p, &f, now, &ft)
		}
		if ft.reason != None {
			p.count.dropped[ft.reason].Add(1)
			f.Release()
			continue
		}
		p.depart(pl, f, now, due, &ft)
	}
	p.count.sent.Add(uint64(len(frames)))
	p.count.octets.Add(uint64(octets))
	p.flush()
	return len(frames), nil
}

// check returns the reason why a frame cannot be sent at all, or None. The offsets of a frame that passes point into the
// frame.
func (p *Port) check(pl *plan, f *link.Frame) Reason {
	n, m := len(f.Header), &f.Meta
	switch {
	case p.away.Load():
		return Unplugged
	case n < etherLen:
		return Refused
	case m.NeedsChecksum && (!p.info.Checksum || int(m.ChecksumStart)+int(m.ChecksumOffset)+2 > n):
		return Refused
	case m.GSO == link.NoSegmentation:
		if n-etherLen > pl.MTU {
			return Oversize
		}
	case !p.offers(m.GSO) || m.GSOSize == 0 || m.HeaderLen < etherLen || int(m.HeaderLen) > n:
		return Refused
	case int(m.HeaderLen)+int(m.GSOSize)-etherLen > pl.MTU || n-etherLen > maxPacket:
		return Oversize
	}
	return None
}

// offers reports whether Info offers a kind of super-segment.
func (p *Port) offers(kind link.Segmentation) bool {
	switch kind {
	case link.TCP4:
		return p.info.TSO4
	case link.TCP6:
		return p.info.TSO6
	default:
		return false
	}
}

// judge decides what happens to a well-formed frame, changes its octets if they are to be corrupted, and returns the
// time at which it is due at the switch.
func (p *Port) judge(pl *plan, f *link.Frame, now time.Duration, ft *fate) time.Duration {
	w := &p.write
	lost := pl.chance && w.draw(pl, ft)
	if pl.Filter != nil && p.filter(pl, f, ft) == Drop {
		ft.reason = Filtered
		return now
	}
	left, ok := w.serialise(pl, now, wireOctets(f))
	switch {
	case !ok:
		ft.reason = QueueFull
		return now
	case lost, ft.corrupt && !flip(f, ft.bit):
		ft.reason = Lost
		return now
	}
	return left + pl.Delay + ft.jitter
}

// filter calls Config.Filter, if there is one.
func (p *Port) filter(pl *plan, f *link.Frame, ft *fate) Verdict {
	p.segment.hooks.Lock()
	defer p.segment.hooks.Unlock()
	v := pl.Filter(p, f.Header)
	switch v {
	case Pass, Drop:
	case Corrupt:
		ft.corrupt = true
	case Duplicate:
		ft.duplicate = true
	case Reorder:
		ft.reorder = true
	}
	return v
}

// serialise returns the time at which a frame of n octets has left at the rate, or false if the queue for it is full.
func (w *sender) serialise(pl *plan, now time.Duration, n int) (time.Duration, bool) {
	if pl.Rate == 0 {
		return now, true
	}
	for w.leaving.Len() > 0 && *w.leaving.First() <= now {
		w.leaving.Pop()
	}
	if w.leaving.Len() >= pl.Queue {
		return 0, false
	}
	if w.busy < now || w.restOf != pl.Rate {
		w.busy, w.rest, w.restOf = max(w.busy, now), 0, pl.Rate
	}
	// The remainder is carried over: without it a fast link would gain a fraction of a nanosecond with every frame.
	work := int64(n)*8*int64(time.Second) + w.rest
	w.busy += time.Duration(work / pl.Rate)
	w.rest = work % pl.Rate
	w.leaving.Push(w.busy)
	return w.busy, true
}

// wireOctets returns the number of octets that the wire would carry, with a super-segment cut into its segments.
func wireOctets(f *link.Frame) int {
	n, m := len(f.Header), &f.Meta
	if m.GSO == link.NoSegmentation {
		return n
	}
	segments := (n - int(m.HeaderLen) + int(m.GSOSize) - 1) / int(m.GSOSize)
	return n + max(segments-1, 0)*int(m.HeaderLen)
}

// depart queues a frame for delivery and takes ownership of it.
func (p *Port) depart(pl *plan, f link.Frame, now, due time.Duration, ft *fate) {
	w := &p.write
	if ft.corrupt {
		p.count.corrupted.Add(1)
	}
	if ft.reorder {
		p.count.reordered.Add(1)
		late := max(due, w.last) + pl.ReorderDelay
		w.held = append(w.held, departure{frame: f, from: p, due: late})
	} else {
		due = p.enqueue(f, now, due)
	}
	if ft.duplicate {
		p.count.duplicated.Add(1)
		p.enqueue(copyFrame(&f), now, due)
	}
}

// enqueue delivers a frame in order, at once if no frame is in front of it. It returns the time of delivery.
func (p *Port) enqueue(f link.Frame, now, due time.Duration) time.Duration {
	w := &p.write
	if due <= now && p.ordered.Load() == 0 {
		w.direct = append(w.direct, f)
		return now
	}
	due = max(due, w.last)
	w.last = due
	p.ordered.Add(1)
	w.held = append(w.held, departure{frame: f, from: p, due: due, ordered: true})
	return due
}

// flush delivers the frames that Write has queued, or puts them in flight.
func (p *Port) flush() {
	w := &p.write
	if len(w.direct) > 0 {
		p.segment.forward(p, w.direct)
		clear(w.direct)
		w.direct = w.direct[:0]
	}
	if len(w.held) > 0 {
		p.segment.flight.push(w.held)
		clear(w.held)
		w.held = w.held[:0]
	}
}
