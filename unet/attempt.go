package unet

import (
	"cmp"
	"context"
	"errors"
	"net"
	"syscall"
	"time"

	"github.com/unet-go/unet/stack"
)

// attempt is a dial in progress.
type attempt struct {
	*Dialer
	host *Host
	net  network
	// name is the network's as the caller gave it, with the protocol of an IP network, whose number protocol is; empty for
	// net's.
	name     string
	protocol int
}

// fallbackDelay is the default of Dialer.FallbackDelay (RFC 8305 8 has 250 ms; this is package net's).
const fallbackDelay = 300 * time.Millisecond

// parallel tries the addresses of one family and, after a while or as soon as these have failed, those of the other one at
// the same time. It returns the first connection; without any, the first error of primaries.
func (a *attempt) parallel(ctx context.Context, primaries, fallbacks []net.Addr) (net.Conn, error) {
	if len(fallbacks) == 0 {
		return a.serial(ctx, primaries)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		conn    net.Conn
		err     error
		primary bool
	}
	results, over := make(chan result), make(chan struct{})
	defer close(over)
	start := func(addrs []net.Addr, primary bool) {
		c, err := a.serial(ctx, addrs)
		select {
		case results <- result{c, err, primary}:
		case <-over:
			if c != nil {
				_ = c.Close()
			}
		}
	}
	delay := a.FallbackDelay
	if delay == 0 {
		delay = fallbackDelay
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	go start(primaries, true)
	var first error
	for pending := 2; ; {
		select {
		case <-timer.C:
			go start(fallbacks, false)
		case r := <-results:
			if r.err == nil {
				return r.conn, nil
			}
			if r.primary {
				first = r.err
				if timer.Stop() {
					timer.Reset(0)
				}
			}
			if pending--; pending == 0 {
				return nil, first
			}
		}
	}
}

// serial tries the addresses in order and returns the first connection; without any, the first error.
func (a *attempt) serial(ctx context.Context, addrs []net.Addr) (net.Conn, error) {
	var first error
	for i, raddr := range addrs {
		c, err := a.single(ctx, raddr, len(addrs)-i)
		if err == nil {
			return c, nil
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

// single dials one address, with its share of the time when others remain.
func (a *attempt) single(ctx context.Context, raddr net.Addr, remaining int) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, a.opError(raddr, contextError(err))
	}
	if deadline, ok := ctx.Deadline(); ok && remaining > 1 {
		left := time.Until(deadline)
		share := min(max(left/time.Duration(remaining), saneDialTime), left)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, share)
		defer cancel()
	}
	trace := traceOf(ctx)
	trace.start(a.net, raddr)
	c, err := a.dialAny(ctx, raddr)
	if err != nil {
		err = a.opError(raddr, err)
	}
	trace.done(a.net, raddr, err)
	return c, err
}

func (a *attempt) opError(raddr net.Addr, err error) error {
	return &net.OpError{Op: "dial", Net: cmp.Or(a.name, a.net.String()), Source: a.LocalAddr, Addr: raddr, Err: err}
}

// dialAny is dial for networks of IP too. The host's own lookups need none: in a program that makes no other dials this code is
// not linked.
func (a *attempt) dialAny(ctx context.Context, raddr net.Addr) (net.Conn, error) {
	if !a.net.ip() {
		return a.dial(ctx, raddr)
	}
	c, err := a.ip(ctx, a.LocalAddr, raddr)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// dial makes the connection. Its errors are for the Err of an OpError.
func (a *attempt) dial(ctx context.Context, raddr net.Addr) (net.Conn, error) {
	if a.net.udp() {
		c, err := a.udp(ctx, a.LocalAddr, raddr)
		if err != nil {
			return nil, err
		}
		return c, nil
	}
	c, err := a.tcp(ctx, a.LocalAddr, raddr)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// tcp dials until it has a connection to another socket: an ephemeral port may be equal to the port that is
// dialled, so that the connection is one with itself, or another socket may have taken it at that moment. Like package
// net it tries three times.
func (a *attempt) tcp(ctx context.Context, laddr, raddr net.Addr) (*TCPConn, error) {
	if a.Control != nil || a.ControlContext != nil {
		return nil, errors.ErrUnsupported
	}
	from, _ := endpointOf(laddr)
	for tries := 1; ; tries++ {
		c, err := a.tcpOnce(ctx, from, raddr)
		self := err == nil && c.conn.Local() == c.conn.Remote()
		if tries == 3 || from.port != 0 || !self && !errors.Is(err, syscall.EADDRNOTAVAIL) {
			return c, err
		}
		if self {
			_ = c.Close()
		}
	}
}

func (a *attempt) tcpOnce(ctx context.Context, from endpoint, raddr net.Addr) (*TCPConn, error) {
	to, _ := endpointOf(raddr)
	k := a.net.dials(from, to)
	local, err := k.addrPort(a.host.stack, from)
	if err != nil {
		return nil, err
	}
	var b *stack.Binding
	if local.Port() != 0 || !local.Addr().IsUnspecified() {
		opt, err := k.bindOptions(local)
		if err != nil {
			return nil, err
		}
		opt.LatePort = true
		if b, err = a.host.stack.BindTCP(local, opt); err != nil {
			return nil, syscallError("bind", err)
		}
	}
	c, err := a.connect(k, b, to)
	if err != nil {
		if b != nil {
			_ = b.Close()
		}
		return nil, err
	}
	if err := waitConnect(ctx, c); err != nil {
		_ = c.Close()
		return nil, err
	}
	return newTCPConn(c, k), nil
}

// connect sends the SYN. Errors of the address to dial come after those of the bind, as in package net.
func (a *attempt) connect(k socketKind, b *stack.Binding, to endpoint) (*stack.TCPConn, error) {
	remote, err := k.addrPort(a.host.stack, to)
	switch {
	case err != nil:
		return nil, err
	case k.v6Only() && remote.Addr().Is4In6():
		return nil, syscallError("connect", syscall.ENETUNREACH)
	}
	c, err := a.host.stack.ConnectTCP(b, remote, tcpOptions(a.KeepAlive, a.KeepAliveConfig))
	return c, syscallError("connect", err)
}

// waitConnect waits until c is established, or has failed, or ctx has ended: a write deadline in the past
// then wakes the wait.
func waitConnect(ctx context.Context, c *stack.TCPConn) (err error) {
	if ctx.Done() != nil {
		stop := context.AfterFunc(ctx, func() { _ = c.SetWriteDeadline(longAgo) })
		defer func() {
			if !stop() && err == nil { // the deadline is set, or is about to be: the connection cannot be used
				err = contextError(ctx.Err())
			}
		}()
	}
	if err := c.WaitConnect(); err != nil {
		if ctx.Err() != nil {
			return contextError(ctx.Err())
		}
		return syscallError("connect", err)
	}
	return nil
}

// udp binds a socket and connects it, which sends nothing.
func (a *attempt) udp(ctx context.Context, laddr, raddr net.Addr) (*UDPConn, error) {
	if a.Control != nil || a.ControlContext != nil {
		return nil, errors.ErrUnsupported
	}
	if err := ctx.Err(); err != nil {
		return nil, contextError(err)
	}
	from, _ := endpointOf(laddr)
	to, _ := endpointOf(raddr)
	k := a.net.dials(from, to)
	local, err := k.addrPort(a.host.stack, from)
	if err != nil {
		return nil, err
	}
	opt, err := k.bindOptions(local)
	if err != nil {
		return nil, err
	}
	s, err := a.host.stack.ListenUDP(local, opt)
	if err != nil {
		return nil, syscallError("bind", err)
	}
	_ = s.SetBroadcast(true) // package net's default; connect to a broadcast address needs it
	remote, err := k.addrPort(a.host.stack, to)
	if err == nil {
		err = syscallError("connect", s.Connect(remote))
	}
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	return newUDPConn(a.host.stack, s, k, true), nil
}

// ip makes a raw socket and connects it, which sends nothing.
func (a *attempt) ip(ctx context.Context, laddr, raddr net.Addr) (*IPConn, error) {
	if a.Control != nil || a.ControlContext != nil {
		return nil, errors.ErrUnsupported
	}
	if err := ctx.Err(); err != nil {
		return nil, contextError(err)
	}
	from, _ := endpointOf(laddr)
	to, _ := endpointOf(raddr)
	k := a.net.dials(from, to)
	s, err := a.host.listenRaw(k, a.protocol, from)
	if err != nil {
		return nil, err
	}
	remote, err := k.sockaddr(to)
	if err == nil && remote.Is4In6() {
		err = syscallError("connect", syscall.ENETUNREACH)
	}
	if err == nil {
		err = syscallError("connect", s.Connect(zoned(a.host.stack, remote)))
	}
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	return newIPConn(a.host.stack, s, k, true), nil
}
