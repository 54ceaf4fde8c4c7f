package tcp

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/mono"
)

func TestClosed(t *testing.T) {
	t.Run("A-SM-01 no TCB answers with RST", func(t *testing.T) {
		for _, x := range []struct {
			in, out Segment
		}{
			{Segment{Flags: SYN, Seq: 100, TextLen: 5}, Segment{Flags: RST | ACK, Ack: 106}},
			{Segment{Flags: ACK, Seq: 100, Ack: 77}, Segment{Flags: RST, Seq: 77}},
			{Segment{Flags: FIN, Seq: 100}, Segment{Flags: RST | ACK, Ack: 101}},
			{Segment{Flags: SYN | FIN, Seq: 100, TextLen: 3}, Segment{Flags: RST | ACK, Ack: 105}},
			{Segment{Flags: 0, Seq: 100, TextLen: 3}, Segment{Flags: RST | ACK, Ack: 103}},
		} {
			var got Segment
			if !AnswerClosed(&x.in, &got) || got.Flags != x.out.Flags || got.Seq != x.out.Seq || got.Ack != x.out.Ack {
				t.Errorf("%+v answered by %+v, want %+v", x.in, got, x.out)
			}
		}
	})
	t.Run("A-SM-02 RST is never answered", func(t *testing.T) {
		for _, f := range []Flags{RST, RST | ACK, RST | SYN} {
			var reply Segment
			if AnswerClosed(&Segment{Flags: f, Seq: 1, Ack: 2}, &reply) {
				t.Errorf("flags %x in CLOSED answered by %+v", f, reply)
			}
			if ListenArrives(&Segment{Flags: f}) != ListenDrop {
				t.Errorf("flags %x in LISTEN not dropped", f)
			}
			w := timeWait(t).conn.TimeWait(0)
			if v := w.SegmentArrives(newEnv(Config{}), &Segment{Flags: f, Seq: w.rcvNxt}, &reply, 1); v != Drop {
				t.Errorf("flags %x in TIME-WAIT: verdict %d", f, v)
			}
		}
	})
	t.Run("A-SM-05 LISTEN drops what has neither SYN nor ACK nor RST", func(t *testing.T) {
		for _, f := range []Flags{0, FIN, PSH | URG} {
			if v := ListenArrives(&Segment{Flags: f}); v != ListenDrop {
				t.Errorf("flags %x: verdict %d", f, v)
			}
		}
	})
}

