package wire

import "encoding/binary"

// Neighbor Discovery option types (RFC 4861 4.6).
const (
	NDOptSourceLinkAddr    = 1
	NDOptTargetLinkAddr    = 2
	NDOptPrefixInformation = 3
	NDOptRedirectedHeader  = 4
	NDOptMTU               = 5
)

// Lengths in octets of Neighbor Discovery messages without options, the ICMPv6 header included (RFC 4861 4).
const (
	NDRouterSolicitationLen  = ICMPLen
	NDRouterAdvertisementLen = 16
	NDNeighborLen            = 24
	NDRedirectLen            = 40
)

// The flags of a neighbor advertisement and of a router advertisement, in their octets.
const (
	ndRouter    = 0x80
	ndSolicited = 0x40
	ndOverride  = 0x20

	ndManaged = 0x80
	ndOther   = 0x40
)

// NDNeighbor is a neighbor solicitation or advertisement (RFC 4861 4.3, 4.4). The three flags are those of an
// advertisement; in a solicitation they mean nothing.
type NDNeighbor struct {
	Router, Solicited, Override bool
	Target                      [16]byte
}

// Parse reads the message whose header is h, and returns its options, for ReadNDOptions. The error is ErrShort.
func (m *NDNeighbor) Parse(h *ICMPv6, body []byte) (options []byte, err error) {
	if len(body) < NDNeighborLen-ICMPLen {
		return nil, ErrShort
	}
	m.Router, m.Solicited, m.Override = h.Rest[0]&ndRouter != 0, h.Rest[0]&ndSolicited != 0, h.Rest[0]&ndOverride != 0
	m.Target = [16]byte(body)
	return body[16:], nil
}

// Marshal writes the message with its ICMPv6 header of the type typ to b, which must have room for NDNeighborLen octets,
// and returns NDNeighborLen. The options follow, and then PutICMPv6Checksum.
func (m *NDNeighbor) Marshal(b []byte, typ uint8) int {
	_ = b[NDNeighborLen-1]
	h := ICMPv6{Type: typ}
	h.Rest[0] = flag(m.Router, ndRouter) | flag(m.Solicited, ndSolicited) | flag(m.Override, ndOverride)
	h.Marshal(b)
	copy(b[ICMPLen:], m.Target[:])
	return NDNeighborLen
}

// NDRouterAdvertisement is a router advertisement (RFC 4861 4.2). Zero in a field but Lifetime says that the router does not
// give it.
type NDRouterAdvertisement struct {
	HopLimit       uint8
	Managed, Other bool
	// Preference is 1 for a router that is to be preferred to others, -1 for one that is not, and else 0 (RFC 4191 2.1).
	Preference int8
	// Lifetime is in seconds; with zero the router is no default router.
	Lifetime uint16
	// Reachable and Retransmit are in milliseconds.
	Reachable, Retransmit uint32
}

// Parse reads the message whose header is h, and returns its options, for ReadNDOptions. The error is ErrShort.
func (m *NDRouterAdvertisement) Parse(h *ICMPv6, body []byte) (options []byte, err error) {
	if len(body) < NDRouterAdvertisementLen-ICMPLen {
		return nil, ErrShort
	}
	m.HopLimit = h.Rest[0]
	m.Managed, m.Other = h.Rest[1]&ndManaged != 0, h.Rest[1]&ndOther != 0
	m.Preference = int8(h.Rest[1]<<3) >> 6
	if m.Preference == -2 { // reserved, and to be read as 0
		m.Preference = 0
	}
	m.Lifetime = binary.BigEndian.Uint16(h.Rest[2:4])
	m.Reachable = binary.BigEndian.Uint32(body[0:4])
	m.Retransmit = binary.BigEndian.Uint32(body[4:8])
	return body[8:], nil
}

// Marshal writes the message with its ICMPv6 header to b, which must have room for NDRouterAdvertisementLen octets, and
// returns NDRouterAdvertisementLen. The options follow, and then PutICMPv6Checksum.
func (m *NDRouterAdvertisement) Marshal(b []byte) int {
	_ = b[NDRouterAdvertisementLen-1]
	h := ICMPv6{Type: ICMPv6RouterAdvertisement}
	h.Rest = [4]byte{m.HopLimit, flag(m.Managed, ndManaged) | flag(m.Other, ndOther) | uint8(m.Preference)<<3&0x18,
		uint8(m.Lifetime >> 8), uint8(m.Lifetime)}
	h.Marshal(b)
	binary.BigEndian.PutUint32(b[8:12], m.Reachable)
	binary.BigEndian.PutUint32(b[12:16], m.Retransmit)
	return NDRouterAdvertisementLen
}

// NDRedirect is a redirect (RFC 4861 4.5): packets to Dst go to Target, which is Dst itself where that is on the link.
type NDRedirect struct{ Target, Dst [16]byte }

