package tcp

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/mono"
	format "github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/tcp/cc"
)

var (
	stateSteps = flag.Int("state.steps", 100_000, "segments and calls of TestStates")
	stateSeed  = flag.Uint64("state.seed", 1, "first seed of TestStates")
)

// counted is Storage that knows when a reference is given back once too often or never.
type counted struct {
	size, refs int
	world      *stateWorld
}

func (s *counted) Retain()  { s.refs++ }
func (s *counted) Cap() int { return s.size }
func (s *counted) Release() {
	if s.refs--; s.refs == 0 {
		s.world.held -= s.size
	} else if s.refs < 0 {
		s.world.fail("a reference was given back twice")
	}
}

// stateWorld is two ends, a wire between them that delays, loses, repeats and reorders, and, if it is hostile,
// a stranger who sends segments of his own to both. Everything follows from the seed.
type stateWorld struct {
	rnd     *rand.Rand
	now     mono.Time
	hostile bool
	ends    [2]*stateEnd
	wire    []flying
	held    int // storage that is referred to
	steps   int
	err     string
	record  func(now mono.Time, from *stateEnd, s *Segment)
}

type flying struct {
	to  *stateEnd
	seg Segment
}

// stateEnd is one end: a TCB or one of the records that stand for it, and its user.
type stateEnd struct {
	world *stateWorld
	peer  *stateEnd
	name  byte
	env   *Env
	tuple Tuple
	opts  Options
	path  Path

	conn    Conn
	half    *HalfOpen
	tw      *TimeWait
	listens bool
	gone    bool

	written, read  uint64 // octets that the user has written and read
	readShut       bool
	una, nxt, edge Seq // of SND.UNA, RCV.NXT and the right edge, the farthest so far
	offered        Seq // the farthest that the peer's window has reached
	state          State
	began          bool
	owed           bool // Output has not been called since the last segment
}

func (w *stateWorld) fail(format string, args ...any) {
	if w.err == "" {
		w.err = fmt.Sprintf("step %d: ", w.steps) + fmt.Sprintf(format, args...)
	}
}

func (w *stateWorld) one(in int) bool { return w.rnd.IntN(in) == 0 }

// at is the octet at a place of an end's stream.
func (e *stateEnd) at(place uint64) byte { return byte(place*31) ^ byte(place>>8) ^ e.name }

func (w *stateWorld) alloc(n int) Span {
	n = max(n, 64)
	w.held += n
	return Span{Data: make([]byte, n), Owner: &counted{size: n, refs: 1, world: w}}
}

func newStateWorld(seed uint64) *stateWorld {
	w := &stateWorld{rnd: rand.New(rand.NewPCG(seed, 0x5eed)), now: mono.Time(time.Hour)}
	w.hostile = w.one(2)
	if w.one(8) {
		w.now = mono.Time(1<<32*time.Millisecond) - mono.Time(w.rnd.Int64N(int64(10*time.Second)))
	}
	buffer := func() int { return []int{2304, 5000, 20_000, 128 << 10}[w.rnd.IntN(4)] }
	for i := range w.ends {
		cfg := Config{RecvBuffer: buffer(), SendBuffer: max(buffer(), 4608), MaxRecvBuffer: 1 << 18, MaxSendBuffer: 1 << 18,
			NoSACK: w.one(3), NoTimestamps: w.one(3), ECN: ECN(w.rnd.IntN(4)), CongestionControl: []string{"cubic", "reno"}[w.rnd.IntN(2)]}.WithDefaults()
		secret := new(Secret)
		for k := range 8 {
			secret[k] = byte(w.rnd.Uint32())
		}
		e := &stateEnd{world: w, name: byte('a' + i)}
		e.env = &Env{Config: &cfg, Secret: secret, Alloc: w.alloc, Rand: w.rnd.Uint64}
		e.opts = Options{Linger: -1, NoDelay: w.one(2), Cork: w.one(8), KeepAlive: w.one(4), KeepIdle: 5, KeepInterval: 1, KeepCount: 3}
		if w.one(4) {
			e.opts.MaxSeg = uint16(64 + w.rnd.IntN(1000))
		}
		if w.one(6) {
			e.opts.UserTimeout = uint32(1 + w.rnd.IntN(20_000))
		}
		e.path = Path{MTU: []int{576, 1500, 9000}[w.rnd.IntN(3)], MaxSuper: []int{0, 65535}[w.rnd.IntN(2)]}
		w.ends[i] = e
	}
	a, b := w.ends[0], w.ends[1]
	a.peer, b.peer, a.tuple, b.tuple = b, a, Tuple{addrA, addrB}, Tuple{addrB, addrA}
	b.listens = !w.one(8) // else both open at once
	for _, e := range w.ends {
		if !e.listens {
			floor := ISSFloor{set: w.one(3), after: Seq(w.rnd.Uint32())}
			if w.one(3) { // Fast Open, with a cookie or in search of one
				e.conn.ConnectLater(e.env, e, e.tuple, e.path, &e.opts, w.now)
				text := make([]byte, w.rnd.IntN(2000))
				for i := range text {
					text[i] = e.at(uint64(i))
				}
				e.written = uint64(e.conn.OpenWith(FastOpenCookie{Len: uint8(8 * w.rnd.IntN(2))}, uint16(w.rnd.IntN(3)*700), text, w.now))
			} else {
				e.conn.Connect(e.env, e, e.tuple, e.path, &e.opts, floor, w.now)
			}
			e.settle()
		}
	}
	return w
}

