package rate

import (
	"net/netip"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/mono"
)

// A source without a bucket of its own shares one, and does not take it from a source that still needs it.
func TestSharedBucket(t *testing.T) {
	var l Limit
	l.InitErrors(1000)
	now := mono.Time(time.Second)
	owners := map[uint64]*bucket{}
	for tag := uint64(1); tag <= 2*sourceWays; tag += 2 { // all of one set
		b := l.sourceLocked(tag, now)
		owners[tag] = b
		for b.take(l.least) {
		}
	}
	if len(owners) != sourceWays {
		t.Fatalf("%d sources, want %d", len(owners), sourceWays)
	}
	same := func() (n int) {
		for tag, b := range owners {
			if l.sourceLocked(tag, now) == b {
				n++
			}
		}
		return n
	}
	for stranger := uint64(101); stranger < 200; stranger += 2 {
		b := l.sourceLocked(stranger, now)
		if b.tokens >= b.cost {
			t.Errorf("stranger %d has a message for free", stranger)
		}
		b.tokens = 0 // so that the next one shares with another
	}
	if n := same(); n != sourceWays {
		t.Errorf("%d of %d sources still have their buckets after strangers came", n, sourceWays)
	}
	now = now.Add(time.Minute) // all are full again: nothing is forgotten
	b := l.sourceLocked(999, now)
	b.take(l.least)
	if n := same(); n != sourceWays-1 || l.sourceLocked(999, now) != b {
		t.Errorf("%d of %d sources still have their buckets after one more came, want one less", n, sourceWays)
	}
}

// The sets of one host's sources tell nothing about those of another host.
func TestSeeds(t *testing.T) {
	var a, b, c Limit
	a.InitErrors(1000)
	b.InitErrors(1000)
	c.InitResets(1000)
	if a.seed == b.seed || a.seed == c.seed || b.seed == c.seed {
		t.Error("two limits share a seed")
	}
}

// Sources of one IPv6 network share a bucket, but link-local ones do not: their network is that of all links, and each is
// one neighbour of its own.
func TestSources(t *testing.T) {
	for _, row := range []struct {
		first, second string
		share         bool
	}{
		{"10.0.0.1", "10.0.0.2", false},
		{"2001:db8::1", "2001:db8::2", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"fe80::1%eth0", "fe80::2%eth0", false},
		{"fe80::1%eth0", "fe80::1%eth1", false},
	} {
		var l Limit
		l.InitErrors(100_000)
		now := mono.Time(time.Second)
		count := func(peer string) (n int) {
			for l.Allow(now, netip.MustParseAddr(peer), false) {
				n++
			}
			return n
		}
		first, second := count(row.first), count(row.second)
		if first == 0 || (second == 0) != row.share {
			t.Errorf("%s and %s: %d and %d messages; they share: %v", row.first, row.second, first, second, row.share)
		}
	}
}
