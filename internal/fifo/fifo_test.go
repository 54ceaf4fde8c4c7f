package fifo

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestQueue compares a queue with a plain slice over many random calls, and checks that nothing that has left is kept.
func TestQueue(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var q Queue[*int]
	var want []*int
	most := 0
	for step := range 100_000 {
		switch r := rng.IntN(100); {
		case r < 52-step%7: // sometimes more come than leave, sometimes fewer
			v := new(int)
			q.Push(v)
			want = append(want, v)
		case r < 96 && len(want) > 0:
			if *q.First() != want[0] {
				t.Fatal("not the first one")
			}
			q.Pop()
			want = want[1:]
		case r == 98 && len(want) > 0:
			q.DropLast()
			want = want[:len(want)-1]
		case r == 99 && rng.IntN(50) == 0:
			q.Reset()
			want = nil
		}
		most = max(most, len(want))
		if q.Len() != len(want) || !slices.Equal(q.Items(), want) || len(want) > 0 && *q.Last() != want[len(want)-1] {
			t.Fatalf("step %d: %d values, want %d", step, q.Len(), len(want))
		}
		all := q.items[:cap(q.items)]
		for i, v := range all {
			if v != nil && (i < q.head || i >= len(q.items)) {
				t.Fatalf("step %d: a value that has left is kept at %d of %d", step, i, len(all))
			}
		}
	}
	if q.Cap() > 4*most { // append doubles too
		t.Errorf("room for %d, and no more than %d waited", q.Cap(), most)
	}
}

func TestQueueIsReused(t *testing.T) {
	var q Queue[int]
	for i := range 10 {
		q.Push(i)
	}
	if n := testing.AllocsPerRun(1000, func() {
		for i := range 5 {
			q.Push(i)
		}
		for range 5 {
			q.Pop()
		}
	}); n != 0 || q.Len() != 10 {
		t.Errorf("%v allocations with %d waiting", n, q.Len())
	}
}

// TestQueueMoves holds that a long queue does not move its values for each one that leaves.
func TestQueueMoves(t *testing.T) {
	var q Queue[int]
	for i := range 1000 {
		q.Push(i)
	}
	moves, head := 0, 0
	for i := range 10_000 {
		q.Pop()
		q.Push(i)
		if q.head < head {
			moves += q.Len()
		}
		head = q.head
	}
	if moves > 12_000 {
		t.Errorf("%d moves for 10,000 values", moves)
	}
}

func BenchmarkQueue(b *testing.B) {
	var q Queue[[4]uint64]
	for i := range 8 {
		q.Push([4]uint64{uint64(i)})
	}
	for b.Loop() {
		q.Push([4]uint64{1})
		q.Pop()
	}
}