// Transmit puts what leaves on the wire, cut as a device cuts.
func (e *stateEnd) Transmit(seg *Segment) {
	w := e.world
	if w.record != nil {
		w.record(w.now, e, seg)
	}
	n := uint32(0)
	for _, s := range seg.Gather {
		n += uint32(len(s.Data))
	}
	if n != seg.TextLen {
		w.fail("%c: TextLen %d, payload %d", e.name, seg.TextLen, n)
		return
	}
	in := copySegment(seg)
	if in.TextLen > 0 && (e.conn.snd.nxt.LessThan(in.End()) || in.Seq.LessThan(e.conn.snd.una)) {
		w.fail("%c: sent [%d, %d) outside of [%d, %d)", e.name, in.Seq, in.End(), e.conn.snd.una, e.conn.snd.nxt)
	}
	size := uint32(seg.GSOSize)
	if size == 0 {
		size = max(in.TextLen, 1)
		if room := e.path.MTU - 20 - headerLen; in.TextLen > 0 && int(in.TextLen) > max(room, minMSS) {
			w.fail("%c: %d octets of text on an MTU of %d", e.name, in.TextLen, e.path.MTU)
		}
	}
	for at := uint32(0); at == 0 || at < in.TextLen; at += size {
		part := in
		part.TextLen = min(size, in.TextLen-at)
		part.Text.Data = in.Text.Data[at : at+part.TextLen]
		part.Seq = in.Seq.Add(at)
		if at+part.TextLen < in.TextLen {
			part.Flags &^= FIN | PSH
		}
		if len(w.wire) < 200 {
			w.wire = append(w.wire, flying{e.peer, part})
		}
	}
}

