// Package drop has the reasons for which a host drops packets below TCP, and counts them.
package drop

import (
	"strconv"
	"sync/atomic"
)

// Reason is a reason for which a packet was dropped.
type Reason uint8

// The reasons. What each means is written at its name in package stack, DropRunt for Runt.
const (
	Runt Reason = iota
	EtherType
	VLAN
	ForeignMAC
	OwnMAC
	ExtensionHeader
	NoNextHeader
	ARPMalformed
	ARPSender
	ARPConflict
	NDMalformed
	NDSender
	NDConflict
	RouterLimit
	MLDMalformed
	Redirect
	IPVersion
	IPHeader
	IPChecksum
	IPOptions
	SourceRoute
	NotForUs
	BadSource
	BadDestination
	Fragment
	FragmentOverlap
	ReassemblyTimeout
	ReassemblyMemory
	Protocol
	ICMPMalformed
	ICMPType
	ICMPQuote
	ICMPBroadcast
	ICMPRate
	UDPMalformed
	UDPChecksum
	UDPNoPort
	UDPFull
	RawFull
	NeighborQueue
	NeighborFailed
	NeighborTable
	TxQueueFull
	Closing
	TooBig
	InterfaceFailed
	NoRoute
	NotForwarded
	HopLimit

	// Reasons is the number of reasons.
	Reasons
)

var names = [Reasons]string{
	Runt:              "runt frame",
	EtherType:         "EtherType",
	VLAN:              "VLAN",
	ForeignMAC:        "foreign MAC",
	OwnMAC:            "own MAC",
	ExtensionHeader:   "extension header",
	NoNextHeader:      "no next header",
	ARPMalformed:      "malformed ARP",
	ARPSender:         "ARP sender",
	ARPConflict:       "ARP conflict",
	NDMalformed:       "malformed ND",
	NDSender:          "ND sender",
	NDConflict:        "ND conflict",
	RouterLimit:       "router limit",
	MLDMalformed:      "malformed MLD",
	Redirect:          "redirect",
	IPVersion:         "IP version",
	IPHeader:          "IP header",
	IPChecksum:        "IP checksum",
	IPOptions:         "IP options",
	SourceRoute:       "source route",
	NotForUs:          "not for us",
	BadSource:         "bad source",
	BadDestination:    "bad destination",
	Fragment:          "fragment",
	FragmentOverlap:   "fragment overlap",
	ReassemblyTimeout: "reassembly timeout",
	ReassemblyMemory:  "reassembly memory",
	Protocol:          "protocol",
	ICMPMalformed:     "malformed ICMP",
	ICMPType:          "ICMP type",
	ICMPQuote:         "ICMP quote",
	ICMPBroadcast:     "ICMP broadcast",
	ICMPRate:          "ICMP rate",
	UDPMalformed:      "malformed UDP",
	UDPChecksum:       "UDP checksum",
	UDPNoPort:         "UDP port",
	UDPFull:           "UDP buffer",
	RawFull:           "raw buffer",
	NeighborQueue:     "neighbour queue",
	NeighborFailed:    "neighbour failed",
	NeighborTable:     "neighbour table",
	TxQueueFull:       "transmit queue",
	Closing:           "closing",
	TooBig:            "too big",
	InterfaceFailed:   "interface failed",
	NoRoute:           "no route",
	NotForwarded:      "not forwarded",
	HopLimit:          "hop limit",
}

// String names the reason in a few words.
func (r Reason) String() string {
	if r < Reasons {
		return names[r]
	}
	return "invalid"
}

// Counters count dropped packets by reason. The zero value is ready; any goroutine may use it.
type Counters [Reasons]atomic.Uint64

// Add counts one packet.
func (c *Counters) Add(r Reason) { c[r].Add(1) }

// Load returns the counts. They are read one after the other, within a short time.
func (c *Counters) Load() (n Counts) {
	for i := range c {
		n[i] = c[i].Load()
	}
	return n
}

// Counts are numbers of dropped packets, indexed by Reason.
type Counts [Reasons]uint64

// MarshalJSON returns an object with the names of the reasons, in their order.
func (n Counts) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for r := range n {
		if r > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendQuote(b, names[r])
		b = append(b, ':')
		b = strconv.AppendUint(b, n[r], 10)
	}
	return append(b, '}'), nil
}
