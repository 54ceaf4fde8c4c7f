package tcp

import (
	"bytes"
	"testing"
	"time"
)

// lent counts the references to a span that was lent.
type lent struct{ refs int }

func (l *lent) Retain()  { l.refs++ }
func (l *lent) Release() { l.refs-- }
func (l *lent) Cap() int { return 1 }

func letters(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte('a' + i%23)
	}
	return p
}

func TestLend(t *testing.T) {
	begin := func(t *testing.T, cwnd uint32) *lab {
		l := established(t)
		l.conn.cwnd = cwnd
		return l
	}
	t.Run("what leaves at once is lent, and kept as far as it is not acknowledged", func(t *testing.T) {
		l := begin(t, 5*1460+700)
		p, owner := letters(10000), new(lent)
		if n := l.conn.Lend(Span{Data: p, Owner: owner}, l.now); n != 5*1460 || owner.refs != 1 {
			t.Fatalf("%d octets taken with %d references", n, owner.refs)
		}
		l.conn.Output(l.now)
		l.want(text(1, 1460, 1460, 1460, 1460, 1460)...)
		l.in(seg{flags: ACK, seq: 1, ack: 1 + 2*1460 + 100})
		l.conn.Keep(owner)
		if owner.refs != 0 {
			t.Errorf("%d references after Keep", owner.refs)
		}
		want := bytes.Clone(p[2*1460+100 : 5*1460])
		clear(p) // its owner has it back
		if q, held := l.conn.SendQueued(), l.env.Buffered; q != len(want) || held != int64(len(want)) {
			t.Errorf("%d octets queued in %d, want %d", q, held, len(want))
		}
		l.out = nil
		l.wait(3 * time.Second)
		var got []byte
		for _, s := range l.out {
			if int(s.Seq.Distance(l.iss))-1-2*1460-100 == len(got) {
				got = append(got, s.Text.Data...)
			}
		}
		if len(got) == 0 || !bytes.HasPrefix(want, got) {
			t.Errorf("%d octets sent again, which differ from those lent", len(got))
		}
	})
	t.Run("all of it acknowledged before Keep", func(t *testing.T) {
		l := begin(t, 10*1460)
		owner := new(lent)
		l.conn.Lend(Span{Data: letters(4000), Owner: owner}, l.now)
		l.conn.Output(l.now)
		l.want(text(1, 1460, 1460, 1080)...)
		l.in(seg{flags: ACK, seq: 1, ack: 4001})
		if owner.refs != 0 {
			t.Errorf("%d references", owner.refs)
		}
		l.conn.Keep(owner)
		l.send(1460).want(text(4001, 1460)...)
	})
	t.Run("the tail that Nagle's algorithm holds is kept", func(t *testing.T) {
		l := newLab(t, Config{}, DefaultOptions(), nil).send(10).want(text(1, 10)...)
		p, owner := letters(3000), new(lent)
		if n := l.conn.Lend(Span{Data: p, Owner: owner}, l.now); n != 3000 {
			t.Fatalf("%d octets taken", n)
		}
		l.conn.Output(l.now)
		l.want(seg{flags: ACK, seq: 11, ack: 1, n: 1460}, seg{flags: ACK, seq: 1471, ack: 1, n: 1460})
		l.conn.Keep(owner)
		want := bytes.Clone(p[2920:])
		clear(p)
		l.in(seg{flags: ACK, seq: 1, ack: 2931})
		if len(l.out) != 1 || !bytes.Equal(l.out[0].Text.Data, want) {
			t.Errorf("the tail is %d segments", len(l.out))
		}
	})
	t.Run("the tail that more will follow waits, whatever was flushed before", func(t *testing.T) {
		l := newLab(t, Config{}, DefaultOptions(), nil).send(1460).want(text(1, 1460)...)
		l.conn.Flush(l.now)
		l.conn.SetMore(true)
		l.conn.Lend(Span{Data: letters(3000), Owner: new(lent)}, l.now)
		l.conn.Output(l.now)
		l.want(seg{flags: ACK, seq: 1461, ack: 1, n: 1460}, seg{flags: ACK, seq: 2921, ack: 1, n: 1460})
	})
	t.Run("a partial segment that was held leaves in front of it", func(t *testing.T) {
		for cwnd, want := range map[uint32]int{10 * 1460: 8000, 5*1460 - 1: 4*1460 - 100, 3 * 1460: 3*1460 - 100, 3*1460 - 1: 2*1460 - 100, 2*1460 + 99: 0} {
			l := begin(t, cwnd)
			l.conn.SetMore(true)
			front, behind, owner := []byte("front"), letters(8000), new(lent)
			front = append(front, letters(95)...)
			l.conn.Send(front, l.now)
			l.want()
			l.conn.SetMore(false)
			n := l.conn.Lend(Span{Data: behind, Owner: owner}, l.now)
			if n != want {
				t.Errorf("cwnd %d: %d octets taken, want %d", cwnd, n, want)
				continue
			}
			if n == 0 {
				continue
			}
			l.conn.Output(l.now)
			l.conn.Keep(owner)
			var got []byte
			for _, s := range l.out {
				got = append(got, s.Text.Data...)
			}
			if !bytes.Equal(got, append(front, behind[:n]...)) || owner.refs != 0 {
				t.Errorf("cwnd %d: %d octets left, %d references", cwnd, len(got), owner.refs)
			}
		}
	})
	t.Run("the end of the connection gives it back", func(t *testing.T) {
		l := begin(t, 10*1460)
		owner := new(lent)
		l.conn.Lend(Span{Data: letters(4000), Owner: owner}, l.now)
		l.conn.Output(l.now)
		l.in(seg{flags: RST, seq: 1})
		l.conn.Release()
		if l.conn.Keep(owner); owner.refs != 0 {
			t.Errorf("%d references", owner.refs)
		}
	})

	refused := func(name string, cwnd uint32, prepare func(l *lab)) {
		t.Run("refused "+name, func(t *testing.T) {
			l := begin(t, cwnd)
			prepare(l)
			owner := new(lent)
			if n := l.conn.Lend(Span{Data: letters(8000), Owner: owner}, l.now); n != 0 || owner.refs != 0 {
				t.Errorf("%d octets taken with %d references", n, owner.refs)
			}
		})
	}
	refused("where less than two segments may leave", 2*1460-1, func(*lab) {})
	refused("behind what has not left yet", 2*1460, func(l *lab) { l.send(5000); l.conn.cwnd = 10 * 1460 })
	refused("beyond the peer's window", 10*1460, func(l *lab) { l.in(seg{flags: ACK, seq: 1, ack: 1, win: 2000}) })
	refused("before what is lost", 10*1460, func(l *lab) {
		l.send(5 * 1460)
		l.conn.tx.sb.lost = 1460
	})
	refused("after the end of the stream", 10*1460, func(l *lab) { l.conn.CloseWrite(l.now) })
	refused("with urgent data out", 10*1460, func(l *lab) { l.conn.SendUrgent([]byte("!"), l.now) })
}