// arrive gives an end a segment.
func (e *stateEnd) arrive(seg *Segment) {
	w, reply := e.world, Segment{}
	w.steps++
	now := w.now
	switch {
	case e.half != nil:
		switch e.half.SegmentArrives(e.env, seg, &reply, now) {
		case Reply:
			e.Transmit(&reply)
		case Complete:
			e.conn.Accept(e.env, e, e.half, e.tuple, e.path, &e.opts, now)
			e.half, e.listens = nil, false
			e.conn.SegmentArrives(seg, now)
			e.output()
		case Remove:
			e.half = nil
		case Drop, Reopen:
		}
	case e.tw != nil:
		if e.tw.SegmentArrives(e.env, seg, &reply, now) == Reply {
			e.Transmit(&reply)
		}
	case e.listens && ListenArrives(seg) == ListenSYN:
		e.half = new(HalfOpen)
		if seg.Options&OptFastOpen != 0 && w.one(2) {
			half := e.half
			half.Init(e.env, e.tuple, e.path, &e.opts, seg, ISSFloor{}, now)
			e.half, e.listens = nil, false
			e.conn.AcceptFastOpen(e.env, e, half, e.path, &e.opts, seg, FastOpenCookie{Len: uint8(8 * w.rnd.IntN(2))}, now)
			e.output()
			return
		}
		if w.one(8) {
			e.half.InitSYNCookie(e.env, e.tuple, e.path, &e.opts, seg, now)
			e.half.SynAck(e.env, &reply, now)
			e.half = nil
		} else {
			e.half.Init(e.env, e.tuple, e.path, &e.opts, seg, ISSFloor{}, now)
			e.half.SynAck(e.env, &reply, now)
		}
		e.Transmit(&reply)
	case e.listens && ListenArrives(seg) == ListenACK:
		half := new(HalfOpen)
		if half.FromSYNCookie(e.env, e.tuple, e.path, &e.opts, seg, now) {
			e.listens = false
			e.conn.Accept(e.env, e, half, e.tuple, e.path, &e.opts, now)
			e.conn.SegmentArrives(seg, now)
			e.output()
		} else if AnswerClosed(seg, &reply) {
			e.Transmit(&reply)
		}
	case e.conn.State() == Closed:
		if !e.listens && AnswerClosed(seg, &reply) {
			e.Transmit(&reply)
		}
	default:
		e.conn.SegmentArrives(seg, now)
		e.output()
	}
}

// output is what follows a segment: at once, at the end of a burst, or after more segments.
func (e *stateEnd) output() {
	switch e.world.rnd.IntN(4) {
	case 0:
		e.conn.OutputEarly(e.world.now)
	case 1:
		e.owed = true
		return
	default:
		e.conn.Output(e.world.now)
	}
	e.owed = false
}

// settle takes the events of a step and checks what must hold after it.
func (e *stateEnd) settle() {
	w, c := e.world, &e.conn
	ev := c.TakeEvents()
	if ev&EnteredTimeWait != 0 && e.tw == nil {
		tw := c.TimeWait(w.now)
		e.tw = &tw
	}
	if ev&Gone != 0 {
		e.gone = true
	}
	e.check()
}

// follows says whether a connection may go from one state to another in one step. RFC 9293 3.3.2, figure 5, with
// CLOSED after all, and with what two arrows in a row amount to.
func follows(from, to State) bool {
	if from == to || to == Closed {
		return true
	}
	switch from {
	case Closed:
		return to == SynSent || to == SynReceived || to == Established || to == CloseWait || to == FinWait1
	case SynSent:
		return to == SynReceived || to == Established || to == CloseWait || to == FinWait1 || to == Closing
	case SynReceived:
		return to == Established || to == CloseWait || to == FinWait1 || to == FinWait2 || to == Closing || to == TimeWaitState
	case Established:
		return to == CloseWait || to == FinWait1
	case FinWait1:
		return to == FinWait2 || to == Closing || to == TimeWaitState
	case FinWait2, Closing:
		return to == TimeWaitState
	case CloseWait:
		return to == LastAck
	case Listen, LastAck, TimeWaitState:
	}
	return false
}

