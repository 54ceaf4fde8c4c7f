package ip

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/unet-go/unet/internal/mono"
)

// The parameters of RFC 8981 3.8.
const (
	tempValid     = 48 * time.Hour
	tempPreferred = 24 * time.Hour
	maxDesync     = tempPreferred * 4 / 10
	regenAdvance  = 5 * time.Second // before the end of an address its successor is made
)

// temporaryLocked has a prefix's temporary addresses live no longer than the stable one, and makes one if there is none that
// will do for a while (RFC 8981 3.4). It is false where there are too many addresses.
func (a *autoconf) temporaryLocked(prefix netip.Prefix, now mono.Time) bool {
	if !a.Temporary || prefix.Addr().IsLinkLocalUnicast() {
		return true
	}
	at := slices.IndexFunc(a.formed, func(f formed) bool { return f.prefix == prefix && !f.temporary })
	stable := a.formed[at]
	there := false
	for i := range a.formed {
		f := &a.formed[i]
		if f.prefix == prefix && f.temporary {
			f.limit(&stable)
			there = there || !f.given && !f.renewed && (f.preferred == 0 || f.preferred > now.Add(regenAdvance))
		}
	}
	if there || stable.given || stable.preferred != 0 && stable.preferred <= now.Add(regenAdvance) {
		return true
	}
	if len(a.formed) >= maxFormed {
		return false
	}
	f := formed{prefix: prefix, addr: randomAddr(prefix), temporary: true, made: now, life: tempPreferred - rand.N(maxDesync)}
	f.limit(&stable)
	a.formed = append(a.formed, f)
	return true
}

// limit bounds the lifetimes of a temporary address by those of the stable one and by its own.
func (f *formed) limit(stable *formed) {
	f.valid = sooner(stable.valid, f.made.Add(tempValid))
	f.preferred = sooner(stable.preferred, f.made.Add(f.life))
}

// renewal returns when a temporary address needs a successor, 0 for never.
func (f *formed) renewal() mono.Time {
	if !f.temporary || f.renewed || f.preferred == 0 {
		return 0
	}
	return f.preferred.Add(-regenAdvance)
}

// renewLocked makes successors of temporary addresses.
func (a *autoconf) renewLocked(now mono.Time) {
	a.formed = slices.DeleteFunc(a.formed, func(f formed) bool { return f.temporary && ended(f.valid, now) })
	for i := range a.formed { // temporaryLocked appends to it
		if f := &a.formed[i]; ended(f.renewal(), now) {
			f.renewed = true
			prefix := f.prefix
			if slices.ContainsFunc(a.formed, func(f formed) bool { return f.prefix == prefix && !f.temporary }) {
				a.temporaryLocked(prefix, now)
			}
		}
	}
}
