package wire

import "encoding/binary"

// ICMPLen is the length in octets of the header that all ICMP and ICMPv6 messages share.
const ICMPLen = 8

// ICMPv4 message types (RFC 792).
const (
	ICMPv4EchoReply              = 0
	ICMPv4DestinationUnreachable = 3
	ICMPv4SourceQuench           = 4
	ICMPv4Redirect               = 5
	ICMPv4EchoRequest            = 8
	ICMPv4TimeExceeded           = 11
	ICMPv4ParameterProblem       = 12
)

// Codes of ICMPv4DestinationUnreachable (RFC 792, RFC 1122 3.2.2.1, RFC 1812 5.2.7.1) and of
// ICMPv4TimeExceeded.
const (
	ICMPv4NetUnreachable      = 0
	ICMPv4HostUnreachable     = 1
	ICMPv4ProtocolUnreachable = 2
	ICMPv4PortUnreachable     = 3
	ICMPv4FragmentationNeeded = 4
	ICMPv4SourceRouteFailed   = 5
	ICMPv4NetUnknown          = 6
	ICMPv4HostUnknown         = 7
	ICMPv4HostIsolated        = 8
	ICMPv4NetProhibited       = 9
	ICMPv4HostProhibited      = 10
	ICMPv4NetUnreachableTOS   = 11
	ICMPv4HostUnreachableTOS  = 12
	ICMPv4AdminProhibited     = 13

	ICMPv4TTLExceeded        = 0
	ICMPv4ReassemblyExceeded = 1
)

// ICMPv6 message types (RFC 4443, RFC 4861, RFC 2710, RFC 3810).
const (
	ICMPv6DestinationUnreachable = 1
	ICMPv6PacketTooBig           = 2
	ICMPv6TimeExceeded           = 3
	ICMPv6ParameterProblem       = 4
	ICMPv6EchoRequest            = 128
	ICMPv6EchoReply              = 129
	ICMPv6MLDQuery               = 130
	ICMPv6MLDv1Report            = 131
	ICMPv6MLDv1Done              = 132
	ICMPv6RouterSolicitation     = 133
	ICMPv6RouterAdvertisement    = 134
	ICMPv6NeighborSolicitation   = 135
	ICMPv6NeighborAdvertisement  = 136
	ICMPv6Redirect               = 137
	ICMPv6MLDv2Report            = 143
)

// Codes of ICMPv6DestinationUnreachable, ICMPv6TimeExceeded and ICMPv6ParameterProblem (RFC 4443 3, RFC 7112 5).
const (
	ICMPv6NoRoute         = 0
	ICMPv6AdminProhibited = 1
	ICMPv6BeyondScope     = 2
	ICMPv6AddrUnreachable = 3
	ICMPv6PortUnreachable = 4
	ICMPv6SourcePolicy    = 5
	ICMPv6RejectRoute     = 6

	ICMPv6HopLimitExceeded   = 0
	ICMPv6ReassemblyExceeded = 1

	ICMPv6ErroneousHeader   = 0
	ICMPv6UnknownNextHeader = 1
	ICMPv6UnknownOption     = 2
	ICMPv6IncompleteChain   = 3
)

// ICMPv4 is the header of an ICMP message (RFC 792). What Rest means depends on the type.
type ICMPv4 struct {
	Type, Code uint8
	Checksum   uint16
	Rest       [4]byte
}

// Parse reads the header at the front of the message b, verifies the checksum over all of b and returns
// what follows the header. The error is ErrShort or ErrChecksum.
func (h *ICMPv4) Parse(b []byte) (body []byte, err error) {
	if len(b) < ICMPLen {
		return nil, ErrShort
	}
	if Checksum(b, 0) != 0 {
		return nil, ErrChecksum
	}
	h.Type, h.Code = b[0], b[1]
	h.Checksum = binary.BigEndian.Uint16(b[2:4])
	h.Rest = [4]byte(b[4:8])
	return b[ICMPLen:], nil
}

// Marshal writes the header to b, which must have room for ICMPLen octets, with Checksum as it is, and
// returns ICMPLen. PutICMPv4Checksum completes the message once the body is there.
func (h *ICMPv4) Marshal(b []byte) int {
	return marshalICMP(b, h.Type, h.Code, h.Checksum, h.Rest)
}

// PutICMPv4Checksum writes its checksum into the message b, header and body, of at least ICMPLen octets.
func PutICMPv4Checksum(b []byte) {
	binary.BigEndian.PutUint16(b[2:4], 0)
	binary.BigEndian.PutUint16(b[2:4], Checksum(b, 0))
}

// ID returns the identifier of an echo message.
func (h *ICMPv4) ID() uint16 { return binary.BigEndian.Uint16(h.Rest[0:2]) }

// Seq returns the sequence number of an echo message.
func (h *ICMPv4) Seq() uint16 { return binary.BigEndian.Uint16(h.Rest[2:4]) }

