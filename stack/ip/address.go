package ip

import (
	"net/netip"
	"syscall"
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/link"
)

// AddrState says what an address of a host may be used for (RFC 4862 5.5.4).
type AddrState uint8

const (
	// AddrPreferred: without bounds.
	AddrPreferred AddrState = iota
	// AddrDeprecated: for what uses it already, and where there is no other.
	AddrDeprecated
	// AddrOptimistic: as AddrDeprecated, since another host may have it, which duplicate address detection has not found
	// out yet (RFC 4429 2.1).
	AddrOptimistic
	// AddrTentative: of no use until duplicate address detection has found out that no other host has it (RFC 4862 5.4).
	AddrTentative
)

// String returns "preferred", "deprecated", "optimistic" or "tentative".
func (s AddrState) String() string {
	switch s {
	case AddrPreferred:
		return "preferred"
	case AddrDeprecated:
		return "deprecated"
	case AddrOptimistic:
		return "optimistic"
	case AddrTentative:
		return "tentative"
	}
	return "invalid"
}

// detected says whether duplicate address detection is over, or was never necessary.
func (s AddrState) detected() bool { return s != AddrOptimistic && s != AddrTentative }

// Address is an address of a host.
type Address struct {
	// Prefix is the address, not masked, with the length of its network's prefix.
	Prefix netip.Prefix
	// Device is the name of its interface. Host.AddAddr and Host.ReplaceAddr take an empty name for the host's only one
	// besides loopback's.
	Device string
	// PreferredFor and ValidFor are how long the address is preferred, and how long it is there at all (RFC 4862 5.5.4).
	// Zero means for ever. PreferredFor is not more than ValidFor. Negative, of PreferredFor only: it is deprecated.
	PreferredFor, ValidFor time.Duration
	// Temporary says that the address is one of RFC 8981, which is the source of new connections rather than a stable one.
	Temporary bool
	// NoRoute says that the address brings no route to its network: other hosts there are reached through a router, or by a
	// route of their own (RFC 4862 5.5.3, RFC 5942 4).
	NoRoute bool
	// State is what the address may be used for now. AddAddr and ReplaceAddr take no notice of it.
	State AddrState
}

// address is one of the host's addresses on an interface. Times of 0 are never.
type address struct {
	addr                       netip.Addr   // with its zone, if it needs one
	prefix                     netip.Prefix // the address, not masked and without a zone, and the length of its network
	state                      AddrState
	temporary, noRoute         bool      // see Address
	formed                     bool      // of a prefix that a router has advertised
	preferredUntil, validUntil mono.Time // RFC 4862 5.5.4: then it is deprecated, and then gone
}

// newAddress returns the record of an address on the interface of that name, which stays as it is for ever.
// It is called in many places, none of them hot, and is not copied to them.
//
//go:noinline
func newAddress(p netip.Prefix, iface string) address {
	return address{addr: scoped(p.Addr(), iface), prefix: p}
}

// newAddresses returns records of the addresses of an interface, a link-local one among them where there is one of IPv6.
// EINVAL: an address that no host can have.
func newAddresses(prefixes []netip.Prefix, info *link.Info) (addrs []address, err error) {
	for _, p := range prefixes {
		a := p.Addr()
		if !p.IsValid() || a.Is4In6() || !isUnicast(a) || a.IsLoopback() {
			return nil, syscall.EINVAL
		}
		addrs = append(addrs, newAddress(p, info.Name))
	}
	return withLinkLocal(addrs, info), nil
}

// isUnicast says whether a can be one host's address, by its own looks.
func isUnicast(a netip.Addr) bool {
	if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() {
		return false
	}
	return familyOf(a).isUnicast(a)
}
