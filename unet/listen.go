package unet

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/unet-go/unet/stack"
)

// defaultBacklog is Linux's somaxconn, the backlog of package net.
const defaultBacklog = 4096

// ListenConfig holds the options of listening, with the fields of net.ListenConfig. The zero value is what
// Listen uses.
type ListenConfig struct {
	// Host is the host to listen on; nil means the default host.
	Host *Host

	// Control must be nil: there is no descriptor to control. Otherwise listening fails with
	// errors.ErrUnsupported.
	Control func(network, address string, c syscall.RawConn) error

	// KeepAlive is how long an accepted connection must be idle before the first keepalive probe. Zero
	// means 15 s, a negative value turns keepalive off. It is ignored if KeepAliveConfig.Enable is true.
	KeepAlive time.Duration

	// KeepAliveConfig is the keepalive configuration of accepted connections. If it is not enabled and
	// KeepAlive is negative, keepalive is off.
	KeepAliveConfig net.KeepAliveConfig

	// Backlog is that of listen(2): the number of connections that may wait for Accept; like Linux this stack lets one more
	// wait. Further connections are not refused: they wait until there is room, and their handshakes end then. Zero or less
	// means 4096, Linux's limit and package net's backlog; more than 65,535 means 65,535.
	Backlog int

	// ReusePort is SO_REUSEPORT (socket(7)): several listeners, or UDP sockets, that all have it share one address and
	// port. Each new connection, and each peer's datagrams, go to one of them, by a hash of the addresses and ports.
	// When a listener is closed the connections that wait for its Accept are reset; those whose handshake is not
	// complete go to the others. Without ReusePort a port that another socket listens on is EADDRINUSE.
	ReusePort bool
}

// MultipathTCP returns false: there is none.
func (lc *ListenConfig) MultipathTCP() bool { return false }

// SetMultipathTCP does nothing: listeners fall back to TCP, as package net's do where there is no MPTCP.
func (lc *ListenConfig) SetMultipathTCP(use bool) {}

// Listen announces on the local address of a TCP network, "tcp", "tcp4" or "tcp6", as net.Listen does; ctx
// is used to resolve host and service names and does not affect the listener. Errors are *net.OpError:
// EADDRINUSE for a port in use, EADDRNOTAVAIL for an address that is not the host's.
func (lc *ListenConfig) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	l, err := lc.listen(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (lc *ListenConfig) listen(ctx context.Context, network, address string) (*TCPListener, error) {
	h, n, at, err := lc.resolve(ctx, network, address)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	if n >= netUDP {
		return nil, unexpectedType(network, at, address)
	}
	l, err := h.listenTCP(lc, n, at)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: at, Err: err}
	}
	return l, nil
}

// resolve returns the host, the network and the address to listen on.
func (lc *ListenConfig) resolve(ctx context.Context, name, address string) (*Host, network, net.Addr, error) {
	n, err := parseNetwork(name)
	if err != nil {
		return nil, 0, nil, err
	}
	h, err := hostOrDefault(lc.Host)
	if err != nil {
		return nil, 0, nil, err
	}
	addrs, err := h.resolve(ctx, nil, n, address)
	if err != nil {
		return nil, 0, nil, err
	}
	return h, n, preferred(addrs), nil
}

// unexpectedType is the error of a Listen on UDP, or a ListenPacket on TCP.
func unexpectedType(network string, at net.Addr, address string) error {
	return &net.OpError{Op: "listen", Net: network, Addr: at, Err: &net.AddrError{Err: "unexpected address type", Addr: address}}
}

// ListenPacket announces on the local address of a UDP network, "udp", "udp4" or "udp6", as
// net.ListenPacket does, or of a protocol of IP; see ListenIP.
func (lc *ListenConfig) ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	protocol, err := parseProtocol(network)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	h, n, at, err := lc.resolve(ctx, network, address)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	if n < netUDP {
		return nil, unexpectedType(network, at, address)
	}
	if lc.Control != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: at, Err: errors.ErrUnsupported}
	}
	if n.ip() {
		c, err := h.listenIP(n, protocol, at)
		if err != nil {
			return nil, &net.OpError{Op: "listen", Net: network, Addr: at, Err: err}
		}
		return c, nil
	}
	c, err := h.listenUDP(lc, n, at)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: at, Err: err}
	}
	return c, nil
}

