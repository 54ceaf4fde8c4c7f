package tcp

// Seq is a sequence number. The space is a ring of 2^32: numbers are compared with the methods, never
// with < (RFC 9293 3.4).
type Seq uint32

// LessThan says whether s stands before t.
func (s Seq) LessThan(t Seq) bool { return int32(s-t) < 0 }

// LessThanEq says whether s stands before t or is t.
func (s Seq) LessThanEq(t Seq) bool { return int32(s-t) <= 0 }

// Add returns the number n octets after s.
func (s Seq) Add(n uint32) Seq { return s + Seq(n) }

// Sub returns the number n octets before s.
func (s Seq) Sub(n uint32) Seq { return s - Seq(n) }

// Distance returns the octets from t up to s, which must not stand before t.
func (s Seq) Distance(t Seq) uint32 { return uint32(s - t) }

// InWindow says whether s lies in the n octets that begin at first.
func (s Seq) InWindow(first Seq, n uint32) bool { return uint32(s-first) < n }

func maxSeq(a, b Seq) Seq {
	if a.LessThan(b) {
		return b
	}
	return a
}

func minSeq(a, b Seq) Seq {
	if b.LessThan(a) {
		return b
	}
	return a
}
