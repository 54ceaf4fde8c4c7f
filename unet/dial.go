package unet

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// saneDialTime is the least time in which one of several addresses is tried.
const saneDialTime = 2 * time.Second

// longAgo is a deadline in the past.
var longAgo = time.Unix(1, 0)

// Dialer holds the options of dialling, with the fields of net.Dialer. The zero value is what Dial uses. Its
// methods may be called by several goroutines at once.
type Dialer struct {
	// Host is the host to dial from; nil means the default host.
	Host *Host

	// Timeout is the longest that a dial may take, name resolution included. Zero means no limit but the
	// stack's own of three minutes for each address.
	Timeout time.Duration

	// Deadline is the time at which dials fail. Zero means none.
	Deadline time.Time

	// LocalAddr is the address to dial from, *net.TCPAddr, *net.UDPAddr or *net.IPAddr to match the network. If it is nil or a
	// wildcard the stack chooses the address; if its port is zero the stack chooses the port.
	LocalAddr net.Addr

	// DualStack is ignored, as package net ignores it.
	//
	// Deprecated: see FallbackDelay.
	DualStack bool

	// FallbackDelay is the time for which a dial of network "tcp" tries addresses of one family, that of the first, before
	// it tries those of the other one as well (RFC 8305). Zero means 300 ms; a negative value turns this off, and all
	// addresses are tried one after the other.
	FallbackDelay time.Duration

	// KeepAlive is how long a connection must be idle before the first keepalive probe. Zero means 15 s, a
	// negative value turns keepalive off. It is ignored if KeepAliveConfig.Enable is true.
	KeepAlive time.Duration

	// KeepAliveConfig is the keepalive configuration. If it is not enabled and KeepAlive is negative,
	// keepalive is off.
	KeepAliveConfig net.KeepAliveConfig

	// Resolver resolves names; nil means the servers of the host's Config.DNS, and where there are none
	// net.DefaultResolver, which asks over the kernel's network.
	Resolver *net.Resolver

	// Cancel, when it is closed, cancels the dial.
	//
	// Deprecated: use DialContext.
	Cancel <-chan struct{}

	// Control and ControlContext must be nil: there is no descriptor to control. Otherwise dials fail with
	// errors.ErrUnsupported.
	Control        func(network, address string, c syscall.RawConn) error
	ControlContext func(ctx context.Context, network, address string, c syscall.RawConn) error
}

// MultipathTCP returns false: there is none.
func (d *Dialer) MultipathTCP() bool { return false }

// SetMultipathTCP does nothing: dials fall back to TCP, as package net's do where there is no MPTCP.
func (d *Dialer) SetMultipathTCP(use bool) {}

// Dial connects to address, "host:port", of a TCP or UDP network. See DialContext.
func (d *Dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext connects to address, "host:port", of network "tcp", "tcp4", "tcp6", "udp", "udp4" or "udp6", or to a host by a
// protocol of IP (see DialIP), as (*net.Dialer).DialContext does. The connection is a *TCPConn, a *UDPConn or an *IPConn. If ctx is done before the connection is
// established, the dial ends and leaves nothing behind; later ctx has no effect on the connection. If the host name has
// several addresses they are tried one after the other in the order of RFC 6724, and share the time; those of the other
// family at the same time, as FallbackDelay says.
//
// Errors are *net.OpError: ECONNREFUSED where no socket listens, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT,
// EADDRINUSE or EADDRNOTAVAIL for the local address, and an error that wraps context.Canceled or
// context.DeadlineExceeded.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := d.context(ctx)
	defer cancel()
	n, err := parseNetwork(network)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	protocol, err := parseProtocol(network)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	h, err := hostOrDefault(d.Host)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	addrs, err := h.resolveDial(ctx, d.Resolver, n, address, d.LocalAddr)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	a := attempt{Dialer: d, host: h, net: n, name: network, protocol: protocol}
	if n == netTCP && d.FallbackDelay >= 0 {
		primaries, fallbacks := partition(addrs)
		return a.parallel(ctx, primaries, fallbacks)
	}
	return a.serial(ctx, addrs)
}

// DialTCP is DialContext for a TCP network and addresses. If laddr is zero the stack chooses it.
func (d *Dialer) DialTCP(ctx context.Context, network string, laddr, raddr netip.AddrPort) (*TCPConn, error) {
	ctx, cancel := d.context(ctx)
	defer cancel()
	return d.dialTCP(ctx, network, net.TCPAddrFromAddrPort(laddr), net.TCPAddrFromAddrPort(raddr))
}

// DialUDP is DialContext for a UDP network and addresses. If laddr is zero the stack chooses it.
func (d *Dialer) DialUDP(ctx context.Context, network string, laddr, raddr netip.AddrPort) (*UDPConn, error) {
	ctx, cancel := d.context(ctx)
	defer cancel()
	return d.dialUDP(ctx, network, net.UDPAddrFromAddrPort(laddr), net.UDPAddrFromAddrPort(raddr))
}

func (d *Dialer) dialTCP(ctx context.Context, network string, laddr, raddr *net.TCPAddr) (*TCPConn, error) {
	fail := func(err error) error {
		return &net.OpError{Op: "dial", Net: network, Source: opAddr(laddr), Addr: opAddr(raddr), Err: err}
	}
	n, err := parseTCP(network)
	if err != nil {
		return nil, fail(err)
	}
	if raddr == nil {
		return nil, fail(errMissingAddress)
	}
	h, err := hostOrDefault(d.Host)
	if err != nil {
		return nil, fail(err)
	}
	a := attempt{Dialer: d, host: h, net: n}
	c, err := a.tcp(ctx, opAddr(laddr), raddr)
	if err != nil {
		return nil, fail(err)
	}
	return c, nil
}

func (d *Dialer) dialUDP(ctx context.Context, network string, laddr, raddr *net.UDPAddr) (*UDPConn, error) {
	fail := func(err error) error {
		return &net.OpError{Op: "dial", Net: network, Source: opAddr(laddr), Addr: opAddr(raddr), Err: err}
	}
	n, err := parseUDP(network)
	if err != nil {
		return nil, fail(err)
	}
	if raddr == nil {
		return nil, fail(errMissingAddress)
	}
	h, err := hostOrDefault(d.Host)
	if err != nil {
		return nil, fail(err)
	}
	a := attempt{Dialer: d, host: h, net: n}
	c, err := a.udp(ctx, opAddr(laddr), raddr)
	if err != nil {
		return nil, fail(err)
	}
	return c, nil
}

// context returns ctx with the dialer's own limits. The caller calls the function when the dial is over.
func (d *Dialer) context(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx == nil {
		panic("nil context")
	}
	deadline := d.Deadline
	if d.Timeout != 0 { // a negative one has passed, as in package net
		if t := time.Now().Add(d.Timeout); deadline.IsZero() || t.Before(deadline) {
			deadline = t
		}
	}
	cancel := context.CancelFunc(func() {})
	if !deadline.IsZero() {
		ctx, cancel = context.WithDeadline(ctx, deadline)
	}
	if d.Cancel != nil {
		sub, stop := context.WithCancel(ctx)
		go func() {
			select {
			case <-d.Cancel:
				stop()
			case <-sub.Done():
			}
		}()
		outer := cancel
		return sub, func() { stop(); outer() }
	}
	return ctx, cancel
}