// check holds the invariants of RFC 9293 against an end.
func (e *stateEnd) check() {
	w, c := e.world, &e.conn
	if !follows(e.state, c.state) {
		w.fail("%c: from %v to %v", e.name, e.state, c.state)
	}
	e.state = c.state
	if c.state == Closed {
		if c.tx != nil || c.Deadline() != 0 {
			w.fail("%c: CLOSED with a sender or a timer", e.name)
		}
		return
	}
	if c.state == SynSent {
		return
	}
	if !e.began {
		e.began = true
		e.una, e.nxt, e.edge, e.offered = c.snd.una, c.rcv.nxt, c.rcv.edge, c.snd.nxt // with Fast Open text goes before the peer offers a window
	}
	e.offered = maxSeq(e.offered, c.snd.una.Add(c.snd.wnd))
	switch {
	case c.snd.una.LessThan(e.una):
		w.fail("%c: SND.UNA went back", e.name)
	case c.snd.nxt.LessThan(c.snd.una):
		w.fail("%c: SND.NXT before SND.UNA", e.name)
	case e.offered.LessThan(c.snd.nxt):
		w.fail("%c: %d octets sent beyond what the peer has ever offered", e.name, c.snd.nxt.Distance(e.offered))
	case c.rcv.nxt.LessThan(e.nxt):
		w.fail("%c: RCV.NXT went back", e.name)
	case c.rcv.edge.LessThan(e.edge):
		w.fail("%c: the right edge went back", e.name)
	case c.rcv.edge.LessThan(c.rcv.nxt):
		w.fail("%c: RCV.NXT beyond the right edge", e.name)
	case c.cwnd == 0 && c.synchronized(), c.cwnd > cc.MaxCwnd:
		w.fail("%c: cwnd %d", e.name, c.cwnd)
	}
	e.una, e.nxt, e.edge = c.snd.una, c.rcv.nxt, c.rcv.edge
	e.checkSender()
	e.checkReceiver()
}

func (e *stateEnd) checkSender() {
	w, c := e.world, &e.conn
	buffered := int64(0)
	if tx := c.tx; tx != nil {
		storage := 0
		for _, ch := range tx.q.chunks.Items() {
			storage += ch.span.Pinned()
		}
		if storage != tx.q.storage || tx.charged != storage {
			w.fail("%c: the send queue pins %d octets, noted %d, charged %d", e.name, storage, tx.q.storage, tx.charged)
		}
		if n := int(tx.q.len()); n > 1<<18 {
			w.fail("%c: %d octets queued", e.name, n)
		}
		buffered += int64(storage)
	}
	if tx := c.tx; tx != nil && c.synchronized() {
		var n, sacked, lost uint32
		at := c.snd.una
		for i := tx.sb.head; i < len(tx.sb.recs); i++ {
			r := &tx.sb.recs[i]
			if r.seq != at || r.n == 0 || r.flags&(recSacked|recLost) == recSacked|recLost {
				w.fail("%c: record %+v at %d", e.name, *r, at)
				return
			}
			at = r.end()
			n += r.n
			if r.flags&recSacked != 0 {
				sacked += r.n
			}
			if r.flags&recLost != 0 {
				lost += r.n
				if i < tx.sb.hint {
					w.fail("%c: a lost record before the hint", e.name)
				}
			}
		}
		if n != c.flightSize() || sacked != tx.sb.sacked || lost != tx.sb.lost || tx.sb.len() > 2*maxRecords {
			w.fail("%c: %d records of %d, %d, %d octets; flight %d, sacked %d, lost %d", e.name, tx.sb.len(), n, sacked, lost,
				c.flightSize(), tx.sb.sacked, tx.sb.lost)
		}
		if c.flightSize() > 0 && c.timers[timerRetransmit] == 0 && c.canSend() && !e.owed {
			w.fail("%c: %d octets in flight and no timer", e.name, c.flightSize())
		}
	}
	if c.rx != nil {
		buffered += int64(c.rx.charged)
	}
	if e.env.Buffered != buffered {
		w.fail("%c: %d octets buffered, noted %d", e.name, buffered, e.env.Buffered)
	}
}

func (e *stateEnd) checkReceiver() {
	w, c := e.world, &e.conn
	rx := c.rx
	if rx == nil {
		return
	}
	octets, storage := -rx.off, 0
	for _, s := range rx.spans.Items() {
		octets += len(s.Data)
		storage += s.Pinned()
	}
	if octets != rx.bytes || storage != rx.storage {
		w.fail("%c: %d octets to read in %d, noted %d in %d", e.name, octets, storage, rx.bytes, rx.storage)
	}
	if rx.bytes > 1<<18+1<<16 || rx.storage > 4*rx.bytes+1<<17 {
		w.fail("%c: %d octets wait and pin %d", e.name, rx.bytes, rx.storage)
	}
	charge := 0
	for i := range rx.ooo.pieces {
		p := &rx.ooo.pieces[i]
		charge += pinned(p.span)
		if i > 0 && p.seq.LessThan(rx.ooo.pieces[i-1].end()) || p.seq.LessThanEq(c.rcv.nxt) || c.rcv.edge.LessThan(p.end()) {
			w.fail("%c: pieces overlap or lie outside of the window", e.name)
		}
	}
	if charge != rx.ooo.charge || charge > 1<<19+1<<17 || len(rx.ooo.pieces) > leastPieces {
		w.fail("%c: %d pieces pin %d octets, noted %d", e.name, len(rx.ooo.pieces), charge, rx.ooo.charge)
	}
}