// SetEcho sets identifier and sequence number of an echo message.
func (h *ICMPv4) SetEcho(id, seq uint16) {
	binary.BigEndian.PutUint16(h.Rest[0:2], id)
	binary.BigEndian.PutUint16(h.Rest[2:4], seq)
}

// MTU returns the next hop's MTU in octets from an ICMPv4FragmentationNeeded (RFC 1191 4); zero where the router is too
// old to give one.
func (h *ICMPv4) MTU() int { return int(binary.BigEndian.Uint16(h.Rest[2:4])) }

// SetMTU sets what MTU returns, at most 65,535 octets.
func (h *ICMPv4) SetMTU(mtu int) { h.Rest = [4]byte{2: uint8(mtu >> 8), 3: uint8(mtu)} }

// Pointer returns the octet of the quoted header that an ICMPv4ParameterProblem complains about.
func (h *ICMPv4) Pointer() int { return int(h.Rest[0]) }

// SetPointer sets what Pointer returns.
func (h *ICMPv4) SetPointer(octet int) { h.Rest = [4]byte{0: uint8(octet)} }

// ICMPv6 is the header of an ICMPv6 message (RFC 4443 2.1). What Rest means depends on the type.
type ICMPv6 struct {
	Type, Code uint8
	Checksum   uint16
	Rest       [4]byte
}

// ParseICMPv6 reads the header of the message b, which went from src to dst, with ICMPv6.Parse.
func ParseICMPv6(b []byte, src, dst [16]byte) (h ICMPv6, body []byte, err error) {
	body, err = h.Parse(b, src, dst)
	return h, body, err
}

// Parse reads the header at the front of the message b, which went from src to dst, verifies the checksum
// over the pseudo-header and all of b, and returns the octets after the header. No message that is shorter than ICMPLen
// concerns a host. The error is ErrShort or ErrChecksum.
func (h *ICMPv6) Parse(b []byte, src, dst [16]byte) (body []byte, err error) {
	if len(b) < ICMPLen {
		return nil, ErrShort
	}
	if Checksum(b, PseudoHeader6(src, dst, ProtocolICMPv6, len(b))) != 0 {
		return nil, ErrChecksum
	}
	h.Type, h.Code = b[0], b[1]
	h.Checksum = binary.BigEndian.Uint16(b[2:4])
	h.Rest = [4]byte(b[4:8])
	return b[ICMPLen:], nil
}

// Marshal writes the header to b, which must have room for ICMPLen octets, with Checksum as it is, and
// returns ICMPLen. PutICMPv6Checksum completes the message once the body is there.
func (h *ICMPv6) Marshal(b []byte) int {
	return marshalICMP(b, h.Type, h.Code, h.Checksum, h.Rest)
}

// PutICMPv6Checksum writes the checksum of the message b, header and body, from src to dst into it. It has
// at least ICMPLen octets.
func PutICMPv6Checksum(b []byte, src, dst [16]byte) {
	binary.BigEndian.PutUint16(b[2:4], 0)
	binary.BigEndian.PutUint16(b[2:4], Checksum(b, PseudoHeader6(src, dst, ProtocolICMPv6, len(b))))
}

// ID returns the identifier of an echo message.
func (h *ICMPv6) ID() uint16 { return binary.BigEndian.Uint16(h.Rest[0:2]) }

// Seq returns the sequence number of an echo message.
func (h *ICMPv6) Seq() uint16 { return binary.BigEndian.Uint16(h.Rest[2:4]) }

// SetEcho sets identifier and sequence number of an echo message.
func (h *ICMPv6) SetEcho(id, seq uint16) {
	binary.BigEndian.PutUint16(h.Rest[0:2], id)
	binary.BigEndian.PutUint16(h.Rest[2:4], seq)
}

// MTU returns the next hop's MTU in octets from an ICMPv6PacketTooBig. It may be any number of 32 bits.
func (h *ICMPv6) MTU() uint32 { return binary.BigEndian.Uint32(h.Rest[:]) }

// SetMTU sets what MTU returns.
func (h *ICMPv6) SetMTU(mtu uint32) { binary.BigEndian.PutUint32(h.Rest[:], mtu) }

// Pointer returns the octet of the quoted packet that an ICMPv6ParameterProblem complains about.
func (h *ICMPv6) Pointer() uint32 { return binary.BigEndian.Uint32(h.Rest[:]) }

// SetPointer sets what Pointer returns.
func (h *ICMPv6) SetPointer(octet uint32) { binary.BigEndian.PutUint32(h.Rest[:], octet) }

func marshalICMP(b []byte, typ, code uint8, checksum uint16, rest [4]byte) int {
	_ = b[ICMPLen-1]
	b[0], b[1] = typ, code
	binary.BigEndian.PutUint16(b[2:4], checksum)
	copy(b[4:8], rest[:])
	return ICMPLen
}
