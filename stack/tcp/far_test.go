package tcp

import (
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
)

// far is two connections that exchange very much text in fake time: super-segments in pieces of memory that are always
// the same ones, with a delay of a millisecond each way.
type far struct {
	t    *testing.T
	now  mono.Time
	a, b *farEnd
}

type farEnd struct {
	*far
	name     string
	env      *Env
	conn     Conn
	half     *HalfOpen
	tup      Tuple
	peer     *farEnd
	in, next []Segment // what arrives now, and a millisecond later
	chunk    []byte
	owner    plain
	lose     func(seg *Segment) bool // for what the end sends
	sent     uint64                  // octets
	received uint64
	paused   bool // it does not read
	events   Event
}

const farTick = time.Millisecond

func newFar(t *testing.T) *far {
	f := &far{t: t, now: mono.Time(time.Hour)}
	f.a, f.b = &farEnd{far: f, name: "a", tup: Tuple{addrA, addrB}}, &farEnd{far: f, name: "b", tup: Tuple{addrB, addrA}}
	f.a.peer, f.b.peer = f.b, f.a
	super := Path{MTU: 1500, MaxSuper: 65535}
	o := Options{Linger: -1, KeepAlive: true, KeepIdle: 60, KeepInterval: 10, KeepCount: 3}
	for _, e := range []*farEnd{f.a, f.b} {
		e.env, e.chunk, e.owner = newEnv(Config{}), make([]byte, 1<<16), plain{1 << 16}
	}
	f.a.conn.Connect(f.a.env, f.a, f.a.tup, super, &o, ISSFloor{}, f.now)
	f.step()
	syn, reply := f.b.in[0], Segment{}
	f.b.in = nil
	f.b.half = new(HalfOpen)
	f.b.half.Init(f.b.env, f.b.tup, super, &o, &syn, ISSFloor{}, f.now)
	f.b.half.SynAck(f.b.env, &reply, f.now)
	f.b.Transmit(&reply)
	f.run(time.Second, func() bool { return f.b.conn.State() == Established })
	return f
}

// Transmit puts a segment on its way.
func (e *farEnd) Transmit(seg *Segment) {
	if e.lose != nil && e.lose(seg) {
		return
	}
	e.peer.next = append(e.peer.next, e.copy(seg))
}

// copy returns a segment as it will arrive: its text is of no consequence here, only its length.
func (e *farEnd) copy(seg *Segment) Segment {
	in := *seg
	in.Gather = nil
	if in.TextLen > 0 {
		in.Text = Span{Data: e.chunk[:in.TextLen], Owner: &e.owner}
	}
	return in
}

// step lets a millisecond pass.
func (f *far) step() {
	f.now = f.now.Add(farTick)
	for _, e := range []*farEnd{f.a, f.b} {
		e.in, e.next = append(e.in, e.next...), e.next[:0]
	}
}

// arrive takes in what has come, reads, and acts on deadlines.
func (e *farEnd) arrive() {
	for i := range e.in {
		seg := &e.in[i]
		if e.half != nil {
			var reply Segment
			if e.half.SegmentArrives(e.env, seg, &reply, e.now) != Complete {
				e.t.Fatalf("%s: the handshake fails", e.name)
			}
			o := Options{Linger: -1, KeepAlive: true, KeepIdle: 60, KeepInterval: 10, KeepCount: 3}
			e.conn.Accept(e.env, e, e.half, e.tup, Path{MTU: 1500, MaxSuper: 65535}, &o, e.now)
			e.half = nil
		}
		e.conn.SegmentArrives(seg, e.now)
	}
	e.in = e.in[:0]
	for !e.paused {
		s := e.conn.ReceiveSpan(e.now)
		if len(s.Data) == 0 {
			break
		}
		e.received += uint64(len(s.Data))
		s.Release()
	}
	if d := e.conn.Deadline(); d != 0 && d <= e.now {
		e.conn.Timeout(e.now)
	}
	e.conn.Output(e.now)
	e.events |= e.conn.TakeEvents()
	e.near()
}

