package unet

import (
	"context"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/tap"
)

// Config is the configuration of a host for Open. With neither Device nor Link the host has only its loopback addresses.
type Config struct {
	// Device is the name of the TAP device to open, "tap0" for instance; "tap%d" lets the kernel choose the
	// number. That needs CAP_NET_ADMIN, or a device that was made for the user.
	Device string
	// PeerAddrs are the addresses that the kernel's side of Device gets, so that the kernel can reach the host.
	PeerAddrs []netip.Prefix
	// Portable makes Device move one frame at a time, in the way that works on every system. NoOffload makes it do
	// without checksum and segmentation offload. Both are for comparison.
	Portable, NoOffload bool
	// NoIOUring makes each frame of the device a system call of its own, without io_uring.
	NoIOUring bool
	// NoSteering leaves the kernel's work on what we send on the processor that sends it: see tap.Config.
	NoSteering bool
	// Queues is the number of queues of Device. Default 1.
	Queues int
	// MAC is the host's Ethernet address on Device; the kernel's side has one of its own. The default is a locally
	// administered address that is the same whenever the host is opened: it is made from the device's name, the first of
	// Addrs and the machine's ID (/etc/machine-id). Without that ID it is the same until the machine boots again, and
	// Logger gets a line about it.
	MAC link.MAC

	// Link is a device to use instead of Device: a port of a simulated segment, a TUN device, one of your
	// own. Open takes ownership of it, and closes it if Open fails. If it is a link.Namer, dials and lookups find the names
	// that it knows before they ask a name server; see DNS.
	Link link.Device

	// Addrs are the host's addresses of IPv4 and IPv6, each with the length of its network's prefix. An interface with an
	// IPv6 address has a link-local one as well.
	Addrs []netip.Prefix
	// Gateway is the next hop of packets that match no other route. Zero for none. If it is in no network of Addrs,
	// as with the addresses with a prefix of 32 bits in clouds and VPNs, it is taken for a neighbour on the device.
	Gateway netip.Addr
	// Gateway6 is the same for IPv6, where Gateway is one of IPv4.
	Gateway6 netip.Addr
	// Routes are further routes; each of Addrs is a route to its network already. The destinations of a route without Via
	// are neighbours on the device. A Via that is in no network of Addrs needs stack.Route.OnLink.
	Routes []stack.Route
	// DNS are the servers that resolve the names of dials and listens, asked in this order over the host's own
	// UDP and TCP; a port of zero means 53. Without any, net.DefaultResolver asks over the kernel's network, unless Link
	// is a link.Namer that has names: then no others exist.
	DNS []netip.AddrPort
	// MTU is the largest IP packet in octets. The default is 1500 for Device, and for Link the MTU that it has.
	MTU int
	// Announce says whether the host announces its addresses when it starts (gratuitous ARP). That corrects an older
	// Ethernet address in the caches of its neighbours. Default stack.AnnounceAuto: on TAP devices only.
	Announce stack.AnnounceMode

	// Logger, a *slog.Logger for instance, gets a line about each event that an operator should know of, such as a
	// device that fails: see stack.Config. The default is Stack.Logger. If both are nil there are no lines.
	Logger stack.Logger

	// Stack is the configuration of the stack below: buffers, timers, limits. Its zero fields are defaults.
	Stack stack.Config
}

// Host is one userspace host: addresses on a device, and all sockets on them. Its methods may be called by
// several goroutines at once. Those with the name of a function of package net behave as that function. A host exists
// until its Close: if the program forgets it, its goroutines and its device stay.
type Host struct {
	stack *stack.Host
	dns   []netip.AddrPort
	// laterDNS are the servers of SetDNS; nil: those of dns.
	laterDNS atomic.Pointer[[]netip.AddrPort]
	names    names

	longAnswer atomic.Pointer[netip.AddrPort] // the server of the last answer that was too long for a datagram

	closed atomic.Bool
}

// Open makes a host. Its errors name the field of Config that is wrong. If a right or the driver for a TAP device is
// missing, they say which and how to get it. They wrap an errno: EPERM or EACCES for a missing right, EBUSY for a
// device that another program uses, EADDRINUSE for an address given twice, EINVAL.
func Open(cfg Config) (*Host, error) {
	dev := cfg.Link
	if err := cfg.check(); err != nil {
		if dev != nil {
			_ = dev.Close()
		}
		return nil, err
	}
	if cfg.Device != "" {
		d, err := tap.Open(tap.Config{Name: cfg.Device, MTU: cfg.MTU, PeerAddrs: cfg.PeerAddrs, Queues: cfg.Queues,
			Portable: cfg.Portable, NoOffload: cfg.NoOffload, MAC: cfg.MAC, Addr: firstAddr(cfg.Addrs),
			NoIOUring: cfg.NoIOUring, NoSteering: cfg.NoSteering})
		if err != nil {
			return nil, errorf("unet: %w", err) // tap says which device
		}
		cfg.logMAC(d.Info(), d.MACSource())
		dev = d
	}
	s, err := attach(cfg, dev)
	if err != nil {
		return nil, err
	}
	namer, _ := dev.(link.Namer)
	h := &Host{stack: s, dns: dnsServers(cfg.DNS)}
	h.names = names{namer, h.DNS, s}
	return h, nil
}

