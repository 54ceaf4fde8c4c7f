package ip

import (
	"net/netip"

	"github.com/unet-go/unet/stack/link"
)

// Packet is an IP packet for this host on its way up to a transport, borrowed until the next call of Input.Frame. All
// addresses are plain ones, never IPv4-mapped; Src is one host's unicast address.
type Packet struct {
	Src, Dst  netip.Addr
	Interface *Interface // that the packet came from
	Payload   []byte     // transport header and data, cut to the IP length
	// Buffer holds Payload; to keep payload is to take a reference to it. nil: copy to keep.
	Buffer             *link.Buffer
	Protocol, TOS, TTL uint8
	// ChecksumOK says that the transport checksum need not be verified.
	ChecksumOK bool
	// Broadcast says that the frame or the packet went to more than one host.
	Broadcast bool
	// GSOSize is the payload of each segment that a super-segment stands for; 0 for a plain packet.
	GSOSize uint16

	family        *family
	header        []byte // the IP header, as an ICMP error quotes it
	laterFragment bool   // a fragment other than the first
	fragmented    bool   // it came in fragments, of which there may have been one
	routerAlert   bool   // it has the router alert option of MLD
	ownSource     bool   // its source is an address of this host's, although it came from the wire
	nextAt        int    // the octet of header that names Protocol; IPv6's only
}

// Header returns the IP header with its options or extension headers, borrowed as Payload is. That of a packet which came
// in fragments is the first one's.
func (p *Packet) Header() []byte { return p.header }
