package ip

import (
	"encoding/binary"
	"net/netip"

	"github.com/unet-go/unet/internal/wire"
)

// quote6 fills a report with what a quoted packet, mostly cut short, says of itself, its addresses in a zone where they need
// one. It is false where that is too little.
func (r *Report) quote6(b []byte, zone string) bool {
	var ip wire.IPv6
	rest, err := ip.ParseQuote(b)
	if err != nil {
		return false
	}
	next := ip.NextHeader
	for range wire.IPv6MaxHeaders {
		switch next {
		case wire.IPv6HopByHop, wire.IPv6Routing, wire.IPv6DestinationOptions:
			var h wire.IPv6Extension
			if rest, err = h.Parse(rest); err != nil {
				return false
			}
			next = h.NextHeader
		case wire.IPv6Fragments:
			if len(rest) < wire.IPv6FragmentLen || binary.BigEndian.Uint16(rest[2:4])&^7 != 0 {
				return false
			}
			next, rest = rest[0], rest[wire.IPv6FragmentLen:]
		default:
			r.Local, r.Remote = scoped(netip.AddrFrom16(ip.Src), zone), scoped(netip.AddrFrom16(ip.Dst), zone)
			r.Protocol, r.Transport = next, rest
			return true
		}
	}
	return false
}
