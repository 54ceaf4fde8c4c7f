package ip

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
)

// iidLen is the length in octets of an interface identifier, the lower half of an address (RFC 4291 2.5.1).
const iidLen = 8

// randomSecret returns a secret for addresses that are others each time.
func randomSecret() []byte {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return b
}

// stableAddr returns the host's address in a network when so many tries before it were in vain, RID of RFC 7217 5: it is the
// same each time, and says nothing of the address in another network. It tries on if the identifier is reserved.
func (a *autoconf) stableAddr(prefix netip.Prefix, tries *uint8) netip.Addr {
	for {
		b := []byte("unet IID\x00")
		for _, part := range [][]byte{a.Secret, []byte(a.ifc.info.Name), prefix.Addr().AsSlice(), {*tries}} {
			b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
			b = append(b, part...)
		}
		sum := sha256.Sum256(b)
		if id := [iidLen]byte(sum[:]); !reservedID(id) || *tries == 255 {
			return join(prefix, id)
		}
		*tries++
	}
}

// randomAddr returns an address in a network that nobody can foresee (RFC 8981 3.3.1).
func randomAddr(prefix netip.Prefix) netip.Addr {
	for {
		var id [iidLen]byte
		_, _ = rand.Read(id[:]) // never fails
		if !reservedID(id) {
			return join(prefix, id)
		}
	}
}

// reservedID says whether an interface identifier is one of those that mean something else (RFC 5453 3).
func reservedID(id [iidLen]byte) bool {
	n := binary.BigEndian.Uint64(id[:])
	return n == 0 || n>>32 == 0x02005eff && n>>24&0xff == 0xfe || n>>7 == 0xfdffffffffffff80>>7
}

// join returns the address of the interface identifier in the network.
func join(prefix netip.Prefix, id [iidLen]byte) netip.Addr {
	b := prefix.Addr().As16()
	copy(b[8:], id[:])
	return netip.AddrFrom16(b)
}
