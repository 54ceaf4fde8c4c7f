package ip

import (
	"net/netip"
	"slices"
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/internal/wire"
)

// formed is an address that the host has formed from a prefix (RFC 4862 5.5.3).
type formed struct {
	prefix    netip.Prefix
	addr      netip.Addr // without a zone
	temporary bool
	tries     uint8 // addresses before it, which other hosts have
	given     bool  // up: there were too many
	// The ends of its lifetimes, 0 for never.
	preferred, valid mono.Time
	made             mono.Time     // of a temporary one
	life             time.Duration // of a temporary one: how long it is preferred at most (RFC 8981 3.4)
	renewed          bool          // it has a successor
}

// twoHours is what an advertisement may not shorten a lifetime below, since anybody may have sent it (RFC 4862 5.5.3 e).
const twoHours = 2 * time.Hour

// prefixLocked takes a prefix (RFC 4861 6.3.4, RFC 4862 5.5.3). It is false where there are too many.
func (a *autoconf) prefixLocked(p *wire.NDPrefix, now mono.Time) (taken bool) {
	prefix := netip.PrefixFrom(netip.AddrFrom16(p.Prefix), int(p.Bits)).Masked()
	if net := prefix.Addr(); p.Bits == 0 || net.IsLinkLocalUnicast() || net.IsMulticast() || net.IsLoopback() || net.Is4In6() {
		return true
	}
	taken = true
	if p.OnLink {
		taken = a.onLinkLocked(prefix, p.Valid, now)
	}
	if !p.Autonomous || p.Preferred > p.Valid || p.Bits != 8*iidLen { // the interface identifier has the other 64 bits
		return taken
	}
	a.formed = slices.DeleteFunc(a.formed, func(f formed) bool { return ended(f.valid, now) })
	at := slices.IndexFunc(a.formed, func(f formed) bool { return f.prefix == prefix && !f.temporary })
	switch {
	case at >= 0:
		f := &a.formed[at]
		f.preferred, f.valid = until(p.Preferred, now), f.validity(p.Valid, now)
		f.preferredWithin(f.valid)
	case p.Valid == 0:
		return taken
	case len(a.formed) >= maxFormed:
		return false
	default:
		a.formLocked(prefix, until(p.Preferred, now), until(p.Valid, now))
	}
	return a.temporaryLocked(prefix, now) && taken
}

// validity returns the end of the valid lifetime when one of so many seconds is advertised.
func (f *formed) validity(seconds uint32, now mono.Time) mono.Time {
	advertised := until(seconds, now)
	remaining := time.Duration(1<<63 - 1)
	if f.valid != 0 {
		remaining = f.valid.Sub(now)
	}
	switch {
	case advertised == 0, advertised.Sub(now) > twoHours, advertised.Sub(now) > remaining:
		return advertised
	case remaining <= twoHours:
		return f.valid
	}
	return now.Add(twoHours)
}

// preferredWithin bounds the preferred lifetime by another one.
func (f *formed) preferredWithin(end mono.Time) { f.preferred = sooner(f.preferred, end) }

// formLocked forms the stable address of a prefix.
func (a *autoconf) formLocked(prefix netip.Prefix, preferred, valid mono.Time) {
	f := formed{prefix: prefix, preferred: preferred, valid: valid}
	f.addr = a.stableAddr(prefix, &f.tries)
	a.formed = append(a.formed, f)
}

// put makes the interface's address and its lifetimes what they are to be. It says whether something has changed, and whether
// the address is new.
func (f *formed) put(t *topology, ifc *Interface, now mono.Time) (changed, isNew bool) {
	if f.given || ended(f.valid, now) {
		return false, false
	}
	own := newAddress(netip.PrefixFrom(f.addr, f.prefix.Bits()), ifc.info.Name)
	own.formed, own.temporary, own.noRoute = true, f.temporary, !f.addr.IsLinkLocalUnicast()
	own.preferredUntil, own.validUntil = f.preferred, f.valid
	at := indexOf(t.addrs[ifc.index], own.addr)
	if at < 0 {
		one := []address{own}
		ifc.optimistically(one)
		isNew = t.addAddress(ifc, one[0]) == nil // else another interface has it
		return isNew, isNew
	}
	old := t.addrs[ifc.index][at]
	if own.state = old.state; own.state == AddrDeprecated && !ended(own.preferredUntil, now) {
		own.state = AddrPreferred
	}
	if own.state == AddrDeprecated {
		own.preferredUntil = 0
	}
	if !old.formed || own.state == old.state && near(old.preferredUntil, own.preferredUntil) && near(old.validUntil, own.validUntil) {
		return false, false
	}
	t.addrs[ifc.index] = slices.Clone(t.addrs[ifc.index])
	t.addrs[ifc.index][at] = own
	t.renote()
	return true, false
}

// near says whether two ends of a lifetime are as good as the same, so that a flood of advertisements does not have all routes
// chosen anew again and again.
func near(a, b mono.Time) bool {
	return a == b || a != 0 && b != 0 && max(a, b).Sub(min(a, b)) < time.Second
}

// maxDuplicates is how often the host tries another address in place of one that another host has (RFC 7217 6, RFC 8981 3.8).
const maxDuplicates = 3

// duplicate implements configurator.
func (a *autoconf) duplicate(addr netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at := slices.IndexFunc(a.formed, func(f formed) bool { return f.addr == addr.WithZone("") })
	if at < 0 {
		return
	}
	f := &a.formed[at]
	f.tries++
	switch {
	case f.tries > maxDuplicates:
		f.given = true
		a.layer.Log.Warn("no address of its own in a network", "interface", a.ifc.info.Name, "network", f.prefix.String())
	case f.temporary:
		f.addr = randomAddr(f.prefix)
	default:
		f.addr = a.stableAddr(f.prefix, &f.tries)
	}
	a.applyLocked(a.layer.now())
}