// firstAddr returns the first of the host's addresses, or none.
func firstAddr(addrs []netip.Prefix) netip.Addr {
	if len(addrs) == 0 {
		return netip.Addr{}
	}
	return addrs[0].Addr()
}

// logMAC logs a line if the device will not have the same Ethernet address next time, with the reason.
func (cfg *Config) logMAC(info link.Info, source tap.MACSource) {
	var why string
	switch source {
	case tap.MACBoot:
		why = "the machine has no ID (/etc/machine-id): the MAC changes when it boots again"
	case tap.MACRandom:
		why = "the system has no ID of the machine: the MAC is another one each time"
	default:
		return
	}
	logger := cfg.Stack.Logger
	if logger == nil {
		logger = cfg.Logger
	}
	if v := reflect.ValueOf(logger); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return
	}
	logger.Warn(why, "interface", info.Name, "mac", info.MAC.String())
}

// dnsServers returns the servers, with port 53 where the port is zero.
func dnsServers(list []netip.AddrPort) (servers []netip.AddrPort) {
	for _, s := range list {
		if s.Port() == 0 {
			s = netip.AddrPortFrom(s.Addr(), 53)
		}
		servers = append(servers, s)
	}
	return servers
}

// attach makes the stack and takes ownership of dev, which may be nil.
func attach(cfg Config, dev link.Device) (*stack.Host, error) {
	if cfg.Stack.Logger == nil {
		cfg.Stack.Logger = cfg.Logger
	}
	s, err := stack.New(cfg.Stack)
	if err != nil {
		if dev != nil {
			_ = dev.Close()
		}
		return nil, errorf("unet: %w", err)
	}
	if dev == nil {
		return s, nil
	}
	if err := s.Attach(dev, stack.Interface{Addrs: cfg.Addrs, MTU: cfg.MTU, Announce: cfg.Announce}); err != nil {
		_ = s.Close()
		_ = dev.Close()
		return nil, errorf("unet: attach %s: %w", dev.Info().Name, err)
	}
	routes := slices.Clone(cfg.Routes)
	for _, gw := range cfg.gateways() {
		if gw.IsValid() {
			all, _ := gw.WithZone("").Prefix(0) // of the family of gw
			routes = append(routes, stack.Route{Dst: all, Via: gw, OnLink: true})
		}
	}
	for _, r := range routes {
		if err := s.AddRoutes(r); err != nil {
			_ = s.Close()
			return nil, errorf("unet: route %s: %w", routeText(r), err)
		}
	}
	return s, nil
}

// routeText names a route in an error.
func routeText(r stack.Route) string {
	what := r.Dst.String()
	if r.Via.IsValid() {
		what += " via " + r.Via.String()
	}
	if r.Device != "" {
		what += " on " + r.Device
	}
	return what
}

// ShutdownError has the number of connections that Shutdown has reset, and of the octets that were written to them and
// lost. It wraps the context's error, or net.ErrClosed if Close has ended the wait.
type ShutdownError = stack.ShutdownError

// Shutdown closes the host at the end of a program without losing anything that was written. It closes the listeners,
// which resets the connections that were not accepted. Then it waits for each connection until the program has closed it
// and the peer has acknowledged all that was written to it, and the FIN. It does not wait for TIME-WAIT. When
// ctx is done it resets the connections that are left, and returns a *ShutdownError. At the end it closes the host as
// Close does.
//
// While it waits everything but listening works: a server that answers a last request may still dial other hosts, and
// Shutdown waits for such connections too. UDP sockets are closed at the end; their datagrams have left by then, except
// for those to a neighbour that does not answer with its link address within 3 s. Shutdown does not close connections
// that are open, because it cannot know which of them are still needed. The server has to do that, so the Shutdown of a
// net/http.Server comes first:
//
//	err := errors.Join(server.Shutdown(ctx), host.Shutdown(ctx))
//
// Several goroutines may call it at the same time; the first one whose context is done ends it for all. After Close it
// returns net.ErrClosed.
func (h *Host) Shutdown(ctx context.Context) error {
	if h.closed.Load() {
		return net.ErrClosed
	}
	err := h.stack.Shutdown(ctx)
	if !h.closed.Swap(true) {
		forget(h)
	}
	if lost, ok := err.(*ShutdownError); ok && lost.Err == syscall.ENETDOWN {
		lost.Err = net.ErrClosed
	}
	return err
}