// write and take are the user's sides of the streams.
func (e *stateEnd) write(n int) {
	e.world.steps++
	text := make([]byte, n)
	for i := range text {
		text[i] = e.at(e.written + uint64(i))
	}
	switch e.world.rnd.IntN(5) {
	case 4:
		s := Span{Data: text, Owner: &plain{len(text)}}
		e.written += uint64(e.conn.Lend(s, e.world.now))
		e.conn.Output(e.world.now)
		e.conn.Keep(s.Owner)
		clear(text) // its owner has it back
	case 0:
		s := e.world.alloc(n)
		s.Data = append(s.Data[:0], text...)
		if e.conn.SendSpan(s, e.world.now) {
			e.written += uint64(n)
		} else {
			s.Release()
		}
	case 1:
		e.written += uint64(e.conn.SendUrgent(text, e.world.now))
	default:
		e.written += uint64(e.conn.Send(text, e.world.now))
	}
}

func (e *stateEnd) take(n int) {
	w := e.world
	if e.conn.Readable() == 0 {
		return
	}
	w.steps++
	var got []byte
	if w.one(4) {
		s := e.conn.ReceiveSpan(w.now)
		got = bytes.Clone(s.Data)
		s.Release()
	} else {
		got = make([]byte, n)
		if w.one(4) {
			e.conn.Peek(got)
		}
		got = got[:e.conn.Receive(got, w.now)]
	}
	for i, b := range got {
		if want := e.peer.at(e.read + uint64(i)); b != want {
			w.fail("%c: octet %d of the stream is %d, want %d", e.name, e.read+uint64(i), b, want)
			return
		}
	}
	e.read += uint64(len(got))
	if e.read > e.peer.written {
		w.fail("%c: %d octets read of %d written", e.name, e.read, e.peer.written)
	}
}

// stranger makes a segment to e of somebody who knows as much as suits him, but has nothing to say that the peer
// has not said: the text is the peer's own, and the stream must come out whole or not at all.
func (e *stateEnd) stranger() {
	w, c := e.world, &e.conn
	near := func() uint32 {
		switch w.rnd.IntN(8) {
		case 0:
			return w.rnd.Uint32()
		case 1:
			return 1<<31 + uint32(w.rnd.IntN(200_000)) - 100_000
		case 2:
			return 0
		}
		return uint32(w.rnd.IntN(8000)) - 4000
	}
	s := Segment{Flags: Flags(w.rnd.Uint32()) & 0x1ff &^ FIN, Window: uint16(w.rnd.Uint32()), Urgent: uint16(w.rnd.Uint32() >> w.rnd.IntN(16))}
	s.Seq, s.Ack = c.rcv.nxt.Add(near()), c.snd.una.Add(near())
	if w.one(2) {
		s.Flags |= ACK
	}
	if !w.one(20) {
		s.Flags &^= RST
	}
	s.Options = OptionSet(w.rnd.Uint32()) & (1<<7 - 1)
	s.MSS, s.WindowScale = uint16(w.rnd.Uint32()), uint8(w.rnd.IntN(16))
	s.TSVal, s.TSEcr = c.tsRecent+near(), c.tsNow(w.now)-uint32(w.rnd.IntN(5000))
	if s.Options&OptSACK != 0 {
		s.NumSACK = uint8(w.rnd.IntN(5))
		for i := range s.NumSACK {
			s.SACK[i] = Block{c.snd.una.Add(near()), c.snd.una.Add(near())}
		}
	}
	// The peer's stream begins after its SYN. What it has not sent yet nobody can know.
	p := &e.peer.conn
	if first := p.snd.iss.Add(1); e.began && p.state != Closed && p.state != SynSent && s.Flags&SYN == 0 && !s.Seq.LessThan(first) {
		place := uint64(s.Seq.Distance(first))
		if end := min(e.peer.written, uint64(p.snd.nxt.Distance(first))); place < end && end < 1<<31 {
			s.TextLen = uint32(min(end-place, uint64(w.rnd.IntN(3000))))
			s.Text.Data = make([]byte, s.TextLen)
			for i := range s.Text.Data {
				s.Text.Data[i] = e.peer.at(place + uint64(i))
			}
		}
	}
	if w.record != nil {
		w.record(w.now, e.peer, &s)
	}
	e.arrive(&s)
}

