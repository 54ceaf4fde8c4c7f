package ip

import (
	"net/netip"
)

// Reason is what an ICMP error says of a packet, whatever the version of IP.
type Reason uint8

// The reasons. All are said of packets of ours; the layer itself says ProtocolUnreachable, PortUnreachable,
// ReassemblyTimeout and what is wrong with headers of others' packets.
const (
	// NetUnreachable: there is no way to the network, or it is forbidden.
	NetUnreachable Reason = iota
	// HostUnreachable: the host does not answer, or it is forbidden.
	HostUnreachable
	// ProtocolUnreachable: nothing there speaks the transport protocol.
	ProtocolUnreachable
	// PortUnreachable: nothing is at the port.
	PortUnreachable
	// PacketTooBig: a link on the way takes packets of at most Report.MTU octets.
	PacketTooBig
	// SourceRouteFailed: a source route leads nowhere.
	SourceRouteFailed
	// TimeExceeded: the TTL or hop limit has come to nothing.
	TimeExceeded
	// ReassemblyTimeout: fragments are missing.
	ReassemblyTimeout
	// HeaderProblem: a field of the header is wrong.
	HeaderProblem
	// Prohibited: the packet may not pass. IPv6 alone says this; for IPv4 it is one of the unreachables.
	Prohibited
	// UnknownOption: an option of an extension header is not known.
	UnknownOption
	// IncompleteChain: the first fragment has not all headers (RFC 7112).
	IncompleteChain
	// BeyondScope: the source's address is none beyond its link (RFC 4007 9). IPv6 alone says this.
	BeyondScope

	reasons
)

// Report is what an ICMP error, or a neighbour that does not answer, says about a packet of ours.
type Report struct {
	Reason Reason
	// Neighbor says that there was no message: a neighbour of ours did not answer.
	Neighbor bool
	// MTU is what the link takes in octets where Reason is PacketTooBig, else 0.
	MTU int
	// Local and Remote are our packet's source and destination, Protocol its transport's number.
	Local, Remote netip.Addr
	Protocol      uint8
	// Transport is the beginning of our packet's transport header, borrowed as a Packet is. It may be cut short.
	Transport []byte

	packet []byte // of Neighbor, the beginning of the packet, where it may be another host's
}
