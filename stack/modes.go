package stack

// How messages are read and written.

// ReadMode says how ReadMsg reads.
type ReadMode struct {
	// Try takes what is there, and returns EAGAIN when there is nothing, instead of waiting.
	Try bool
	// Peek leaves the text where it is.
	Peek bool
	// Discard drops the text instead of copying it: bufs only say how much.
	Discard bool
	// All waits until bufs are full, and not only for tcp.Options.RecvLowat octets. A read that ends early
	// returns what it has taken, and the next one returns the reason.
	All bool
}

// WriteMode says how WriteMsg writes.
type WriteMode struct {
	// Try takes as many octets as there is room for, and returns EAGAIN when there is none, instead of waiting.
	Try bool
	// Urgent makes the last octet urgent data: see WriteUrgent.
	Urgent bool
	// More says that more will follow: a partial segment at the end waits for it, 200 ms at most. MSG_MORE.
	More bool
}
