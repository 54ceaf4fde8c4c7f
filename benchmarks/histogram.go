//go:build linux

package main

import (
	"math/bits"
	"time"
)

// histogram counts times in buckets that are 1/32 of their power of two wide, from 1 ns to a minute.
type histogram [(37 - fineBits) << fineBits]uint32

const fineBits = 5

func (h *histogram) add(d time.Duration) { h[bucket(d)]++ }

func bucket(d time.Duration) int {
	n := uint64(max(d, 0))
	if n < 1<<fineBits {
		return int(n)
	}
	shift := bits.Len64(n) - fineBits - 1
	return min((shift<<fineBits)+int(n>>shift), len(histogram{})-1)
}

// middle returns the time in the middle of bucket b.
func middle(b int) time.Duration {
	if b < 2<<fineBits {
		return time.Duration(b)
	}
	shift := b>>fineBits - 1
	low := uint64(b-shift<<fineBits) << shift
	return time.Duration(low + 1<<shift/2)
}

func (h *histogram) merge(other *histogram) {
	for i, n := range other {
		h[i] += n
	}
}

// quantile returns the time below which the part q of all times lies; 0 when there are none.
func (h *histogram) quantile(q float64) time.Duration {
	var total uint64
	for _, n := range h {
		total += uint64(n)
	}
	want, sum := uint64(q*float64(total)), uint64(0)
	for b, n := range h {
		if sum += uint64(n); sum > want {
			return middle(b)
		}
	}
	return 0
}
