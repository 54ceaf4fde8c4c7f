package wire

import "encoding/binary"

// EtherTypes of the protocols that the stack speaks.
const (
	EtherTypeIPv4 = 0x0800
	EtherTypeARP  = 0x0806
	EtherTypeIPv6 = 0x86dd
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

// Parse reads the header at the front of b and returns what follows it, trailing pad included: only the
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
