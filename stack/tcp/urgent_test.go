package tcp

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

func (l *lab) sendUrgent(n int) *lab {
	l.t.Helper()
	if got := l.conn.SendUrgent(make([]byte, n), l.now); got != n {
		l.t.Fatalf("SendUrgent took %d of %d octets", got, n)
	}
	return l
}

// told checks whether the user was told of urgent data since the last call.
func (l *lab) told(want bool) *lab {
	l.t.Helper()
	if got := l.conn.TakeEvents()&Urgent != 0; got != want {
		l.t.Fatalf("told of urgent data: %v, want %v", got, want)
	}
	return l
}

// mark checks what a user may ask about urgent data.
func (l *lab) mark(at, ahead bool) *lab {
	l.t.Helper()
	if l.conn.AtMark() != at || l.conn.UrgentAhead() != ahead {
		l.t.Fatalf("at the mark %v, urgent data ahead %v; want %v, %v", l.conn.AtMark(), l.conn.UrgentAhead(), at, ahead)
	}
	return l
}

// reads checks what reads return one after the other, until nothing waits.
func (l *lab) reads(want ...string) *lab {
	l.t.Helper()
	for _, w := range want {
		if n := l.conn.Readable(); n != len(w) {
			l.t.Fatalf("%d octets can be read, want %q", n, w)
		}
		peeked := make([]byte, 2000)
		n := l.conn.Peek(peeked)
		if got := l.read(); got != w || string(peeked[:n]) != w {
			l.t.Fatalf("read %q, peeked %q, want %q", got, peeked[:n], w)
		}
	}
	if n := l.conn.Readable(); n != 0 {
		l.t.Fatalf("%d octets more", n)
	}
	return l
}

func (l *lab) oob(want string, errno syscall.Errno) *lab {
	l.t.Helper()
	for _, peek := range []bool{true, false} {
		c, got := l.conn.ReceiveUrgent(peek)
		if got != errno || got == 0 && string(c) != want {
			l.t.Fatalf("ReceiveUrgent(%v): %q, %v; want %q, %v", peek, c, got, want, errno)
		}
	}
	return l
}

// outOfBand is established with the options of a POSIX socket.
func outOfBand(t *testing.T) *lab {
	o := DefaultOptions()
	o.NoDelay = true
	return newLab(t, Config{RecvBuffer: 65535, MaxRecvBuffer: 65535}, o, nil)
}

func TestSendUrgent(t *testing.T) {
	t.Run("MUST-30 MUST-62 the pointer names the octet after the urgent data", func(t *testing.T) {
		l := established(t).sendUrgent(3).want(seg{flags: URG | PSH | ACK, seq: 1, ack: 1, n: 3, urg: 3})
		l.in(seg{flags: ACK, seq: 1, ack: 4}).want()
		l.send(5).want(seg{flags: PSH | ACK, seq: 4, ack: 1, n: 5})
	})
	t.Run("MUST-62 every segment before the pointer carries it, and none behind it", func(t *testing.T) {
		l := established(t)
		l.conn.snd.wnd = 0 // so that the queue fills first
		l.send(1460 + 10).sendUrgent(1).send(20)
		l.conn.snd.wnd = 65535
		l.out = nil
		l.conn.Output(l.now)
		l.want(seg{flags: URG | ACK, seq: 1, ack: 1, n: 1460, urg: 1471},
			seg{flags: URG | PSH | ACK, seq: 1461, ack: 1, n: 31, urg: 11})
		l.send(1).want(seg{flags: PSH | ACK, seq: 1492, ack: 1, n: 1})
		l.in(seg{flags: ACK, seq: 1, ack: 1}).want()
		l.wait(300 * time.Millisecond).want(seg{flags: URG | ACK, seq: 1, ack: 1, n: 1460, urg: 1471})
	})
	t.Run("MUST-30 Nagle and cork do not hold urgent data", func(t *testing.T) {
		l := newLab(t, Config{}, Options{Linger: -1, Cork: true}, nil)
		l.send(5).want()
		l.sendUrgent(1).want(seg{flags: URG | PSH | ACK, seq: 1, ack: 1, n: 6, urg: 6})
	})
	t.Run("MUST-30 a closed window does not keep the pointer back", func(t *testing.T) {
		l := established(t).in(seg{flags: ACK, seq: 1, ack: 1, zero: true}).want()
		l.sendUrgent(3).want(seg{flags: URG | ACK, seq: 1, ack: 1, urg: 3})
		l.wait(300*time.Millisecond).want(seg{flags: URG | ACK, seq: 1, ack: 1, urg: 3}, seg{flags: URG | ACK, seq: 0, ack: 1, urg: 4})
		l.in(seg{flags: ACK, seq: 1, ack: 1}).want(seg{flags: URG | PSH | ACK, seq: 1, ack: 1, n: 3, urg: 3})
	})
	t.Run("MUST-31 a run longer than the field", func(t *testing.T) {
		l := established(t)
		l.conn.snd.wnd = 0
		l.sendUrgent(70000).want(seg{flags: URG | ACK, seq: 1, ack: 1, urg: 65535})
		l.conn.snd.wnd, l.conn.cwnd = 80000, 1e6
		l.conn.Output(l.now)
		for i, s := range l.out {
			want := uint32(70001) - s.Seq.Distance(l.iss)
			if s.Flags&URG == 0 || uint32(s.Urgent) != min(want, 65535) {
				t.Fatalf("segment %d: URG %v, pointer %d, want %d", i, s.Flags&URG != 0, s.Urgent, want)
			}
		}
		if len(l.out) != 48 {
			t.Errorf("%d segments", len(l.out))
		}
	})
	t.Run("MUST-62 the pointer is right in every segment of what would be one super-segment", func(t *testing.T) {
		l := established(t)
		l.conn.SetPath(Path{MTU: 1500, MaxSuper: 65535}, l.now)
		l.send(2920).want(seg{flags: PSH | ACK, seq: 1, ack: 1, n: 2920, gso: 1460})
		l.in(seg{flags: ACK, seq: 1, ack: 2921}).want()
		l.sendUrgent(2920).want(seg{flags: URG | ACK, seq: 2921, ack: 1, n: 1460, urg: 2920},
			seg{flags: URG | PSH | ACK, seq: 4381, ack: 1, n: 1460, urg: 1460})
		l.in(seg{flags: ACK, seq: 1, ack: 5841}).want()
		l.send(2920).want(seg{flags: PSH | ACK, seq: 5841, ack: 1, n: 2920, gso: 1460})
	})
}

