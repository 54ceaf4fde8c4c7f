package wire

import "encoding/binary"

// Lengths of an IPv4 header in octets: without options, and with as many as there can be.
const (
	IPv4Len    = 20
	IPv4MaxLen = 60
)

const (
	ipv4DF         = 0x4000
	ipv4MF         = 0x2000
	ipv4OffsetMask = 0x1fff
)

// IPv4 is an IPv4 header (RFC 791 3.1). The reserved flag is ignored on receipt and sent as zero.
type IPv4 struct {
	// HeaderLen is the length of the header in octets. Marshal works it out from Options.
	HeaderLen int
	// TOS is the octet of DSCP and ECN.
	TOS uint8
	// TotalLen is the length of header and payload in octets, at most 65,535.
	TotalLen int
	ID       uint16
	// DF forbids fragmentation, MF says that more fragments follow.
	DF, MF bool
	// FragmentOffset is in octets, a multiple of 8.
	FragmentOffset int
	TTL, Protocol  uint8
	Src, Dst       [4]byte
	// Options are the octets between the fixed header and the payload, borrowed. Marshal pads them with
	// zeros to a multiple of 4 and cuts them at 40.
	Options []byte
	// Checksum is the header checksum as received. Marshal works it out.
	Checksum uint16
}

// Parse reads the header at the front of b and returns the payload, cut to TotalLen so that a link's pad
// never reaches the transport. The error is ErrShort, ErrVersion, ErrLength or ErrChecksum. The content of
// Options is not looked at: CheckOptions does that.
func (h *IPv4) Parse(b []byte) (payload []byte, err error) {
	if err := h.parse(b); err != nil {
		return nil, err
	}
	if h.TotalLen > len(b) {
		return nil, ErrLength
	}
	if Fold(Sum(b[:h.HeaderLen], 0)) != 0xffff {
		return nil, ErrChecksum
	}
	return b[h.HeaderLen:h.TotalLen:h.TotalLen], nil
}

// ParseQuote is Parse for the header of a packet that an ICMP error quotes, mostly cut short and perhaps
// with a TTL and checksum that changed on the way: it checks neither the checksum nor that the whole packet
// is there, and returns as much of the payload as the quote has. The error is ErrShort, ErrVersion or
// ErrLength.
func (h *IPv4) ParseQuote(b []byte) (payload []byte, err error) {
	if err := h.parse(b); err != nil {
		return nil, err
	}
	end := min(h.TotalLen, len(b))
	return b[h.HeaderLen:end:end], nil
}

func (h *IPv4) parse(b []byte) error {
	if len(b) > 0 && b[0]>>4 != 4 {
		return ErrVersion
	}
	if len(b) < IPv4Len {
		return ErrShort
	}
	h.HeaderLen = int(b[0]&0xf) * 4
	h.TotalLen = int(binary.BigEndian.Uint16(b[2:4]))
	if h.HeaderLen < IPv4Len || h.HeaderLen > len(b) || h.TotalLen < h.HeaderLen {
		return ErrLength
	}
	h.TOS = b[1]
	h.ID = binary.BigEndian.Uint16(b[4:6])
	fragment := binary.BigEndian.Uint16(b[6:8])
	h.DF = fragment&ipv4DF != 0
	h.MF = fragment&ipv4MF != 0
	h.FragmentOffset = int(fragment&ipv4OffsetMask) * 8
	h.TTL = b[8]
	h.Protocol = b[9]
	h.Checksum = binary.BigEndian.Uint16(b[10:12])
	h.Src = [4]byte(b[12:16])
	h.Dst = [4]byte(b[16:20])
	h.Options = b[IPv4Len:h.HeaderLen:h.HeaderLen]
	return nil
}

// Marshal writes the header with Options and checksum to b and returns its length, a multiple of 4 from
// IPv4Len to IPv4MaxLen, for which b must have room.
func (h *IPv4) Marshal(b []byte) int {
	options := h.Options[:min(len(h.Options), IPv4MaxLen-IPv4Len)]
	n := IPv4Len + (len(options)+3)&^3
	_ = b[n-1]
	fragment := uint16(h.FragmentOffset/8) & ipv4OffsetMask
	if h.DF {
		fragment |= ipv4DF
	}
	if h.MF {
		fragment |= ipv4MF
	}
	b[0] = 4<<4 | uint8(n/4)
	b[1] = h.TOS
	binary.BigEndian.PutUint16(b[2:4], uint16(h.TotalLen))
	binary.BigEndian.PutUint16(b[4:6], h.ID)
	binary.BigEndian.PutUint16(b[6:8], fragment)
	b[8] = h.TTL
	b[9] = h.Protocol
	binary.BigEndian.PutUint16(b[10:12], 0)
	copy(b[12:16], h.Src[:])
	copy(b[16:20], h.Dst[:])
	clear(b[IPv4Len+copy(b[IPv4Len:n], options) : n])
	binary.BigEndian.PutUint16(b[10:12], Checksum(b[:n], 0))
	return n
}
