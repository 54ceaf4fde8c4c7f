package wheel

// Node is one deadline in a wheel. It is embedded in the struct that it times, so arming allocates nothing. The
// zero value is disarmed. While armed, a node must neither be copied nor be given to another wheel.
type Node[T any] struct {
	next, prev *Node[T]
	deadline   int64
	slot       uint16

	// Owner is the argument with which Advance calls fire. The code that embeds the node sets it once, before the first
	// Arm.
	Owner T
}

// Armed reports whether the node waits for its deadline. While fire runs for a node the node is not armed any more.
func (n *Node[T]) Armed() bool { return n.slot != idle }

// Deadline returns the deadline that the node was last armed with, in nanoseconds.
func (n *Node[T]) Deadline() int64 { return n.deadline }

// list is a circular doubly linked list; its head's prev is its tail.
type list[T any] struct{ head *Node[T] }

func (l *list[T]) push(n *Node[T]) {
	h := l.head
	if h == nil {
		n.next, n.prev = n, n
		l.head = n
		return
	}
	n.next, n.prev = h, h.prev
	h.prev.next = n
	h.prev = n
}

func (l *list[T]) remove(n *Node[T]) {
	if n.next == n {
		l.head = nil
	} else {
		n.prev.next, n.next.prev = n.next, n.prev
		if l.head == n {
			l.head = n.next
		}
	}
	n.next, n.prev = nil, nil
}

// detach empties the list and returns its nodes as a chain that ends in nil.
func (l *list[T]) detach() *Node[T] {
	h := l.head
	if h != nil {
		h.prev.next = nil
		l.head = nil
	}
	return h
}
