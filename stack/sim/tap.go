package sim

import (
	"slices"
	"time"

	"github.com/unet-go/unet/stack/link"
)

// Reason is why a frame was dropped on its way from a port to the switch.
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
	// Unplugged: see Port.Unplug.
	Unplugged

	reasons = iota
)

// String returns a word or two for a reason, and "" for None.
func (r Reason) String() string {
	names := [reasons]string{"", "filtered", "lost", "queue full", "oversize", "refused", "unplugged"}
	if int(r) < len(names) {
		return names[r]
	}
	return "unknown reason"
}

// Record describes one frame to a tap.
type Record struct {
	// Time is when the frame was written to its port.
	Time time.Time
	// From is the port that it was written to.
	From *Port
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

// Tap calls fn for every frame that any port sends, when it is sent, dropped ones too, until stop is called.
// It runs inside Port.Write, one call at a time in the whole segment, and must not call the segment or a
// port, except for Name, Info and Stats.
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
	s.hooks.Lock()
	defer s.hooks.Unlock()
	for _, t := range taps {
		if t.fn != nil {
			t.fn(r)
		}
	}
}