// timeout lets the deadlines of an end pass.
func (e *stateEnd) timeout() {
	var reply Segment
	switch {
	case e.half != nil:
		switch e.half.Timeout(e.env, &reply, e.world.now) {
		case Reply:
			e.Transmit(&reply)
		case Remove:
			e.half = nil
		case Drop, Complete, Reopen:
		}
	case e.tw == nil:
		if at := e.conn.Deadline(); at != 0 && at <= e.world.now {
			e.world.steps++
			e.conn.Timeout(e.world.now)
		}
	}
}

func (e *stateEnd) deadline() mono.Time {
	switch {
	case e.half != nil:
		return e.half.Deadline()
	case e.tw != nil:
		return 0
	}
	return e.conn.Deadline()
}

// pass lets time pass until the next deadline, or less.
func (w *stateWorld) pass(most time.Duration) {
	d := time.Duration(w.rnd.Int64N(int64(most)))
	next := w.now.Add(d)
	for _, e := range w.ends {
		if at := e.deadline(); at != 0 && at < next {
			next = max(at, w.now)
		}
	}
	w.now = next
	for _, e := range w.ends {
		e.timeout()
	}
}

// deliver takes a segment off the wire: usually the oldest.
func (w *stateWorld) deliver(reorder, lose, repeat int) {
	if len(w.wire) == 0 {
		return
	}
	i := 0
	if w.one(reorder) {
		i = w.rnd.IntN(len(w.wire))
	}
	f := w.wire[i]
	if !w.one(repeat) {
		w.wire = append(w.wire[:i], w.wire[i+1:]...)
	}
	if w.one(lose) {
		return
	}
	s := f.seg
	s.CE = s.ECT && w.one(10)
	s.Text.Data = bytes.Clone(s.Text.Data) // the receiver may change its copy
	if w.one(3) && s.TextLen > 0 {         // a frame that may be kept by reference
		span := w.alloc(len(s.Text.Data))
		span.Data = span.Data[:copy(span.Data, s.Text.Data)]
		s.Text = span
		f.to.arrive(&s)
		span.Release()
		return
	}
	f.to.arrive(&s)
}

// step does one thing of all that may happen.
func (w *stateWorld) step() {
	e := w.ends[w.rnd.IntN(2)]
	switch k := w.rnd.IntN(100); {
	case k < 50:
		w.deliver(4, 20, 20)
	case k < 62:
		e.write(1 + w.rnd.IntN(5000)>>w.rnd.IntN(13))
	case k < 75:
		e.take(1 + w.rnd.IntN(20_000)>>w.rnd.IntN(13))
	case k < 85:
		w.pass(50 * time.Millisecond)
	case k < 88:
		w.pass(20 * time.Second)
	case k < 90:
		e.conn.Output(w.now)
	case k < 92:
		e.userCall()
	case w.hostile:
		e.stranger()
	}
}

