// Package wheel is a hierarchical timer wheel with intrusive nodes (Varghese and Lauck, scheme 7). It knows
// neither clock nor goroutine nor lock: time is a parameter, and the caller serialises the calls.
//
// Level l has 64 slots of 64^l nanoseconds, so eleven levels hold every deadline that fits into an int64 and
// there is no overflow list. A node stands at the level of the highest base-64 digit in which its deadline
// differs from the wheel's position, in the slot of that digit. Hence all of level l comes before all of level
// l+1, and the earliest slot is found with two bit scans, however far away it is. As the position enters a
// slot, the slot's nodes move to lower levels: a node moves at most ten times in its life, in practice two or
// three, because the low levels serve only what is due within microseconds.
package wheel

import "math/bits"

const (
	digit  = 6
	slots  = 1 << digit
	levels = 11

	// tickLevel is the highest level whose slots may fire as a whole: a tick of 2^18 ns, about 0.26 ms.
	// Advance sorts no finer than that when it has fallen behind.
	tickLevel = 3
	// scan is the number of nodes in the earliest slot that Next looks at for an exact answer.
	scan = 8
)

// The values of Node.slot. From first on it is first + level*slots + index.
const (
	idle = iota
	isDue
	isFiring
	first
)

// Wheel holds nodes until their deadlines. Times are nanoseconds since an epoch of the caller's choice, not
// negative. The zero value is an empty wheel that stands at time 0. It takes under 300 octets, and 512 more
// for each level that was ever used. T is a pointer to what a deadline belongs to: all pointers share the code.
type Wheel[T any] struct {
	// now is the wheel's position. All nodes in slots have later deadlines; it may lag behind the last
	// Advance when that had nothing to do.
	now int64
	// next caches the answer of Next; it is valid if nextOK is set.
	next   int64
	nextOK bool
	len    int

	used     uint16         // levels with an occupied slot, a bit each
	occupied [levels]uint64 // slots with a node, a bit each
	level    [levels]*[slots]list[T]

	due    list[T] // armed with a deadline at or before now
	firing list[T] // taken by Advance, fire not yet called
}

// New returns an empty wheel that stands at now.
func New[T any](now int64) *Wheel[T] { return &Wheel[T]{now: max(now, 0)} }

// Len returns the number of armed nodes.
func (w *Wheel[T]) Len() int { return w.len }

// Arm makes n fire at the first Advance whose now is at or past deadline. An armed node moves. A deadline that
// has passed already fires at the next Advance, even from within fire. O(1).
func (w *Wheel[T]) Arm(n *Node[T], deadline int64) {
	if n.slot != idle {
		w.unlink(n)
		w.len--
	}
	n.deadline = deadline
	w.place(n)
	if w.len == 0 {
		w.next, w.nextOK = max(deadline, w.now), true
	} else if w.nextOK {
		w.next = min(w.next, max(deadline, w.now))
	}
	w.len++
}

// Disarm makes n not fire. It does nothing when n is not armed. O(1).
func (w *Wheel[T]) Disarm(n *Node[T]) {
	if n.slot == idle {
		return
	}
	w.unlink(n)
	n.slot = idle
	w.len--
}

// place links n into the slot of its deadline.
func (w *Wheel[T]) place(n *Node[T]) {
	if n.deadline <= w.now {
		n.slot = isDue
		w.due.push(n)
		return
	}
	l := (bits.Len64(uint64(n.deadline^w.now)) - 1) / digit
	i := int(n.deadline>>(l*digit)) & (slots - 1)
	if w.level[l] == nil {
		w.level[l] = new([slots]list[T])
	}
	n.slot = uint16(first + l*slots + i)
	w.level[l][i].push(n)
	w.occupied[l] |= 1 << i
	w.used |= 1 << l
}

// unlink takes n out of its list; the caller sets slot.
func (w *Wheel[T]) unlink(n *Node[T]) {
	if n.deadline <= w.next {
		w.nextOK = false
	}
	switch n.slot {
	case isDue:
		w.due.remove(n)
	case isFiring:
		w.firing.remove(n)
	default:
		l, i := int(n.slot-first)/slots, int(n.slot-first)%slots
		s := &w.level[l][i]
		s.remove(n)
		if s.head == nil {
			w.vacate(l, i)
		}
	}
}

