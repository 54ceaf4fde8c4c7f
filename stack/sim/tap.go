package sim

import (
	"slices"
	"time"

	"github.com/unet-go/unet/stack/link"
)

// Reason is why a frame was dropped.
type Reason uint8

const (
	// None: it was not dropped.
	None Reason = iota
	// Filtered by Config.Filter.
	Filtered
	// Lost by Config.Loss, Config.Burst or, if it has no checksum, Config.Corrupt.
	Lost
	// QueueFull: too many frames wait for Config.Rate.
	QueueFull
	// Oversize: larger than Config.MTU.
	Oversize
	// Refused for its form: see Stats.Refused.
	Refused
	// Unplugged: see Port.Unplug and Port.SetCarrier.
	Unplugged
	// Partitioned: see Segment.Partition.
	Partitioned

	reasons = iota
)

// String returns a word or two for a reason, and "" for None.
func (r Reason) String() string {
	names := [reasons]string{"", "filtered", "lost", "queue full", "oversize", "refused", "unplugged", "partitioned"}
	if int(r) < len(names) {
		return names[r]
	}
	return "unknown reason"
}

// Record describes one frame to a tap.
type Record struct {
	// Time is when the frame was written to its port or, where To is not nil, when it was lost.
	Time time.Time
	// From is the port that it was written to.
	From *Port
	// To is the port that the frame was for, if it has crossed the segment and is lost there, because the port is
	// unplugged or closed, or on the other side of a partition. It is the frame's second record then: the first one said
	// that it was sent. A frame for many has such a record for each port that it does not reach. Else nil.
	To *Port
	// Frame holds its octets, corruption included; the tap borrows them.
	Frame []byte
	// Meta is its offload metadata. A transport checksum may be left to the device.
	Meta link.Meta
	// Dropped is None, or the reason why the frame is dropped.
	Dropped Reason
	// Corrupted, Duplicated and Reordered say what happens to a frame that is not dropped.
	Corrupted, Duplicated, Reordered bool
}

// tap is one function, nil once it is stopped. The hooks' lock guards it.
type tap struct{ fn func(Record) }

// Tap calls fn for every frame that any port sends, when it is sent, dropped ones too, and again for those that do not
// reach a port because that is unplugged or behind a partition (Record.To), until stop is called. It runs inside
// Port.Write or, for frames that were delayed, on the segment's goroutine, one call at a time in the whole segment, and
// must not call the segment or a port, except for Name, Info and Stats.
func (s *Segment) Tap(fn func(Record)) (stop func()) {
	t := &tap{fn: fn}
	s.changeTaps(func(old []*tap) []*tap { return append(slices.Clip(old), t) })
	return func() {
		s.changeTaps(func(old []*tap) []*tap {
			return slices.DeleteFunc(slices.Clone(old), func(o *tap) bool { return o == t })
		})
		s.hooks.Lock() // waits for a call in progress
		defer s.hooks.Unlock()
		t.fn = nil
	}
}

func (s *Segment) changeTaps(change func([]*tap) []*tap) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var old []*tap
	if p := s.taps.Load(); p != nil {
		old = *p
	}
	if taps := change(old); len(taps) > 0 {
		s.taps.Store(&taps)
	} else {
		s.taps.Store(nil)
	}
}

// record shows a frame to the taps.
func (s *Segment) record(taps []*tap, from *Port, f *link.Frame, now time.Duration, ft *fate) {
	r := Record{Time: s.epoch.Add(now), From: from, Frame: f.Header, Meta: f.Meta, Dropped: ft.reason}
	if ft.reason == None {
		r.Corrupted, r.Duplicated, r.Reordered = ft.corrupt, ft.duplicate, ft.reorder
	}
	s.show(taps, r)
}

// recordLost shows frames that do not reach a port to the taps.
func (s *Segment) recordLost(from, to *Port, frames []link.Frame, why Reason) {
	taps := s.taps.Load()
	if taps == nil {
		return
	}
	for i := range frames {
		s.show(*taps, Record{Time: s.epoch.Add(s.now()), From: from, To: to, Frame: frames[i].Header, Meta: frames[i].Meta, Dropped: why})
	}
}

func (s *Segment) show(taps []*tap, r Record) {
	s.hooks.Lock()
	defer s.hooks.Unlock()
	for _, t := range taps {
		if t.fn != nil {
			t.fn(r)
		}
	}
}
