// Package wire reads and writes the headers of the protocols that the stack speaks: Ethernet, ARP, IPv4,
// IPv6, ICMP, UDP and TCP.
//
// Each protocol has a small struct with decoded fields. Parse checks every length against the octets that
// are there before it uses it and returns what the header carries; Marshal writes the header to the front
// of a slice that has room and returns the octets written. Slices that Parse returns or stores are
// borrowed from its argument. Nothing here allocates, keeps state or panics on what a peer sent.
//
// Where Parse returns an error the fields of the struct are undefined, unless its comment says more.
// Every Parse sets every field, so that a struct may be used again.
package wire

import "errors"

// The errors of Parse. It never wraps them, so that the caller can count packets by reason with a comparison.
var (
	// ErrShort says that there are fewer octets than the fixed part of the header has.
	ErrShort = errors.New("wire: shorter than the header")
	// ErrLength says that a length field is smaller than the header or larger than the packet.
	ErrLength = errors.New("wire: length field and packet disagree")
	// ErrVersion says that the IP version is not the one expected.
	ErrVersion = errors.New("wire: wrong IP version")
	// ErrChecksum says that the checksum is wrong.
	ErrChecksum = errors.New("wire: wrong checksum")
	// ErrOption says that an option's length is missing, too small or runs past the header.
	ErrOption = errors.New("wire: illegal option length")
	// ErrFormat says that a field has a value that this stack does not support.
	ErrFormat = errors.New("wire: unknown format")
)

// IP protocol and next header numbers.
const (
	ProtocolICMP   = 1
	ProtocolTCP    = 6
	ProtocolUDP    = 17
	ProtocolICMPv6 = 58
)
