package fdtable

import "math/bits"

// levels is the height of the tree of numbers: 64^5 leaves.
const levels = 5

// maxLimit is the most descriptors that a table can hold.
const maxLimit = 1 << (6 * levels)

// numbers is the set of descriptor numbers in use. A bit of level 0 stands for a number, a bit above it for
// a word of 64 bits below that is full; so the lowest free number is found in one step a level. Words
// that nobody has touched are not stored, and are empty.
type numbers [levels][]uint64

// take adds the lowest number that is not in the set and returns it. The caller has made sure that there is
// one below maxLimit.
func (n *numbers) take() int {
	at := 0
	for level := levels - 1; level >= 0; level-- {
		var word uint64
		if at < len(n[level]) {
			word = n[level][at]
		}
		at = at<<6 + bits.TrailingZeros64(^word)
	}
	for level, bit := 0, at; level < levels; level, bit = level+1, bit>>6 {
		for len(n[level]) <= bit>>6 {
			n[level] = append(n[level], 0)
		}
		word := &n[level][bit>>6]
		*word |= 1 << (bit & 63)
		if *word != ^uint64(0) {
			break
		}
	}
	return at
}

// put takes out a number that is in the set.
func (n *numbers) put(number int) {
	for level, bit := 0, number; level < levels; level, bit = level+1, bit>>6 {
		word := &n[level][bit>>6]
		full := *word == ^uint64(0)
		*word &^= 1 << (bit & 63)
		if !full {
			break
		}
	}
}
