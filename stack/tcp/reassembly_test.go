package tcp

import (
	"fmt"
	"testing"
)

// What was given up is reported no more: a block of it would keep the peer from sending it again before its timer ends.
func TestBlocksOfWhatWasGivenUp(t *testing.T) {
	var a reassembly
	for _, seq := range []Seq{100, 200, 500, 700} {
		a.insert(seq, Span{Data: make([]byte, 100), Owner: &plain{100}}, 1<<20, nil)
		a.report(seq)
	}
	for _, want := range []string{"[{700 800} {500 600} {100 300}]", "[{500 600} {100 300}]", "[{100 300}]", "[{100 200}]", "[]"} {
		if got := fmt.Sprint(a.recent[:a.numRecent]); got != want {
			t.Errorf("reports %s, want %s", got, want)
		}
		if len(a.pieces) > 0 {
			if n := a.prune(); n != 100 {
				t.Errorf("%d octets were given up", n)
			}
		}
	}
	if !a.idle() || a.charge != 0 || a.text != 0 {
		t.Errorf("%d pieces, %d octets, %d pinned are left", len(a.pieces), a.text, a.charge)
	}
}
