package tcp

import "github.com/unet-go/unet/internal/span"

// OptionSet says which options a segment carries. The bits are those of wire.TCPOptions.Has.
type OptionSet uint16

// The options.
const (
	OptMSS OptionSet = 1 << iota
	OptWindowScale
	OptSACKPermitted
	OptTimestamps
	OptSACK
	OptFastOpen
	OptUserTimeout
)

// Block is a run of sequence numbers [Left, Right) (RFC 2018 3).
type Block struct{ Left, Right Seq }

// Storage is the reference-counted memory behind a Span: Retain adds a reference, Release gives one back, and Cap returns
// the octets that a reference pins. *link.Buffer is one.
type Storage = span.Storage

// Span is a run of octets, Data, and the storage that holds them, Owner. A nil Owner means that the octets are borrowed
// for the call and must be copied to be kept.
type Span = span.Span

// Segment is a decoded segment on its way in or a description of one on its way out.
type Segment struct {
	Seq, Ack Seq
	Flags    Flags
	// Window and Urgent are the header's raw fields: the window is not scaled.
	Window, Urgent uint16

	Options      OptionSet
	MSS          uint16
	WindowScale  uint8
	NumSACK      uint8
	TSVal, TSEcr uint32
	SACK         [4]Block
	FastOpen     FastOpenCookie

	// CE says that the IP header of an incoming segment carried Congestion Experienced (RFC 3168 5).
	CE bool
	// ECT asks that the IP header of an outgoing segment says ECT(0); that of an incoming one said ECT or CE.
	ECT bool

	// Text is the payload of an incoming segment. The connection borrows it, and takes a reference of its
	// own to keep it.
	Text Span
	// Gather is the payload of an outgoing segment, in order; the Sink borrows it and takes references of
	// its own. TextLen is the payload's length in octets, in and out.
	Gather  []Span
	TextLen uint32
	// GSOSize is the payload of each segment that an outgoing super-segment stands for; 0 for a plain one.
	GSOSize uint16
}

// Has says whether the segment carries all of the control bits f.
func (s *Segment) Has(f Flags) bool { return s.Flags&f == f }

// Len returns SEG.LEN: the octets of text, counting SYN and FIN (RFC 9293 3.4).
func (s *Segment) Len() uint32 {
	n := s.TextLen
	if s.Flags&SYN != 0 {
		n++
	}
	if s.Flags&FIN != 0 {
		n++
	}
	return n
}

// End returns the sequence number that follows the segment.
func (s *Segment) End() Seq { return s.Seq.Add(s.Len()) }

// acceptable is the four-case test of RFC 9293 3.4 for a receiver that expects nxt and has a window of wnd octets.
func (s *Segment) acceptable(nxt Seq, wnd uint32) bool {
	n := s.Len()
	switch {
	case n == 0 && wnd == 0:
		return s.Seq == nxt
	case n == 0:
		return s.Seq.InWindow(nxt, wnd)
	case wnd == 0:
		return false
	}
	// The third case, a segment around the whole window, goes by its length: what stands 2^31 away is neither
	// before nor after the window.
	return s.Seq.InWindow(nxt, wnd) || s.End().Sub(1).InWindow(nxt, wnd) || uint64(n) > uint64(nxt.Distance(s.Seq))+uint64(wnd)
}
