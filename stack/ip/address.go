package ip

import (
	"net/netip"
	"syscall"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/link"
)

// addressState says what an address of an interface may be used for (RFC 4862 5.5.4).
type addressState uint8

const (
	preferred  addressState = iota // without bounds
	deprecated                     // for what has it already, and where there is no other
	optimistic                     // as deprecated; another host may have it (RFC 4429 2.1)
)

// address is one of the host's addresses on an interface. Times of 0 are never.
type address struct {
	addr                       netip.Addr   // with its zone, if it needs one
	prefix                     netip.Prefix // the address, not masked and without a zone, and the length of its network
	state                      addressState
	preferredUntil, validUntil mono.Time // RFC 4862 5.5.4: then it is deprecated, and then gone
}

// newAddress returns the record of an address on the interface of that name, which stays as it is for ever.
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