// run goes on until done says so, for at most d.
func (f *far) run(d time.Duration, done func() bool) {
	f.t.Helper()
	for limit := f.now.Add(d); !done(); {
		if f.now > limit {
			f.t.Fatalf("not done after %v: a %v sent %d, b %v received %d, %v, SND.NXT-ISS %d", d, f.a.conn.State(), f.a.sent,
				f.b.conn.State(), f.b.received, f.a.conn.Err(), f.a.conn.snd.nxt.Distance(f.a.conn.snd.iss))
		}
		f.a.arrive()
		f.b.arrive()
		f.step()
	}
}

// send writes n octets, at most so many each millisecond, and waits until they are acknowledged.
func (e *farEnd) send(n uint64, each int) {
	e.t.Helper()
	end, got := e.sent+n, e.peer.received+n
	e.run(time.Duration(n/uint64(min(each, 1<<18))+5000)*farTick, func() bool {
		for left := each; e.sent < end && left > 0; {
			k := min(end-e.sent, uint64(e.conn.SendSize()), uint64(left))
			if !e.conn.SendSpan(Span{Data: e.chunk[:k], Owner: &e.owner}, e.now) {
				break
			}
			e.sent += k
			left -= int(k)
		}
		return e.sent == end && e.conn.SendQueued() == 0 && (e.peer.paused || e.peer.received == got)
	})
}

// near checks that no number which is still compared with others stands far from the window: where it is 2^31 away the
// comparison turns.
func (e *farEnd) near() {
	c := &e.conn
	check := func(what string, inUse bool, s, to Seq) {
		if d := int32(s - to); inUse && (d > 1<<30 || d < -1<<30) {
			e.t.Fatalf("%s: %s stands %d from the window", e.name, what, d)
		}
	}
	check("SND.WL1", true, c.snd.wl1, c.rcv.nxt)
	check("SND.WL2", true, c.snd.wl2, c.snd.una)
	check("Last.ACK.sent", true, c.rcv.acked, c.rcv.nxt)
	check("recover", c.recovering() || !c.has(flagSACK), c.recover, c.snd.una)
	if c.cc != nil {
		m := &c.cc.loss
		check("the round of a D-SACK", m.reo.inRound, m.reo.round, c.snd.una)
		check("the mark of a cut", m.undo.armed, m.undo.mark, c.snd.una)
		check("the end of a loss probe", c.has(flagTLPOut), m.tlpEnd, c.snd.una)
	}
	if tx := c.tx; tx != nil {
		end, started := tx.flight.HyStart.Round()
		check("the round of HyStart", started, Seq(end), c.snd.una)
		check("the end of a cut for ECN", c.phase == cc.Reduced, tx.cwrEnd, c.snd.una)
		check("the highest number delivered", true, tx.fack, c.snd.una)
		check("RACK's newest", tx.rackXmit != 0, tx.rackEnd, c.snd.una)
		check("SND.UP", tx.urgent, tx.up, c.snd.una)
		check("the end of a partial segment", tx.partial, tx.partialEnd, c.snd.una)
	}
	if rx := c.rx; rx != nil {
		check("RCV.UP", rx.urgent.state != urgentNone, rx.urgent.up, c.rcv.nxt)
		check("the FIN's number", rx.ooo.fin, rx.ooo.finSeq, c.rcv.nxt)
		check("the report of a duplicate", rx.ooo.hasDup, rx.ooo.dup.Left, c.rcv.nxt)
	}
}

// talk sends a megabyte back, which must not take longer than at the beginning.
func (e *farEnd) talk() {
	e.t.Helper()
	began, timeouts := e.now, e.env.Counters.Timeouts
	e.send(1<<20, 1<<20)
	if took := e.now.Sub(began); took > time.Second || e.env.Counters.Timeouts != timeouts {
		e.t.Fatalf("%s: a megabyte takes %v and %d timeouts", e.name, took, e.env.Counters.Timeouts-timeouts)
	}
}

