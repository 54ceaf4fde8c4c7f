package wheel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	"unsafe"
)

type timed struct {
	id    int
	node  Node[*timed]
	fired int
}

func newTimed(id int) *timed {
	t := &timed{id: id}
	t.node.Owner = t
	return t
}

// check verifies that the wheel's lists and bitmaps are consistent.
func (w *Wheel[T]) check(t *testing.T) {
	t.Helper()
	n := 0
	walk := func(l list[T], slot uint16) {
		if l.head == nil {
			return
		}
		for p := l.head; ; p = p.next {
			n++
			if p.slot != slot {
				t.Fatalf("node in list of slot %d says %d", slot, p.slot)
			}
			if p.next.prev != p {
				t.Fatalf("slot %d: broken link", slot)
			}
			if p.next == l.head {
				return
			}
		}
	}
	walk(w.due, isDue)
	walk(w.firing, isFiring)
	for l := range levels {
		if used := w.occupied[l] != 0; used != (w.used>>l&1 == 1) {
			t.Fatalf("level %d: used bit is %t", l, !used)
		}
		for i := range slots {
			set := w.occupied[l]>>i&1 == 1
			if full := w.level[l] != nil && w.level[l][i].head != nil; full != set {
				t.Fatalf("level %d slot %d: occupied bit is %t, list says %t", l, i, set, full)
			}
			if set {
				walk(w.level[l][i], uint16(first+l*slots+i))
				if at := int(w.now>>(l*digit)) & (slots - 1); i <= at {
					t.Fatalf("level %d: slot %d occupied, position is at %d", l, i, at)
				}
			}
		}
	}
	if n != w.Len() {
		t.Fatalf("Len() = %d, the lists hold %d", w.Len(), n)
	}
}

// TestModel runs random operations against a plain set of deadlines.
func TestModel(t *testing.T) {
	const nodes, operations = 300, 120_000
	rng := rand.New(rand.NewPCG(1, 2))
	now := int64(rng.Uint64N(1 << 50))
	w := New[*timed](now)
	all := make([]*timed, nodes)
	for i := range all {
		all[i] = newTimed(i)
	}
	model := map[int]int64{}
	delay := func() int64 { return int64(rng.Uint64N(1<<rng.UintN(44))) - 3 }
	arm := func(x *timed, at int64) {
		w.Arm(&x.node, at)
		model[x.id] = at
	}
	advance := func(to int64) {
		var late []int // armed from within fire, not to fire now
		var last int64 = math.MinInt64
		w.Advance(to, func(x *timed) {
			at, ok := model[x.id]
			if !ok || slices.Contains(late, x.id) {
				t.Fatalf("node %d fired, is it armed: %t", x.id, ok)
			}
			if at > to || x.node.Deadline() != at || x.node.Armed() {
				t.Fatalf("node %d fired at %d, deadline %d (node says %d, armed %t)", x.id, to, at, x.node.Deadline(), x.node.Armed())
			}
			if at > now && at>>(tickLevel*digit) < last>>(tickLevel*digit) {
				t.Fatalf("deadline %d fired after %d", at, last)
			}
			last = max(last, at)
			delete(model, x.id)
			switch rng.UintN(8) {
			case 0: // again, perhaps in the past
				arm(x, to+delay())
				late = append(late, x.id)
			case 1: // another node, which may be about to fire
				y := all[rng.IntN(nodes)]
				arm(y, to+delay())
				late = append(late, y.id)
			case 2:
				y := all[rng.IntN(nodes)]
				w.Disarm(&y.node)
				delete(model, y.id)
			}
		})
		for id, at := range model {
			if at <= to && !slices.Contains(late, id) {
				t.Fatalf("node %d lost: deadline %d, now %d", id, at, to)
			}
		}
		now = max(now, to)
	}
	for op := range operations {
		x := all[rng.IntN(nodes)]
		switch rng.UintN(10) {
		case 0, 1, 2, 3, 4:
			arm(x, now+delay())
		case 5, 6:
			w.Disarm(&x.node)
			delete(model, x.id)
		case 7:
			advance(now + int64(rng.Uint64N(1<<rng.UintN(36))))
		case 8:
			advance(now - int64(rng.Uint64N(100))) // a time that was read before that of the last call
		case 9:
			if next, ok := w.Next(); ok && next > now {
				advance(next)
			}
		}
		if x.node.Armed() != (modelHas(model, x.id)) || w.Len() != len(model) {
			t.Fatalf("op %d: Armed %t, Len %d, model %d", op, x.node.Armed(), w.Len(), len(model))
		}
		next, ok := w.Next()
		if ok != (len(model) > 0) {
			t.Fatalf("Next says %t with %d armed", ok, len(model))
		}
		for id, at := range model {
			if next > max(at, now) {
				t.Fatalf("op %d: Next %d, but node %d is due at %d", op, next, id, at)
			}
			break // map order picks one at random
		}
		if op%64 == 0 {
			w.check(t)
		}
	}
	advance(math.MaxInt64)
	advance(math.MaxInt64)
}

