package tcp

import (
	"encoding/binary"
	"time"

	"github.com/unet-go/unet/internal/mono"
)

// A SYN cookie is an initial sequence number that replaces a half-open record (RFC 4987 3.6): three bits of a minute counter,
// three of the MSS, and a keyed hash of both with the tuple and the peer's initial number. The six bits that are not hashed are
// masked with a keyed hash of the tuple, so that a cookie reveals neither the time nor other cookies (RFC 6528). Window scale,
// SACK and ECN are encoded in the low bits of the timestamp, if there is one.
const (
	cookieMinute   = time.Minute
	cookieHashBits = 26
	cookieHashMask = 1<<cookieHashBits - 1
	stampBits      = 6 // four of window scale, one of SACK, one of ECN
	stampMask      = 1<<stampBits - 1
	stampNoScale   = 15
)

var cookieMSS = [8]uint16{216, 536, 940, 1220, 1300, 1440, 1460, 8960}

// InitSYNCookie makes a record whose SYN-ACK is a cookie. The caller sends SynAck and forgets the record.
func (h *HalfOpen) InitSYNCookie(env *Env, t Tuple, p Path, o *Options, seg *Segment, now mono.Time) {
	h.take(env, p, o, seg)
	h.flags |= halfSYNCookie
	if h.flags&halfTimestamps == 0 {
		// Without a timestamp there is no place to store these.
		h.flags &^= halfScaled | halfSACK | halfECN
		h.sndScale, h.rcvScale = 0, 0
	}
	index := 0
	for i, mss := range cookieMSS {
		if mss <= h.mss {
			index = i
		}
	}
	var mask Seq
	mask, h.tsOffset = env.Secret.cookieMask(t)
	h.iss = env.Secret.cookie(t, h.irs, cookieCount(now), uint32(index)) ^ mask
	h.sent = now
}

func cookieCount(now mono.Time) uint64 { return uint64(now) / uint64(cookieMinute) }

// cookieMask returns what hides the open bits of the cookies of a tuple, and the offset of its timestamp clock.
func (s *Secret) cookieMask(t Tuple) (mask Seq, tsOffset uint32) {
	base, tsOffset := s.initial(t, 0)
	return base &^ cookieHashMask, tsOffset
}

func (s *Secret) cookie(t Tuple, irs Seq, count uint64, index uint32) Seq {
	h := s.prf(purposeSYNCookie, t, count<<35|uint64(index)<<32|uint64(irs))
	hash := binary.BigEndian.Uint32(h[:]) & cookieHashMask
	return Seq(uint32(count&7)<<29 | index<<26 | hash)
}

// cookieStamp puts the options into the low bits of a timestamp, without moving it into the future.
func (h *HalfOpen) cookieStamp(stamp uint32) uint32 {
	bits := uint32(stampNoScale)
	if h.flags&halfScaled != 0 {
		bits = uint32(h.sndScale)
	}
	if h.flags&halfSACK != 0 {
		bits |= 1 << 4
	}
	if h.flags&halfECN != 0 {
		bits |= 1 << 5
	}
	v := stamp&^stampMask | bits
	if int32(v-stamp) > 0 {
		v -= 1 << stampBits
	}
	return v
}

// FromSYNCookie makes the record that a cookie stands for out of the segment that acknowledges it, and says
// whether it is one of ours, at most two minutes old.
func (h *HalfOpen) FromSYNCookie(env *Env, t Tuple, p Path, o *Options, seg *Segment, now mono.Time) bool {
	mask, tsOffset := env.Secret.cookieMask(t)
	cookie, irs := seg.Ack.Sub(1)^mask, seg.Seq.Sub(1)
	count := cookieCount(now)
	switch age := (count - uint64(cookie>>29)) & 7; {
	case age > 1 || age > count:
		return false
	default:
		count -= age
	}
	index := uint32(cookie>>26) & 7
	if env.Secret.cookie(t, irs, count, index) != cookie {
		return false
	}
	syn := Segment{Seq: irs, Window: seg.Window, Options: OptMSS, MSS: cookieMSS[index]}
	if seg.Options&OptTimestamps != 0 {
		bits := seg.TSEcr & stampMask
		syn.Options |= OptTimestamps
		syn.TSVal = seg.TSVal
		if scale := bits & 15; scale != stampNoScale {
			syn.Options |= OptWindowScale
			syn.WindowScale = uint8(scale)
		}
		if bits&(1<<4) != 0 {
			syn.Options |= OptSACKPermitted
		}
		if bits&(1<<5) != 0 {
			syn.Flags = SYN | ECE | CWR
		}
	}
	h.take(env, p, o, &syn)
	h.flags |= halfSYNCookie
	h.tsOffset = tsOffset
	h.iss, h.sent = cookie^mask, now
	return true
}
