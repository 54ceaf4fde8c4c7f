package wire

import "encoding/binary"

// UDPLen is the length of a UDP header in octets.
const UDPLen = 8

// UDP is a UDP header (RFC 768).
type UDP struct {
	SrcPort, DstPort uint16
	// Length is the length of header and payload in octets.
	Length int
	// Checksum is zero where the sender computed none, which IPv4 allows and IPv6 does not.
	Checksum uint16
}

// Parse reads the header at the front of the IP payload b and returns the datagram's payload: octets past
// Length are cut off. The error is ErrShort or ErrLength. The caller verifies the checksum: where the field Checksum is
// not zero, the function Checksum(b[:Length], pseudo) must return zero, for a pseudo-header with Length.
func (h *UDP) Parse(b []byte) (payload []byte, err error) {
	if err := h.ParseQuote(b); err != nil {
		return nil, err
	}
	if h.Length < UDPLen || h.Length > len(b) {
		return nil, ErrLength
	}
	return b[UDPLen:h.Length:h.Length], nil
}

// ParseQuote reads the header that an ICMP error quotes. The datagram behind it may be cut off, so Length is
// not checked. The error is ErrShort.
func (h *UDP) ParseQuote(b []byte) error {
	if len(b) < UDPLen {
		return ErrShort
	}
	h.SrcPort = binary.BigEndian.Uint16(b[0:2])
	h.DstPort = binary.BigEndian.Uint16(b[2:4])
	h.Length = int(binary.BigEndian.Uint16(b[4:6]))
	h.Checksum = binary.BigEndian.Uint16(b[6:8])
	return nil
}

// Marshal writes the header to b, which must have room for UDPLen octets, with Checksum as it is, and
// returns UDPLen.
func (h *UDP) Marshal(b []byte) int {
	_ = b[UDPLen-1]
	binary.BigEndian.PutUint16(b[0:2], h.SrcPort)
	binary.BigEndian.PutUint16(b[2:4], h.DstPort)
	binary.BigEndian.PutUint16(b[4:6], uint16(h.Length))
	binary.BigEndian.PutUint16(b[6:8], h.Checksum)
	return UDPLen
}

// UDPChecksum returns the checksum to send for the datagram b, header with a zero Checksum and payload, or
// the last piece of it; initial is the sum of the pseudo-header and the pieces before. It is Checksum, but
// a result of zero becomes 0xffff, as zero says that there is none (RFC 768).
func UDPChecksum(b []byte, initial uint32) uint16 {
	if c := Checksum(b, initial); c != 0 {
		return c
	}
	return 0xffff
}
