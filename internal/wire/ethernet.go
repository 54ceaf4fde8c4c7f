package wire

import "encoding/binary"

// EtherTypes of the protocols that the stack speaks.
const (
	EtherTypeIPv4 = 0x0800
	EtherTypeARP  = 0x0806
	EtherTypeIPv6 = 0x86dd
)

// EtherTypes of the tags of IEEE 802.1Q: a customer's, and a service provider's around it (802.1ad).
const (
	EtherTypeVLAN        = 0x8100
	EtherTypeServiceVLAN = 0x88a8
)

// EthernetLen is the length of an Ethernet II header in octets. Neither preamble nor frame check sequence
// reaches software.
const EthernetLen = 14

// MAC is an Ethernet address.
type MAC = [6]byte

// BroadcastMAC is the address of every station on the link.
var BroadcastMAC = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Ethernet is an Ethernet II header (RFC 894). A Type below 0x0600 is the length of an IEEE 802.3 frame,
// which Parse leaves to the caller to drop together with the types it does not know.
type Ethernet struct {
	Dst, Src MAC
	Type     uint16
}

// Parse reads the header at the front of b and returns the octets after it. They may end with padding: only the
// network layer knows where its packet ends. The error is ErrShort.
func (h *Ethernet) Parse(b []byte) (payload []byte, err error) {
	if len(b) < EthernetLen {
		return nil, ErrShort
	}
	h.Dst = MAC(b[0:6])
	h.Src = MAC(b[6:12])
	h.Type = binary.BigEndian.Uint16(b[12:14])
	return b[EthernetLen:], nil
}

// Marshal writes the header to b, which must have room for EthernetLen octets, and returns EthernetLen.
func (h *Ethernet) Marshal(b []byte) int {
	_ = b[EthernetLen-1]
	copy(b[0:6], h.Dst[:])
	copy(b[6:12], h.Src[:])
	binary.BigEndian.PutUint16(b[12:14], h.Type)
	return EthernetLen
}

// VLANTagLen is the length in octets of what follows the EtherType of a tag: priority and VLAN, and the next EtherType.
const VLANTagLen = 4

// VLANTag is a tag of IEEE 802.1Q. ID 0 is no VLAN: such a tag has a priority only (802.1Q 9.6).
type VLANTag struct {
	Priority uint8  // 0 to 7
	ID       uint16 // 0 to 4095
	Type     uint16 // of what follows
}

// Parse reads the tag at the front of b, which is behind the EtherType of a tag, and returns the octets after it.
// The error is ErrShort.
func (t *VLANTag) Parse(b []byte) (payload []byte, err error) {
	if len(b) < VLANTagLen {
		return nil, ErrShort
	}
	control := binary.BigEndian.Uint16(b)
	t.Priority, t.ID = uint8(control>>13), control&0xfff
	t.Type = binary.BigEndian.Uint16(b[2:])
	return b[VLANTagLen:], nil
}
