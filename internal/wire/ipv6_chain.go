package wire

import "encoding/binary"

// IPv6MaxHeaders is how many extension headers WalkIPv6 passes over in one packet (RFC 8504 5.3 lets a host have a limit).
const IPv6MaxHeaders = 8

// IPv6 next header values that end a chain of extension headers: of a fragment, and of nothing that follows (RFC 8200 4.5,
// 4.7).
const (
	IPv6Fragments = 44
	IPv6NoNext    = 59
)

// IPv6FragmentLen is the length in octets of a fragment header.
const IPv6FragmentLen = 8

// IPv6Fragment is a fragment header (RFC 8200 4.5).
type IPv6Fragment struct {
	NextHeader uint8
	// Offset is that of the data in the fragmentable part, in octets, a multiple of 8 and at most 65,528.
	Offset int
	// More says that this is not the last fragment.
	More bool
	ID   uint32
}

// Parse reads the header at the front of b and returns the fragment's data. The error is ErrShort.
func (h *IPv6Fragment) Parse(b []byte) (data []byte, err error) {
	if len(b) < IPv6FragmentLen {
		return nil, ErrShort
	}
	place := binary.BigEndian.Uint16(b[2:4])
	h.NextHeader = b[0]
	h.Offset = int(place &^ 7)
	h.More = place&1 != 0
	h.ID = binary.BigEndian.Uint32(b[4:8])
	return b[IPv6FragmentLen:], nil
}

// Marshal writes the header to b, which must have room for IPv6FragmentLen octets, and returns IPv6FragmentLen.
func (h *IPv6Fragment) Marshal(b []byte) int {
	_ = b[IPv6FragmentLen-1]
	b[0], b[1] = h.NextHeader, 0
	binary.BigEndian.PutUint16(b[2:4], uint16(h.Offset)&^7|uint16(flag(h.More, 1)))
	binary.BigEndian.PutUint32(b[4:8], h.ID)
	return IPv6FragmentLen
}

// Atomic says whether the packet is whole, although it has a fragment header (RFC 6946).
func (h *IPv6Fragment) Atomic() bool { return h.Offset == 0 && !h.More }

// IPv6Chain is where the extension headers of a packet end. Its places are octets of the packet.
type IPv6Chain struct {
	// Protocol is that of the upper layer, whatever it be; or IPv6NoNext; or IPv6Fragments, where the packet is one of
	// several fragments.
	Protocol uint8
	// Alert says that a router alert option of MLD was passed (RFC 2711, RFC 3810 5).
	Alert bool
	// At is where the header of Protocol begins, of a fragment its fragment header.
	At int
	// NextAt is where the Next Header field is that names Protocol. A parameter problem for an unknown protocol points at
	// it; in a packet that is reassembled it gets the NextHeader of the fragments.
	NextAt int
	// Atomic says that the header of an atomic fragment was passed.
	Atomic bool
}

// IPv6Problem is the first fault of a packet's extension headers. The packet is to be dropped.
type IPv6Problem struct {
	// Silent says that nobody gets a parameter problem about it. The other fields are then zero.
	Silent bool
	// Multicast says that the parameter problem is sent for a packet to a group as well (RFC 4443 2.4 (e.3)).
	Multicast bool
	// Code and Pointer are those of the parameter problem; Pointer is an octet of the packet.
	Code    uint8
	Pointer int
}

