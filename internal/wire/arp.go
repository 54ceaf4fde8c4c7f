package wire

import "encoding/binary"

// ARP operations (RFC 826).
const (
	ARPRequest = 1
	ARPReply   = 2
)

// ARPLen is the length in octets of an ARP packet for IPv4 over Ethernet.
const ARPLen = 28

// The fixed values of the fields in front of Op: Ethernet, IPv4 and their address lengths.
const (
	arpHardwareEthernet = 1
	arpPrefix           = arpHardwareEthernet<<48 | EtherTypeIPv4<<32 | 6<<24 | 4<<16
)

// ARP is an ARP packet for IPv4 over Ethernet (RFC 826).
type ARP struct {
	Op        uint16
	SenderMAC MAC
	SenderIP  [4]byte
	TargetMAC MAC
	TargetIP  [4]byte
}

// Parse reads the packet at the front of b; octets after it are padding. The error is ErrShort, or ErrFormat where
// the packet is not about IPv4 over Ethernet or is neither request nor reply.
func (h *ARP) Parse(b []byte) error {
	if len(b) < ARPLen {
		return ErrShort
	}
	fixed := binary.BigEndian.Uint64(b[0:8])
	h.Op = uint16(fixed)
	if fixed&^0xffff != arpPrefix || h.Op != ARPRequest && h.Op != ARPReply {
		return ErrFormat
	}
	h.SenderMAC = MAC(b[8:14])
	h.SenderIP = [4]byte(b[14:18])
	h.TargetMAC = MAC(b[18:24])
	h.TargetIP = [4]byte(b[24:28])
	return nil
}

// Marshal writes the packet to b, which must have room for ARPLen octets, and returns ARPLen.
func (h *ARP) Marshal(b []byte) int {
	_ = b[ARPLen-1]
	binary.BigEndian.PutUint64(b[0:8], arpPrefix|uint64(h.Op))
	copy(b[8:14], h.SenderMAC[:])
	copy(b[14:18], h.SenderIP[:])
	copy(b[18:24], h.TargetMAC[:])
	copy(b[24:28], h.TargetIP[:])
	return ARPLen
}
