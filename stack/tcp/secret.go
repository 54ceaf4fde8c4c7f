package tcp

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/unet-go/unet/internal/mono"
)

// Secret is the key for everything that a stranger must not be able to guess: initial sequence numbers (RFC 6528),
// timestamp offsets (RFC 7323 5.4), SYN cookies (RFC 4987 3.6) and those of Fast Open (RFC 7413 4.1.2). It is never shown.
type Secret [32]byte

// NewSecret returns a random secret.
func NewSecret() *Secret {
	s := new(Secret)
	rand.Read(s[:]) // never fails: crypto/rand
	return s
}

const (
	purposeISN = iota + 1
	purposeSYNCookie
	purposeFastOpen
)

func addrOnly(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr(), 0) }

// isnTick is the period of the clock part of an ISN (RFC 9293 3.4.1).
const isnTick = 4 * time.Microsecond

// prf returns a keyed pseudo-random value for a tuple and a number. What it hashes for IPv4 is one block of SHA-256:
// a flood of SYNs asks for two values each.
func (s *Secret) prf(purpose byte, t Tuple, number uint64) [sha256.Size]byte {
	var b [32 + 1 + 8 + 2 + 2 + 16 + 16]byte
	copy(b[:], s[:])
	b[32] = purpose
	binary.BigEndian.PutUint64(b[33:], number)
	binary.BigEndian.PutUint16(b[41:], t.Local.Port())
	binary.BigEndian.PutUint16(b[43:], t.Remote.Port())
	const at = 45
	if l, r := t.Local.Addr().Unmap(), t.Remote.Addr().Unmap(); l.Is4() && r.Is4() {
		local, remote := l.As4(), r.As4()
		copy(b[at:], local[:])
		copy(b[at+4:], remote[:])
		return sha256.Sum256(b[:at+8])
	}
	local, remote := t.Local.Addr().As16(), t.Remote.Addr().As16()
	copy(b[at:], local[:])
	copy(b[at+16:], remote[:])
	if zones := t.Local.Addr().Zone() + "%" + t.Remote.Addr().Zone(); len(zones) > 1 {
		// On each link the addresses are those of other hosts, which must learn nothing of each other's values.
		return sha256.Sum256(append(b[:], zones...))
	}
	return sha256.Sum256(b[:])
}

// Numbers are what connections begin with where that is not left to chance: for tests of what happens where numbers
// begin again at zero.
type Numbers struct {
	ISS   Seq    // the initial sequence number
	Stamp uint32 // the timestamp at the beginning
}

// ISSFloor is a sequence number that a new connection's initial one must stand after, since an earlier connection of
// the same four-tuple used the numbers up to it. The zero value is no such number.
type ISSFloor struct {
	after Seq
	set   bool
}

// raise returns iss, or where that does not stand after the floor a number that does.
func (f ISSFloor) raise(iss Seq, env *Env) Seq {
	if f.set && iss.LessThanEq(f.after) {
		return f.after.Add(1 + uint32(env.Rand())&0xffff)
	}
	return iss
}

// initial returns the initial sequence number and the offset of the timestamp clock for a new connection.
func (e *Env) initial(t Tuple, floor ISSFloor, now mono.Time) (iss Seq, tsOffset uint32) {
	if n := e.Numbers; n != nil {
		iss, tsOffset = n.ISS, n.Stamp-tsClock(now)
	} else {
		iss, tsOffset = e.Secret.initial(t, now)
	}
	return floor.raise(iss, e), tsOffset
}

// initial returns the initial sequence number M + F(tuple, secret) of RFC 6528 3, and the offset of the
// tuple's timestamp clock.
func (s *Secret) initial(t Tuple, now mono.Time) (iss Seq, tsOffset uint32) {
	h := s.prf(purposeISN, t, 0)
	m := uint32(int64(now) / int64(isnTick))
	return Seq(binary.BigEndian.Uint32(h[:]) + m), binary.BigEndian.Uint32(h[4:])
}
