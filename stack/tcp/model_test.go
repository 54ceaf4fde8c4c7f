package tcp

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
)

// modelled is a toy of a controller that models the path as BBR does: it sends at the highest delivery rate that it has
// seen, with twice the product of that and the smallest round-trip time in flight. It has no probes and no phases.
type modelled struct {
	sampler cc.Sampler
	rate    uint64 // octets a second
	keep    bool   // samples and events
	samples []cc.Sample
	lost    []cc.Loss
	events  []string
}

func (m *modelled) Name() string         { return "modelled" }
func (m *modelled) Blank() bool          { return m.rate == 0 }
func (m *modelled) Sampler() *cc.Sampler { return &m.sampler }
func (m *modelled) PacingRate() uint64   { return m.rate }

func (m *modelled) OnAck(w *cc.Window, a *cc.Ack, _ mono.Time) {
	if m.keep {
		m.samples = append(m.samples, *a.Sample)
		m.note(fmt.Sprintf("ack in phase %d", a.Phase))
	}
	if r := a.Sample.Rate(); !a.Sample.Sent.AppLimited || r > m.rate {
		m.rate = max(m.rate, r)
	}
	m.setCwnd(w)
}

func (m *modelled) setCwnd(w *cc.Window) {
	if m.rate > 0 {
		w.Cwnd = max(uint32(2*float64(m.rate)*w.MinRTT.Seconds()), 4*w.SMSS)
	}
}

// note notes an event unless it is the latest one again.
func (m *modelled) note(event string) {
	if n := len(m.events); m.keep && (n == 0 || m.events[n-1] != event) {
		m.events = append(m.events, event)
	}
}

func (m *modelled) OnLost(_ *cc.Window, l *cc.Loss, _ mono.Time) {
	if m.keep {
		m.lost = append(m.lost, *l)
	}
	m.note("lost")
}

func (m *modelled) OnRecovery(*cc.Window, cc.Reduction, mono.Time) { m.note("recovery") }
func (m *modelled) OnRecovered(*cc.Window, mono.Time)              { m.note("recovered") }
func (m *modelled) OnTimeout(w *cc.Window, _ cc.Reduction, _ mono.Time) {
	w.Cwnd = w.SMSS
	m.note("timeout")
}
func (m *modelled) OnSignal(*cc.Window, cc.Signal, uint32, mono.Time) { m.note("signal") }
func (m *modelled) OnUndo(w *cc.Window, _ cc.Prior, _ mono.Time) {
	m.setCwnd(w)
	m.note("undo")
}
func (m *modelled) OnIdle(*cc.Window, time.Duration, mono.Time) { m.note("idle") }

// bottleneck is a path in fake time that carries one full segment each millisecond and acknowledges each 10 ms after it has
// passed. It drops the segments that drop names, by the number of their transmission.
type bottleneck struct {
	*lab
	m    *modelled
	free mono.Time   // when the link has sent all that it has
	acks []mono.Time // when the peer's answers arrive
	upTo []uint32    // the end of the segment that each of them answers
	sent int
	drop map[int]bool
	got  []Block // what the peer has behind una
	una  uint32
}

// newBottleneck returns a connection over such a path whose controller is a toy.
func newBottleneck(t *testing.T) *bottleneck {
	l := limitedLab(t, "cubic", true, false)
	b := &bottleneck{lab: l, m: &modelled{keep: true}, una: 1, drop: map[int]bool{}}
	l.ts = false // timestamps of a millisecond would make samples of their own
	l.conn.clear(flagTimestamps)
	l.conn.setMSS()
	l.conn.cc = &controller{Controller: b.m}
	return b
}

// run lets d pass.
func (b *bottleneck) run(d time.Duration) {
	for limit := b.now.Add(d); ; {
		b.pass()
		if len(b.acks) == 0 || b.acks[0] > limit {
			b.now = limit
			return
		}
		if b.now = b.acks[0]; b.conn.Deadline() != 0 && b.conn.Deadline() < b.now {
			b.conn.Timeout(b.now)
		}
		end := b.upTo[0]
		b.acks, b.upTo = b.acks[1:], b.upTo[1:]
		b.arrive(end)
	}
}

// pass takes what the connection has sent into the link.
func (b *bottleneck) pass() {
	for _, s := range b.out {
		if s.TextLen == 0 {
			continue
		}
		if b.sent++; b.drop[b.sent] {
			continue
		}
		b.free = max(b.free, b.now).Add(time.Millisecond)
		b.acks = append(b.acks, b.free.Add(10*time.Millisecond))
		b.upTo = append(b.upTo, s.Seq.Distance(b.iss)+s.TextLen)
	}
	b.out = nil
}

// arrive has the peer acknowledge a full segment that ends at end.
func (b *bottleneck) arrive(end uint32) {
	mss := uint32(b.conn.smss)
	if b.got = append(b.got, Block{Seq(end - mss), Seq(end)}); end-mss == b.una {
		for i := 0; i < len(b.got); i++ {
			if b.got[i].Left == Seq(b.una) {
				b.una = uint32(b.got[i].Right)
				b.got = slices.Delete(b.got, i, i+1)
				i = -1
			}
		}
		b.in(seg{flags: ACK, seq: 1, ack: b.una})
		return
	}
	b.in(seg{flags: ACK, seq: 1, ack: b.una, sack: b.got[len(b.got)-1:]})
}

