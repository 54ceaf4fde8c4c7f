package wire

// IPv6 next header values of the extension headers that have the form of IPv6Extension (RFC 8200 4).
const (
	IPv6HopByHop           = 0
	IPv6Routing            = 43
	IPv6DestinationOptions = 60
)

// IPv6 option types: two that pad (RFC 8200 4.2) and the router alert (RFC 2711).
const (
	IPv6OptPad1        = 0
	IPv6OptPadN        = 1
	IPv6OptRouterAlert = 5
)

// IPv6Extension is an extension header that begins with the number of the next header and its own length (RFC 8200 4.3,
// 4.4, 4.6). Each takes at least eight octets of the packet, so a chain of them ends.
type IPv6Extension struct {
	NextHeader uint8
	// Data is what follows the length octet, borrowed: at least six octets.
	Data []byte
}

// Parse reads the header at the front of b and returns what follows it. The error is ErrShort or ErrLength.
func (h *IPv6Extension) Parse(b []byte) (payload []byte, err error) {
	if len(b) < 8 {
		return nil, ErrShort
	}
	n := (int(b[1]) + 1) * 8
	if n > len(b) {
		return nil, ErrLength
	}
	h.NextHeader = b[0]
	h.Data = b[2:n:n]
	return b[n:], nil
}

// IPv6Option is one option of a hop-by-hop or destination options header.
type IPv6Option struct {
	// Type tells in its two highest bits what a host does that does not know the option: skip it, drop the packet, or
	// drop it and report that, for a multicast destination too or not (RFC 8200 4.2).
	Type uint8
	// Pointer is the octet of the extension header at which the option begins.
	Pointer int
	// Data is what follows the length octet, borrowed.
	Data []byte
}

// IPv6OptionReader walks over the options of an extension header. It is a value; copying it copies the
// place.
type IPv6OptionReader struct {
	data []byte
	next int
}

// ReadOptions returns a reader that stands before the first option. It borrows h.Data, which must be that
// of a hop-by-hop or destination options header.
func (h *IPv6Extension) ReadOptions() IPv6OptionReader { return IPv6OptionReader{data: h.Data} }

// Next reads the next option that is no pad into o and says whether there was one. An option whose length
// is missing or too large gives ErrOption with o.Type and o.Pointer set, and ends the walk.
func (r *IPv6OptionReader) Next(o *IPv6Option) (ok bool, err error) {
	for r.next < len(r.data) {
		rest := r.data[r.next:]
		if rest[0] == IPv6OptPad1 {
			r.next++
			continue
		}
		*o = IPv6Option{Type: rest[0], Pointer: 2 + r.next}
		if len(rest) < 2 || int(rest[1])+2 > len(rest) {
			r.next = len(r.data)
			return false, ErrOption
		}
		n := int(rest[1]) + 2
		r.next += n
		if o.Type != IPv6OptPadN {
			o.Data = rest[2:n:n]
			return true, nil
		}
	}
	return false, nil
}
