package stack

import (
	"net/netip"
	"syscall"

	"github.com/unet-go/unet/stack/ip"
)

// families is a set of the versions of IP.
type families uint8

const (
	v4 families = 1 << iota
	v6

	bothFamilies = 2 // how many there are
)

// familiesOf returns the families whose packets a socket takes that is bound to a.
func familiesOf(a netip.Addr, v6only bool) families {
	switch {
	case a.Is4():
		return v4
	case a.IsUnspecified() && !v6only:
		return v4 | v6
	}
	return v6
}

// sharePackets says whether a packet could be for either of two sockets that are bound to one port, of these addresses
// and with these values of BindOptions.V6Only.
func sharePackets(a netip.Addr, v6onlyA bool, b netip.Addr, v6onlyB bool) bool {
	if familiesOf(a, v6onlyA)&familiesOf(b, v6onlyB) == 0 {
		return false
	}
	return a == b || a.IsUnspecified() || b.IsUnspecified()
}

// peer returns the address that remote means to a socket that is bound to an address, with V6Only or without. The
// unspecified address of IPv6 means loopback (ledger E-CON-9; package ip knows what that of IPv4 means), of IPv4 if the
// socket is bound to an address of that. A link-local address without a zone is on the link of the socket's own. Errors, as
// Linux has them: EAFNOSUPPORT for an IPv6 address to a socket of IPv4, ENETUNREACH for an IPv4 address to a socket of
// IPv6, EINVAL for a link-local address without a zone or with another one.
func peer(bound netip.Addr, v6only bool, remote netip.Addr) (netip.Addr, error) {
	if !remote.IsValid() {
		return remote, syscall.EAFNOSUPPORT
	}
	remote = plain(remote)
	takes := familiesOf(bound, v6only)
	if remote == netip.IPv6Unspecified() {
		if takes&v6 == 0 {
			return ip.Loopback4, nil
		}
		return netip.IPv6Loopback(), nil
	}
	switch {
	case remote.Is4() && takes&v4 == 0:
		return remote, syscall.ENETUNREACH
	case remote.Is6() && takes&v6 == 0:
		return remote, syscall.EAFNOSUPPORT
	case !hasZone(remote):
		return remote, nil
	}
	zone := bound.Zone()
	switch {
	case remote.Zone() == "" && zone == "":
		return remote, syscall.EINVAL
	case remote.Zone() == "":
		return remote.WithZone(zone), nil
	case zone != "" && zone != remote.Zone():
		return remote, syscall.EINVAL
	}
	return remote, nil
}

// routable is peer, but where a socket of IPv4 has an address of IPv6 to which there is no route, the error is the route's, as
// on Linux.
func (c *core) routable(bound netip.Addr, v6only bool, remote netip.Addr) (netip.Addr, error) {
	to, err := peer(bound, v6only, remote)
	if err == syscall.EAFNOSUPPORT && remote.IsValid() {
		if _, noRoute := c.ip.Route(netip.Addr{}, to); noRoute != nil {
			err = noRoute
		}
	}
	return to, err
}

// bindable returns the address that a socket is bound to by a, where one that is not valid means all of both families.
// EINVAL: a link-local address without a zone. ENODEV: there is no such zone.
func (c *core) bindable(a netip.Addr) (netip.Addr, error) {
	if !a.IsValid() {
		return netip.IPv6Unspecified(), nil
	}
	a = plain(a)
	if hasZone(a) {
		if a.Zone() == "" {
			return a, syscall.EINVAL
		}
		if _, ok := c.interfaceIndex(a.Zone()); !ok {
			return a, syscall.ENODEV
		}
	}
	return a, nil
}
