// Package rate limits the messages that a host sends without being asked: ICMP errors and resets.
package rate

import (
	"hash/maphash"
	"math/rand/v2"
	"net/netip"
	"sync"

	"github.com/unet-go/unet/internal/mono"
)

// The buckets of sources are in sets of sourceWays, and a keyed hash of the source chooses the set. So strangers cannot
// make a limit use more memory.
const (
	sourceSets = 256
	sourceWays = 4
)

// token is one token in a bucket: nanoseconds times tokens a second, so that filling rounds nothing.
const token = int64(1e9)

// allowance is the number of tokens that a bucket gets each second, and the most that it holds.
type allowance struct{ rate, depth int64 }

// bucket holds tokens.
type bucket struct {
	tokens int64
	cost   int64 // of the next message; drawn once, since a source that asks often would always get the lowest otherwise
	filled mono.Time
}

// fill adds the tokens for the time since the bucket was last filled.
func (b *bucket) fill(now mono.Time, a allowance) {
	if b.filled == 0 {
		b.tokens, b.cost = a.depth*token, token
	}
	passed := min(int64(now.Sub(b.filled)), 1e9) // a second fills any bucket of ours by most of its depth
	b.tokens = min(b.tokens+passed*a.rate, a.depth*token)
	b.filled = now
}

// take takes the cost of a message out of the bucket if there are so many tokens, and draws the cost of the next one, at
// least least.
func (b *bucket) take(least int64) bool {
	if b.tokens < b.cost {
		return false
	}
	b.tokens -= b.cost
	b.cost = least + rand.Int64N(token)
	return true
}

// source is the bucket of one source.
type source struct {
	tag uint64 // a hash of the source; 0 for none yet
	bucket
}

// Limit limits the messages that a host sends without being asked. It has a token bucket for all and one for each source,
// an IPv4 address, an IPv6 network of 64 bits, or a link-local address in its zone (RFC 1812 4.3.2.8). The cost of a message varies at random by up to a
// token, so that a stranger cannot count the messages that others made the host send (CVE-2020-25705, ledger D-SIDE-2).
//
// If a source has no bucket in its set it gets the fullest one there. If that bucket is full, the source that had it has
// lost nothing; otherwise the two share it. So forged sources, each of which sends little, cannot take the bucket of a
// source that sends much, and many forged sources get no more messages than a few.
type Limit struct {
	seed      maphash.Seed
	unbounded bool
	least     int64 // the least cost of a message
	all, one  allowance

	mu      sync.Mutex
	common  bucket
	sources [sourceSets][sourceWays]source
}

// InitErrors makes it the limit of ICMP errors. In any second at most rate of them leave: the bucket of all fills at
// nine tenths of that and holds the last tenth, and a message costs from one to two tokens. Under a flood about two
// thirds of rate leave. One source gets a tenth. A negative rate is no bound.
func (l *Limit) InitErrors(rate int) {
	l.seed, l.unbounded, l.least = maphash.MakeSeed(), rate < 0, token
	n := min(int64(rate), Max)
	own := max(n/10, 1)
	l.all = allowance{max(n*9/10, 1), max(n/10, 2)}
	l.one = allowance{own, max(own/10, 6)}
}

// DefaultResets is the default of the most resets that leave each second.
const DefaultResets = 100_000

// resetBurst is the number of resets that may be sent to one source at once, at the default rate.
const resetBurst = 4096

// InitResets makes it the limit of resets for no connection. In any second at most rate of them leave: the bucket of all
// fills at nearly four fifths of that and holds a fifth, and a message costs from half a token to one and a half. One
// source gets a tenth of rate, and at once as many as in 0.41 s. A negative rate is no bound.
func (l *Limit) InitResets(rate int) {
	l.seed, l.unbounded, l.least = maphash.MakeSeed(), rate < 0, token/2
	n := min(int64(rate), Max)
	own := max(n/10, 1)
	burst := max(own*resetBurst/(DefaultResets/10), 1)
	l.all = allowance{max(n*79/100, 1), max(n/5, 1)}
	l.one = allowance{own, burst + burst/32 + 1} // so much more that jitter leaves burst
}

// Max keeps the product of a rate and a second in range.
const Max = 1e9

// Allow reports whether a message may be sent to peer. Messages that stay within the host are not limited.
func (l *Limit) Allow(now mono.Time, peer netip.Addr, loopback bool) bool {
	if l.unbounded || loopback {
		return true
	}
	if peer.Is6() && !peer.IsLinkLocalUnicast() { // whose network is that of every link
		if network, err := peer.Prefix(64); err == nil {
			peer = network.Addr()
		}
	}
	tag := maphash.Comparable(l.seed, peer) | 1 // 0 says that there is none
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.sourceLocked(tag, now).take(l.least) {
		return false
	}
	l.common.fill(now, l.all)
	return l.common.take(l.least)
}

// sourceLocked returns the bucket of the source with this tag, filled up to now.
func (l *Limit) sourceLocked(tag uint64, now mono.Time) *bucket {
	set := &l.sources[tag>>32%sourceSets]
	var fullest *source
	for i := range set {
		s := &set[i]
		if s.tag == tag {
			s.fill(now, l.one)
			return &s.bucket
		}
	}
	for i := range set {
		s := &set[i]
		s.fill(now, l.one)
		if fullest == nil || s.tokens > fullest.tokens {
			fullest = s
		}
	}
	if fullest.tokens == l.one.depth*token {
		fullest.tag = tag
	}
	return &fullest.bucket
}
