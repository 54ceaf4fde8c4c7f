package wire

import "encoding/binary"

// IPv6Len is the length of the fixed IPv6 header in octets.
const IPv6Len = 40

// IPv6 is the fixed IPv6 header (RFC 8200 3).
type IPv6 struct {
	// TrafficClass is the octet of DSCP and ECN.
	TrafficClass uint8
	// FlowLabel has 20 bits.
	FlowLabel uint32
	// PayloadLen is the length in octets of what follows this header, extension headers included.
	PayloadLen           int
	NextHeader, HopLimit uint8
	Src, Dst             [16]byte
}

// Parse reads the header at the front of b and returns the payload, cut to PayloadLen; it begins with the
// extension headers, if any. Jumbograms are not supported. The error is ErrShort, ErrVersion or ErrLength.
func (h *IPv6) Parse(b []byte) (payload []byte, err error) {
	if err := h.parse(b); err != nil {
		return nil, err
	}
	end := IPv6Len + h.PayloadLen
	if end > len(b) {
		return nil, ErrLength
	}
	return b[IPv6Len:end:end], nil
}

// ParseQuote is Parse for the header of a packet that an ICMPv6 error quotes, which may be cut short: it
// returns as much of the payload as the quote has. The error is ErrShort or ErrVersion.
func (h *IPv6) ParseQuote(b []byte) (payload []byte, err error) {
	if err := h.parse(b); err != nil {
		return nil, err
	}
	end := min(IPv6Len+h.PayloadLen, len(b))
	return b[IPv6Len:end:end], nil
}

func (h *IPv6) parse(b []byte) error {
	if len(b) > 0 && b[0]>>4 != 6 {
		return ErrVersion
	}
	if len(b) < IPv6Len {
		return ErrShort
	}
	first := binary.BigEndian.Uint32(b[0:4])
	h.TrafficClass = uint8(first >> 20)
	h.FlowLabel = first & 0xfffff
	h.PayloadLen = int(binary.BigEndian.Uint16(b[4:6]))
	h.NextHeader = b[6]
	h.HopLimit = b[7]
	h.Src = [16]byte(b[8:24])
	h.Dst = [16]byte(b[24:40])
	return nil
}

// Marshal writes the header to b, which must have room for IPv6Len octets, and returns IPv6Len.
func (h *IPv6) Marshal(b []byte) int {
	_ = b[IPv6Len-1]
	binary.BigEndian.PutUint32(b[0:4], 6<<28|uint32(h.TrafficClass)<<20|h.FlowLabel&0xfffff)
	binary.BigEndian.PutUint16(b[4:6], uint16(h.PayloadLen))
	b[6] = h.NextHeader
	b[7] = h.HopLimit
	copy(b[8:24], h.Src[:])
	copy(b[24:40], h.Dst[:])
	return IPv6Len
}
