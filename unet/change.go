package unet

import (
	"context"
	"net/netip"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/link"
)

// A host's addresses, routes, devices and name servers may change while it runs. These methods are those of stack.Host with
// the same names, where the rest of the errors is.

// AddAddr gives the host an address on its only device, for ever. stack.Host.AddAddr knows devices and lifetimes. EEXIST: it
// has the address. EINVAL: no host can have it, or there are several devices.
func (h *Host) AddAddr(a netip.Prefix) error { return h.stack.AddAddr(stack.Address{Prefix: a}) }

// RemoveAddr takes an address away. Connections on it are not ended: they go on if it comes back, and otherwise
// fail when their timers say so, with ETIMEDOUT, as on Linux. EADDRNOTAVAIL: the host does not have it.
func (h *Host) RemoveAddr(a netip.Addr) error { return h.stack.RemoveAddr("", a) }

// Routes returns the host's routes, most specific first.
func (h *Host) Routes() []stack.Route { return h.stack.Routes() }

// AddRoute adds a route. EEXIST: there is one for the destination with that metric, and not over another gateway.
// ENETUNREACH: the gateway is in no network of the host's, and OnLink is not set.
func (h *Host) AddRoute(r stack.Route) error { return h.stack.AddRoutes(r) }

// RemoveRoute removes the first route to r.Dst that has the gateway, the device and the metric of r, as far as r names them.
// ESRCH: there is none.
func (h *Host) RemoveRoute(r stack.Route) error { return h.stack.RemoveRoute(r) }

// SetGateway makes a gateway the next hop of packets that match no other route of its family, in place of Config.Gateway or
// the one that was set before. EINVAL: it is not the address of another host.
func (h *Host) SetGateway(gateway netip.Addr) error { return h.stack.SetGateway(gateway) }

// Attach gives the host another device, and takes ownership of it. See stack.Host.Attach.
func (h *Host) Attach(dev link.Device, ifc stack.Interface) error { return h.stack.Attach(dev, ifc) }

// Detach takes a device away from the host, and closes it. See stack.Host.Detach.
func (h *Host) Detach(device string) error { return h.stack.Detach(device) }

// Interfaces describes the host's interfaces, loopback's first.
func (h *Host) Interfaces() []stack.InterfaceInfo { return h.stack.Interfaces() }

// Subscribe returns a channel with the changes of the host's interfaces, addresses and routes from now on. It is closed when
// ctx is done, or the host is closed.
func (h *Host) Subscribe(ctx context.Context) <-chan stack.Change { return h.stack.Subscribe(ctx) }
