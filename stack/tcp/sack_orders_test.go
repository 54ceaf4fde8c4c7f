package tcp

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/unet-go/unet/internal/fifo"
)

// sackModel is what RFC 2018 and RFC 2883 ask of a receiver, from the set of octets alone: text comes in units, and
// the whole stream is so many of them.
type sackModel struct {
	held uint16 // units that have arrived
	nxt  int    // units in order
	// seeds are where the segments ahead of a gap began, newest first: each stands for the run that it is part of.
	seeds []int
}

// unitRun is a run of units [left, right).
type unitRun struct{ left, right int }

func (m *sackModel) has(unit int) bool { return unit >= 0 && unit < 16 && m.held>>unit&1 != 0 }

// run returns the units held around one of them.
func (m *sackModel) run(unit int) unitRun {
	r := unitRun{unit, unit}
	for m.has(r.left - 1) {
		r.left--
	}
	for m.has(r.right) {
		r.right++
	}
	return r
}

// arrive takes a segment and returns the blocks of the acknowledgment: the first duplicate part of the segment, then
// the run that the segment is part of, then the others in the order in which they were last first.
func (m *sackModel) arrive(s unitRun, room int) (blocks []unitRun) {
	for u := s.left; u < s.right; u++ {
		if m.has(u) {
			end := u
			for end < s.right && m.has(end) {
				end++
			}
			blocks = append(blocks, unitRun{u, end})
			break
		}
	}
	for u := s.left; u < s.right; u++ {
		m.held |= 1 << u
	}
	m.nxt = m.run(0).right
	if s.left > m.nxt {
		m.seeds = append([]int{s.left}, m.seeds...)
	}
	var known []unitRun
	for _, seed := range m.seeds {
		r, again := m.run(seed), seed < m.nxt
		for _, k := range known {
			again = again || k == r
		}
		if !again {
			known = append(known, r)
		}
	}
	blocks = append(blocks, known...)
	return blocks[:min(len(blocks), room)]
}

// sackOrders hands segments to a connection in every order, with every overlap, and compares with the model.
type sackOrders struct {
	*lab
	unit, units int
	byReference bool // text comes in storage that is worth a reference
	fin         bool // a segment that reaches the end carries the FIN
	room        int
	stream      []byte
	tried       int
}

func newSACKOrders(t *testing.T, units int) *sackOrders {
	return &sackOrders{lab: newLab(t, Config{}, Options{Linger: -1, NoDelay: true}, func(s *Segment) {
		s.Options |= OptSACKPermitted
	}), unit: 100, units: units, room: 4}
}

// fill makes the stream, of which no two stretches are alike.
func (o *sackOrders) fill() *sackOrders {
	r := rand.New(rand.NewPCG(3, 4))
	o.stream = make([]byte, o.unit*o.units)
	for i := range o.stream {
		o.stream[i] = byte(r.Uint32())
	}
	return o
}

// fork returns a copy of the connection that shares no queue with it.
func (o *sackOrders) fork() *sackOrders {
	f := *o
	l := *o.lab
	f.lab, l.out = &l, nil
	c := &l.conn
	c.out = &l
	if c.rx != nil {
		rx := *c.rx
		own := func(s Span) Span {
			room := make([]byte, len(s.Data), cap(s.Data))
			copy(room, s.Data)
			return Span{Data: room, Owner: s.Owner}
		}
		rx.spans = fifo.Queue[Span]{}
		for _, s := range c.rx.spans.Items() {
			rx.spans.Push(own(s))
		}
		rx.ooo.pieces = make([]piece, len(c.rx.ooo.pieces))
		for i, p := range c.rx.ooo.pieces {
			rx.ooo.pieces[i] = piece{p.seq, own(p.span)}
		}
		c.rx = &rx
	}
	return &f
}

