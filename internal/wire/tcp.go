package wire

import "encoding/binary"

// Lengths of a TCP header in octets: without options, and with the most options that fit.
const (
	TCPLen    = 20
	TCPMaxLen = 60
)

// Control bits of a TCP header (RFC 9293 3.1). TCPAE is the accurate ECN bit, once NS (RFC 9768 3.1).
const (
	TCPFin = 1 << iota
	TCPSyn
	TCPRst
	TCPPsh
	TCPAck
	TCPUrg
	TCPEce
	TCPCwr
	TCPAE

	tcpFlags = 1<<iota - 1
)

// TCP is a TCP header (RFC 9293 3.1).
type TCP struct {
	SrcPort, DstPort uint16
	Seq, Ack         uint32
	// Flags are the control bits. The three reserved bits are ignored on receipt and sent as zero.
	Flags uint16
	// Window is the field as it stands in the header, not scaled.
	Window, Checksum, Urgent uint16
	// HeaderLen is the length of the header in octets. Marshal works it out from Options.
	HeaderLen int
	Options   TCPOptions
}

// Parse reads the header at the front of the segment b and returns the text that follows it. The error is
// ErrShort; ErrLength for a data offset that is smaller than the header or larger than b; or ErrOption, as
// TCPOptions.Parse says, where all other fields are set so that the caller can find the connection. The
// checksum is the caller's.
func (h *TCP) Parse(b []byte) (payload []byte, err error) {
	if len(b) < TCPLen {
		return nil, ErrShort
	}
	h.SrcPort = binary.BigEndian.Uint16(b[0:2])
	h.DstPort = binary.BigEndian.Uint16(b[2:4])
	h.Seq = binary.BigEndian.Uint32(b[4:8])
	h.Ack = binary.BigEndian.Uint32(b[8:12])
	offset := binary.BigEndian.Uint16(b[12:14])
	h.Flags = offset & tcpFlags
	h.Window = binary.BigEndian.Uint16(b[14:16])
	h.Checksum = binary.BigEndian.Uint16(b[16:18])
	h.Urgent = binary.BigEndian.Uint16(b[18:20])
	h.HeaderLen = int(offset>>12) * 4
	if h.HeaderLen < TCPLen || h.HeaderLen > len(b) {
		return nil, ErrLength
	}
	if err := h.Options.Parse(b[TCPLen:h.HeaderLen]); err != nil {
		return nil, err
	}
	return b[h.HeaderLen:], nil
}

// ParseQuote reads the eight octets of a TCP header that every ICMP error quotes: ports and Seq. The other
// fields become zero. The error is ErrShort.
func (h *TCP) ParseQuote(b []byte) error {
	if len(b) < 8 {
		return ErrShort
	}
	*h = TCP{
		SrcPort: binary.BigEndian.Uint16(b[0:2]),
		DstPort: binary.BigEndian.Uint16(b[2:4]),
		Seq:     binary.BigEndian.Uint32(b[4:8]),
	}
	return nil
}

// Marshal writes the header with Options to b, with Checksum as it is, and returns its length, a multiple
// of 4 from TCPLen to TCPMaxLen: TCPLen plus Options.Len(), for which b must have room.
func (h *TCP) Marshal(b []byte) int {
	n := TCPLen + h.Options.Marshal(b[TCPLen:])
	_ = b[TCPLen-1]
	binary.BigEndian.PutUint16(b[0:2], h.SrcPort)
	binary.BigEndian.PutUint16(b[2:4], h.DstPort)
	binary.BigEndian.PutUint32(b[4:8], h.Seq)
	binary.BigEndian.PutUint32(b[8:12], h.Ack)
	binary.BigEndian.PutUint16(b[12:14], uint16(n/4)<<12|h.Flags&tcpFlags)
	binary.BigEndian.PutUint16(b[14:16], h.Window)
	binary.BigEndian.PutUint16(b[16:18], h.Checksum)
	binary.BigEndian.PutUint16(b[18:20], h.Urgent)
	return n
}
