package tcp

import (
	"testing"
	"time"

	"github.com/unet-go/unet/internal/mono"
)

// TestWithoutACK sends what has no ACK bit where a connection is synchronized (RFC 9293 3.10.7.4, fifth check).
func TestWithoutACK(t *testing.T) {
	states := map[string]func(*testing.T) *lab{
		"ESTABLISHED": established, "FIN-WAIT-1": finWait1, "FIN-WAIT-2": finWait2, "CLOSE-WAIT": closeWait, "CLOSING": closing,
		"LAST-ACK": lastAck, "TIME-WAIT": timeWait,
	}
	kinds := []seg{{}, {n: 10}, {flags: PSH, n: 10}, {flags: FIN}, {flags: FIN, n: 10}, {flags: URG, urg: 3, n: 10}, {flags: URG, urg: 3}}
	for name, begin := range states {
		t.Run("A-SM-13 "+name, func(t *testing.T) {
			for _, kind := range kinds {
				l := begin(t)
				for _, ahead := range []uint32{0, 1, 1000} {
					kind.seq = l.conn.rcv.nxt.Distance(l.irs) + ahead
					was := l.conn.rcv.nxt
					l.conn.TakeEvents()
					l.in(kind).want()
					if l.conn.State().String() != name || l.conn.Readable() > 0 || l.conn.rcv.nxt != was || l.conn.TakeEvents() != 0 {
						t.Errorf("%v is taken", kind)
					}
				}
			}
		})
	}
	t.Run("A-SM-13 the record of a TIME-WAIT", func(t *testing.T) {
		l := timeWait(t)
		tw := l.conn.TimeWait(l.now)
		deadline := tw.Deadline()
		arrive := func(kind seg, at Seq) Verdict {
			l.now = l.now.Add(time.Second) // more than what limits acknowledgments
			var reply Segment
			in := Segment{Flags: kind.flags, Seq: at, Urgent: kind.urg, TextLen: uint32(kind.n), Window: 1000}
			return tw.SegmentArrives(l.env, &in, &reply, l.now)
		}
		for i, kind := range kinds {
			for _, ahead := range []uint32{0, 1, 1000, tw.wnd - 1} {
				dropped := l.env.Counters.DroppedNoACK
				if v := arrive(kind, tw.rcvNxt.Add(ahead)); v != Drop || l.env.Counters.DroppedNoACK != dropped+1 {
					t.Errorf("%v, %d octets into the window: verdict %d", kind, ahead, v)
				}
			}
			// The first check comes before the fifth.
			if v := arrive(kind, tw.rcvNxt.Add(tw.wnd)); v != Reply {
				t.Errorf("%v behind the window: verdict %d", kind, v)
			}
			if v := arrive(kind, tw.rcvNxt.Sub(100)); v != Reply {
				t.Errorf("%v in front of the window: verdict %d", kind, v)
			}
			if kind.flags == FIN && i > 0 {
				if v := arrive(seg{flags: FIN}, tw.rcvNxt.Sub(1)); v != Reply {
					t.Errorf("the FIN again: verdict %d", v)
				}
			}
		}
		if tw.Deadline() != deadline {
			t.Error("2 MSL began anew")
		}
		if v := arrive(seg{flags: FIN | ACK}, tw.rcvNxt.Sub(1)); v != Reply || tw.Deadline() != l.now.Add(2*l.env.Config.MSL) {
			t.Errorf("the peer's FIN again: verdict %d, %v left", v, tw.Deadline().Sub(l.now))
		}
	})
}

// resetClock compares the timestamp of each RST with the clock at that moment.
type resetClock struct {
	*lab
	resets int
}

func (r *resetClock) Transmit(seg *Segment) {
	r.lab.Transmit(seg)
	if seg.Has(RST) {
		r.resets++
		r.check(seg)
	}
}

func (l *lab) check(reset *Segment) {
	l.t.Helper()
	ecr := uint32(0)
	if reset.Has(ACK) {
		ecr = l.conn.tsRecent
	}
	want := tsClock(l.now) + l.conn.tsOffset
	if reset.Options&OptTimestamps == 0 || reset.TSVal != want || reset.TSEcr != ecr {
		l.t.Errorf("options %x, TSval of %d ms ago, TSecr %d, want %d", reset.Options, int32(want-reset.TSVal), reset.TSEcr, ecr)
	}
}

