package stack

import "github.com/unet-go/unet/stack/ip"

// Autoconf says how an interface makes itself addresses of what routers advertise. See the fields.
type Autoconf = ip.Autoconf

// RouterAdvice is what routers advertise beside addresses and routes: name servers and search domains. See the fields.
type RouterAdvice = ip.RouterAdvice

// Autoconfigure has an interface get its IPv6 addresses, routes and parameters from the routers on its link from now on, as
// hosts of the Internet do by default (RFC 4861 6.3, RFC 4862): device is the name of the interface, empty for the host's only
// one besides loopback's. It returns at once; Subscribe tells of addresses and routes as they come.
//
// The interface has a link-local address at once, and asks for routers three times in nine seconds. A router's advertisement
// gives it a default route of metric 1024 as long as the router says (RFC 4191 for more and less preferred ones), routes of
// metric 256 to the networks on the link, an address in each network that is for this (RFC 7217, and RFC 8981 if
// asked for), the MTU for IPv6, the hop limit if it is at least 32, and the times of neighbour discovery. Their lifetimes
// are kept; an address that another host has is replaced up to three times. Of all interface's routers, networks and addresses there are
// at most 16 each, and 50 advertisements are looked at each second (DropRouterLimit): whoever can send frames on the link
// can forge them.
//
// ENODEV: there is no device of that name. EINVAL: no device is named where there are several, or the interface's MTU is below
// 1280. EOPNOTSUPP: its frames have no link addresses, as those of a TUN device. EALREADY: it is being configured.
// ENETDOWN: the host is closed, or all its devices have failed.
func (h *Host) Autoconfigure(device string, config Autoconf) error {
	return h.changeIP(func() error { return h.ip.Autoconfigure(device, config) })
}

// RouterAdvice returns what the routers of all interfaces with Autoconfigure advertise beside addresses and routes, as far
// as its lifetime is not over.
func (h *Host) RouterAdvice() RouterAdvice { return h.ip.RouterAdvice() }
