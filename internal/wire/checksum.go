package wire

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// Sum adds the 16-bit words of b to the ones-complement sum of the octets before, and returns the new sum, at
// most 0xffff (RFC 1071). A last odd octet counts as the high half of a word, so only the last of several
// pieces may have an odd length; SumAt has no such rule.
//
// The words are added in little-endian order, eight octets at a time, and the result is swapped. Ones-complement
// addition gives the same sum in both orders (RFC 1071 2(B)), and most machines load little-endian words without swapping.
func Sum(b []byte, initial uint32) uint32 {
	var sum, carry uint64
	for len(b) >= 64 {
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[0:8]), 0)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[8:16]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[16:24]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[24:32]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[32:40]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[40:48]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[48:56]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[56:64]), carry)
		sum += carry
		b = b[64:]
	}
	for len(b) >= 8 {
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b), 0)
		sum += carry
		b = b[8:]
	}
	// Fewer than eight octets are left: at most one word of each size.
	var tail uint64
	if len(b) >= 4 {
		tail = uint64(binary.LittleEndian.Uint32(b))
		b = b[4:]
	}
	if len(b) >= 2 {
		tail += uint64(binary.LittleEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		tail += uint64(b[0])
	}
	sum, carry = bits.Add64(sum, tail, 0)
	swapped := bits.ReverseBytes16(fold64(sum + carry))
	return uint32(Fold(uint32(swapped) + uint32(Fold(initial))))
}

// SumAt is Sum for a piece that begins offset octets after the first summed octet, where that may be odd:
// the octets of such a piece change their halves of the words.
func SumAt(b []byte, offset int, initial uint32) uint32 {
	if offset&1 == 0 {
		return Sum(b, initial)
	}
	return uint32(Fold(uint32(bits.ReverseBytes16(uint16(Sum(b, 0)))) + uint32(Fold(initial))))
}

// Fold folds a sum to 16 bits. It does not complement it.
func Fold(sum uint32) uint16 {
	sum = sum>>16 + sum&0xffff
	return uint16(sum>>16 + sum)
}

// Checksum returns the Internet checksum of b and of the octets whose sum is initial: the complement of the folded
// sum. The result is zero for octets that contain their correct checksum.
func Checksum(b []byte, initial uint32) uint16 { return ^Fold(Sum(b, initial)) }

// PseudoHeader returns the sum of the pseudo-header of a transport protocol for two addresses of one family
// and a length in octets of transport header and payload (RFC 9293 3.1, RFC 8200 8.1).
func PseudoHeader(src, dst netip.Addr, proto uint8, length int) uint32 {
	if src.Is4() && dst.Is4() {
		return PseudoHeader4(src.As4(), dst.As4(), proto, length)
	}
	return PseudoHeader6(src.As16(), dst.As16(), proto, length)
}

// PseudoHeader4 is PseudoHeader for IPv4.
func PseudoHeader4(src, dst [4]byte, proto uint8, length int) uint32 {
	sum := uint64(binary.BigEndian.Uint32(src[:])) + uint64(binary.BigEndian.Uint32(dst[:])) +
		uint64(proto) + uint64(uint32(length))
	return uint32(fold64(sum))
}

// PseudoHeader6 is PseudoHeader for IPv6.
func PseudoHeader6(src, dst [16]byte, proto uint8, length int) uint32 {
	sum, carry := bits.Add64(binary.BigEndian.Uint64(src[0:8]), binary.BigEndian.Uint64(src[8:16]), 0)
	sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(dst[0:8]), carry)
	sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(dst[8:16]), carry)
	sum, carry = bits.Add64(sum, uint64(proto)+uint64(uint32(length)), carry)
	return uint32(fold64(sum>>32 + sum&0xffffffff + carry))
}

func fold64(sum uint64) uint16 {
	sum = sum>>32 + sum&0xffffffff
	return Fold(uint32(sum>>32 + sum))
}
