package link

// Headroom is the number of octets that stay free in front of a frame's Header in its Buffer, so that a
// device can put a header of its own there without a copy.
const Headroom = 16

// Segmentation is the kind of super-segment that a frame carries.
type Segmentation uint8

const (
	// NoSegmentation marks a frame that goes over the wire as it is.
	NoSegmentation Segmentation = iota
	// TCP4 marks a TCP super-segment over IPv4.
	TCP4
	// TCP6 marks a TCP super-segment over IPv6.
	TCP6
)

// Meta is the information about a frame that is not in its octets: the offloads that the virtio network header names.
type Meta struct {
	// NeedsChecksum says that the checksum of the transport header at ChecksumStart is incomplete: its
	// field holds the folded sum of the pseudo-header, not complemented. On Write the device completes it
	// or tells its peer not to check it; on Read such a frame never left the machine and is trusted.
	NeedsChecksum bool
	// ChecksumValid says on Read that the device has verified the transport checksum.
	ChecksumValid bool
	// ChecksumStart is the offset in the frame of the transport header, ChecksumOffset that of the
	// checksum field within it.
	ChecksumStart, ChecksumOffset uint16
	// GSO is the kind of super-segment, GSOSize the number of payload octets of each segment that it is cut into, and
	// HeaderLen the length of all headers in front of the payload.
	GSO       Segmentation
	GSOSize   uint16
	HeaderLen uint16
}

// Span is a run of octets and the buffer that holds them. Buf is nil where the octets are not pooled.
type Span struct {
	Data []byte
	Buf  *Buffer
}

// Frame is one frame. Header and Payload together, in that order, are its octets. The zero value is empty.
type Frame struct {
	// Header holds the frame's first octets, from the link header on; on a received frame all of them.
	Header []byte
	// Payload holds the octets that follow Header, in spans. The frame owns a reference to the buffer of each span.
	Payload []Span
	// Meta is the offload metadata.
	Meta Meta

	buf   *Buffer
	start int
}

// Set makes Header the octets [start, end) of b and takes ownership of one reference to b. The octets of b
// in front of start are the frame's headroom.
func (f *Frame) Set(b *Buffer, start, end int) {
	f.buf, f.start = b, start
	f.Header = b.data[start:end]
}

// Append adds a span to Payload and takes a new reference to b, which may be nil.
func (f *Frame) Append(data []byte, b *Buffer) {
	if b != nil {
		b.Retain()
	}
	f.Payload = append(f.Payload, Span{Data: data, Buf: b})
}

// Buffer returns the buffer of Header, which the caller borrows; nil where there is none.
func (f *Frame) Buffer() *Buffer { return f.buf }

// Share returns a frame of the same octets with a reference of its own to the buffer of Header. It returns false where f
// is not in one piece, or where there are other references to its buffer, whose holders might use the headroom.
func (f *Frame) Share() (shared Frame, ok bool) {
	if f.buf == nil || len(f.Payload) > 0 || f.buf.refs.Load() != 1 {
		return Frame{}, false
	}
	f.buf.Retain()
	return Frame{Header: f.Header, Meta: f.Meta, buf: f.buf, start: f.start}, true
}

// Prepend returns the n octets in front of Header, followed by Header, and leaves Header as it is. It
// returns nil where the headroom is too small. Only the device that Write was called on may call it.
func (f *Frame) Prepend(n int) []byte {
	if f.buf == nil || f.start < n {
		return nil
	}
	return f.buf.data[f.start-n : f.start+len(f.Header)]
}

// Len returns the length of the frame in octets.
func (f *Frame) Len() int {
	n := len(f.Header)
	for i := range f.Payload {
		n += len(f.Payload[i].Data)
	}
	return n
}

// CopyTo copies the frame's octets to p and returns their number, at most len(p).
func (f *Frame) CopyTo(p []byte) int {
	n := copy(p, f.Header)
	for i := range f.Payload {
		n += copy(p[n:], f.Payload[i].Data)
	}
	return n
}

// Own copies the frame into a buffer of its own if it refers to memory of a Loan, so that it can be kept.
func (f *Frame) Own() {
	lent := false
	for i := range f.Payload {
		b := f.Payload[i].Buf
		lent = lent || b != nil && b.class == loaned
	}
	if !lent {
		return
	}
	n := f.Len()
	b := NewBuffer(Headroom + n)
	f.CopyTo(b.data[Headroom:])
	meta := f.Meta
	f.Release()
	f.Meta = meta
	f.Set(b, Headroom, Headroom+n)
}

// Release gives back the frame's references and empties it. Payload keeps its array for the next use.
func (f *Frame) Release() {
	if f.buf != nil {
		f.buf.Release()
	}
	for i := range f.Payload {
		if b := f.Payload[i].Buf; b != nil {
			b.Release()
		}
		f.Payload[i] = Span{}
	}
	*f = Frame{Payload: f.Payload[:0]}
}
