package stack

import (
	"net/netip"
	"syscall"

	"github.com/unet-go/unet/stack/tcp"
)

// The calls of a host that make TCP's sockets.

// ConnectTCP begins an active open to remote: it sends the SYN and returns a connection in SYN-SENT. A nil b
// chooses the source address and an ephemeral port that is unique for the four-tuple; otherwise the
// connection takes b over when it succeeds. The remote address 0.0.0.0 means the one that b is bound to; without such
// a one, and where it is ::, it means loopback. A link-local remote address needs the name of an interface as its zone, but
// where b is bound to such an address. Errors: ENETUNREACH without a route, ENETDOWN when all devices have
// failed, EADDRNOTAVAIL when no port is free, EADDRINUSE when b was given and the four-tuple is in use, EBADF when b is
// closed or taken over already, ECONNREFUSED for port 0. Where b is bound to the other address family, EAFNOSUPPORT if that
// is IPv4, else ENETUNREACH; EINVAL for a link-local address without a zone, or with another one than b's.
func (h *Host) ConnectTCP(b *Binding, remote netip.AddrPort, o tcp.Options) (*TCPConn, error) {
	c, floor, err := h.tcp.lockNewConn(b, remote, true)
	if err != nil {
		return nil, err
	}
	defer c.unlock()
	c.connectLocked(&o, floor, c.now())
	return c, nil
}

// ConnectTCPFastOpen is ConnectTCP that asks the peer for a Fast Open cookie (RFC 7413). If the host already has a cookie
// of this peer, nothing is sent yet: the SYN leaves with the first Write, and carries text of it. Waits says whether this
// is so. A peer to which such a SYN comes twice may read its text twice, so what is written first must be harmless to
// repeat (RFC 7413 2.1). On a path that has lost such SYNs it is ConnectTCP for a minute, and for twice as long each time
// that this happens again.
func (h *Host) ConnectTCPFastOpen(b *Binding, remote netip.AddrPort, o tcp.Options) (*TCPConn, error) {
	c, _, err := h.tcp.lockNewConn(b, remote, false) // a SYN with text must not come to a tuple in TIME-WAIT
	if err != nil {
		return nil, err
	}
	defer c.unlock()
	c.connectFastOpenLocked(&o, c.now())
	return c, nil
}

// ListenTCP listens on b, which it takes over when it succeeds. At most backlog+1 connections wait for
// Accept; backlog is at least 0 and at most 65535. Accepted connections inherit o. EADDRINUSE when another
// listener has that address already, EBADF when b is closed or taken over, EINVAL when it has no port yet, ENETDOWN when
// the host is closed, or all its devices have failed and b is no loopback address.
func (h *Host) ListenTCP(b *Binding, backlog int, o tcp.Options) (*Listener, error) {
	if err := b.takeToListen(); err != nil {
		return nil, err
	}
	l := newListener(&h.tcp, b, backlog, &o)
	if !h.tcp.listen.add(l) {
		b.giveBack()
		return nil, syscall.ENETDOWN
	}
	h.forgotten.openIdle()
	return l, nil
}

// BindTCP reserves a local address; port 0 chooses a free one. An invalid address means the wildcard of both
// families, and so does [::] without V6Only. A link-local address needs its interface's name as its zone. Errors:
// EADDRINUSE, also when no port is free, EADDRNOTAVAIL for an address that is not the host's, EINVAL for a link-local
// address without a zone and ENODEV for a zone that is no interface's name, and ENETDOWN when the host is closed or all its
// devices have failed.
func (h *Host) BindTCP(local netip.AddrPort, opt BindOptions) (*Binding, error) {
	if h.ended.Load() {
		return nil, syscall.ENETDOWN
	}
	addr, err := h.bindable(local.Addr())
	if err != nil {
		return nil, err
	}
	if h.severed(addr) {
		return nil, syscall.ENETDOWN
	}
	if !addr.IsUnspecified() && !h.ip.IsLocal(addr) {
		return nil, syscall.EADDRNOTAVAIL
	}
	b := &Binding{table: &h.tcp.ports, local: netip.AddrPortFrom(addr, local.Port()), options: opt}
	if opt.LatePort && local.Port() == 0 {
		return b, nil
	}
	if !h.tcp.ports.bind(b) {
		return nil, syscall.EADDRINUSE
	}
	return b, nil
}
