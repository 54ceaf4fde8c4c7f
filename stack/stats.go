package stack

import (
	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/stack/ip"
	"github.com/unet-go/unet/stack/tcp"
)

// Drop is a reason for which a packet was dropped below TCP. String names it in a few words.
type Drop = drop.Reason

// DropCounts are numbers of dropped packets, indexed by Drop. As JSON they have the names of the reasons.
type DropCounts = drop.Counts

// The reasons.
const (
	// DropRunt: a frame shorter than its link header, or than its tags.
	DropRunt = drop.Runt
	// DropEtherType: an EtherType that the host does not speak, or an IEEE 802.3 length.
	DropEtherType = drop.EtherType
	// DropVLAN: a frame of a VLAN other than 0, which none of ours is in.
	DropVLAN = drop.VLAN
	// DropForeignMAC: a frame for another station, or a group that we are not in.
	DropForeignMAC = drop.ForeignMAC
	// DropOwnMAC: a frame of ours that came back.
	DropOwnMAC = drop.OwnMAC
	// DropExtensionHeader: an IPv6 packet whose extension headers are wrong, too many, or ask to be dropped (RFC 8200 4).
	DropExtensionHeader = drop.ExtensionHeader
	// DropNoNextHeader: an IPv6 packet that says that nothing follows its headers (RFC 8200 4.7).
	DropNoNextHeader = drop.NoNextHeader
	// DropARPMalformed: an ARP packet that is not about IPv4 over Ethernet, or too short.
	DropARPMalformed = drop.ARPMalformed
	// DropARPSender: an ARP packet with a sender that cannot be.
	DropARPSender = drop.ARPSender
	// DropARPConflict: an ARP packet of another host that has an address of ours too (RFC 5227 2.4).
	DropARPConflict = drop.ARPConflict
	// DropNDMalformed: a message of IPv6's neighbour discovery that breaks a rule, or may come from another link.
	DropNDMalformed = drop.NDMalformed
	// DropNDSender: one with a sender or a link address that cannot be.
	DropNDSender = drop.NDSender
	// DropNDConflict: one of another host that has an address of ours too, or asks whether it may have it.
	DropNDConflict = drop.NDConflict
	// DropRouterLimit: a router advertisement of which something was not taken: there are as many routers, prefixes, addresses or
	// servers of routers as may be, or as many advertisements have come in this second (Host.Autoconfigure).
	DropRouterLimit = drop.RouterLimit
	// DropMLDMalformed: a query of groups that breaks a rule, or comes from no neighbour.
	DropMLDMalformed = drop.MLDMalformed
	// DropRedirect: a redirect that is not followed, as all are by default.
	DropRedirect = drop.Redirect
	// DropIPVersion: an IP version that does not go with the frame's type.
	DropIPVersion = drop.IPVersion
	// DropIPHeader: an IP header whose lengths lie, or that is cut short.
	DropIPHeader = drop.IPHeader
	// DropIPChecksum: a wrong header checksum.
	DropIPChecksum = drop.IPChecksum
	// DropIPOptions: an IPv4 option of illegal length.
	DropIPOptions = drop.IPOptions
	// DropSourceRoute: a source-routed packet (ledger Z-1).
	DropSourceRoute = drop.SourceRoute
	// DropNotForUs: a packet for another host, where SetForwarding is off, or for a group that we are not in.
	DropNotForUs = drop.NotForUs
	// DropBadSource: a source address that no packet from the wire may have.
	DropBadSource = drop.BadSource
	// DropBadDestination: a destination that no packet from the wire may have, 127.0.0.1 for instance.
	DropBadDestination = drop.BadDestination
	// DropFragment: a fragment whose offset or length is illegal.
	DropFragment = drop.Fragment
	// DropFragmentOverlap: a fragment that overlaps another one; its datagram goes with it.
	DropFragmentOverlap = drop.FragmentOverlap
	// DropReassemblyTimeout: a fragment whose datagram was not complete in time.
	DropReassemblyTimeout = drop.ReassemblyTimeout
	// DropReassemblyMemory: a fragment whose datagram was given up for memory.
	DropReassemblyMemory = drop.ReassemblyMemory
	// DropProtocol: an IP protocol that the host does not speak.
	DropProtocol = drop.Protocol
	// DropICMPMalformed: an ICMP message that is cut short or has a wrong checksum.
	DropICMPMalformed = drop.ICMPMalformed
	// DropICMPType: an ICMP message that we neither serve nor understand.
	DropICMPType = drop.ICMPType
	// DropICMPQuote: an ICMP error that quotes nothing of ours.
	DropICMPQuote = drop.ICMPQuote
	// DropICMPBroadcast: an echo request to more than one host.
	DropICMPBroadcast = drop.ICMPBroadcast
	// DropICMPRate: an ICMP error that a rate limit held back.
	DropICMPRate = drop.ICMPRate
	// DropUDPMalformed: a UDP header that lies or is cut short.
	DropUDPMalformed = drop.UDPMalformed
	// DropUDPChecksum: a wrong UDP checksum, or none where there must be one.
	DropUDPChecksum = drop.UDPChecksum
	// DropUDPNoPort: a datagram for a port without a socket.
	DropUDPNoPort = drop.UDPNoPort
	// DropUDPFull: a datagram, or an error for the queue of errors, for a socket whose buffer is full.
	DropUDPFull = drop.UDPFull
	// DropRawFull: a packet for a raw socket whose buffer is full.
	DropRawFull = drop.RawFull
	// DropNeighborQueue: a packet that waited for a neighbour and made room for a newer one.
	DropNeighborQueue = drop.NeighborQueue
	// DropNeighborFailed: a packet for a neighbour that does not answer.
	DropNeighborFailed = drop.NeighborFailed
	// DropNeighborTable: a packet for a neighbour that the cache has no room for.
	DropNeighborTable = drop.NeighborTable
	// DropTxQueueFull: a packet for a device that does not keep up.
	DropTxQueueFull = drop.TxQueueFull
	// DropClosing: a packet that came to be sent while the host closed, behind everything that was to leave, or whose
	// neighbour had not told its link address by then.
	DropClosing = drop.Closing
	// DropTooBig: an outgoing packet that exceeds the MTU and must not be fragmented.
	DropTooBig = drop.TooBig
	// DropInterfaceFailed: a packet for a device that has failed or is detached.
	DropInterfaceFailed = drop.InterfaceFailed
	// DropNoRoute: a segment of a connection whose address or route is gone, or a packet of others to which no route leads.
	DropNoRoute = drop.NoRoute
	// DropNotForwarded: a packet for another host that a router must not pass on: it was sent to all on the link, or has an
	// address that is none on other links.
	DropNotForwarded = drop.NotForwarded
	// DropHopLimit: a packet for another host whose TTL or hop limit has come to its end.
	DropHopLimit = drop.HopLimit

	// Drops is the number of reasons.
	Drops = drop.Reasons
)