// TestResetTimestamps looks at the timestamp of a RST: the clock's, not that of the last segment (RFC 7323 3.2). What
// acknowledges nothing echoes nothing.
func TestResetTimestamps(t *testing.T) {
	const idle = 10 * time.Second
	later := func(l *lab) *lab { l.now = l.now.Add(idle); return l }
	set := func(change func(o *Options)) func(l *lab) {
		return func(l *lab) {
			o := l.conn.Options()
			change(&o)
			l.conn.SetOptions(&o, l.now)
		}
	}
	for name, run := range map[string][]func(l *lab){
		"abort": {func(l *lab) { l.conn.Abort(l.now) }},
		"abort in FIN-WAIT-2": {func(l *lab) { l.conn.CloseWrite(l.now); l.in(seg{flags: ACK, seq: 1, ack: 2}) },
			func(l *lab) { l.state(FinWait2).conn.Abort(l.now) }},
		"abort in CLOSE-WAIT": {func(l *lab) { l.in(seg{flags: FIN | ACK, seq: 1, ack: 1}) },
			func(l *lab) { l.state(CloseWait).conn.Abort(l.now) }},
		"the host's end in LAST-ACK": {func(l *lab) { l.in(seg{flags: FIN | ACK, seq: 1, ack: 1}); l.conn.CloseWrite(l.now) },
			func(l *lab) { l.state(LastAck).conn.Abandon(l.now) }},
		"close with unread text": {func(l *lab) { l.in(seg{flags: PSH | ACK, seq: 1, ack: 1, n: 1}) }, func(l *lab) { l.conn.Close(l.now) }},
		"text after close": {func(l *lab) { l.conn.Close(l.now); l.in(seg{flags: ACK, seq: 1, ack: 2}) },
			func(l *lab) { l.in(seg{flags: PSH | ACK, seq: 1, ack: 2, n: 1}) }},
		"a FIN-WAIT-2 that shall not wait": {set(func(o *Options) { o.FINWait2 = -1 }), func(l *lab) { l.conn.Close(l.now) },
			func(l *lab) { l.in(seg{flags: ACK, seq: 1, ack: 2}) }},
		"keepalive": {set(func(o *Options) { o.KeepAlive, o.KeepIdle, o.KeepInterval, o.KeepCount = true, 1, 1, 1 }),
			func(l *lab) { l.wait(time.Minute) }},
		"an orphan that is given up": {func(l *lab) { l.conn.Close(l.now) }, func(l *lab) { l.wait(5 * time.Minute) }},
	} {
		t.Run("C-TS-1 "+name, func(t *testing.T) {
			r := &resetClock{lab: sacking(t)}
			r.conn.out = r
			for _, step := range run {
				step(later(r.lab))
			}
			if r.resets != 1 {
				t.Errorf("%d resets", r.resets)
			}
		})
	}
	t.Run("C-TS-1 a half-open record", func(t *testing.T) {
		env, now := newEnv(Config{}), mono.Time(time.Hour)
		syn := Segment{Flags: SYN, Seq: 5000, Window: 1000, Options: OptMSS | OptTimestamps, MSS: 1460, TSVal: 77}
		var h HalfOpen
		o := DefaultOptions()
		h.Init(env, Tuple{addrA, addrB}, path, &o, &syn, ISSFloor{}, now)
		now = now.Add(idle)
		want := tsClock(now) + h.tsOffset
		var reply Segment
		bad := Segment{Flags: ACK, Seq: 5001, Ack: h.iss.Add(2), Window: 1000, Options: OptTimestamps, TSVal: 78}
		if v := h.SegmentArrives(env, &bad, &reply, now); v != Reply || reply.Flags != RST || reply.Options != OptTimestamps ||
			reply.TSVal != want || reply.TSEcr != 0 {
			t.Errorf("verdict %d, %+v", v, reply)
		}
		if h.Reset(env, &reply, now); reply.Flags != RST|ACK || reply.Options != OptTimestamps || reply.TSVal != want || reply.TSEcr != 77 ||
			reply.Seq != h.iss.Add(1) || reply.Ack != 5001 {
			t.Errorf("%+v", reply)
		}
	})
	t.Run("C-TS-1 SYN-RECEIVED of a simultaneous open", func(t *testing.T) {
		l := &lab{t: t, env: newEnv(Config{}), now: mono.Time(time.Hour), irs: 5000}
		l.dial(DefaultOptions())
		r := &resetClock{lab: l}
		l.conn.out = r
		syn := Segment{Flags: SYN, Seq: l.irs, Window: 1000, Options: OptMSS | OptTimestamps, MSS: 1460, TSVal: 77}
		l.conn.SegmentArrives(&syn, l.now)
		later(l).in(seg{flags: ACK, seq: 1, ack: 5}).state(SynReceived)
		if r.resets != 1 {
			t.Errorf("%d resets", r.resets)
		}
	})
}