// userCall is one of the calls that are rare.
func (e *stateEnd) userCall() {
	w, c := e.world, &e.conn
	w.steps++
	switch w.rnd.IntN(24) {
	case 0:
		c.CloseWrite(w.now)
	case 1:
		c.Close(w.now)
		e.readShut = true
	case 2:
		c.CloseRead(w.now)
		e.readShut = true
	case 3:
		if w.one(4) {
			c.Abort(w.now)
		}
	case 4:
		if w.hostile {
			c.ICMPError(ICMPError{Errno: 113, Hard: w.one(2), MTU: w.rnd.IntN(2) * w.rnd.IntN(2000), Seq: c.snd.una.Add(uint32(w.rnd.IntN(3000)))}, w.now)
		}
	case 5:
		o := c.Options()
		o.NoDelay, o.Cork, o.QuickACK = w.one(2), w.one(4), w.one(2)
		o.RecvBuffer = int32(w.rnd.IntN(2) * (2304 + w.rnd.IntN(50_000)))
		c.SetOptions(&o, w.now)
	case 6:
		e.path.MTU = []int{576, 1500, 9000}[w.rnd.IntN(3)]
		c.SetPath(e.path, w.now)
	case 7:
		e.env.Pressure = Pressure(w.rnd.IntN(3))
	case 8:
		c.Info()
		c.Readable()
		c.Writable()
		c.EOF()
		c.AtMark()
	}
}

// over says whether both ends have come to their end.
func (w *stateWorld) over() bool {
	for _, e := range w.ends {
		if e.half != nil || !e.gone && e.tw == nil {
			return false
		}
	}
	return true
}

// finish ends an honest world: the wire loses nothing more, both users read on and close. Unless one of them gave
// up before, all that was written arrives.
func (w *stateWorld) finish() {
	for _, e := range w.ends {
		e.env.Pressure = Ample
		o := e.conn.Options()
		o.Cork = false
		e.conn.SetOptions(&o, w.now)
	}
	for range 20_000 {
		if w.err != "" || w.over() {
			break
		}
		for _, e := range w.ends {
			if e.conn.State() == Established || e.conn.State() == CloseWait {
				e.conn.CloseWrite(w.now)
			}
			if k := e.conn.Readable(); k > 0 {
				e.take(k)
			}
			e.settle()
		}
		if len(w.wire) == 0 && w.ends[0].deadline() == 0 && w.ends[1].deadline() == 0 {
			break
		}
		if len(w.wire) > 0 {
			w.deliver(1<<30, 1<<30, 1<<30)
		} else {
			w.pass(time.Hour)
		}
		for _, e := range w.ends {
			e.conn.Output(w.now)
			e.settle()
		}
	}
	for _, e := range w.ends {
		for e.conn.Readable() > 0 && w.err == "" {
			e.take(e.conn.Readable()) // a read stops at an urgent mark
		}
		clean := e.conn.Err() == 0 && e.peer.conn.Err() == 0 && !e.readShut && !e.peer.readShut && e.began && e.peer.began
		if clean && e.opts.UserTimeout == 0 && e.peer.opts.UserTimeout == 0 && e.read != e.peer.written {
			w.fail("%c: %d octets arrived of %d, states %v and %v", e.name, e.read, e.peer.written, e.conn.State(), e.peer.conn.State())
		}
	}
}

// run takes so many turns, and returns what went wrong.
func (w *stateWorld) run(turns int) (failure string) {
	defer func() {
		if p := recover(); p != nil {
			failure = fmt.Sprintf("step %d: panic: %v\n%s", w.steps, p, debug.Stack())
		}
	}()
	for range turns {
		if w.err != "" || w.over() {
			break
		}
		w.step()
		for _, e := range w.ends {
			e.settle()
		}
	}
	if !w.hostile && w.err == "" {
		w.finish()
	}
	for _, e := range w.ends {
		if e.conn.State() != Closed && e.conn.State() != TimeWaitState {
			e.conn.Abort(w.now)
		}
		if w.err == "" {
			e.conn.Release()
		}
	}
	if w.err == "" && w.held != 0 {
		w.fail("%d octets of storage are left", w.held)
	}
	return w.err
}

// stateTurns is the number of turns of one world.
func stateTurns(seed uint64) int { return 200 + int(seed*2654435761%3000) }