// probes lets the peer stop reading until its window is closed, probes it, and then lets the connection idle until
// keepalive has asked.
func (e *farEnd) probes() {
	e.t.Helper()
	e.peer.paused = true
	queued := uint64(7 << 20)
	end := e.sent + queued
	e.run(time.Minute, func() bool {
		for e.sent < end && e.conn.SendSpan(Span{Data: e.chunk, Owner: &e.owner}, e.now) {
			e.sent += 1 << 16
		}
		return e.conn.snd.wnd == 0 && e.conn.Info().Probes == 0 && e.conn.retransmits >= 2
	})
	if e.conn.Err() != 0 || e.peer.conn.Err() != 0 {
		e.t.Fatalf("%s: %v, %v", e.name, e.conn.Err(), e.peer.conn.Err())
	}
	// The peer's own text carries its acknowledgment all the same.
	e.peer.talk()
	e.peer.paused = false
	e.run(time.Minute, func() bool { return e.conn.SendQueued() == 0 })
	before := e.env.Counters.Probes
	silent := e.now
	e.run(5*time.Minute, func() bool { return e.env.Counters.Probes >= before+2 && e.now.Sub(silent) > 150*time.Second })
	silent = e.now
	e.run(time.Second, func() bool { return e.now.Sub(silent) >= 5*farTick })
	if silent.Sub(e.conn.lastReceive) > 0 || e.conn.Err() != 0 {
		e.t.Fatalf("%s: the keepalive probe is not answered, %v", e.name, e.conn.Err())
	}
}

// TestFar sends 2 GiB and 4 GiB one way, with losses at the beginning, and then has the peer talk back and the
// connection end in each way that there is (RFC 9293 3.4).
func TestFar(t *testing.T) {
	const gib = 1 << 30
	distances := []uint64{2*gib - 1<<20, 2*gib + 100_000, 3 * gib, 4*gib - 1<<20, 4*gib + 100_000}
	endings := []struct {
		name string
		each int // octets a millisecond
		end  func(f *far, from *farEnd)
	}{
		{"close", 8 << 20, func(f *far, from *farEnd) {
			from.conn.CloseWrite(f.now)
			from.peer.conn.CloseWrite(f.now)
			f.run(time.Second, func() bool { return from.conn.State() == TimeWaitState || from.conn.State() == Closed })
		}},
		{"half-close", 8 << 20, func(f *far, from *farEnd) {
			from.conn.CloseWrite(f.now)
			from.peer.talk()
			f.run(time.Second, func() bool { return from.peer.conn.EOF() })
			from.peer.conn.CloseWrite(f.now)
			f.run(time.Second, func() bool { return from.peer.conn.State() == Closed && from.conn.State() == TimeWaitState })
		}},
		{"reset by the sender", 8 << 20, func(f *far, from *farEnd) {
			from.conn.Abort(f.now)
			f.run(time.Second, func() bool { return from.peer.conn.Err() == syscall.ECONNRESET })
		}},
		{"reset by the receiver, text at a steady rate", 200_000, func(f *far, from *farEnd) {
			from.peer.conn.Abort(f.now)
			f.run(time.Second, func() bool { return from.conn.Err() == syscall.ECONNRESET })
		}},
	}
	for i, e := range endings {
		t.Run(e.name, func(t *testing.T) {
			f := newFar(t)
			from := []*farEnd{f.a, f.b}[i%2]
			from.peer.talk()
			if e.each > 1<<20 {
				n := 0
				from.lose = func(seg *Segment) bool { n++; return n == 40 || n == 90 }
				from.send(32<<20, e.each)
				from.lose = func(seg *Segment) bool { // the probe comes twice: a D-SACK
					if seg.TextLen > 0 {
						from.peer.next = append(from.peer.next, from.copy(seg))
						from.lose = nil
					}
					return false
				}
			}
			for _, at := range distances {
				from.send(max(at, from.sent)-from.sent, e.each)
				from.peer.talk()
				if at > 2*gib && e.each > 1<<20 {
					from.probes()
				}
				from.peer.talk()
			}
			e.end(f, from)
		})
	}
}