// listenTCP is ListenTCP on lc.Host.
func (lc *ListenConfig) listenTCP(network string, laddr *net.TCPAddr) (*TCPListener, error) {
	fail := func(err error) error {
		return &net.OpError{Op: "listen", Net: network, Addr: opAddr(laddr), Err: err}
	}
	n, err := parseTCP(network)
	if err != nil {
		return nil, fail(err)
	}
	h, err := hostOrDefault(lc.Host)
	if err != nil {
		return nil, fail(err)
	}
	if laddr == nil {
		laddr = &net.TCPAddr{}
	}
	l, err := h.listenTCP(lc, n, laddr)
	if err != nil {
		return nil, fail(err)
	}
	return l, nil
}

// listenUDP is ListenUDP on lc.Host.
func (lc *ListenConfig) listenUDP(network string, laddr *net.UDPAddr) (*UDPConn, error) {
	fail := func(err error) error {
		return &net.OpError{Op: "listen", Net: network, Addr: opAddr(laddr), Err: err}
	}
	n, err := parseUDP(network)
	if err != nil {
		return nil, fail(err)
	}
	h, err := hostOrDefault(lc.Host)
	if err != nil {
		return nil, fail(err)
	}
	if laddr == nil {
		laddr = &net.UDPAddr{}
	}
	c, err := h.listenUDP(lc, n, laddr)
	if err != nil {
		return nil, fail(err)
	}
	return c, nil
}

// listenAddr returns the address and the options with which a socket is bound.
func (h *Host) listenAddr(lc *ListenConfig, k socketKind, e endpoint) (local netip.AddrPort, opt stack.BindOptions, err error) {
	if local, err = k.addrPort(h.stack, e); err != nil {
		return local, opt, err
	}
	opt, err = k.bindOptions(local)
	opt.ReusePort = lc.ReusePort
	return local, opt, err
}

// listenTCP binds and listens; its errors are for the Err of an OpError.
func (h *Host) listenTCP(lc *ListenConfig, n network, at net.Addr) (*TCPListener, error) {
	if lc.Control != nil {
		return nil, errors.ErrUnsupported
	}
	e, _ := endpointOf(at)
	k := n.listens(e)
	local, opt, err := h.listenAddr(lc, k, e)
	if err != nil {
		return nil, err
	}
	opt.ReuseAddr = true
	b, err := h.stack.BindTCP(local, opt)
	if err != nil {
		return nil, syscallError("bind", err)
	}
	backlog := lc.Backlog
	if backlog <= 0 {
		backlog = defaultBacklog
	}
	l, err := h.stack.ListenTCP(b, backlog, tcpOptions(lc.KeepAlive, lc.KeepAliveConfig))
	if err != nil {
		_ = b.Close()
		return nil, syscallError("listen", err)
	}
	return newTCPListener(l, k), nil
}

// listenRaw makes a raw socket; its errors are for the Err of an OpError.
func (h *Host) listenRaw(k socketKind, protocol int, at endpoint) (*stack.RawSocket, error) {
	local, err := k.sockaddr(at)
	if err != nil {
		return nil, err
	}
	if protocol > 255 {
		return nil, os.NewSyscallError("socket", syscall.EINVAL)
	}
	if local.Is4In6() { // a raw socket of IPv6 has no packets of IPv4
		return nil, os.NewSyscallError("bind", syscall.EADDRNOTAVAIL)
	}
	s, err := h.stack.ListenRaw(zoned(h.stack, local), protocol)
	if err == syscall.EPROTONOSUPPORT {
		return nil, syscallError("socket", err)
	}
	if err != nil {
		return nil, syscallError("bind", err)
	}
	_ = s.SetBroadcast(true) // package net's default
	return s, nil
}

// listenIP is listenUDP for a protocol of IP.
func (h *Host) listenIP(n network, protocol int, at net.Addr) (*IPConn, error) {
	e, _ := endpointOf(at)
	k := n.listens(e)
	s, err := h.listenRaw(k, protocol, e)
	if err != nil {
		return nil, err
	}
	return newIPConn(h.stack, s, k, false), nil
}
