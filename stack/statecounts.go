package stack

import (
	"strconv"

	"github.com/unet-go/unet/stack/tcp"
)

// StateCounts are numbers of connections by state, indexed by tcp.State. As JSON they have the names of the states.
type StateCounts [tcp.TimeWaitState + 1]int

// MarshalJSON returns an object with the names of the states, in their order.
func (n StateCounts) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for state, count := range n {
		if state > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendQuote(b, tcp.State(state).String())
		b = append(b, ':')
		b = strconv.AppendInt(b, int64(count), 10)
	}
	return append(b, '}'), nil
}