// TestModelled holds that a controller which models the path fits: it gets exact delivery rates, and sets cwnd and a
// pacing rate.
func TestModelled(t *testing.T) {
	const rate = 1_460_000 // octets a second: a segment each millisecond
	t.Run("the rate of the bottleneck, exactly", func(t *testing.T) {
		b := newBottleneck(t)
		b.send(1000 * 1460)
		b.run(300 * time.Millisecond)
		n := len(b.m.samples)
		for i, s := range b.m.samples {
			switch { // the first flight is as long on its way as the path is
			case i < 9 && (s.Delivered != uint64(i+1)*1460 || s.Interval != time.Duration(11+i)*time.Millisecond):
				t.Errorf("sample %d: %d octets in %v", i, s.Delivered, s.Interval)
			case i >= 60 && s.Rate() != rate:
				t.Errorf("sample %d: %d octets in %v, a rate of %d", i, s.Delivered, s.Interval, s.Rate())
			case s.Acked != 1460 || s.Lost != 0 || s.TotalDelivered != uint64(i+1)*1460:
				t.Errorf("sample %d: %+v", i, s)
			}
		}
		if n < 280 || b.conn.PacingRate() != rate || b.conn.cwnd != uint32(2*float64(rate)*micros(b.conn.minRTT).Seconds()) {
			t.Errorf("%d samples, pacing rate %d, cwnd %d", n, b.conn.PacingRate(), b.conn.cwnd)
		}
		if s := b.m.samples[n-1]; s.PriorInFlight < b.conn.cwnd-1460 || s.PriorInFlight > b.conn.cwnd || s.Sent.InFlight > b.conn.cwnd {
			t.Errorf("%d in flight before, %d when it was sent, cwnd %d", s.PriorInFlight, s.Sent.InFlight, b.conn.cwnd)
		}
	})
	t.Run("what the application limits is marked", func(t *testing.T) {
		b := newBottleneck(t)
		for range 5 {
			b.send(1460)
			b.run(20 * time.Millisecond)
		}
		for i, s := range b.m.samples {
			if s.Sent.AppLimited != (i > 0) || s.Delivered != 1460 || s.Interval != 11*time.Millisecond || s.RTT != 11*time.Millisecond || s.PriorInFlight != 1460 {
				t.Errorf("sample %d: %+v", i, s)
			}
		}
		if len(b.m.samples) != 5 {
			t.Errorf("%d samples", len(b.m.samples))
		}
	})
	t.Run("a loss comes with what was known when it was sent", func(t *testing.T) {
		b := newBottleneck(t)
		b.drop[30] = true
		b.send(200 * 1460)
		b.run(100 * time.Millisecond)
		if len(b.m.lost) != 1 {
			t.Fatalf("%d losses", len(b.m.lost))
		}
		l := b.m.lost[0]
		if l.Octets != 1460 || l.Lost != 1460 || l.Sent.Lost != 0 || l.Sent.InFlight == 0 || l.Sent.Delivered == 0 || l.SentAt == 0 {
			t.Errorf("%+v", l)
		}
		want := "ack in phase 0, lost, recovery, ack in phase 2, recovered, ack in phase 0"
		if got := strings.Join(b.m.events, ", "); got != want {
			t.Errorf("%s; want %s", got, want)
		}
		if s := b.m.samples[len(b.m.samples)-1]; s.TotalLost != 1460 || s.TotalDelivered != uint64(len(b.m.samples))*1460 {
			t.Errorf("%+v", s)
		}
		if b.conn.PacingRate() != rate {
			t.Errorf("pacing rate %d", b.conn.PacingRate())
		}
	})
	t.Run("a timeout, and an idle time", func(t *testing.T) {
		b := newBottleneck(t)
		for i := 1; i <= 11; i++ {
			b.drop[i] = true
		}
		b.send(10 * 1460)
		b.pass()
		b.wait(time.Second)
		b.pass()
		b.run(time.Second)
		b.wait(5 * time.Second)
		b.send(1460)
		b.run(time.Second)
		want := "timeout, lost, timeout, lost, ack in phase 3, idle, ack in phase 0"
		if got := strings.Join(b.m.events, ", "); got != want {
			t.Errorf("%s; want %s", got, want)
		}
	})
	t.Run("no allocation for a segment", func(t *testing.T) {
		b := newBottleneck(t)
		b.m.keep = false
		b.conn.out = discardSink{}
		b.env.Alloc = reusing()
		text := make([]byte, 1460)
		step := func() {
			b.now = b.now.Add(time.Millisecond)
			b.conn.Send(text, b.now)
			in := Segment{Flags: ACK, Seq: b.conn.rcv.nxt, Ack: b.conn.snd.nxt, Window: 65535}
			b.conn.SegmentArrives(&in, b.now)
			b.conn.Output(b.now)
		}
		step()
		if n := testing.AllocsPerRun(1000, step); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
	t.Run("a change takes the stamps along with the controller", func(t *testing.T) {
		b := newBottleneck(t)
		b.send(5 * 1460)
		if sb := &b.conn.tx.sb; sb.sampler == nil || len(sb.stamps) != len(sb.recs) {
			t.Fatalf("%d stamps for %d records", len(sb.stamps), len(sb.recs))
		}
		o := b.conn.Options()
		o.CongestionControl = "reno"
		b.conn.SetOptions(&o, b.now)
		if sb := &b.conn.tx.sb; sb.sampler != nil || len(sb.stamps) != 0 || b.conn.PacingRate() != 0 {
			t.Errorf("%d stamps, pacing rate %d", len(sb.stamps), b.conn.PacingRate())
		}
		b.run(50 * time.Millisecond)
		if b.conn.flightSize() != 0 {
			t.Error("not all is acknowledged")
		}
	})
}
