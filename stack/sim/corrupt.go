package sim

import (
	"encoding/binary"
	"math/bits"

	"github.com/unet-go/unet/stack/link"
)

// The Ethernet header: its length in octets, where its type stands, and the types that are IP.
const (
	etherLen      = 14
	etherType     = 12
	etherTypeIPv4 = 0x0800
	etherTypeIPv6 = 0x86dd
)

// Places in an IPv4 and in an IPv6 packet, and numbers of protocols and extension headers (RFC 791 3.1, RFC 8200 3 and 4).
const (
	ip4TotalLen  = 2
	ip4Fragment  = 6
	ip4Protocol  = 9
	ip4HeaderLen = 20

	ip6PayloadLen = 4
	ip6NextHeader = 6
	ip6Addresses  = 8
	ip6HeaderLen  = 40

	nextHopByHop    = 0
	nextICMPv4      = 1
	nextTCP         = 6
	nextUDP         = 17
	nextRouting     = 43
	nextFragment    = 44
	nextICMPv6      = 58
	nextDestination = 60
)

// flip inverts one bit of an IP frame, one that a checksum covers, and reports whether there is one. The receiver always
// notices it: a checksum that was left to the device is completed first, and the frame is no longer marked as verified.
func flip(f *link.Frame, random uint64) bool {
	h := f.Header
	completeChecksum(f)
	var c covered
	switch binary.BigEndian.Uint16(h[etherType:]) {
	case etherTypeIPv4:
		c.addIPv4(h, etherLen)
	case etherTypeIPv6:
		c.addIPv6(h, etherLen)
	}
	if c.octets == 0 {
		return false
	}
	bit, _ := bits.Mul64(random, uint64(c.octets)*8)
	h[c.octet(int(bit/8))] ^= 1 << (bit % 8)
	f.Meta.ChecksumValid = false
	return true
}

// completeChecksum writes the checksum that is left to the device.
func completeChecksum(f *link.Frame) {
	m := &f.Meta
	if !m.NeedsChecksum {
		return
	}
	segment := f.Header[m.ChecksumStart:]
	sum := checksum(segment)
	if sum == 0 {
		sum = 0xffff // equal to zero for TCP; for UDP zero would mean that there is no checksum (RFC 768)
	}
	binary.BigEndian.PutUint16(segment[m.ChecksumOffset:], sum)
	m.NeedsChecksum = false
}

// covered is the part of a frame that checksums cover: up to three runs of octets, in order.
type covered struct {
	runs   [3]struct{ from, to int }
	n      int
	octets int // in all runs
}

func (c *covered) add(from, to int) {
	if from < to {
		c.runs[c.n].from, c.runs[c.n].to = from, to
		c.n++
		c.octets += to - from
	}
}

// octet returns the offset in the frame of octet number i of the runs.
func (c *covered) octet(i int) int {
	for _, r := range c.runs[:c.n] {
		if i < r.to-r.from {
			return r.from + i
		}
		i -= r.to - r.from
	}
	return -1
}

// addIPv4 adds the octets that the header checksum and the transport checksum cover of the IPv4 packet at an offset of a
// frame. The octet of the header's length is left out: with another length the receiver sums other octets, and their
// sum may be right. It adds nothing of a packet whose lengths are wrong.
func (c *covered) addIPv4(frame []byte, network int) {
	if len(frame) < network+ip4HeaderLen {
		return
	}
	at := network + int(frame[network]&0xf)*4
	end := network + int(binary.BigEndian.Uint16(frame[network+ip4TotalLen:]))
	if at < network+ip4HeaderLen || at > end || end > len(frame) {
		return
	}
	c.add(network+1, at)
	later := binary.BigEndian.Uint16(frame[network+ip4Fragment:])&0x1fff != 0
	switch frame[network+ip4Protocol] {
	case nextTCP, nextICMPv4:
		c.add(at, end)
	case nextUDP:
		if !later && checkedUDP(frame[:end], at) { // a later fragment does not tell
			c.addUDP(frame[:end], at)
		}
	}
}

