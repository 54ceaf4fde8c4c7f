package ip

import (
	"net/netip"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/internal/wire"
)

// configurator gives an interface what the routers on its link advertise. It is an interface so that its code, which is in
// autoconf.go and beside it, is in no program that does not ask for it.
type configurator interface {
	nextDeadline() (mono.Time, bool)
	advance(now mono.Time) []Report
	// advertised takes a router's advertisement, whose form is right. It is false where something of it was not taken since
	// there is too much of it.
	advertised(from netip.Addr, m *wire.NDRouterAdvertisement, options []byte) (taken bool)
	// noRouter takes the news that a host is no router any more.
	noRouter(a netip.Addr)
	// duplicate takes the news that an address was withdrawn since another host has it.
	duplicate(a netip.Addr)
	// linkUp takes the news that the link is up again, maybe another one than before.
	linkUp()
	// advice adds what the routers say beside addresses and routes.
	advice(to *RouterAdvice)
}

// RouterAdvice is what routers advertise beside addresses and routes.
type RouterAdvice struct {
	// DNS are servers that resolve names (RFC 8106 5.1), in the order in which they came; link-local ones have their zone.
	DNS []netip.Addr
	// Search are the domains in which short names are looked for (RFC 8106 5.2), without the dot at their end.
	Search []string
	// Managed and Other say that DHCPv6 has addresses, or has other things such as servers (RFC 4861 4.2).
	Managed, Other bool
}
