package ip

import "net/netip"

// A link-local address means another host on each link. Within the layer such an address always has its zone, the name
// of the interface that it belongs to (RFC 4007 6), so that addresses of different links differ; no other address has one.

// scoped returns a with the zone if it is one that needs a zone, and without any if not.
func scoped(a netip.Addr, zone string) netip.Addr {
	if needsZone(a) {
		return a.WithZone(zone)
	}
	return a.WithZone("")
}

// needsZone says whether an address is unique only within a link, or an interface (RFC 4007 4, 5).
func needsZone(a netip.Addr) bool {
	return a.Is6() && (a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast() || a.IsInterfaceLocalMulticast())
}

// withZones returns the addresses that a caller means by local and remote: those that need a zone and have none get that of
// the other. ok is false where there is no zone for them, or there are two.
func withZones(local, remote netip.Addr) (l, r netip.Addr, ok bool) {
	zone := ""
	for _, a := range [...]netip.Addr{local, remote} {
		if !needsZone(a) || a.Zone() == "" {
			continue
		}
		if zone != "" && zone != a.Zone() {
			return local, remote, false
		}
		zone = a.Zone()
	}
	l, r = scoped(local, zone), scoped(remote, zone)
	return l, r, zone != "" || !needsZone(local) && !needsZone(remote)
}