// Close ends the host: connections are reset and have ECONNABORTED as their error, listeners and UDP sockets
// are closed, and the device too. Packets that were queued before leave first. Text that has to wait, for a peer's window
// or a lost segment, is lost; Shutdown waits for it. Packets that wait for a neighbour's link address have a second.
// Close returns when the last goroutine of the host has ended; the second Close returns net.ErrClosed.
func (h *Host) Close() error {
	if h.closed.Swap(true) {
		return net.ErrClosed
	}
	forget(h)
	return h.stack.Close()
}

// Done returns a channel that is closed when the host can no longer be used: Close was called, or its device has
// failed. In the second case every call fails with ENETDOWN, except on loopback addresses, which work until Close.
func (h *Host) Done() <-chan struct{} { return h.stack.Done() }

// Err returns nil as long as Done's channel is open, and then the reason why it was closed, always the same one, as with
// a context: net.ErrClosed after Close, otherwise an error that wraps ENETDOWN and the device's error.
func (h *Host) Err() error {
	err := h.stack.Err()
	if err == stack.ErrClosed {
		return net.ErrClosed
	}
	return err
}

// Stats returns the host's counters and gauges. They are read one after the other, within a short time.
func (h *Host) Stats() stack.Stats { return h.stack.Stats() }

// Addrs returns the host's addresses.
func (h *Host) Addrs() []netip.Prefix { return h.stack.Addrs() }

// Stack returns the stack below, which has functions without a counterpart in package net. It belongs to the host and is
// closed with it.
func (h *Host) Stack() *stack.Host { return h.stack }

// hostOrDefault returns h, or the default host where it is nil.
// It is called in many places, none of them hot, and is not copied to them.
//
//go:noinline
func hostOrDefault(h *Host) (*Host, error) {
	if h != nil {
		return h, nil
	}
	return Default()
}

// Listen is net.Listen on this host. The network is "tcp", "tcp4" or "tcp6".
func (h *Host) Listen(network, address string) (net.Listener, error) {
	lc := ListenConfig{Host: h}
	return lc.Listen(context.Background(), network, address)
}

// ListenTCP is net.ListenTCP on this host. A nil laddr is the wildcard, with a port that the stack chooses.
func (h *Host) ListenTCP(network string, laddr *net.TCPAddr) (*TCPListener, error) {
	lc := ListenConfig{Host: h}
	return lc.listenTCP(network, laddr)
}

// ListenPacket is net.ListenPacket on this host. The network is "udp", "udp4" or "udp6", or one of IP; see ListenIP.
func (h *Host) ListenPacket(network, address string) (net.PacketConn, error) {
	lc := ListenConfig{Host: h}
	return lc.ListenPacket(context.Background(), network, address)
}

// ListenUDP is net.ListenUDP on this host. A nil laddr is the wildcard, with a port that the stack chooses.
func (h *Host) ListenUDP(network string, laddr *net.UDPAddr) (*UDPConn, error) {
	lc := ListenConfig{Host: h}
	return lc.listenUDP(network, laddr)
}

// Dial is net.Dial from this host. See Dialer.DialContext.
func (h *Host) Dial(network, address string) (net.Conn, error) {
	d := Dialer{Host: h}
	return d.Dial(network, address)
}

// DialTimeout is net.DialTimeout from this host.
func (h *Host) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	d := Dialer{Host: h, Timeout: timeout}
	return d.Dial(network, address)
}

// DialContext is (*net.Dialer).DialContext from this host: it fits http.Transport.DialContext. See
// Dialer.DialContext.
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	d := Dialer{Host: h}
	return d.DialContext(ctx, network, address)
}

// DialTCP is net.DialTCP from this host. If laddr is nil the stack chooses it.
func (h *Host) DialTCP(network string, laddr, raddr *net.TCPAddr) (*TCPConn, error) {
	d := Dialer{Host: h}
	return d.dialTCP(context.Background(), network, laddr, raddr)
}

// DialUDP is net.DialUDP from this host. If laddr is nil the stack chooses it.
func (h *Host) DialUDP(network string, laddr, raddr *net.UDPAddr) (*UDPConn, error) {
	d := Dialer{Host: h}
	return d.dialUDP(context.Background(), network, laddr, raddr)
}
