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

// A steady stream of segments and acknowledgments costs no allocation.
func TestNoAllocation(t *testing.T) {
	l := sacking(t)
	request, answer := make([]byte, 100), make([]byte, 100)
	sink := make([]byte, 200)
	l.conn.out = discardSink{}
	l.env.Alloc = reusing()
	step := func() {
		l.now = l.now.Add(time.Millisecond)
		in := Segment{Flags: ACK | PSH, Seq: l.conn.rcv.nxt, Ack: l.conn.snd.nxt, Window: 65535, Options: OptTimestamps,
			TSVal: 5000, TSEcr: l.conn.tsNow(l.now), Text: Span{Data: request}, TextLen: uint32(len(request))}
		l.conn.SegmentArrives(&in, l.now)
		l.conn.Output(l.now)
		l.conn.Receive(sink, l.now)
		l.conn.Send(answer, l.now)
		l.conn.TakeEvents()
	}
	step()
	if n := testing.AllocsPerRun(1000, step); n != 0 {
		t.Errorf("%v allocations per request", n)
	}
}

type discardSink struct{}

func (discardSink) Transmit(*Segment) {}

// reusing returns an allocator that hands out the same few buffers in turn.
func reusing() func(int) Span {
	var bufs [8]Span
	for i := range bufs {
		bufs[i] = allocPlain(65536)
	}
	i := 0
	return func(int) Span {
		i++
		return bufs[i%len(bufs)]
	}
}
