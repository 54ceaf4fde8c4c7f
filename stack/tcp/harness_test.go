package tcp

import (
	"math/rand/v2"
	"net/netip"
	"sort"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/mono"
)

// plain is Storage without a pool.
type plain struct{ n int }

func (p *plain) Retain()  {}
func (p *plain) Release() {}
func (p *plain) Cap() int { return p.n }

func allocPlain(n int) Span {
	n = max(n, 256)
	return Span{Data: make([]byte, n), Owner: &plain{n}}
}

func newEnv(cfg Config) *Env {
	cfg = cfg.WithDefaults()
	r := rand.New(rand.NewPCG(1, 2))
	return &Env{Config: &cfg, Secret: new(Secret), Alloc: allocPlain, Rand: r.Uint64}
}

var (
	addrA = netip.MustParseAddrPort("10.0.0.1:1000")
	addrB = netip.MustParseAddrPort("10.0.0.2:2000")
	path  = Path{MTU: 1500}
)

// copySegment returns seg as it would arrive: the payload contiguous and borrowed.
func copySegment(seg *Segment) Segment {
	in := *seg
	in.Gather = nil
	in.Text = Span{}
	for _, s := range seg.Gather {
		in.Text.Data = append(in.Text.Data, s.Data...)
	}
	if uint32(len(in.Text.Data)) != seg.TextLen {
		panic("TextLen does not match Gather")
	}
	return in
}

// impairment says what happens to each segment on a wire.
type impairment struct {
	delay, jitter   time.Duration
	loss, dup, reor float64
}

type inFlight struct {
	at  mono.Time
	no  int
	to  *end
	seg Segment
}

// wire carries segments between two ends in fake time.
type wire struct {
	t     *testing.T
	now   mono.Time
	queue []inFlight
	no    int
	imp   impairment
	rnd   *rand.Rand
	a, b  *end
	trace func(from *end, seg *Segment)
}

type end struct {
	name  string
	w     *wire
	peer  *end
	env   *Env
	conn  Conn
	half  *HalfOpen
	opts  Options
	tup   Tuple
	lis   bool
	tw    *TimeWait
	got   []byte
	gone  bool
	ev    Event
	floor ISSFloor
}

func (e *end) Transmit(seg *Segment) {
	w := e.w
	if w.trace != nil {
		w.trace(e, seg)
	}
	mss := int(seg.GSOSize)
	in := copySegment(seg)
	if mss == 0 || len(in.Text.Data) <= mss {
		w.put(e.peer, in)
		return
	}
	for off := 0; off < len(in.Text.Data); off += mss {
		part := in
		stop := min(off+mss, len(in.Text.Data))
		part.Text.Data = in.Text.Data[off:stop]
		part.TextLen = uint32(stop - off)
		part.Seq = in.Seq.Add(uint32(off))
		if stop < len(in.Text.Data) {
			part.Flags &^= FIN | PSH
		}
		w.put(e.peer, part)
	}
}

func (w *wire) put(to *end, seg Segment) {
	copies := 1
	if w.rnd.Float64() < w.imp.loss {
		copies = 0
	} else if w.rnd.Float64() < w.imp.dup {
		copies = 2
	}
	for range copies {
		d := w.imp.delay
		if w.imp.jitter > 0 {
			d += time.Duration(w.rnd.Int64N(int64(w.imp.jitter)))
		}
		if w.rnd.Float64() < w.imp.reor {
			d += w.imp.delay / 2
		}
		w.no++
		w.queue = append(w.queue, inFlight{w.now.Add(d), w.no, to, seg})
	}
	sort.SliceStable(w.queue, func(i, j int) bool { return w.queue[i].at < w.queue[j].at })
}

func newWire(t *testing.T, cfg Config, o Options, imp impairment, seed uint64) *wire {
	w := &wire{t: t, now: mono.Time(time.Second), imp: imp, rnd: rand.New(rand.NewPCG(seed, 7))}
	w.a = &end{name: "a", w: w, env: newEnv(cfg), opts: o, tup: Tuple{addrA, addrB}}
	w.b = &end{name: "b", w: w, env: newEnv(cfg), opts: o, tup: Tuple{addrB, addrA}}
	w.a.peer, w.b.peer = w.b, w.a
	return w
}