func modelHas(m map[int]int64, id int) bool { _, ok := m[id]; return ok }

// TestNextIsExact sleeps as the stack's goroutine does: every node fires at its deadline to the nanosecond,
// in order, whatever crowd it stands in, and Next always moves on.
func TestNextIsExact(t *testing.T) {
	for _, c := range []struct {
		name  string
		n     int
		delay func(*rand.Rand) time.Duration
	}{
		{"a few", 5, func(r *rand.Rand) time.Duration { return within(r, 10*time.Second) }},
		{"crowd in a millisecond", 3000, func(r *rand.Rand) time.Duration { return time.Hour + within(r, time.Millisecond) }},
		{"crowd in a nanosecond", 1000, func(*rand.Rand) time.Duration { return 15 * time.Second }},
		{"from a nanosecond to 60 years", 3000, func(r *rand.Rand) time.Duration { return time.Duration(r.Uint64N(1 << r.UintN(61))) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(3, 4))
			now := int64(rng.Uint64N(1 << 40))
			w := New[*timed](now)
			for i := range c.n {
				w.Arm(&newTimed(i).node, now+1+int64(c.delay(rng)))
			}
			wakeups, fired := 0, 0
			for {
				next, ok := w.Next()
				if !ok {
					break
				}
				if next <= now {
					t.Fatalf("Next went from %d to %d", now, next)
				}
				now = next
				wakeups++
				w.Advance(now, func(x *timed) {
					fired++
					if x.node.Deadline() != now {
						t.Fatalf("deadline %d fired at %d", x.node.Deadline(), now)
					}
				})
			}
			if fired != c.n {
				t.Fatalf("%d of %d fired", fired, c.n)
			}
			if wakeups > 2*c.n+levels {
				t.Errorf("%d wakeups for %d nodes", wakeups, c.n)
			}
		})
	}
}

func TestNext(t *testing.T) {
	var w Wheel[*timed]
	a, b := newTimed(0), newTimed(1)
	if _, ok := w.Next(); ok {
		t.Fatal("Next of an empty wheel says ok")
	}
	is := func(want int64) {
		t.Helper()
		if got, ok := w.Next(); !ok || got != want {
			t.Fatalf("Next() = %d, %t; want %d, true", got, ok, want)
		}
	}
	w.Arm(&a.node, 7_200_000_000_001)
	is(7_200_000_000_001)
	w.Arm(&b.node, 40_000_003)
	is(40_000_003)
	w.Arm(&b.node, 200_000_005) // later
	is(200_000_005)
	w.Disarm(&b.node)
	w.Disarm(&b.node)
	is(7_200_000_000_001)
	w.Arm(&a.node, -5)
	is(0)
	if !a.node.Armed() || b.node.Armed() || w.Len() != 1 {
		t.Fatalf("Armed %t, %t, Len %d", a.node.Armed(), b.node.Armed(), w.Len())
	}
	w.Disarm(&a.node)
	if _, ok := w.Next(); ok || w.Len() != 0 {
		t.Fatalf("Next says ok with nothing armed, Len %d", w.Len())
	}
}

// TestJump advances over two hours, and over centuries, in one call each.
func TestJump(t *testing.T) {
	w := New[*timed](int64(time.Hour))
	var deadlines []int64
	for i, d := range []time.Duration{2 * time.Hour, time.Millisecond, 3 * time.Second, 70 * time.Minute, 2 * time.Minute, 1} {
		w.Arm(&newTimed(i).node, int64(time.Hour+d))
		deadlines = append(deadlines, int64(time.Hour+d))
	}
	far := newTimed(99)
	w.Arm(&far.node, math.MaxInt64)
	var got []int64
	fire := func(x *timed) { got = append(got, x.node.Deadline()) }
	w.Advance(int64(3*time.Hour)-1, fire)
	slices.Sort(deadlines)
	if want := deadlines[:5]; !slices.Equal(got, want) {
		t.Fatalf("fired %v, want %v", got, want)
	}
	w.Advance(int64(3*time.Hour), fire)
	w.Advance(math.MaxInt64-1, fire)
	if !slices.Equal(got, deadlines) {
		t.Fatalf("fired %v, want %v", got, deadlines)
	}
	w.Advance(math.MaxInt64, fire)
	if len(got) != 7 || w.Len() != 0 {
		t.Fatalf("%d fired, %d left", len(got), w.Len())
	}
	w.check(t)
}