func TestReceiveUrgent(t *testing.T) {
	const urg = URG | PSH | ACK
	t.Run("MUST-32 told when urgent data begins, and again when the pointer moves on", func(t *testing.T) {
		l := established(t)
		l.in(seg{flags: urg, seq: 1, ack: 1, text: "abc", urg: 3}).told(true)
		l.in(seg{flags: urg, seq: 1, ack: 1, text: "abc", urg: 3}).told(false)
		l.in(seg{flags: urg, seq: 4, ack: 1, text: "d", urg: 0}).told(false)
		l.in(seg{flags: PSH | ACK, seq: 5, ack: 1, text: "e"}).told(false)
		l.in(seg{flags: urg, seq: 6, ack: 1, text: "fg", urg: 2}).told(true)
		l.reads("abcdef", "g")
	})
	t.Run("MUST-33 MUST-31 the mark in the stream", func(t *testing.T) {
		l := established(t).mark(false, false)
		l.in(seg{flags: urg, seq: 1, ack: 1, text: "abc", urg: 6}).mark(false, true)
		l.reads("abc").mark(false, true)
		l.in(seg{flags: ACK, seq: 4, ack: 1, text: "defgh"})
		l.reads("de", "fgh").mark(false, false)
		l.in(seg{flags: urg, seq: 9, ack: 1, text: "i", urg: 1}).mark(true, true).reads("i").mark(false, false)
	})
	t.Run("MUST-31 a run spread over 100 segments", func(t *testing.T) {
		for _, tt := range []struct {
			*lab
			behind int // octets from the mark on
		}{{established(t), 6}, {outOfBand(t), 5}} {
			l := tt.lab
			var text strings.Builder
			for i := range uint32(100) {
				part := strings.Repeat(string(rune('A'+i%26)), 655)
				text.WriteString(part)
				left := 65535 - 655*i
				l.in(seg{flags: URG | ACK, seq: 1 + 655*i, ack: 1, text: part, urg: uint16(left)}).told(i == 0)
				if i%10 == 9 {
					got := l.read()
					if want := text.String()[text.Len()-6550:]; got != want {
						t.Fatalf("segment %d: read something else", i)
					}
				}
				l.mark(false, true)
			}
			l.in(seg{flags: ACK, seq: 65501, ack: 1, text: strings.Repeat("z", 40)})
			l.reads(strings.Repeat("z", 34), strings.Repeat("z", tt.behind))
		}
	})
	t.Run("MUST-31 the pointer before its octet, and the octet out of order", func(t *testing.T) {
		l := outOfBand(t)
		l.in(seg{flags: URG | ACK, seq: 1, ack: 1, urg: 5}).told(true).mark(false, true).oob("", syscall.EAGAIN)
		l.in(seg{flags: ACK, seq: 4, ack: 1, text: "de"}).told(true).oob("e", 0).oob("", syscall.EINVAL).mark(false, false)
		l.in(seg{flags: ACK, seq: 1, ack: 1, text: "abc"}).told(false).reads("abcd").mark(true, false)
		l.in(seg{flags: ACK, seq: 6, ack: 1, text: "f"}).reads("f").mark(false, false)
	})
	t.Run("MUST-30 one octet out of band, as POSIX has it", func(t *testing.T) {
		l := outOfBand(t).oob("", syscall.EINVAL)
		l.in(seg{flags: urg, seq: 1, ack: 1, text: "abc!", urg: 4}).oob("!", 0).oob("", syscall.EINVAL)
		l.reads("abc").mark(true, false)
		l.in(seg{flags: ACK, seq: 5, ack: 1, text: "def"}).mark(true, false).reads("def").mark(false, false)
		// One that nobody takes is lost when the reader has passed it.
		l.in(seg{flags: urg, seq: 8, ack: 1, text: "?ghi", urg: 1}).mark(true, true).reads("ghi").oob("", syscall.EINVAL)
	})
	t.Run("MUST-30 a span ends at the mark", func(t *testing.T) {
		l := outOfBand(t)
		l.in(seg{flags: urg, seq: 1, ack: 1, text: "abc!def", urg: 4})
		for _, want := range []string{"abc", "def", ""} {
			s := l.conn.ReceiveSpan(l.now)
			if string(s.Data) != want {
				t.Fatalf("span %q, want %q", s.Data, want)
			}
		}
	})
	t.Run("MUST-31 a second mark makes text of the first, unless the reader stands there", func(t *testing.T) {
		l := outOfBand(t)
		l.in(seg{flags: urg, seq: 1, ack: 1, text: "ab!", urg: 3}).in(seg{flags: urg, seq: 4, ack: 1, text: "cd?", urg: 3})
		l.oob("?", 0).reads("ab!cd").mark(true, false)
		l.in(seg{flags: urg, seq: 7, ack: 1, text: "ef#", urg: 3}).oob("#", 0).reads("ef").mark(true, false)
	})
	t.Run("D-PARSE-2 pointers that lie", func(t *testing.T) {
		for _, up := range []uint16{0, 1, 2, 1459, 1460, 1461, 30000, 65534, 65535} {
			for _, n := range []int{0, 1, 1460} {
				for _, o := range []Options{{Linger: -1}, DefaultOptions()} {
					l := newLab(t, Config{RecvBuffer: 20000, MaxRecvBuffer: 20000}, o, nil)
					for range 2 {
						l.in(seg{flags: urg, seq: 1, ack: 1, n: n, urg: up})
					}
					l.in(seg{flags: ACK, seq: 1 + uint32(n), ack: 1, n: 10})
					total := 0
					for l.conn.Readable() > 0 {
						total += len(l.read())
					}
					want := n + 10
					if o.OutOfBand && up > 0 && int(up) <= want {
						want-- // the urgent octet
					}
					if total != want {
						t.Errorf("pointer %d, %d octets: read %d, want %d", up, n, total, want)
					}
				}
			}
		}
	})
	t.Run("MUST-30 a FIN takes back what was announced", func(t *testing.T) {
		l := outOfBand(t).in(seg{flags: URG | ACK, seq: 1, ack: 1, urg: 9}).mark(false, true)
		l.in(seg{flags: FIN | ACK, seq: 1, ack: 1}).mark(false, false)
		if l.conn.rx != nil {
			t.Error("the receiver is kept")
		}
	})
}

// A connection that was closed with nothing but an urgent octet that was had closes in peace.
func TestCloseAfterUrgent(t *testing.T) {
	for _, taken := range []bool{false, true} {
		l := outOfBand(t).in(seg{flags: URG | PSH | ACK, seq: 1, ack: 1, text: "!", urg: 1})
		l.wait(time.Second)
		if taken {
			l.oob("!", 0)
		}
		l.out = nil
		l.conn.Close(l.now)
		if taken {
			l.want(seg{flags: FIN | ACK, seq: 1, ack: 2})
		} else {
			l.want(seg{flags: RST | ACK, seq: 1, ack: 2})
		}
	}
}