func TestSynSent(t *testing.T) {
	dial := func(t *testing.T) *lab {
		l := &lab{t: t, env: newEnv(Config{}), now: mono.Time(time.Hour), irs: 5000}
		l.dial(DefaultOptions())
		return l.want(seg{flags: SYN})
	}
	t.Run("A-SM-06 unacceptable ACK earns RST and the attempt goes on", func(t *testing.T) {
		l := dial(t)
		l.in(seg{flags: SYN | ACK, ack: 0}).want(seg{flags: RST, seq: 0}).state(SynSent)
		l.in(seg{flags: SYN | ACK, ack: 2}).want(seg{flags: RST, seq: 2}).state(SynSent)
		l.in(seg{flags: RST | ACK, ack: 2}).want().state(SynSent)
		l.in(seg{flags: SYN | ACK, ack: 1}).want(seg{flags: ACK, seq: 1, ack: 1}).state(Established)
	})
	t.Run("A-SM-07 RST counts only with an acceptable ACK", func(t *testing.T) {
		l := dial(t)
		l.in(seg{flags: RST}).want().state(SynSent)
		l.in(seg{flags: RST | ACK, ack: 0}).want().state(SynSent)
		l.in(seg{flags: RST | ACK, ack: 1}).want().state(Closed)
		if l.conn.Err() != syscall.ECONNREFUSED {
			t.Errorf("error %v, want ECONNREFUSED", l.conn.Err())
		}
	})
	t.Run("A-SM-08 bare ACK and FIN are dropped", func(t *testing.T) {
		dial(t).in(seg{flags: ACK, ack: 1}).in(seg{flags: FIN | ACK, ack: 1}).want().state(SynSent)
	})
	t.Run("MUST-10 simultaneous open", func(t *testing.T) {
		l := dial(t)
		l.in(seg{flags: SYN}).want(seg{flags: SYN | ACK, seq: 0, ack: 1}).state(SynReceived)
		l.in(seg{flags: SYN | ACK, seq: 0, ack: 1}).want(seg{flags: ACK, seq: 1, ack: 1}).state(Established)
		l = dial(t)
		l.in(seg{flags: SYN}).want(seg{flags: SYN | ACK, seq: 0, ack: 1})
		l.in(seg{flags: ACK, seq: 1, ack: 1}).state(Established)
		if l.conn.TakeEvents()&Connected == 0 {
			t.Error("no Connected event")
		}
	})
	t.Run("A-SM-18 unacceptable ACK in SYN-RECEIVED", func(t *testing.T) {
		l := dial(t).in(seg{flags: SYN}).want(seg{flags: SYN | ACK, ack: 1})
		l.in(seg{flags: ACK, seq: 1, ack: 2}).want(seg{flags: RST, seq: 2}).state(SynReceived)
		l.in(seg{flags: ACK, seq: 1, ack: 1}).state(Established)
	})
	t.Run("A-SM-32 CLOSE in SYN-SENT says nothing", func(t *testing.T) {
		l := dial(t)
		l.conn.Close(l.now)
		l.want().state(Closed)
		if l.conn.TakeEvents()&Gone == 0 {
			t.Error("no Gone event")
		}
	})
	t.Run("MUST-23 SYN is sent for at least three minutes with backoff", func(t *testing.T) {
		l := dial(t)
		start := l.now
		var at []time.Duration
		for l.conn.State() == SynSent {
			n := len(l.out)
			l.now = l.conn.Deadline()
			l.conn.Timeout(l.now)
			if len(l.out) > n {
				at = append(at, l.now.Sub(start))
			}
		}
		want := fmt.Sprint([]time.Duration{1e9, 3e9, 7e9, 15e9, 31e9, 63e9, 127e9})
		if fmt.Sprint(at) != want {
			t.Errorf("SYNs at %v, want %v", at, want)
		}
		many := &lab{t: t, env: newEnv(Config{}), now: mono.Time(time.Hour)}
		many.dial(Options{SYNRetries: 255})
		if many.wait(time.Second).state(SynSent); len(many.out) != 2 {
			t.Errorf("%d SYNs in a second, with 255 repetitions allowed", len(many.out))
		}
		if l.conn.Err() != syscall.ETIMEDOUT || l.now.Sub(start) != 180*time.Second {
			t.Errorf("%v after %v, want ETIMEDOUT after 3m", l.conn.Err(), l.now.Sub(start))
		}
	})
	t.Run("C-WS-3 windows of SYNs are not scaled", func(t *testing.T) {
		l := &lab{t: t, env: newEnv(Config{RecvBuffer: 4 << 20}), now: mono.Time(time.Hour), irs: 5000}
		l.dial(DefaultOptions())
		if syn := l.out[0]; syn.Window != 65535 || syn.WindowScale == 0 {
			t.Errorf("SYN window %d scale %d, want 65535 and a scale", syn.Window, syn.WindowScale)
		}
		in := Segment{Flags: SYN | ACK, Seq: l.irs, Ack: l.iss.Add(1), Window: 1000, Options: OptWindowScale, WindowScale: 7}
		l.conn.SegmentArrives(&in, l.now)
		if l.conn.snd.wnd != 1000 {
			t.Errorf("SND.WND %d after a SYN-ACK of window 1000, want 1000", l.conn.snd.wnd)
		}
		in = Segment{Flags: ACK, Seq: l.irs.Add(1), Ack: l.iss.Add(1), Window: 1000}
		l.conn.SegmentArrives(&in, l.now)
		if l.conn.snd.wnd != 128000 {
			t.Errorf("SND.WND %d after an ACK of window 1000, want 128000", l.conn.snd.wnd)
		}
	})
	t.Run("C-WS-2 a shift above 14 is 14", func(t *testing.T) {
		l := newLab(t, Config{}, DefaultOptions(), func(s *Segment) { s.Options |= OptWindowScale; s.WindowScale = 15 })
		if l.conn.sndScale != 14 {
			t.Errorf("scale %d", l.conn.sndScale)
		}
		l.in(seg{flags: ACK, seq: 1, ack: 1})
		t.Run("REC-1 window arithmetic in 32 bits", func(t *testing.T) {
			if l.conn.snd.wnd != 65535<<14 {
				t.Errorf("SND.WND %d, want %d", l.conn.snd.wnd, 65535<<14)
			}
		})
	})
}

