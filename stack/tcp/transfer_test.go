package tcp

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

// transfer sends n octets each way, closes both ends, and checks that every octet arrived once.
func transfer(t *testing.T, w *wire, n int, limit time.Duration) {
	t.Helper()
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i * 7 >> 3)
	}
	w.connect()
	left := map[*end][]byte{w.a: data, w.b: data}
	w.run(limit, func() bool {
		done := true
		for _, e := range []*end{w.a, w.b} {
			if rest := left[e]; len(rest) > 0 {
				k := e.conn.Send(rest, w.now)
				left[e] = rest[k:]
				e.settle()
				if len(left[e]) == 0 {
					e.conn.CloseWrite(w.now)
					e.settle()
				}
			}
			e.read()
			e.settle()
			if len(e.got) < n || !e.conn.EOF() && !e.gone {
				done = false
			}
		}
		return done
	})
	for _, e := range []*end{w.a, w.b} {
		if !bytes.Equal(e.got, data) {
			t.Fatalf("%s received %d octets, not what was sent", e.name, len(e.got))
		}
		if e.conn.Err() != 0 {
			t.Fatalf("%s ended with %v", e.name, e.conn.Err())
		}
	}
}

func TestTransfer(t *testing.T) {
	imps := map[string]impairment{
		"clean":   {delay: 10 * time.Millisecond},
		"loss5":   {delay: 10 * time.Millisecond, loss: 0.05},
		"loss20":  {delay: 10 * time.Millisecond, loss: 0.20},
		"reorder": {delay: 10 * time.Millisecond, reor: 0.1, dup: 0.05},
		"all":     {delay: 20 * time.Millisecond, jitter: 10 * time.Millisecond, loss: 0.05, reor: 0.05, dup: 0.02},
	}
	for name, imp := range imps {
		for _, sack := range []bool{true, false} {
			for seed := range uint64(5) {
				t.Run(fmt.Sprintf("%s/sack=%v/%d", name, sack, seed), func(t *testing.T) {
					w := newWire(t, Config{NoSACK: !sack, NoTimestamps: seed%2 == 1}, DefaultOptions(), imp, seed)
					start := w.now
					transfer(t, w, 300_000, time.Hour)
					t.Logf("%v, rtx %d timeouts %d recoveries %d", w.now.Sub(start), w.a.env.Counters.Retransmitted,
						w.a.env.Counters.Timeouts, w.a.env.Counters.FastRecoveries)
				})
			}
		}
	}
}
