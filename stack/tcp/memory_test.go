package tcp

import "testing"

func TestPressure(t *testing.T) {
	const offered = 65535
	fill := func(t *testing.T, p Pressure) (got int, l *lab) {
		l = newLab(t, Config{}, DefaultOptions(), nil)
		l.conn.rmss = 1460
		l.env.Pressure = p
		for got < offered-1460 {
			l.now++
			seg := Segment{Flags: ACK | PSH, Seq: l.irs.Add(1 + uint32(got)), Ack: l.conn.snd.nxt, Window: 65535,
				Text: Span{Data: make([]byte, 1460)}, TextLen: 1460}
			before := l.conn.rcv.nxt
			l.conn.SegmentArrives(&seg, l.now)
			l.conn.Output(l.now)
			if l.conn.rcv.nxt == before {
				break
			}
			got += 1460
		}
		return got, l
	}
	t.Run("text that was offered is kept while memory is short", func(t *testing.T) {
		got, l := fill(t, Saving)
		if got < offered-1460 || l.env.Counters.DroppedMemory != 0 {
			t.Errorf("%d octets, %+v", got, l.env.Counters)
		}
		if room := l.conn.desiredEdge().Distance(l.conn.rcv.nxt); room != 0 {
			t.Errorf("%d octets more wanted", room)
		}
	})
	t.Run("without memory what exceeds four segments is dropped and acknowledged again", func(t *testing.T) {
		got, l := fill(t, Exhausted)
		if got != 4*1460 || l.env.Counters.DroppedMemory != 1460 || l.conn.Readable() != got {
			t.Errorf("%d octets, %d readable, %+v", got, l.conn.Readable(), l.env.Counters)
		}
		last := l.out[len(l.out)-1]
		if last.Ack != l.irs.Add(1+uint32(got)) || last.Flags != ACK {
			t.Errorf("answered by %+v", last)
		}
		// Once they are read there is room again.
		l.conn.Receive(make([]byte, got), l.now)
		seg := Segment{Flags: ACK | PSH, Seq: l.conn.rcv.nxt, Ack: l.conn.snd.nxt, Window: 65535,
			Text: Span{Data: make([]byte, 1460)}, TextLen: 1460}
		l.conn.SegmentArrives(&seg, l.now)
		if l.conn.Readable() != 1460 {
			t.Errorf("%d readable", l.conn.Readable())
		}
	})
	t.Run("a sender queues little, but always something", func(t *testing.T) {
		l := newLab(t, Config{}, DefaultOptions(), nil)
		l.env.Pressure = Exhausted
		if n := l.conn.Send(make([]byte, 1<<20), l.now); n != leastSend {
			t.Errorf("%d octets taken", n)
		}
		l.env.Pressure = Ample
		if n := l.conn.Send(make([]byte, 1<<20), l.now); n != 128<<10-leastSend {
			t.Errorf("%d octets taken", n)
		}
	})
}