func (e *end) arrive(seg *Segment) {
	now := e.w.now
	var reply Segment
	switch {
	case e.half != nil:
		switch e.half.SegmentArrives(e.env, seg, &reply, now) {
		case Reply:
			e.Transmit(&reply)
		case Complete:
			e.conn.Accept(e.env, e, e.half, e.tup, path, &e.opts, now)
			e.half = nil
			e.conn.SegmentArrives(seg, now)
			e.conn.Output(now)
		case Remove:
			e.half = nil
			if reply.Flags != 0 {
				e.Transmit(&reply)
			}
		case Drop, Reopen:
		}
	case e.tw != nil:
		if e.tw.SegmentArrives(e.env, seg, &reply, now) == Reply {
			e.Transmit(&reply)
		}
	case e.lis && e.conn.State() == Closed && !e.gone:
		if ListenArrives(seg) == ListenSYN {
			e.half = new(HalfOpen)
			e.half.Init(e.env, e.tup, path, &e.opts, seg, e.floor, now)
			e.half.SynAck(e.env, &reply, now)
			e.Transmit(&reply)
		} else if AnswerClosed(seg, &reply) {
			e.Transmit(&reply)
		}
	case e.conn.State() == Closed:
		if AnswerClosed(seg, &reply) {
			e.Transmit(&reply)
		}
	default:
		e.conn.SegmentArrives(seg, now)
		e.conn.Output(now)
	}
	e.settle()
}

// settle takes events and checks what must hold after every step.
func (e *end) settle() {
	c := &e.conn
	ev := c.TakeEvents()
	e.ev |= ev
	if ev&EnteredTimeWait != 0 {
		tw := c.TimeWait(e.w.now)
		e.tw = &tw
	}
	if ev&Gone != 0 {
		e.gone = true
	}
	e.w.check(e)
}

func (w *wire) check(e *end) {
	c := &e.conn
	if c.state == Closed {
		return
	}
	if c.snd.nxt.LessThan(c.snd.una) {
		w.t.Fatalf("%s: SND.NXT %d before SND.UNA %d", e.name, c.snd.nxt, c.snd.una)
	}
	if c.rcv.edge.LessThan(c.rcv.nxt) && c.state != SynSent {
		w.t.Fatalf("%s: right edge %d before RCV.NXT %d", e.name, c.rcv.edge, c.rcv.nxt)
	}
	if tx := c.tx; tx != nil && c.synchronized() {
		var sacked, lost, n uint32
		at := c.snd.una
		for i := tx.sb.head; i < len(tx.sb.recs); i++ {
			r := tx.sb.recs[i]
			if r.seq != at {
				w.t.Fatalf("%s: scoreboard has a gap at %d", e.name, at)
			}
			at = r.end()
			n += r.n
			if r.flags&recSacked != 0 {
				sacked += r.n
			}
			if r.flags&recLost != 0 {
				lost += r.n
			}
		}
		if n != c.flightSize() || sacked != tx.sb.sacked || lost != tx.sb.lost {
			w.t.Fatalf("%s: scoreboard %d/%d/%d, want flight %d sacked %d lost %d", e.name, n, sacked, lost,
				c.flightSize(), tx.sb.sacked, tx.sb.lost)
		}
	}
}

// step advances to the next thing that happens and says whether there was one before limit.
func (w *wire) step(limit mono.Time) bool {
	next := mono.Time(0)
	consider := func(t mono.Time) {
		if t != 0 && (next == 0 || t < next) {
			next = t
		}
	}
	if len(w.queue) > 0 {
		consider(w.queue[0].at)
	}
	for _, e := range []*end{w.a, w.b} {
		if e.half != nil {
			consider(e.half.Deadline())
		} else if e.tw == nil {
			consider(e.conn.Deadline())
		}
	}
	if next == 0 || next > limit {
		w.now = limit
		return false
	}
	w.now = max(w.now, next)
	if len(w.queue) > 0 && w.queue[0].at <= w.now {
		f := w.queue[0]
		w.queue = w.queue[1:]
		f.to.arrive(&f.seg)
		return true
	}
	for _, e := range []*end{w.a, w.b} {
		if e.half != nil {
			var reply Segment
			switch e.half.Timeout(e.env, &reply, w.now) {
			case Reply:
				e.Transmit(&reply)
			case Remove:
				e.half = nil
			case Drop, Complete, Reopen:
			}
		} else if d := e.conn.Deadline(); e.tw == nil && d != 0 && d <= w.now {
			e.conn.Timeout(w.now)
			e.settle()
		}
	}
	return true
}

// run advances until done says so, for at most d of fake time.
func (w *wire) run(d time.Duration, done func() bool) {
	w.t.Helper()
	limit := w.now.Add(d)
	for !done() {
		if !w.step(limit) {
			w.t.Fatalf("not done after %v: a %v b %v", d, w.a.conn.State(), w.b.conn.State())
		}
	}
}

// idle advances by d.
func (w *wire) idle(d time.Duration) {
	limit := w.now.Add(d)
	for w.step(limit) {
	}
}

func (w *wire) connect() {
	w.t.Helper()
	w.b.lis = true
	w.a.conn.Connect(w.a.env, w.a, w.a.tup, path, &w.a.opts, w.a.floor, w.now)
	w.run(10*time.Minute, func() bool {
		return w.a.conn.State() == Established && w.b.conn.State() == Established
	})
}

func (e *end) read() {
	var buf [4096]byte
	for {
		n := e.conn.Receive(buf[:], e.w.now)
		if n == 0 {
			return
		}
		e.got = append(e.got, buf[:n]...)
	}
}
