// Package span is how the rooms of the stack pass octets on without a copy.
package span

// Storage is the reference-counted memory behind a Span; *link.Buffer is one.
type Storage interface {
	// Retain adds a reference.
	Retain()
	// Release gives one back.
	Release()
	// Cap returns the octets that a reference pins.
	Cap() int
}

// Span is a run of octets and the storage that holds them. A nil Owner means that the octets are borrowed
// for the call and must be copied to be kept.
type Span struct {
	Data  []byte
	Owner Storage
}

// Pinned returns the octets that a span pins.
func (s *Span) Pinned() int {
	if s.Owner == nil {
		return 0
	}
	return s.Owner.Cap()
}

// Release gives back the reference of a span that has one, and empties it.
func (s *Span) Release() {
	if s.Owner != nil {
		s.Owner.Release()
	}
	*s = Span{}
}
