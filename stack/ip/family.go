package ip

import (
	"net/netip"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// family is what differs between the versions of IP in what the layer sends, and is no more than a number or a small
// step. Code that is more than that asks for the version, once for each packet.
type family struct {
	version   uint8
	index     uint8 // among the families
	headerLen int   // octets of a header without options
	// fragmentLen is what a fragment has beside it, in octets.
	fragmentLen int
	etherType   uint16
	tcpSuper    link.Segmentation // of a TCP super-segment
	icmp        uint8             // the protocol number of its ICMP
	// leastPathMTU is the least MTU of a path in octets that a message is believed: as in Linux for IPv4, and what each
	// link carries for IPv6 (RFC 8200 5).
	leastPathMTU int
}

var (
	family4 = &family{version: 4, headerLen: wire.IPv4Len, etherType: wire.EtherTypeIPv4, tcpSuper: link.TCP4,
		icmp: wire.ProtocolICMP, leastPathMTU: 552}
	family6 = &family{version: 6, index: 1, headerLen: wire.IPv6Len, fragmentLen: wire.IPv6FragmentLen, etherType: wire.EtherTypeIPv6, tcpSuper: link.TCP6,
		icmp: wire.ProtocolICMPv6, leastPathMTU: 1280}
)

// families is the number of families.
const families = 2

// familyOf returns the family of an address that is not an IPv4-mapped one.
func familyOf(a netip.Addr) *family {
	if a.Is4() {
		return family4
	}
	return family6
}

// familyOfType returns the family of an EtherType, nil where it is none's.
func familyOfType(etherType uint16) *family {
	switch etherType {
	case family4.etherType:
		return family4
	case family6.etherType:
		return family6
	}
	return nil
}

// familyOfVersion returns the family of a packet that has no link header, by the version in its own. What is not IPv6 goes
// on as IPv4, which finds out.
func familyOfVersion(version uint8) *family {
	if version == family6.version {
		return family6
	}
	return family4
}

// isUnicast says whether an address, which is neither unspecified nor of a group, can be one host's (RFC 1122 3.2.1.3,
// RFC 4291 2.5.5.2: mapped addresses stand for IPv4's and are in no packet).
func (f *family) isUnicast(a netip.Addr) bool {
	if f == family6 {
		return !a.Is4In6()
	}
	b := a.As4()
	return b[0] < 240 && b[0] != 0
}

// super returns the largest packet in octets that a device cuts into TCP segments by itself, 0 where it cuts none.
func (f *family) super(info *link.Info) int {
	takes := info.TSO4
	if f.version == 6 {
		takes = info.TSO6
	}
	if !takes {
		return 0
	}
	return min(info.MaxPacket, maxPacket)
}

// maxPacket is the length in octets of the longest packet of either family, payload of an IPv6 packet without its header
// (RFC 791 3.1, RFC 8200 3).
const maxPacket = 65535

// maxPayload returns the longest payload in octets of a packet.
func (f *family) maxPayload() int {
	if f.version == 6 {
		return maxPacket
	}
	return maxPacket - f.headerLen
}

// MaxPayload returns the longest payload in octets of a packet to an address.
func MaxPayload(to netip.Addr) int {
	return familyOf(to.Unmap()).maxPayload()
}