// WalkIPv6 passes over the extension headers of a packet, whose header has been parsed and which ends where that says.
// It looks at them as their destination does, in order (RFC 8200 4): options that this stack does not know are skipped or
// are a problem, as their highest bits say; a routing header is passed over where no segments are left; so is the header
// of an atomic fragment. At another fragment the walk ends, after a look whether the first one has the headers up to the
// upper layer's (RFC 7112). ok says that there is no problem.
//
// Lengths that run past the packet and a header too many are silent problems.
func WalkIPv6(packet []byte) (c IPv6Chain, p IPv6Problem, ok bool) {
	if len(packet) < IPv6Len {
		return c, IPv6Problem{Silent: true}, false
	}
	c = IPv6Chain{Protocol: packet[6], NextAt: 6, At: IPv6Len}
	for headers := 0; isExtension(c.Protocol); headers++ {
		if c.Protocol == IPv6HopByHop && headers > 0 {
			return c, IPv6Problem{Code: ICMPv6UnknownNextHeader, Pointer: c.NextAt}, false
		}
		if headers == IPv6MaxHeaders {
			return c, IPv6Problem{Silent: true}, false
		}
		if c.Protocol == IPv6Fragments {
			if p, done := c.fragment(packet, headers); done {
				return c, p, p == IPv6Problem{}
			}
			c.Atomic = true
			c.pass(packet, IPv6FragmentLen)
			continue
		}
		var h IPv6Extension
		if _, err := h.Parse(packet[c.At:]); err != nil {
			return c, IPv6Problem{Silent: true}, false
		}
		if p := c.look(&h); p != (IPv6Problem{}) {
			return c, p, false
		}
		c.pass(packet, 2+len(h.Data))
	}
	return c, p, true
}

// isExtension says whether WalkIPv6 looks into a header.
func isExtension(next uint8) bool {
	return next == IPv6HopByHop || next == IPv6Routing || next == IPv6Fragments || next == IPv6DestinationOptions
}

// pass goes to the header behind that at c.At, which has n octets.
func (c *IPv6Chain) pass(packet []byte, n int) {
	c.Protocol, c.NextAt = packet[c.At], c.At
	c.At += n
}

// look reads an extension header that is no fragment's.
func (c *IPv6Chain) look(h *IPv6Extension) IPv6Problem {
	if c.Protocol == IPv6Routing {
		if segmentsLeft := h.Data[1]; segmentsLeft != 0 {
			return IPv6Problem{Code: ICMPv6ErroneousHeader, Pointer: c.At + 2} // at the type (RFC 8200 4.4, RFC 5095 3)
		}
		return IPv6Problem{}
	}
	var o IPv6Option
	r := h.ReadOptions()
	for {
		ok, err := r.Next(&o)
		if err != nil {
			return IPv6Problem{Silent: true}
		}
		if !ok {
			return IPv6Problem{}
		}
		if c.Protocol == IPv6HopByHop && o.Type == IPv6OptRouterAlert {
			c.Alert = c.Alert || len(o.Data) == 2 && o.Data[0] == 0 && o.Data[1] == 0
		} else if action := o.Type >> 6; action == 1 {
			return IPv6Problem{Silent: true}
		} else if action > 1 {
			return IPv6Problem{Code: ICMPv6UnknownOption, Pointer: c.At + o.Pointer, Multicast: action == 2}
		}
	}
}

// fragment reads the fragment header at c.At, before which there are headers others. done says that the walk ends there.
func (c *IPv6Chain) fragment(packet []byte, headers int) (p IPv6Problem, done bool) {
	var h IPv6Fragment
	data, err := h.Parse(packet[c.At:])
	switch {
	case err != nil:
		return IPv6Problem{Silent: true}, true
	case h.Atomic():
		return p, false
	case h.More && len(data)%8 != 0:
		return IPv6Problem{Code: ICMPv6ErroneousHeader, Pointer: 4}, true // at the payload length
	case c.At-IPv6Len+h.Offset+len(data) > 0xffff:
		return IPv6Problem{Code: ICMPv6ErroneousHeader, Pointer: c.At + 2}, true // at the fragment offset
	case h.Offset == 0 && !reachesUpper(h.NextHeader, data, headers+1):
		return IPv6Problem{Code: ICMPv6IncompleteChain}, true
	}
	return p, true
}

// reachesUpper says whether the data of a first fragment has all headers up to that of the upper layer, that one included.
// headers is how many extension headers were before; those here count as well.
func reachesUpper(next uint8, data []byte, headers int) bool {
	for next == IPv6Routing || next == IPv6DestinationOptions {
		var h IPv6Extension
		rest, err := h.Parse(data)
		if headers++; err != nil || headers > IPv6MaxHeaders {
			return false
		}
		next, data = h.NextHeader, rest
	}
	switch next {
	case IPv6NoNext:
		return true
	case ProtocolTCP:
		return len(data) >= TCPLen
	case ProtocolUDP, ProtocolICMPv6, IPv6Fragments:
		return len(data) >= 8
	}
	return len(data) > 0
}