func (w *Wheel[T]) vacate(l, i int) {
	w.occupied[l] &^= 1 << i
	if w.occupied[l] == 0 {
		w.used &^= 1 << l
	}
}

// earliest returns the level, index and first nanosecond of the earliest occupied slot; w.used is not zero.
func (w *Wheel[T]) earliest() (l, i int, start int64) {
	l = bits.TrailingZeros16(w.used)
	i = bits.TrailingZeros64(w.occupied[l])
	shift := l * digit
	above := w.now &^ (int64(1)<<(shift+digit) - 1)
	return l, i, above | int64(i)<<shift
}

// Next returns a time that no armed deadline precedes and that Advance should next be called with; ok is false
// when nothing is armed. Mostly it is the earliest deadline itself. When many nodes crowd the slot where that
// lies it is the slot's beginning instead: Advance then fires nothing, and the next answer is closer. So a caller that
// sleeps until Next and calls Advance, again and again, fires every node at exactly its deadline. For a deadline
// that has passed it is a time at or before the latest Advance. O(1).
func (w *Wheel[T]) Next() (deadline int64, ok bool) {
	if w.len == 0 {
		return 0, false
	}
	if !w.nextOK {
		w.next, w.nextOK = w.find(), true
	}
	return w.next, true
}

// find computes Next; the wheel is not empty.
func (w *Wheel[T]) find() int64 {
	if w.due.head != nil || w.firing.head != nil {
		return w.now
	}
	l, i, start := w.earliest()
	head := w.level[l][i].head
	earliest := head.deadline
	n := head.next
	for range scan - 1 {
		if n == head {
			return earliest
		}
		earliest = min(earliest, n.deadline)
		n = n.next
	}
	if n == head {
		return earliest
	}
	return start
}

// Advance moves the wheel to now and calls fire with the owner of every node whose deadline is at or before
// now. The order is that of the deadlines, except that nodes due within the same quarter of a millisecond
// come in any order. A node is disarmed before fire is called for it. The function fire may arm and
// disarm any node of the wheel; a node that it disarms does not fire, and a node that it arms fires at a later Advance.
// A now before that of an earlier call is allowed and fires only nodes whose deadline it has reached.
//
// The cost is O(1) for each node that fires and for each slot that has nodes, however much time has passed.
func (w *Wheel[T]) Advance(now int64, fire func(T)) {
	if w.nextOK && now < w.next && w.due.head == nil && w.firing.head == nil {
		return
	}
	if w.len == 0 {
		w.now = max(w.now, now)
		return
	}
	w.nextOK = false
	w.collectDue(now)
	w.collectSlots(now)
	for w.firing.head != nil {
		n := w.firing.head
		w.Disarm(n)
		fire(n.Owner)
	}
}

func (w *Wheel[T]) take(n *Node[T]) {
	n.slot = isFiring
	w.firing.push(n)
}

// collectDue moves nodes from due to firing: their deadlines had passed when they were armed, so they are in no slot.
func (w *Wheel[T]) collectDue(now int64) {
	for n := w.due.detach(); n != nil; {
		next := n.next
		if n.deadline <= now {
			w.take(n)
		} else { // the caller's now went back
			n.slot = isDue
			w.due.push(n)
		}
		n = next
	}
}

// collectSlots moves the nodes whose deadline is at or before now to firing, slot by slot, and the position to now.
func (w *Wheel[T]) collectSlots(now int64) {
	for w.used != 0 {
		l, i, start := w.earliest()
		if start > now {
			break
		}
		chain := w.level[l][i].detach()
		w.vacate(l, i)
		// Slots of a tick or less are sorted no further. Of larger ones the position enters only the
		// beginning, and their nodes come by again in a lower level.
		limit := start
		if l <= tickLevel {
			limit = min(now, start+int64(1)<<(l*digit)-1)
		}
		w.now = limit
		for n := chain; n != nil; {
			next := n.next
			if n.deadline <= limit {
				w.take(n)
			} else {
				w.place(n)
			}
			n = next
		}
	}
	w.now = max(w.now, now)
}
