// Package fifo is a first-in-first-out queue in one array that is used again and again.
package fifo

// Queue is a queue of values, first in first out. The zero value is empty and ready.
//
// The values stand in a slice, those that have left in front of the first one. When the slice is full and at least half of
// it has left, the others move to the front instead of to a larger array: each value is moved once at most for each that
// leaves, and the array is at most four times as large as what waited at one time.
type Queue[T any] struct {
	items []T
	head  int // the index of the first value
}

// Len returns how many values there are.
func (q *Queue[T]) Len() int { return len(q.items) - q.head }

// Cap returns how many values the array has room for.
func (q *Queue[T]) Cap() int { return cap(q.items) }

// Push appends v.
func (q *Queue[T]) Push(v T) {
	if len(q.items) == cap(q.items) && q.head > 0 {
		q.makeRoom()
	}
	q.items = append(q.items, v)
}

// makeRoom moves the values to the front of the array if that is worth it.
func (q *Queue[T]) makeRoom() {
	if q.head < len(q.items)/2 {
		return
	}
	n := copy(q.items, q.items[q.head:])
	clear(q.items[n:])
	q.items, q.head = q.items[:n], 0
}

// Items returns the values in order. The slice is valid until the next call that changes the queue; its elements may be
// changed.
func (q *Queue[T]) Items() []T { return q.items[q.head:] }

// First returns the first value, which must exist. The pointer is valid until the next call that changes the queue.
func (q *Queue[T]) First() *T { return &q.items[q.head] }

// Last returns the last value, which must exist, as First does.
func (q *Queue[T]) Last() *T { return &q.items[len(q.items)-1] }

// Pop removes the first value, which must exist.
func (q *Queue[T]) Pop() {
	var zero T
	q.items[q.head] = zero // what it refers to is not kept alive
	if q.head++; q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
}

// DropLast removes the last value, which must exist.
func (q *Queue[T]) DropLast() {
	var zero T
	n := len(q.items) - 1
	q.items[n] = zero
	if q.items = q.items[:n]; q.head == n {
		q.items, q.head = q.items[:0], 0
	}
}

// Reset removes all values and keeps the array.
func (q *Queue[T]) Reset() {
	if q.head < len(q.items) {
		clear(q.items[q.head:])
	}
	q.items, q.head = q.items[:0], 0
}
