package fdtable

import (
	"math/rand/v2"
	"testing"
)

// TestNumbersAreTheLowestFree compares the tree with the obvious way to find the lowest free number.
func TestNumbersAreTheLowestFree(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 0))
		var n numbers
		used := map[int]bool{}
		var order []int // the numbers of used
		most := 1 + random.IntN(6000)
		for range 20000 {
			if len(order) == 0 || len(order) < most && random.IntN(100) < 55 {
				want := 0
				for used[want] {
					want++
				}
				got := n.lowest(0)
				n.add(got)
				if got != want {
					t.Fatalf("seed %d: take = %d with %d in use, want %d", seed, got, len(order), want)
				}
				used[got] = true
				order = append(order, got)
				continue
			}
			i := random.IntN(len(order))
			n.put(order[i])
			delete(used, order[i])
			order[i] = order[len(order)-1]
			order = order[:len(order)-1]
		}
	}
}

// TestNumbersAcrossLevels walks over the edges where a word, and a word of words, becomes full.
func TestNumbersAcrossLevels(t *testing.T) {
	const most = 64*64*64 + 64*64 + 65
	var n numbers
	for i := range most {
		if got := take(&n); got != i {
			t.Fatalf("take = %d, want %d", got, i)
		}
	}
	for _, i := range []int{64*64*64 + 1, 64*64*64 - 1, 64 * 64, 4095, 64, 63, 0} {
		n.put(i)
		if got := take(&n); got != i {
			t.Fatalf("take after put(%d) = %d", i, got)
		}
	}
}

func BenchmarkNumbers(b *testing.B) {
	var n numbers
	for range 1 << 20 {
		take(&n)
	}
	for b.Loop() {
		n.put(1 << 19)
		take(&n)
	}
}

func take(n *numbers) int {
	i := n.lowest(0)
	n.add(i)
	return i
}

// TestNumbersFromAnywhere compares the lowest free number behind another one with the obvious way to find it.
func TestNumbersFromAnywhere(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var n numbers
		dense := random.IntN(5000)
		for i := range dense {
			n.add(i)
		}
		for range 300 {
			if i := random.IntN(9000); !n.has(i) {
				n.add(i)
			}
		}
		for range 100 {
			least := random.IntN(9000)
			want := least
			for n.has(want) {
				want++
			}
			if got := n.lowest(least); got != want {
				t.Fatalf("lowest(%d) = %d, want %d", least, got, want)
			}
		}
	}
	var n numbers
	if got := n.lowest(maxLimit - 1); got != maxLimit-1 {
		t.Errorf("the last number is %d", got)
	}
	if got := n.lowest(maxLimit); got < maxLimit {
		t.Errorf("behind the last number comes %d", got)
	}
}
