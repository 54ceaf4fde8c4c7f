package stack

import (
	"net/netip"
	"syscall"

	"github.com/unet-go/unet/stack/ip"
)

// Address is an address of a host, with its lifetimes. See the fields.
type Address = ip.Address

// AddrState says what an address may be used for: its String is "preferred", "deprecated", "optimistic" or "tentative".
type AddrState = ip.AddrState

// The states of an address (RFC 4862 5.5.4).
const (
	// AddrPreferred: without bounds.
	AddrPreferred = ip.AddrPreferred
	// AddrDeprecated: for what uses it already, and where there is no other.
	AddrDeprecated = ip.AddrDeprecated
	// AddrOptimistic: as AddrDeprecated, since another host may have it (RFC 4429 2.1).
	AddrOptimistic = ip.AddrOptimistic
	// AddrTentative: of no use before duplicate address detection is over (Interface.FullDAD).
	AddrTentative = ip.AddrTentative
)

// InterfaceInfo says what an interface is: name, number, MAC, MTU, state and addresses. See the fields.
type InterfaceInfo = ip.InterfaceInfo

// AddAddr gives an interface an address while the host runs, as `ip address add` of Linux does: with a route to its network
// and, with the first address of IPv6, a link-local one. It may be used at once. If another host turns out to have an IPv6
// address, it is withdrawn, and the Logger gets a line; an address of IPv4 is defended. Errors:
//
//   - EINVAL: an address that no host can have, lifetimes that contradict each other, an IPv6 address where the interface's
//     MTU is below 1280, or no device is named where there are several;
//   - ENODEV: there is no device of that name;
//   - EEXIST: the interface has the address;
//   - EADDRINUSE: another interface of the host has it;
//   - ENETDOWN: the host is closed, or all its devices have failed.
func (h *Host) AddAddr(a Address) error { return h.changeIP(func() error { return h.ip.AddAddr(a) }) }

// ReplaceAddr is AddAddr, or sets the lifetimes of an address that the interface has, as `ip address replace` does. EINVAL also
// for an address that is there with another prefix length.
func (h *Host) ReplaceAddr(a Address) error {
	return h.changeIP(func() error { return h.ip.ReplaceAddr(a) })
}

// RemoveAddr takes an address away, with the route to its network. If it was the last one of its family on its interface, the
// other routes over the interface go with it. device is the name of the interface; empty for any.
//
// As on Linux, connections on the address are not ended: what they send is dropped (DropNoRoute), and they go on if the
// address comes back. Otherwise they end when their timers say so, with ETIMEDOUT, or with ENETUNREACH over IPv6 if no route
// leads to the peer. A listener takes no connection meanwhile, a bound UDP socket gets ENETUNREACH for what it sends.
//
// EADDRNOTAVAIL: the host does not have the address there. ENETDOWN: the host is closed, or all its devices have failed.
func (h *Host) RemoveAddr(device string, a netip.Addr) error {
	return h.changeIP(func() error { return h.ip.RemoveAddr(device, a) })
}

// changeIP makes a change of addresses or routes, and sends what it causes.
func (h *Host) changeIP(f func() error) error {
	if h.over() {
		return syscall.ENETDOWN
	}
	err := f()
	h.flush()
	return err
}

// AddRoute adds the route of dst through a gateway or, where via is not valid, on the link of the host's only device.
// Its errors are those of AddRoutes.
func (h *Host) AddRoute(dst netip.Prefix, via netip.Addr) error {
	return h.AddRoutes(Route{Dst: dst, Via: via})
}

// Route is a route of the host, as `ip route` of Linux shows it: Dst is where it leads, Via the gateway and Device the
// interface. See the fields.
type Route = ip.RouteEntry

// AddRoutes adds routes, all or none. The most specific route to a destination is taken, and of several such ones that with
// the least Metric. A destination may have several gateways of one metric: the one that was added first is used as
// long as it answers ARP or neighbour discovery, then the next. Errors:
//
//   - EINVAL: destination and gateway are of different families, the gateway is not the address of one other host, or no
//     device is named where there are several;
//   - ENETUNREACH: a gateway without OnLink is in no directly connected network of the host, or of the named device;
//   - ENODEV: there is no device of that name;
//   - EEXIST: there is a route of that metric for the destination already, and not over another gateway.
func (h *Host) AddRoutes(routes ...Route) error { return h.ip.AddRoutes(routes...) }

// RemoveRoute removes the first route to r.Dst that has the gateway, the device and the metric of r, as far as r names them.
// Connections over it go on over the route that is left, or wait for one as for their peers. ESRCH: there is none.
func (h *Host) RemoveRoute(r Route) error { return h.ip.RemoveRoute(r) }

// SetGateway makes a gateway the next hop of packets that match no other route of its family, in place of those that were so
// before with metric 0. If it is in no network of the host's it is taken for a neighbour on the host's only device. The errors are those of AddRoutes.
func (h *Host) SetGateway(via netip.Addr) error {
	if !via.IsValid() {
		return syscall.EINVAL
	}
	all, _ := via.WithZone("").Unmap().Prefix(0)
	return h.ip.SetGateway(Route{Dst: all, Via: via, Device: via.Zone(), OnLink: true})
}

// SetForwarding makes the host a router from now on, or no longer: it passes packets for other hosts on between its interfaces,
// of both families, by its routes (RFC 1812, RFC 8200), takes one from their TTL or hop limit, and tells their sources by ICMP
// of what it cannot pass on. It cuts packets of IPv4 that may be cut and are too large. It passes on no packet that was sent to
// all on a link, to a group, from or to an address of one link alone (link-local, loopback) or from one that is no host's, and
// none with a source route. It sends neither router advertisements nor redirects. Hosts are no routers at first: such packets
// are dropped.
func (h *Host) SetForwarding(on bool) { h.ip.SetForwarding(on) }

// Routes returns the host's routes, most specific first, without loopback's.
func (h *Host) Routes() []Route { return h.ip.Routes() }

// Addrs returns the host's addresses with the lengths of their networks, without loopback's.
func (h *Host) Addrs() []netip.Prefix { return h.ip.Addrs() }

// Addresses returns the host's addresses with their states and what is left of their lifetimes, without loopback's.
func (h *Host) Addresses() []Address { return h.ip.Addresses() }

// Interfaces describes the host's interfaces in the order of their numbers: lo, and then as they were attached.
func (h *Host) Interfaces() []InterfaceInfo { return h.ip.InterfaceInfos() }

// InterfaceNames returns the names of the host's interfaces in the order of their numbers: lo, and then as they were
// attached. An interface keeps its place, also when its device has failed.
func (h *Host) InterfaceNames() (names []string) {
	for _, ifc := range h.ip.Interfaces() {
		names = append(names, ifc.Name())
	}
	return names
}