// TestArmInFire holds that a node armed by fire waits for a later Advance even when it is due already, so that
// a fire that always arms again cannot hold the wheel for ever.
func TestArmInFire(t *testing.T) {
	w := New[*timed](1000)
	x := newTimed(0)
	w.Arm(&x.node, 1000)
	for now := int64(1000); now < 1005; now++ {
		x.fired = 0
		w.Advance(now, func(x *timed) { x.fired++; w.Arm(&x.node, 1) })
		if x.fired != 1 || !x.node.Armed() {
			t.Fatalf("fired %d times, armed %t", x.fired, x.node.Armed())
		}
	}
}

// TestDisarmInFire holds that of two nodes due at once the one that fires first can keep the other from firing.
func TestDisarmInFire(t *testing.T) {
	w := New[*timed](0)
	a, b := newTimed(0), newTimed(1)
	w.Arm(&a.node, 10)
	w.Arm(&b.node, 10)
	w.Advance(10, func(x *timed) {
		x.fired++
		w.Disarm(&a.node)
		w.Disarm(&b.node)
	})
	if a.fired+b.fired != 1 || w.Len() != 0 {
		t.Fatalf("fired %d and %d times, Len %d", a.fired, b.fired, w.Len())
	}
}

func TestSize(t *testing.T) {
	if n := unsafe.Sizeof(Node[*timed]{}); n > 40 {
		t.Errorf("a node has %d octets, more than 40", n)
	}
	var w Wheel[*timed]
	if n := unsafe.Sizeof(w); n > 300 {
		t.Errorf("an empty wheel has %d octets, more than 300", n)
	}
}

func TestAllocs(t *testing.T) {
	w := New[*timed](0)
	all := make([]*timed, 100)
	for i := range all {
		all[i] = newTimed(i)
	}
	now := int64(1)
	w.Arm(&all[0].node, math.MaxInt64) // the highest level
	round := func() {
		for i, x := range all[1:] {
			w.Arm(&x.node, now+int64(i)<<(i%40))
		}
		w.Disarm(&all[7].node)
		w.Next()
		now += int64(10 * time.Second)
		w.Advance(now, func(x *timed) { w.Arm(&x.node, now+int64(time.Minute)) })
	}
	for range 1 << 14 { // two days: every level that two days can reach has been there
		round()
	}
	if n := testing.AllocsPerRun(1000, round); n != 0 {
		t.Errorf("%v allocations per round", n)
	}
}

// million returns a wheel with a million nodes armed within the next minute, as RTO and TIME-WAIT are.
func million() (*Wheel[*timed], []timed, *rand.Rand) {
	w := New[*timed](int64(time.Hour))
	all := make([]timed, 1_000_000)
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range all {
		all[i].node.Owner = &all[i]
		w.Arm(&all[i].node, int64(time.Hour+within(rng, time.Minute)))
	}
	return w, all, rng
}

// BenchmarkArm moves an armed node among a million.
func BenchmarkArm(b *testing.B) {
	w, all, rng := million()
	b.ReportAllocs()
	for b.Loop() {
		w.Arm(&all[rng.IntN(len(all))].node, int64(time.Hour+within(rng, time.Minute)))
	}
}

// BenchmarkArmDisarm arms and disarms the same node, as a request with its answer does, with Next between.
func BenchmarkArmDisarm(b *testing.B) {
	w, _, _ := million()
	x := newTimed(0)
	b.ReportAllocs()
	for b.Loop() {
		w.Arm(&x.node, int64(time.Hour+200*time.Millisecond))
		w.Next()
		w.Disarm(&x.node)
		w.Next()
	}
}

// BenchmarkAdvance lets a million nodes fire every minute and arm again: 16.7 a millisecond, and the cost is for
// each that fires.
func BenchmarkAdvance(b *testing.B) {
	w, _, rng := million()
	now := int64(time.Hour)
	fired := 0
	again := func(x *timed) {
		fired++
		w.Arm(&x.node, now+int64(within(rng, 2*time.Minute)))
	}
	b.ReportAllocs()
	for b.Loop() {
		for target := fired + 1; fired < target; {
			now += int64(time.Millisecond)
			w.Advance(now, again)
			w.Next()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(fired), "ns/fire")
}

// within returns a random duration below d.
func within(r *rand.Rand, d time.Duration) time.Duration { return time.Duration(r.Int64N(int64(d))) }
