package stack

import (
	"net/netip"

	"github.com/unet-go/unet/stack/link"
)

// packet is an IP packet for this host on its way up to a transport, borrowed for the call. All addresses
// are plain ones, never IPv4-mapped; src is one host's unicast address.
type packet struct {
	src, dst netip.Addr
	iface    *iface
	header   []byte // the IP header
	payload  []byte // transport header and data, cut to the IP length
	// buf holds payload; who wants to keep payload takes a reference to it. nil: copy to keep.
	buf      *link.Buffer
	tos, ttl uint8
	// sumOK says that the transport checksum need not be verified.
	sumOK bool
	// broadcast says that the frame or the packet went to more than one host.
	broadcast bool
	// gsoSize is the payload of each segment that a super-segment stands for; 0 for a plain packet.
	gsoSize uint16
}