// arrive hands one segment over and checks the acknowledgment and the text that can be read.
func (o *sackOrders) arrive(m *sackModel, s unitRun, history []unitRun) {
	in := Segment{Seq: o.irs.Add(1 + uint32(s.left*o.unit)), Ack: o.conn.snd.nxt, Flags: ACK, Window: 65535}
	data := o.stream[s.left*o.unit : s.right*o.unit]
	in.Text, in.TextLen = Span{Data: data}, uint32(len(data))
	if o.byReference {
		in.Text.Owner = &plain{len(data)}
	}
	if o.fin && s.right == o.units {
		in.Flags |= FIN
	}
	if o.ts {
		in.Options, in.TSVal, in.TSEcr = OptTimestamps, o.tsval, o.tsecr
	}
	o.conn.SegmentArrives(&in, o.now)
	o.conn.Output(o.now)
	want := fmt.Sprint(m.arrive(s, o.room))
	if len(o.out) != 1 {
		o.t.Fatalf("%v then %v: %d segments", history, s, len(o.out))
	}
	out := &o.out[0]
	var got []unitRun
	for _, b := range out.SACK[:out.NumSACK] {
		got = append(got, unitRun{o.at(b.Left), o.at(b.Right)})
	}
	ack := m.nxt*o.unit + 1
	if o.fin && m.nxt == o.units {
		ack++
	}
	if fmt.Sprint(got) != want || out.Ack != o.irs.Add(uint32(ack)) {
		o.t.Fatalf("%v then %v: ACK %d, blocks %v; want ACK %d, blocks %v", history, s,
			out.Ack.Distance(o.irs), got, ack, want)
	}
	have := make([]byte, len(o.stream)+1)
	have = have[:o.conn.Peek(have)]
	if !bytes.Equal(have, o.stream[:m.nxt*o.unit]) {
		o.t.Fatalf("%v then %v: the %d octets that can be read are not the stream's", history, s, len(have))
	}
	o.out = o.out[:0]
	o.tried++
}

// at returns the unit that begins at a number.
func (o *sackOrders) at(s Seq) int {
	n := int(s.Distance(o.irs)) - 1
	if n%o.unit != 0 {
		o.t.Fatalf("a block ends at %d, in the midst of what came in one piece", n+1)
	}
	return n / o.unit
}

// all tries every further sequence of depth segments.
func (o *sackOrders) all(m sackModel, history []unitRun, depth int) {
	for left := range o.units {
		for right := left + 1; right <= o.units; right++ {
			f, next := o.fork(), m
			s := unitRun{left, right}
			f.arrive(&next, s, history)
			o.tried += f.tried - o.tried
			if depth > 1 {
				f.all(next, append(history, s), depth-1)
				o.tried = f.tried
			}
		}
	}
}

// TestSACKOrders lets up to five segments come in every order, whatever they have in common with each other, and
// compares each acknowledgment, and all that can be read, with the model: a D-SACK of the first duplicate part, the
// whole run that has just grown, and the other runs, the latest first (RFC 2018 4, RFC 2883 4).
func TestSACKOrders(t *testing.T) {
	variants := []struct {
		name string
		set  func(o *sackOrders)
	}{
		{"C-SACK-2 C-DSACK-1 copied text", func(o *sackOrders) {}},
		{"C-SACK-2 C-DSACK-1 text by reference", func(o *sackOrders) { o.byReference = true }},
		{"C-SACK-2 C-DSACK-1 more than fits behind a piece", func(o *sackOrders) { o.unit = 150 }},
		{"C-DSACK-1 the last one with FIN", func(o *sackOrders) { o.fin = true }},
		{"C-SACK-3 C-DSACK-1 with timestamps", func(o *sackOrders) {
			o.lab, o.room = sacking(o.t), 3
		}},
		{"C-DSACK-1 near the end of the ring", func(o *sackOrders) {
			c := &o.conn
			far := Seq(1<<32 - 250)
			c.rcv.nxt, c.rcv.acked, c.rcv.edge = far, far, far.Add(c.rcv.wnd())
			c.snd.wl1, o.irs = far.Sub(1), far.Sub(1)
		}},
	}
	for i, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			depth := 4
			if i == 0 && !testing.Short() {
				depth = 5
			}
			o := newSACKOrders(t, 5)
			v.set(o)
			o.fill().all(sackModel{}, nil, depth)
			if want := []int{4: 54240, 5: 813615}[depth]; o.tried != want {
				t.Errorf("%d segments were tried, not %d", o.tried, want)
			}
		})
		t.Run(v.name+", many small ones", func(t *testing.T) {
			r := rand.New(rand.NewPCG(5, 6))
			o := newSACKOrders(t, 8) // no more than four runs ahead of the gap, which is what is remembered
			v.set(o)
			o.fill()
			for range 3000 {
				f, m := o.fork(), sackModel{}
				var history []unitRun
				for range 9 {
					left := r.IntN(f.units)
					s := unitRun{left, min(left+1+r.IntN(3), f.units)}
					f.arrive(&m, s, history)
					history = append(history, s)
				}
			}
		})
	}
}
