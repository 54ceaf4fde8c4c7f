// Package span has the type with which the packages of the stack pass octets on without a copy.
package span

// Storage is the reference-counted memory behind a Span; *link.Buffer is one.
type Storage interface {
	// Retain adds a reference.
	Retain()
	// Release gives one back.
	Release()
	// Cap returns the number of octets that a reference keeps in memory.
	Cap() int
}

// Span is a run of octets and the storage that holds them. A nil Owner means that the octets are borrowed
// for the call and must be copied to be kept.
type Span struct {
	Data  []byte
	Owner Storage
}

// Pinned returns the number of octets that a span keeps in memory.
func (s *Span) Pinned() int {
	if s.Owner == nil {
		return 0
	}
	return s.Owner.Cap()
}

// Release releases the reference of a span, if it has one, and empties the span.
func (s *Span) Release() {
	if s.Owner != nil {
		s.Owner.Release()
	}
	*s = Span{}
}
