package stack

import "github.com/unet-go/unet/stack/tcp"

// Readiness says what a connection, listener or UDP socket is ready for, as poll(2) does.
type Readiness uint8

const (
	// ReadyIn: a read returns at once, or Accept does.
	ReadyIn Readiness = 1 << iota
	// ReadyOut: a write takes at least one octet or fails at once.
	ReadyOut
	// ReadyRdHup: the peer sends no more, or the read side is shut down.
	ReadyRdHup
	// ReadyHup: both directions have ended.
	ReadyHup
	// ReadyErr: TakeError would return an error.
	ReadyErr
	// ReadyPri: the peer has announced urgent data that was neither taken nor passed; it may be on its way.
	ReadyPri

	// ReadyAll is every one of them.
	ReadyAll = ReadyIn | ReadyOut | ReadyRdHup | ReadyHup | ReadyErr | ReadyPri
)

// Watcher is told when a connection, listener or UDP socket may have become ready for more. A socket has at
// most one, and keeps only a reference to it: no goroutine and no queue.
type Watcher interface {
	// Wake is called after something has happened that may have made the socket ready for edges. New text, for
	// instance, is reported as ReadyIn even while older text is unread. Ready returns the present Readiness, which
	// may be less. No lock of the stack is held during the call. Any number of goroutines may make it at once and
	// in any order, and it must not wait. Calls that began before Watch(nil) may end after it.
	Wake(edges Readiness)
}

// edgesOf returns what the events of a TCB can have made a connection ready for. A change of state counts for all of it,
// as in Linux.
func edgesOf(events tcp.Event, moved bool) Readiness {
	if moved || events&(tcp.Connected|tcp.EnteredTimeWait|tcp.Gone) != 0 {
		return ReadyAll
	}
	var edges Readiness
	if events&tcp.Readable != 0 {
		edges |= ReadyIn
	}
	if events&tcp.Urgent != 0 {
		edges |= ReadyPri
	}
	if events&tcp.Writable != 0 {
		edges |= ReadyOut
	}
	return edges
}
