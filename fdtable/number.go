package fdtable

import "math/bits"

// levels is the height of the tree of numbers: 64^5 leaves.
const levels = 5

// maxLimit is the most descriptors that a table can hold.
const maxLimit = 1 << (6 * levels)

// numbers is the set of descriptor numbers in use. A bit of level 0 stands for a number, a bit above it for
// a word of 64 bits below that is full; so the lowest free number is found in one step for each level. Words
// beyond those stored count as empty.
type numbers [levels][]uint64

// lowest returns the lowest number from least on that is not in the set; maxLimit or more where there is none
// below it.
func (n *numbers) lowest(least int) int {
	// Go up to the first word with a free number not below least, then down to the lowest free number in it.
	level, at := 0, least
	for ; level < levels; level++ {
		if room := ^n.word(level, at>>6) >> (at & 63) << (at & 63); room != 0 {
			at = at&^63 + bits.TrailingZeros64(room)
			break
		}
		at = at>>6 + 1
	}
	if level == levels {
		return maxLimit
	}
	for ; level > 0; level-- {
		at = at<<6 + bits.TrailingZeros64(^n.word(level-1, at))
	}
	return at
}

func (n *numbers) word(level, i int) uint64 {
	if i < len(n[level]) {
		return n[level][i]
	}
	return 0
}

// has says whether number is in the set.
func (n *numbers) has(number int) bool { return n.word(0, number>>6)>>(number&63)&1 != 0 }

// add puts a number below maxLimit into the set.
func (n *numbers) add(number int) {
	for level, bit := 0, number; level < levels; level, bit = level+1, bit>>6 {
		for len(n[level]) <= bit>>6 {
			n[level] = append(n[level], 0)
		}
		word := &n[level][bit>>6]
		*word |= 1 << (bit & 63)
		if *word != ^uint64(0) {
			break
		}
	}
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
