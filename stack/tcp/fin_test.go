package tcp

import (
	"testing"
	"time"

	"github.com/unet-go/unet/stack/tcp/cc"
)

// TestFINAndCwnd: a FIN of its own does not wait for cwnd, but for nothing else than that it does not wait either.
func TestFINAndCwnd(t *testing.T) {
	for _, cc := range []string{"cubic", "reno"} {
		for _, sack := range []bool{true, false} {
			name := cc + map[bool]string{true: " with SACK", false: " without SACK"}[sack]
			t.Run(name, func(t *testing.T) { testFINAndCwnd(t, Config{CongestionControl: cc}, sack) })
		}
	}
}

func testFINAndCwnd(t *testing.T, cfg Config, sack bool) {
	fin := func(segments, octets uint32) seg {
		return seg{flags: FIN | ACK, seq: 1 + segments*1460 + octets, ack: 1}
	}
	closed := func(l *lab) *lab {
		l.conn.CloseWrite(l.now)
		return l
	}
	t.Run("it leaves where the text has filled cwnd", func(t *testing.T) {
		closed(flight(t, cfg, sack, 10)).want(fin(10, 0)).in(ackTo(9)).want()
	})
	t.Run("it leaves where less than a segment of cwnd is left", func(t *testing.T) {
		l := flight(t, cfg, sack, 9).send(1000)
		l.out = nil
		closed(l).want(fin(9, 1000))
	})
	t.Run("in CLOSE-WAIT as well", func(t *testing.T) {
		l := flight(t, cfg, sack, 10).in(seg{flags: FIN | ACK, seq: 1, ack: 1})
		l.out = nil
		f := fin(10, 0)
		f.ack = 2
		closed(l).want(f).state(LastAck)
	})
	t.Run("beside the last of the text where cwnd has room for that", func(t *testing.T) {
		l := flight(t, cfg, sack, 9).send(1000)
		l.out = nil
		l.conn.Queue(make([]byte, 460), l.now)
		closed(l).want(seg{flags: FIN | PSH | ACK, seq: 1 + 9*1460 + 1000, ack: 1, n: 460})
	})
	t.Run("text waits for cwnd, and the FIN for the text", func(t *testing.T) {
		l := flight(t, cfg, sack, 10).send(100)
		closed(l).want().in(ackTo(1)).want(seg{flags: FIN | PSH | ACK, seq: 1 + 10*1460, ack: 1, n: 100})
		l = flight(t, cfg, sack, 9).send(1000)
		l.out = nil
		l.conn.Queue(make([]byte, 461), l.now)
		closed(l).want().in(ackTo(1)).want(seg{flags: FIN | PSH | ACK, seq: 1 + 9*1460 + 1000, ack: 1, n: 461})
	})
	t.Run("in recovery, and after a timeout, it leaves behind the last retransmission", func(t *testing.T) {
		head := seg{flags: ACK, seq: 1, ack: 1, n: 1460}
		l := flight(t, cfg, sack, 10)
		l.in(ackTo(0, blk(1, 2))).in(ackTo(0, blk(1, 3))).in(ackTo(0, blk(1, 4))).want(head)
		if l.conn.phase != cc.Recovery {
			t.Fatalf("state %d", l.conn.phase)
		}
		closed(l).want(fin(10, 0))

		l = flight(t, cfg, sack, 2)
		l.wait(time.Minute / 2)
		if l.out = nil; l.conn.phase != cc.Timeout {
			t.Fatalf("state %d", l.conn.phase)
		}
		closed(l)
		if lost := l.conn.tx.sb.lost > 0; lost {
			l.want().in(ackTo(1)).want(seg{flags: PSH | ACK, seq: 1 + 1460, ack: 1, n: 1460}, fin(2, 0))
		} else {
			l.want(fin(2, 0))
		}
	})
	t.Run("the peer's window holds for it", func(t *testing.T) {
		for window, want := range map[int][]seg{2 * 1460: nil, 2*1460 + 1: {fin(2, 0)}} {
			l := flight(t, cfg, sack, 1).in(seg{flags: ACK, seq: 1, ack: 1461, win: window - 1460})
			l.send(window/1460*1460 - 1460)
			l.out = nil
			closed(l).want(want...)
			if want == nil {
				l.in(seg{flags: ACK, seq: 1, ack: 1 + 2*1460, zero: true}).want()
				l.in(seg{flags: ACK, seq: 1, ack: 1 + 2*1460, win: 1}).want(fin(2, 0))
			}
		}
	})
}
