package ip

import "testing"

func TestIdentifications(t *testing.T) {
	var d identifier
	d.init()
	// The idle scan: whoever sees one ID before and one after must not see how many went elsewhere. A shared
	// counter shows as a difference that repeats.
	differences := map[uint32]int{}
	for range 1000 {
		before := d.next(ourIP, peerIP, 17)
		d.next(ourIP, otherIP, 17)
		differences[d.next(ourIP, peerIP, 17)-before]++
	}
	for diff, n := range differences {
		if n > 20 {
			t.Errorf("a difference of %d between successive identifications came %d times in 1000", diff, n)
		}
	}
}