// InterfaceStats are the counters of one interface. See the fields.
type InterfaceStats = ip.InterfaceStats

// Stats are a host's counters since it began, and its gauges.
type Stats struct {
	// Interfaces has one element for each interface, loopback's first.
	Interfaces []InterfaceStats
	// Dropped counts packets by reason, indexed by Drop.
	Dropped DropCounts
	// Reassembled counts the datagrams that were put together, Fragmented those that were cut.
	Reassembled, Fragmented uint64
	// Forwarded counts the packets of others that were passed on (Host.SetForwarding); a super-segment is one.
	Forwarded uint64
	// ReassemblyBytes is the memory in octets that incomplete datagrams take now.
	ReassemblyBytes int
	// EchoReplies and ICMPErrors count the ICMP messages sent, ICMPErrorsIn the errors received about
	// packets of ours.
	EchoReplies, ICMPErrors, ICMPErrorsIn uint64
	// DatagramsIn and DatagramsOut count UDP's.
	DatagramsIn, DatagramsOut uint64
	// UDPSockets is the number of open UDP sockets.
	UDPSockets int
	// TCP sums the counters of all shards.
	TCP tcp.Counters
	// TCPGauges are the TCP side's gauges and its counters outside of package tcp.
	TCPGauges TCPGauges
}

// Stats returns the host's counters and gauges at about one moment.
func (h *Host) Stats() Stats {
	n := h.ip.Stats()
	s := Stats{
		Interfaces: n.Interfaces, Dropped: h.drops.Load(),
		Reassembled: n.Reassembled, Fragmented: n.Fragmented, Forwarded: n.Forwarded, ReassemblyBytes: n.ReassemblyBytes,
		EchoReplies: n.EchoReplies, ICMPErrors: n.ICMPErrors, ICMPErrorsIn: n.ICMPErrorsIn,
	}
	s.DatagramsIn, s.DatagramsOut, s.UDPSockets = h.udp.datagrams.in.Load(), h.udp.datagrams.out.Load(), h.udp.count()
	s.TCP, s.TCPGauges = h.tcp.stats()
	return s
}