// TestStates runs random worlds, -state.steps steps in all, from -state.seed on. A failure is written down as a
// packet trace and runs again with `-state.seed N -state.steps 1`.
func TestStates(t *testing.T) {
	t.Run("F-FUZZ-2 random segments and calls in every state", func(t *testing.T) {
		seen := map[State]int{}
		for seed, steps := *stateSeed, 0; steps < *stateSteps; seed++ {
			w := newStateWorld(seed)
			failure := w.run(stateTurns(seed))
			steps += w.steps
			if failure != "" {
				name := filepath.Join(os.TempDir(), fmt.Sprintf("unet-state-%d.pcap", seed))
				trace, _ := traceWorld(seed)
				if err := os.WriteFile(name, trace, 0o644); err != nil {
					t.Error(err)
				}
				t.Fatalf("seed %d: %s\npackets in %s", seed, failure, name)
			}
			for _, e := range w.ends {
				seen[e.state]++
			}
		}
		t.Logf("how worlds ended: %v", seen)
	})
	t.Run("F-PCAP-1 a failure is written down with its seed, and comes again octet for octet", func(t *testing.T) {
		for seed := range uint64(20) {
			first, steps := traceWorld(seed)
			again, _ := traceWorld(seed)
			if !bytes.Equal(first, again) || len(first) < 24+16 {
				t.Fatalf("seed %d: %d and %d octets of trace in %d steps", seed, len(first), len(again), steps)
			}
		}
	})
}

// traceWorld runs the world of a seed and returns its packets as a pcap file of raw IPv4, and its steps.
func traceWorld(seed uint64) (pcap []byte, steps int) {
	var b bytes.Buffer
	header := []uint32{0xa1b23c4d, 2 | 4<<16, 0, 0, 1 << 16, 101} // nanoseconds, version 2.4, LINKTYPE_RAW
	_ = binary.Write(&b, binary.LittleEndian, header)             // to a buffer: never fails
	w := newStateWorld(seed)
	w.record = func(now mono.Time, from *stateEnd, s *Segment) {
		p := tracePacket(from.tuple, s)
		at := uint64(now)
		_ = binary.Write(&b, binary.LittleEndian, []uint32{uint32(at / 1e9), uint32(at % 1e9), uint32(len(p)), uint32(len(p))})
		b.Write(p)
	}
	w.run(stateTurns(seed))
	return b.Bytes(), w.steps
}

// tracePacket makes an IPv4 packet of a segment.
func tracePacket(t Tuple, s *Segment) []byte {
	h := format.TCP{SrcPort: t.Local.Port(), DstPort: t.Remote.Port(), Seq: uint32(s.Seq), Ack: uint32(s.Ack), Flags: uint16(s.Flags),
		Window: s.Window, Urgent: s.Urgent}
	o := &h.Options
	o.Has = uint16(s.Options) & uint16(OptMSS|OptWindowScale|OptSACKPermitted|OptTimestamps|OptSACK)
	o.MSS, o.WScale, o.TSVal, o.TSEcr, o.NumSACK = s.MSS, s.WindowScale, s.TSVal, s.TSEcr, min(s.NumSACK, 3)
	if o.Has&uint16(OptMSS) != 0 { // a SYN with blocks: no header has room for that
		o.Has, o.NumSACK = o.Has&^uint16(OptSACK), 0
	}
	for i := range o.NumSACK {
		o.SACK[i] = format.SACKBlock{Left: uint32(s.SACK[i].Left), Right: uint32(s.SACK[i].Right)}
	}
	var octets [format.TCPMaxLen]byte
	body := append([]byte(nil), octets[:h.Marshal(octets[:])]...)
	body = append(body, s.Text.Data...)
	for _, span := range s.Gather {
		body = append(body, span.Data...)
	}
	ip := format.IPv4{TotalLen: min(format.IPv4Len+len(body), 65535), DF: true, TTL: 64, Protocol: format.ProtocolTCP,
		Src: netip.Addr.As4(t.Local.Addr()), Dst: netip.Addr.As4(t.Remote.Addr())}
	p := make([]byte, format.IPv4Len)
	ip.Marshal(p)
	return append(p, body...)
}
