package ip

import (
	"encoding/binary"
	"net/netip"

	"github.com/unet-go/unet/internal/wire"
)

// quote4 fills a report with what a quoted packet, mostly cut short, says of itself. It is false where that is too little.
func (r *Report) quote4(b []byte) bool {
	var ip wire.IPv4
	transport, err := ip.ParseQuote(b)
	if err != nil || ip.FragmentOffset != 0 {
		return false
	}
	r.Local, r.Remote = netip.AddrFrom4(ip.Src), netip.AddrFrom4(ip.Dst)
	r.Protocol, r.Transport = ip.Protocol, transport
	return true
}

// quotedLen4 returns the length in octets that a quoted packet had. quote4 has taken it.
func quotedLen4(b []byte) int { return int(binary.BigEndian.Uint16(b[2:])) }
