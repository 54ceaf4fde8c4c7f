package unet

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"

	"github.com/unet-go/unet/stack"
)

// attempt is one dial on its way.
type attempt struct {
	*Dialer
	host *Host
	net  network
}

// parallel gives the first address's family a head start over the other one and returns the first
// connection; without any, the first family's error.
func (a *attempt) parallel(ctx context.Context, addrs []net.Addr) (net.Conn, error) {
	primaries, fallbacks := partition(addrs)
	if len(fallbacks) == 0 {
		return a.serial(ctx, primaries)
	}
	ctx, cancel := context.WithCancel(ctx) // ends the loser
	defer cancel()
	type result struct {
		conn    net.Conn
		err     error
		primary bool
	}
	results := make(chan result)
	race := func(addrs []net.Addr, primary bool) {
		c, err := a.serial(ctx, addrs)
		select {
		case results <- result{c, err, primary}:
		case <-ctx.Done():
			if c != nil {
				_ = c.Close()
			}
		}
	}
	delay := a.FallbackDelay
	if delay == 0 {
		delay = defaultFallbackDelay
	}
	go race(primaries, true)
	headStart := time.NewTimer(delay)
	defer headStart.Stop()
	var first error
	for racers := 1; ; {
		select {
		case <-headStart.C:
			racers++
			go race(fallbacks, false)
			continue
		case r := <-results:
			if r.err == nil {
				return r.conn, nil
			}
			racers--
			if r.primary || first == nil {
				first = r.err
			}
			if r.primary && headStart.Stop() {
				headStart.Reset(0)
				continue
			}
		case <-ctx.Done():
			return nil, &net.OpError{Op: "dial", Net: a.net.String(), Source: a.LocalAddr, Addr: addrs[0], Err: contextError(ctx.Err())}
		}
		if racers == 0 {
			return nil, first
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
			first = &net.OpError{Op: "dial", Net: a.net.String(), Source: a.LocalAddr, Addr: raddr, Err: err}
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
		return nil, contextError(err)
	}
	if deadline, ok := ctx.Deadline(); ok && remaining > 1 {
		left := time.Until(deadline)
		share := min(max(left/time.Duration(remaining), saneDialTime), left)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, share)
		defer cancel()
	}
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

// tcp dials until it has a connection to somebody else: an ephemeral port may be the very port that is
// dialled, so that the connection meets itself, or just be taken. As package net, it tries three times.
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
	remote, err := a.net.remote(to)
	if err != nil {
		return nil, err
	}
	var b *stack.Binding
	if from.port != 0 || !from.wildcard() {
		local, err := a.net.local(from, remote.Addr())
		if err != nil {
			return nil, err
		}
		if b, err = a.host.stack.BindTCP(local, stack.BindOptions{LatePort: true}); err != nil {
			return nil, syscallError("bind", err)
		}
	}
	c, err := a.host.stack.ConnectTCP(b, remote, tcpOptions(a.KeepAlive, a.KeepAliveConfig))
	if err != nil {
		if b != nil {
			_ = b.Close()
		}
		return nil, syscallError("connect", err)
	}
	if err := waitConnect(ctx, c); err != nil {
		_ = c.Close()
		return nil, err
	}
	return &TCPConn{conn: c, net: a.net}, nil
}

// waitConnect waits until c is established, or has failed, or ctx has ended: a write deadline in the past
// then wakes the wait.
func waitConnect(ctx context.Context, c *stack.TCPConn) (err error) {
	if ctx.Done() != nil {
		stop := context.AfterFunc(ctx, func() { _ = c.SetWriteDeadline(longAgo) })
		defer func() {
			if !stop() && err == nil { // the deadline is set, or is about to be: the connection is spoilt
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
	to, _ := endpointOf(raddr)
	remote, err := a.net.remote(to)
	if err != nil {
		return nil, err
	}
	from, _ := endpointOf(laddr)
	local, err := a.net.local(from, remote.Addr())
	if err != nil {
		return nil, err
	}
	s, err := a.host.stack.ListenUDP(local, stack.BindOptions{})
	if err != nil {
		return nil, syscallError("bind", err)
	}
	if err := s.Connect(remote); err != nil {
		_ = s.Close()
		return nil, syscallError("connect", err)
	}
	_ = s.SetBroadcast(true)
	return &UDPConn{socket: s, net: a.net, connected: true}, nil
}
