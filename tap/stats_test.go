//go:build linux || darwin || windows

package tap

import "testing"

// Stats has every counter of every queue.
func TestStatsSum(t *testing.T) {
	queues := []queue{&portable{}, &portable{}}
	for i, q := range queues {
		c, n := &q.(*portable).counters, uint64(i*100)
		c.in.frames.Add(n + 1)
		c.in.octets.Add(n + 2)
		c.out.frames.Add(n + 3)
		c.out.octets.Add(n + 4)
		c.in.truncated.Add(n + 5)
		c.in.malformed.Add(n + 6)
		c.out.malformed.Add(n + 7)
		c.out.down.Add(n + 8)
		c.out.noMemory.Add(n + 9)
		c.out.refused.Add(n + 10)
	}
	got := (&Device{queues: queues}).Stats()
	want := Stats{FramesIn: 102, OctetsIn: 104, FramesOut: 106, OctetsOut: 108, InTruncated: 110, InMalformed: 112,
		OutMalformed: 114, OutDown: 116, OutNoMemory: 118, OutRefused: 120}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if n := got.Dropped(); n != 110+112+114+116+118+120 {
		t.Errorf("%d frames were dropped, want the sum of the six reasons", n)
	}
}
