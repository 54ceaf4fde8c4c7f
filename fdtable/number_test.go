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
				got := n.take()
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
		if got := n.take(); got != i {
			t.Fatalf("take = %d, want %d", got, i)
		}
	}
	for _, i := range []int{64*64*64 + 1, 64*64*64 - 1, 64 * 64, 4095, 64, 63, 0} {
		n.put(i)
		if got := n.take(); got != i {
			t.Fatalf("take after put(%d) = %d", i, got)
		}
	}
}

func BenchmarkNumbers(b *testing.B) {
	var n numbers
	for range 1 << 20 {
		n.take()
	}
	for b.Loop() {
		n.put(1 << 19)
		n.take()
	}
}