func TestAcceptability(t *testing.T) {
	t.Run("A-SM-09 the four cases", func(t *testing.T) {
		const nxt = 1
		for _, x := range []struct {
			n    int
			wnd  uint32
			seq  uint32
			want bool
		}{
			{0, 0, nxt - 1, false}, {0, 0, nxt, true}, {0, 0, nxt + 1, false},
			{0, 1000, nxt - 1, false}, {0, 1000, nxt, true}, {0, 1000, nxt + 999, true}, {0, 1000, nxt + 1000, false},
			{0, 1000, nxt + 1001, false},
			{10, 0, nxt - 1, false}, {10, 0, nxt, false}, {10, 0, nxt + 1, false},
			{1, 1000, nxt - 1, false}, {2, 1000, nxt - 1, true}, {10, 1000, nxt, true}, {10, 1000, nxt + 999, true},
			{10, 1000, nxt + 1000, false}, {10, 1000, nxt + 1001, false}, {10, 1000, ^uint32(8), false}, {11, 1000, ^uint32(8), true},
		} {
			l := established(t)
			l.conn.rcv.edge = l.conn.rcv.nxt.Add(x.wnd)
			s := Segment{Flags: ACK, Seq: l.irs.Add(x.seq), TextLen: uint32(x.n)}
			if got := l.conn.acceptable(&s); got != x.want {
				t.Errorf("len %d wnd %d seq RCV.NXT%+d: %v, want %v", x.n, x.wnd, int32(x.seq)-nxt, got, x.want)
			}
		}
	})
	t.Run("A-SM-10 an unacceptable segment is acknowledged, a RST is not", func(t *testing.T) {
		l := established(t)
		l.irs -= 10000
		l.in(seg{flags: ACK, seq: 5001, ack: 1, n: 10})
		l.irs += 10000
		l.want(seg{flags: ACK, seq: 1, ack: 1})
		l.irs -= 10000
		l.in(seg{flags: RST, seq: 5001})
		l.irs += 10000
		l.want().state(Established)
	})
	t.Run("A-SM-11 straddling segments are trimmed on both sides", func(t *testing.T) {
		l := established(t)
		l.in(seg{flags: ACK, seq: 1, ack: 1, text: strings.Repeat("a", 10)})
		l.out = nil
		l.in(seg{flags: ACK, seq: 1, ack: 1, text: strings.Repeat("x", 10) + strings.Repeat("b", 20)})
		if got := l.read(); got != strings.Repeat("a", 10)+strings.Repeat("b", 20) {
			t.Errorf("read %q", got)
		}
		l.want(seg{flags: ACK, seq: 1, ack: 31})
		edge := l.conn.rcv.wnd()
		l.in(seg{flags: FIN | ACK, seq: 31, ack: 1, n: int(edge) + 100})
		l.want(seg{flags: ACK, seq: 1, ack: 31 + edge}).state(Established)
		if got := len(l.read()); got != int(edge) {
			t.Errorf("read %d octets, want the window's %d", got, edge)
		}
		t.Run("A-SM-11 the FIN has a number of its own, which the window must hold", func(t *testing.T) {
			l := established(t)
			edge := l.conn.rcv.wnd()
			l.in(seg{flags: FIN | ACK, seq: 1, ack: 1, n: int(edge)})
			l.want(seg{flags: ACK, seq: 1, ack: 1 + edge}).state(Established)
			l = established(t).in(seg{flags: FIN | ACK, seq: 1, ack: 1, n: int(edge) - 1})
			l.want(seg{flags: ACK, seq: 1, ack: 1 + edge}).state(CloseWait)
		})
	})
	t.Run("A-SM-12 a closed window still takes the ACK", func(t *testing.T) {
		l := established(t).send(100).want(seg{flags: ACK | PSH, seq: 1, ack: 1, n: 100})
		l.conn.rcv.edge = l.conn.rcv.nxt
		l.conn.rcvBuf = 0
		l.in(seg{flags: ACK, seq: 1, ack: 101})
		if l.conn.SendQueued() != 0 {
			t.Errorf("%d octets still queued", l.conn.SendQueued())
		}
		l.want()
		t.Run("A-SM-12 but neither text nor FIN", func(t *testing.T) {
			l.in(seg{flags: FIN | ACK, seq: 1, ack: 101}).want(seg{flags: ACK, seq: 101, ack: 1}).state(Established)
			l.in(seg{flags: FIN | ACK, seq: 1, ack: 101, n: 10}).want(seg{flags: ACK, seq: 101, ack: 1}).state(Established)
		})
	})
	t.Run("MUST-66 RST and URG at a closed window", func(t *testing.T) {
		l := established(t)
		l.conn.rcv.edge, l.conn.rcvBuf = l.conn.rcv.nxt, 0
		l.in(seg{flags: ACK | URG, seq: 1, ack: 1, n: 5, urg: 3})
		l.want(seg{flags: ACK, seq: 1, ack: 1, win: anyWindow})
		if l.conn.TakeEvents()&Urgent == 0 || l.conn.Readable() != 0 {
			t.Error("want an Urgent event and no text")
		}
		l.in(seg{flags: RST, seq: 1}).want().state(Closed)
		if l.conn.Err() != syscall.ECONNRESET {
			t.Errorf("error %v", l.conn.Err())
		}
	})
	t.Run("A-SM-13 no ACK bit, no text", func(t *testing.T) {
		l := established(t).in(seg{flags: 0, seq: 1, n: 1000}).want()
		if l.conn.Readable() != 0 {
			t.Error("text was taken")
		}
	})
	t.Run("A-SM-14 ack beyond SND.NXT drops the whole segment", func(t *testing.T) {
		l := established(t).in(seg{flags: ACK, seq: 1, ack: 2, n: 10}).want(seg{flags: ACK, seq: 1, ack: 1})
		if l.conn.Readable() != 0 {
			t.Error("text was taken")
		}
	})
	t.Run("A-SM-15 an old ACK does not stop text", func(t *testing.T) {
		l := established(t).send(100)
		l.in(seg{flags: ACK, seq: 1, ack: 101})
		l.in(seg{flags: ACK, seq: 1, ack: 51, n: 10})
		if l.conn.Readable() != 10 {
			t.Errorf("%d octets taken, want 10", l.conn.Readable())
		}
	})
	t.Run("D-5961-4 an ACK older than the largest window is refused", func(t *testing.T) {
		l := established(t)
		l.conn.snd.maxWnd = 1000
		l.iss -= 1001
		l.in(seg{flags: ACK, seq: 1, ack: 1, n: 10})
		l.iss += 1001
		l.want(seg{flags: ACK, seq: 1, ack: 1})
		if l.conn.Readable() != 0 {
			t.Error("text was taken")
		}
		l.iss -= 1000
		l.in(seg{flags: ACK, seq: 1, ack: 1, n: 10})
		l.iss += 1000
		if l.conn.Readable() != 10 {
			t.Error("text at the edge of the range was refused")
		}
	})
	t.Run("A-SM-16 only the newest segment moves the window", func(t *testing.T) {
		l := established(t).send(100)
		l.in(seg{flags: ACK, seq: 1, ack: 51, win: 5000, n: 1})
		l.in(seg{flags: ACK, seq: 2, ack: 51, win: 6000})
		l.in(seg{flags: ACK, seq: 1, ack: 101, win: 1000})
		if l.conn.snd.wnd != 6000 {
			t.Errorf("SND.WND %d, an older segment moved it", l.conn.snd.wnd)
		}
		l.in(seg{flags: ACK, seq: 2, ack: 101, win: 7000})
		if l.conn.snd.wnd != 7000 {
			t.Errorf("SND.WND %d, want 7000", l.conn.snd.wnd)
		}
	})
}