// addIPv6 adds the octets that the transport checksum covers of the IPv6 packet at an offset of a frame. No checksum
// covers its header apart from the addresses, or its extension headers, which may give the addresses another meaning
// (RFC 8200 8.1). It adds nothing of a packet whose transport header is not found. A later fragment of a datagram does not
// tell whether its octets are within UDP's length; the checksum is mandatory, so they are taken to be.
func (c *covered) addIPv6(frame []byte, network int) {
	if len(frame) < network+ip6HeaderLen {
		return
	}
	end := network + ip6HeaderLen + int(binary.BigEndian.Uint16(frame[network+ip6PayloadLen:]))
	if end > len(frame) {
		return
	}
	next, at, later, ok := transport6(frame[:end], network)
	if !ok || at >= end || next != nextTCP && next != nextUDP && next != nextICMPv6 {
		return
	}
	datagram := next == nextUDP && !later
	if datagram && !checkedUDP(frame[:end], at) {
		return
	}
	c.addAddresses6(network, at)
	if datagram {
		c.addUDP(frame[:end], at)
	} else {
		c.add(at, end)
	}
}

// Places in a UDP header, and its length (RFC 768).
const (
	udpLength    = 4
	udpChecksum  = 6
	udpHeaderLen = 8
)

// checkedUDP says whether the datagram whose header begins at an offset of a packet has a checksum, which covers data.
func checkedUDP(packet []byte, at int) bool {
	return at+udpHeaderLen <= len(packet) && binary.BigEndian.Uint16(packet[at+udpChecksum:]) != 0 &&
		binary.BigEndian.Uint16(packet[at+udpLength:]) >= udpHeaderLen
}

// addUDP adds a datagram with a checksum, or its first fragment. The length field is left out: a receiver cuts the datagram
// off at that length, and the sum of the octets that it cuts off may be equal to the change of the flipped bit. So is
// what is behind that length, and a checksum that a flipped bit can turn into none.
func (c *covered) addUDP(packet []byte, at int) {
	end := min(at+int(binary.BigEndian.Uint16(packet[at+udpLength:])), len(packet))
	c.add(at, at+udpLength)
	if bits.OnesCount16(binary.BigEndian.Uint16(packet[at+udpChecksum:])) == 1 {
		c.add(at+udpHeaderLen, end)
	} else {
		c.add(at+udpChecksum, end)
	}
}

// addAddresses6 adds the addresses of a packet, if its transport header follows the IPv6 header without an extension
// header between them.
func (c *covered) addAddresses6(network, transport int) {
	if transport == network+ip6HeaderLen {
		c.add(network+ip6Addresses, transport)
	}
}

// transport6 returns the transport protocol of the IPv6 packet at the end of a frame, and the offset of its header. In a
// fragment that is not the first one, which later tells, it is the offset of the fragment's payload. It is not ok where
// extension headers are cut off.
func transport6(frame []byte, network int) (next byte, at int, later, ok bool) {
	next, at = frame[network+ip6NextHeader], network+ip6HeaderLen
	for !later {
		switch next {
		case nextHopByHop, nextRouting, nextDestination:
			if at+8 > len(frame) {
				return 0, 0, false, false
			}
			next, at = frame[at], at+8+8*int(frame[at+1])
		case nextFragment:
			if at+8 > len(frame) {
				return 0, 0, false, false
			}
			later = binary.BigEndian.Uint16(frame[at+2:])>>3 != 0
			next, at = frame[at], at+8
		default:
			return next, at, false, true
		}
	}
	return next, at, true, true
}

// checksum is RFC 1071's.
func checksum(p []byte) uint16 {
	var sum uint64
	for ; len(p) >= 2; p = p[2:] {
		sum += uint64(binary.BigEndian.Uint16(p))
	}
	if len(p) == 1 {
		sum += uint64(p[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
