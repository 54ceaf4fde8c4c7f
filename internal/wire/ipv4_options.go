package wire

// IPv4 option types (RFC 791 3.1), as they stand on the wire with copied flag and class.
const (
	IPv4OptEnd               = 0
	IPv4OptNOP               = 1
	IPv4OptRecordRoute       = 7
	IPv4OptTimestamp         = 68
	IPv4OptLooseSourceRoute  = 131
	IPv4OptStrictSourceRoute = 137
	IPv4OptRouterAlert       = 148
)

// IPv4Option is one option of an IPv4 header.
type IPv4Option struct {
	Type uint8
	// Pointer is the octet of the IP header at which the option begins, as an ICMP parameter problem
	// counts it: from zero, so that the first option stands at 20.
	Pointer int
	// Data is what follows the length octet, borrowed.
	Data []byte
}

// IPv4OptionReader walks over the options of an IPv4 header. It is a value; copying it copies the place.
type IPv4OptionReader struct {
	options []byte
	next    int
}

// ReadOptions returns a reader that stands before the first option. It borrows h.Options.
func (h *IPv4) ReadOptions() IPv4OptionReader { return IPv4OptionReader{options: h.Options} }

// Next reads the next option into o and says whether there was one; no-operation options are passed over
// and the end of the list ends the walk, whatever stands behind it. An option whose length is missing, zero,
// one or too large gives ErrOption with o.Type and o.Pointer set, and ends the walk (RFC 1122 3.2.1.8).
func (r *IPv4OptionReader) Next(o *IPv4Option) (ok bool, err error) {
	for r.next < len(r.options) && r.options[r.next] == IPv4OptNOP {
		r.next++
	}
	rest := r.options[r.next:]
	if len(rest) == 0 || rest[0] == IPv4OptEnd {
		r.next = len(r.options)
		return false, nil
	}
	*o = IPv4Option{Type: rest[0], Pointer: IPv4Len + r.next}
	if len(rest) < 2 || rest[1] < 2 || int(rest[1]) > len(rest) {
		r.next = len(r.options)
		return false, ErrOption
	}
	n := int(rest[1])
	o.Data = rest[2:n:n]
	r.next += n
	return true, nil
}

// CheckOptions walks over all options and says whether one of them is a source route, loose or strict,
// which a host drops unless told otherwise (RFC 7126 4.3, 4.4). Unknown options are skipped. For ErrOption
// pointer is the octet at which the bad option begins, for a parameter problem; otherwise it is that of the
// source route, or zero.
func (h *IPv4) CheckOptions() (sourceRoute bool, pointer int, err error) {
	var o IPv4Option
	for r := h.ReadOptions(); ; {
		ok, err := r.Next(&o)
		switch {
		case err != nil:
			return sourceRoute, o.Pointer, err
		case !ok:
			return sourceRoute, pointer, nil
		}
		if !sourceRoute && (o.Type == IPv4OptLooseSourceRoute || o.Type == IPv4OptStrictSourceRoute) {
			sourceRoute, pointer = true, o.Pointer
		}
	}
}
