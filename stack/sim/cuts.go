package sim

// cuts are pairs of ports, by their numbers, between which no frame passes. The smaller number is the first. It is immutable.
type cuts map[[2]int]struct{}

// pairOf returns the key of two ports.
func pairOf(a, b int) [2]int { return [2]int{min(a, b), max(a, b)} }

// between says whether no frame passes between two ports. c may be nil.
func (c *cuts) between(a, b int) bool {
	if c == nil {
		return false
	}
	_, cut := (*c)[pairOf(a, b)]
	return cut
}
