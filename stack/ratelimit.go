package stack

import (
	"hash/maphash"
	"math/rand/v2"
	"net/netip"
	"sync"

	"github.com/unet-go/unet/stack/tcp"
)

// peerSlots is the number of buckets that peers share by a keyed hash.
const peerSlots = 1024

// token is one token in a bucket: nanoseconds times tokens a second, so that filling rounds nothing.
const token = int64(1e9)

// bucket holds tokens.
type bucket struct {
	tokens int64
	cost   int64 // of the next message; drawn once, or whoever asks often enough always gets the lowest
	filled tcp.Time
}

// take fills the bucket at rate tokens a second and takes a message's cost out of it if it is there.
func (b *bucket) take(now tcp.Time, rate, depth int64) bool {
	if b.filled == 0 {
		b.tokens, b.cost, b.filled = depth*token, token, now
	}
	passed := min(int64(now.Sub(b.filled)), 1e9) // a second fills any bucket of ours by most of its depth
	b.tokens = min(b.tokens+passed*rate, depth*token)
	b.filled = now
	if b.tokens < b.cost {
		return false
	}
	b.tokens -= b.cost
	b.cost = token + rand.Int64N(token)
	return true
}

// rateLimit bounds what a host says unasked: a token bucket for all and one for each peer (RFC 1812
// 4.3.2.8). What a message costs varies at random, so that nobody can count what others made the host send
// (CVE-2020-25705, ledger D-SIDE-2).
type rateLimit struct {
	seed maphash.Seed
	rate int64 // tokens each second; negative for no bound

	mu    sync.Mutex
	all   bucket
	peers [peerSlots]bucket
	share int64 // the part of rate that one peer gets: rate/share
}

func (l *rateLimit) init(rate int, share int64) {
	l.seed, l.rate, l.share = maphash.MakeSeed(), min(int64(rate), 1e9), share
}

// allow says whether a message may go to peer. Nothing is bounded that stays within the host.
//
// In any second at most rate messages leave: the bucket fills at nine tenths of it and holds the last tenth,
// and a message costs from one to two tokens. Under a flood about two thirds of rate leave.
func (l *rateLimit) allow(now tcp.Time, peer netip.Addr, loopback bool) bool {
	if l.rate < 0 || loopback {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &l.peers[maphash.Comparable(l.seed, peer)%peerSlots]
	own := max(l.rate/l.share, 1)
	if !p.take(now, own, max(own/10, 6)) {
		return false
	}
	return l.all.take(now, max(l.rate*9/10, 1), max(l.rate/10, 2))
}

// allowReset says whether a reset for no connection may be sent to remote now, within Config.ICMPRate.
func (h *Host) allowReset(remote netip.Addr) bool {
	return h.resetLimit.allow(h.clock.now(), remote, h.isLocal(remote))
}
