package tcp

import (
	"testing"
	"time"
)

// TestOldNumbers checks that what was noted long ago is not taken for what is near.
func TestOldNumbers(t *testing.T) {
	t.Run("a FIN before which text goes on is forgotten", func(t *testing.T) {
		l := established(t)
		l.in(seg{flags: FIN | ACK, seq: 1001, ack: 1}).want(seg{flags: ACK, seq: 1, ack: 1})
		l.in(seg{flags: ACK, seq: 1, ack: 1, n: 1400}).state(Established)
		l.read()
		if l.conn.rx != nil {
			t.Errorf("FIN %v at %d is remembered, which RCV.NXT will reach 4 GiB later", l.conn.rx.ooo.fin,
				l.conn.rx.ooo.finSeq.Distance(l.irs))
		}
	})
	t.Run("an RTO of more microseconds than fit 31 bits", func(t *testing.T) {
		l := newLab(t, Config{MaxRTO: time.Hour}, DefaultOptions(), nil)
		l.conn.srtt = 0
		l.conn.sampleRTT(time.Hour)
		if rto := micros(l.conn.rto); rto < 30*time.Minute || rto > time.Hour {
			t.Errorf("RTO %v", rto)
		}
	})
	t.Run("C-PAWS-3 a timestamp from weeks ago says nothing in TIME-WAIT", func(t *testing.T) {
		for _, x := range []struct {
			idle time.Duration
			want Verdict
		}{{23 * 24 * time.Hour, Reply}, {25 * 24 * time.Hour, Reopen}} {
			l := sacking(t)
			l.now = l.now.Add(x.idle)
			l.conn.CloseWrite(l.now)
			l.ts = false // a middlebox has begun to strip the option
			l.in(seg{flags: ACK, seq: 1, ack: 2}).in(seg{flags: FIN | ACK, seq: 1, ack: 2}).state(TimeWaitState)
			w := l.conn.TimeWait(l.now)
			syn := Segment{Flags: SYN, Seq: l.irs.Add(1000), Options: OptTimestamps, TSVal: l.tsval - 1}
			var reply Segment
			if v := w.SegmentArrives(l.env, &syn, &reply, l.now); v != x.want {
				t.Errorf("after %v: verdict %d, want %d", x.idle, v, x.want)
			}
		}
	})
	t.Run("a peer that has taken 4 GiB has taken something", func(t *testing.T) {
		l := established(t).send(1000)
		l.in(seg{flags: ACK, seq: 1, ack: 1001}).send(1000)
		l.conn.set(flagClosed)
		l.conn.snd.iss = l.conn.snd.una.Sub(1) // as after so many octets
		l.env.Pressure, l.conn.tx.kind = Exhausted, kindPersist
		if l.conn.expendable(l.now) {
			t.Error("the connection counts as one whose peer takes nothing")
		}
	})
	t.Run("octets read long ago do not tune the receive buffer", func(t *testing.T) {
		l := sacking(t)
		l.env.Pressure = Saving
		for i := range 100 {
			l.now = l.now.Add(time.Second)
			l.in(seg{flags: ACK, seq: 1 + 1400*uint32(i), ack: 1, n: 1400})
			l.read()
		}
		l.env.Pressure = Ample
		l.now = l.now.Add(time.Second)
		l.in(seg{flags: ACK, seq: 1 + 1400*100, ack: 1, n: 1400})
		l.read()
		if got, was := int(l.conn.rcvBuf), l.env.Config.RecvBuffer; got != was {
			t.Errorf("the buffer has grown from %d to %d for a reader of 1400 octets a second", was, got)
		}
	})
}