// Parse reads what follows the ICMPv6 header of the message, and returns its options, for ReadNDOptions. The error is
// ErrShort.
func (m *NDRedirect) Parse(body []byte) (options []byte, err error) {
	if len(body) < NDRedirectLen-ICMPLen {
		return nil, ErrShort
	}
	m.Target, m.Dst = [16]byte(body[0:16]), [16]byte(body[16:32])
	return body[32:], nil
}

// Marshal writes the message with its ICMPv6 header to b, which must have room for NDRedirectLen octets, and returns
// NDRedirectLen. The options follow, and then PutICMPv6Checksum.
func (m *NDRedirect) Marshal(b []byte) int {
	_ = b[NDRedirectLen-1]
	(&ICMPv6{Type: ICMPv6Redirect}).Marshal(b)
	copy(b[8:24], m.Target[:])
	copy(b[24:40], m.Dst[:])
	return NDRedirectLen
}

func flag(set bool, bit uint8) uint8 {
	if set {
		return bit
	}
	return 0
}

// NDOption is one option of a Neighbor Discovery message (RFC 4861 4.6).
type NDOption struct {
	Type uint8
	// Data is what follows the length octet, borrowed: six octets, or more by a multiple of eight. Marshal
	// pads it with zeros to that.
	Data []byte
}

// Marshal writes the option to b, which must have room, and returns its length in octets, a multiple of 8
// and at most 2,040: longer data is cut off.
func (o *NDOption) Marshal(b []byte) int {
	data := o.Data[:min(len(o.Data), 255*8-2)]
	n := max(8, (2+len(data)+7)&^7)
	_ = b[n-1]
	b[0], b[1] = o.Type, uint8(n/8)
	clear(b[2+copy(b[2:n], data) : n])
	return n
}

// NDOptionReader walks over the options of a Neighbor Discovery message. It is a value; copying it copies
// the place.
type NDOptionReader struct{ rest []byte }

// ReadNDOptions returns a reader that stands before the first of the options b, which it borrows.
func ReadNDOptions(b []byte) NDOptionReader { return NDOptionReader{rest: b} }

// Next reads the next option into o and says whether there was one. An option whose length is missing,
// zero or too large gives ErrOption and ends the walk; the whole message is then to be dropped in silence
// (RFC 4861 4.6).
func (r *NDOptionReader) Next(o *NDOption) (ok bool, err error) {
	rest := r.rest
	r.rest = nil
	if len(rest) == 0 {
		return false, nil
	}
	if len(rest) < 2 || rest[1] == 0 || int(rest[1])*8 > len(rest) {
		return false, ErrOption
	}
	n := int(rest[1]) * 8
	*o = NDOption{Type: rest[0], Data: rest[2:n:n]}
	r.rest = rest[n:]
	return true, nil
}

// LinkAddr returns the address of an NDOptSourceLinkAddr or NDOptTargetLinkAddr of Ethernet (RFC 2464 6), and whether the
// option has the length of one.
func (o *NDOption) LinkAddr() (MAC, bool) {
	if len(o.Data) != 6 {
		return MAC{}, false
	}
	return MAC(o.Data), true
}

// MTU returns the MTU in octets of an NDOptMTU (RFC 4861 4.6.4), and whether the option has the length of one.
func (o *NDOption) MTU() (uint32, bool) {
	if len(o.Data) != 6 {
		return 0, false
	}
	return binary.BigEndian.Uint32(o.Data[2:6]), true
}

// Quote returns the packet that an NDOptRedirectedHeader quotes (RFC 4861 4.6.3), borrowed: as much of it as is there, and
// perhaps octets that pad.
func (o *NDOption) Quote() []byte { return o.Data[min(6, len(o.Data)):] }

// NDPrefix is what an NDOptPrefixInformation says (RFC 4861 4.6.2).
type NDPrefix struct {
	// Bits is the length of the prefix, at most 128.
	Bits               uint8
	OnLink, Autonomous bool
	// Valid and Preferred are in seconds; all ones mean for ever.
	Valid, Preferred uint32
	Prefix           [16]byte
}

// Parse reads the option. The error is ErrLength where it has not the length of one, ErrFormat where Bits is too large.
func (p *NDPrefix) Parse(o *NDOption) error {
	b := o.Data
	if len(b) != 30 {
		return ErrLength
	}
	if b[0] > 128 {
		return ErrFormat
	}
	p.Bits, p.OnLink, p.Autonomous = b[0], b[1]&0x80 != 0, b[1]&0x40 != 0
	p.Valid = binary.BigEndian.Uint32(b[2:6])
	p.Preferred = binary.BigEndian.Uint32(b[6:10])
	p.Prefix = [16]byte(b[14:30])
	return nil
}