func TestReset(t *testing.T) {
	t.Run("D-5961-1 only a RST at RCV.NXT resets", func(t *testing.T) {
		edge := established(t).conn.rcv.wnd() + 1
		for _, x := range []struct {
			seq   uint32
			out   []seg
			state State
		}{
			{1, nil, Closed},
			{2, []seg{{flags: ACK, seq: 1, ack: 1}}, Established},
			{edge - 1, []seg{{flags: ACK, seq: 1, ack: 1}}, Established},
			{edge, nil, Established},
			{0, nil, Established},
		} {
			established(t).in(seg{flags: RST, seq: x.seq}).want(x.out...).state(x.state)
		}
	})
	t.Run("SHLD-2 a RST with text", func(t *testing.T) {
		l := established(t).in(seg{flags: RST, seq: 1, n: 20}).want().state(Closed)
		if l.conn.Readable() != 0 || l.conn.Err() != syscall.ECONNRESET {
			t.Errorf("%d octets, %v", l.conn.Readable(), l.conn.Err())
		}
	})
	t.Run("D-5961-3 a SYN earns a challenge ACK wherever it stands", func(t *testing.T) {
		for _, s := range []uint32{1, 500, 70000} {
			established(t).in(seg{flags: SYN, seq: s}).want(seg{flags: ACK, seq: 1, ack: 1}).state(Established)
		}
	})
	t.Run("A-SM-28 half-open peer is found", func(t *testing.T) {
		l := established(t).send(10)
		l.out = nil
		l.in(seg{flags: SYN, seq: 90000}).want(seg{flags: ACK, seq: 11, ack: 1})
		l.in(seg{flags: RST, seq: 1}).state(Closed)
	})
	t.Run("A-SM-35 ABORT", func(t *testing.T) {
		for name, x := range map[string]struct {
			make func(*testing.T) *lab
			rst  bool
			seq  uint32
			ack  uint32
		}{
			"ESTABLISHED": {established, true, 1, 1}, "FIN-WAIT-1": {finWait1, true, 2, 1}, "FIN-WAIT-2": {finWait2, true, 2, 1},
			"CLOSE-WAIT": {closeWait, true, 1, 2}, "CLOSING": {make: closing}, "LAST-ACK": {make: lastAck}, "TIME-WAIT": {make: timeWait},
		} {
			t.Run(name, func(t *testing.T) {
				l := x.make(t)
				l.conn.Abort(l.now)
				if x.rst {
					l.want(seg{flags: RST | ACK, seq: x.seq, ack: x.ack})
				} else {
					l.want()
				}
			})
		}
	})
	t.Run("E-CLS-1 close with unread text resets, with a queued FIN alone does not", func(t *testing.T) {
		l := established(t).in(seg{flags: ACK | PSH, seq: 1, ack: 1, n: 1})
		l.out = nil
		l.conn.Close(l.now)
		l.want(seg{flags: RST | ACK, seq: 1, ack: 2}).state(Closed)
		l = established(t).in(seg{flags: FIN | ACK, seq: 1, ack: 1, n: 1})
		l.read()
		l.out = nil
		l.conn.Close(l.now)
		l.want(seg{flags: FIN | ACK, seq: 1, ack: 3}).state(LastAck)
	})
	t.Run("SHLD-3 text after close resets", func(t *testing.T) {
		l := established(t)
		l.conn.Close(l.now)
		l.want(seg{flags: FIN | ACK, seq: 1, ack: 1})
		l.in(seg{flags: ACK, seq: 1, ack: 2, n: 5}).want(seg{flags: RST | ACK, seq: 2, ack: 1}).state(Closed)
	})
}

func TestClose(t *testing.T) {
	t.Run("A-SM-20 the three ways out of FIN-WAIT-1", func(t *testing.T) {
		finWait2(t)
		closing(t)
		finWait1(t).in(seg{flags: FIN | ACK, seq: 1, ack: 2}).want(seg{flags: ACK, seq: 2, ack: 2}).state(TimeWaitState)
	})
	t.Run("A-SM-21 CLOSING leaves by the ACK of the FIN alone", func(t *testing.T) {
		l := closing(t)
		l.in(seg{flags: ACK, seq: 2, ack: 1}).state(Closing)
		l.in(seg{flags: ACK, seq: 2, ack: 2}).want().state(TimeWaitState)
		if l.conn.TakeEvents()&EnteredTimeWait == 0 {
			t.Error("no EnteredTimeWait event")
		}
	})
	t.Run("A-SM-21 both ends of a simultaneous close end in TIME-WAIT", func(t *testing.T) {
		w := newWire(t, Config{}, DefaultOptions(), impairment{delay: 10 * time.Millisecond}, 1)
		w.connect()
		w.idle(time.Second)
		w.a.conn.CloseWrite(w.now)
		w.b.conn.CloseWrite(w.now)
		w.idle(time.Second)
		if w.a.tw == nil || w.b.tw == nil {
			t.Errorf("a %v, b %v, want TIME-WAIT", w.a.conn.State(), w.b.conn.State())
		}
	})
	t.Run("A-SM-22 LAST-ACK ends with the ACK of the FIN", func(t *testing.T) {
		l := lastAck(t).in(seg{flags: ACK, seq: 2, ack: 2}).want().state(Closed)
		if l.conn.Err() != 0 || l.conn.tx != nil || l.conn.rx != nil || l.conn.Deadline() != 0 {
			t.Error("something is left over")
		}
	})
	t.Run("A-SM-20 no timer of the connection outlives it", func(t *testing.T) {
		l := finWait2(t)
		l.conn.Close(l.now)
		if l.conn.Deadline() != l.now.Add(l.env.Config.FINWait2) {
			t.Errorf("FIN-WAIT-2 ends in %v", l.conn.Deadline().Sub(l.now))
		}
		l.in(seg{flags: FIN | ACK, seq: 1, ack: 2}).want(seg{flags: ACK, seq: 2, ack: 2}).state(TimeWaitState)
		if l.conn.Deadline() != 0 {
			t.Errorf("a timer ends in %v", l.conn.Deadline().Sub(l.now))
		}
	})
	t.Run("A-SM-23 a FIN sent again restarts TIME-WAIT", func(t *testing.T) {
		l := timeWait(t)
		w := l.conn.TimeWait(l.now)
		at := l.now.Add(57 * time.Second)
		var reply Segment
		fin := Segment{Flags: FIN | ACK, Seq: l.irs.Add(1), Ack: l.iss.Add(2)}
		if v := w.SegmentArrives(l.env, &fin, &reply, at); v != Reply || reply.Flags != ACK ||
			reply.Seq != l.iss.Add(2) || reply.Ack != l.irs.Add(2) {
			t.Errorf("verdict %d reply %+v, want an ACK", v, reply)
		}
		if want := at.Add(60 * time.Second); w.Deadline() != want {
			t.Errorf("expires %v after the FIN, want 2 MSL", w.Deadline().Sub(at))
		}
		old := Segment{Flags: ACK, Seq: l.irs.Sub(500), Ack: l.iss.Add(2), TextLen: 10}
		if v := w.SegmentArrives(l.env, &old, &reply, at); v != Reply || reply.Flags != ACK {
			t.Errorf("old text: verdict %d reply %+v, want an ACK", v, reply)
		}
		if want := at.Add(60 * time.Second); w.Deadline() != want {
			t.Error("old text restarted the timer")
		}
	})
	t.Run("C-TW-1 TIME-WAIT ignores RST", func(t *testing.T) {
		l := timeWait(t)
		w := l.conn.TimeWait(l.now)
		var reply Segment
		if v := w.SegmentArrives(l.env, &Segment{Flags: RST, Seq: w.rcvNxt}, &reply, l.now); v != Drop {
			t.Errorf("verdict %d", v)
		}
	})
	t.Run("C-TW-2 a SYN beyond RCV.NXT reopens", func(t *testing.T) {
		l := timeWait(t)
		w := l.conn.TimeWait(l.now)
		var reply Segment
		if v := w.SegmentArrives(l.env, &Segment{Flags: SYN, Seq: w.rcvNxt.Add(1)}, &reply, l.now); v != Reopen {
			t.Errorf("newer SYN: verdict %d", v)
		}
		if v := w.SegmentArrives(l.env, &Segment{Flags: SYN, Seq: w.rcvNxt.Sub(1)}, &reply, l.now); v != Reply || reply.Flags != ACK {
			t.Errorf("older SYN: verdict %d reply %+v", v, reply)
		}
		if v := w.SegmentArrives(l.env, &Segment{Flags: SYN, Seq: w.rcvNxt}, &reply, l.now.Add(time.Second)); v != Reply || reply.Flags != ACK {
			t.Errorf("SYN at RCV.NXT: verdict %d reply %+v", v, reply)
		}
		if !l.conn.snd.nxt.LessThan(w.ISSFloor().after) {
			t.Error("the new ISN would not stand after the old numbers")
		}
	})
	t.Run("C-TW-3 timestamps decide about a SYN", func(t *testing.T) {
		w := TimeWait{flags: timeWaitTimestamps, tsRecent: 100, rcvNxt: 1000, sndNxt: 50}
		syn := func(ts uint32, seq Seq) Verdict {
			var reply Segment
			x := w
			return x.SegmentArrives(newEnv(Config{}), &Segment{Flags: SYN, Seq: seq, Options: OptTimestamps, TSVal: ts}, &reply, 1)
		}
		if syn(101, 500) != Reopen || syn(100, 1001) != Reopen || syn(100, 999) != Reply || syn(99, 2000) != Reply {
			t.Error("wrong verdicts")
		}
	})
	t.Run("A-SM-24 a FIN counts when all before it is there", func(t *testing.T) {
		l := established(t).in(seg{flags: FIN | ACK, seq: 1001, ack: 1}).want(seg{flags: ACK, seq: 1, ack: 1}).state(Established)
		if l.conn.EOF() {
			t.Error("EOF before the text")
		}
		l.in(seg{flags: ACK, seq: 1, ack: 1, n: 1000}).want(seg{flags: ACK, seq: 1, ack: 1002}).state(CloseWait)
		if got := len(l.read()); got != 1000 || !l.conn.EOF() {
			t.Errorf("%d octets, EOF %v", got, l.conn.EOF())
		}
	})
	t.Run("A-SM-25 text after the FIN is ignored", func(t *testing.T) {
		l := closeWait(t).in(seg{flags: ACK, seq: 2, ack: 1, n: 10}).want(seg{flags: ACK, seq: 1, ack: 2})
		if l.conn.Readable() != 0 {
			t.Error("text was taken")
		}
	})
	t.Run("A-SM-26 a FIN again changes nothing", func(t *testing.T) {
		for _, l := range []*lab{closeWait(t), closing(t), lastAck(t)} {
			before := l.conn.State()
			l.conn.TakeEvents()
			l.in(seg{flags: FIN | ACK, seq: 1, ack: 1}).state(before)
			if len(l.out) != 1 || l.out[0].Flags != ACK || l.conn.TakeEvents()&Readable != 0 {
				t.Errorf("%v: %d segments out", before, len(l.out))
			}
		}
	})
	t.Run("A-SM-33 CLOSE with queued text sends it first", func(t *testing.T) {
		w := newWire(t, Config{}, DefaultOptions(), impairment{delay: 10 * time.Millisecond, loss: 0.02}, 3)
		w.connect()
		data := make([]byte, 1<<20)
		left := data
		w.run(time.Hour, func() bool {
			k := w.a.conn.Send(left, w.now)
			if left = left[k:]; len(left) == 0 {
				w.a.conn.Close(w.now)
			}
			w.b.read()
			return w.b.conn.EOF() && w.b.conn.Readable() == 0
		})
		if len(w.b.got) != len(data) {
			t.Errorf("%d octets arrived", len(w.b.got))
		}
	})
	t.Run("A-SM-33 the FIN waits for room in the peer's window", func(t *testing.T) {
		l := established(t).in(seg{flags: ACK, seq: 1, ack: 1, win: 100})
		l.conn.Queue(make([]byte, 100), l.now)
		l.conn.CloseWrite(l.now)
		l.want(seg{flags: ACK | PSH, seq: 1, ack: 1, n: 100}).state(FinWait1)
		l.in(seg{flags: ACK, seq: 1, ack: 101, zero: true}).want()
		l.in(seg{flags: ACK, seq: 1, ack: 101, win: 1}).want(seg{flags: FIN | ACK, seq: 101, ack: 1})
	})
	t.Run("A-SM-34 a second CLOSE sends no second FIN", func(t *testing.T) {
		l := finWait1(t)
		l.conn.CloseWrite(l.now)
		l.want().state(FinWait1)
	})
	t.Run("E-SHD-2 FIN rides on the last text", func(t *testing.T) {
		l := newLab(t, Config{}, DefaultOptions(), nil).send(100).want(seg{flags: ACK | PSH, seq: 1, ack: 1, n: 100})
		l.conn.Send(make([]byte, 50), l.now) // held back by Nagle
		l.conn.Close(l.now)
		l.want(seg{flags: FIN | ACK | PSH, seq: 101, ack: 1, n: 50})
	})
	t.Run("D-STK-3 an orphan in FIN-WAIT-2 ends", func(t *testing.T) {
		l := finWait1(t)
		l.conn.Close(l.now)
		l.in(seg{flags: ACK, seq: 1, ack: 2}).state(FinWait2)
		l.wait(60*time.Second - 1).state(FinWait2)
		l.wait(1).want().state(Closed)
	})
}
