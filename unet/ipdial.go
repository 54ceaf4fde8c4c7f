package unet

import (
	"context"
	"net"
	"net/netip"
)

func (d *Dialer) dialIP(ctx context.Context, network string, laddr, raddr *net.IPAddr) (*IPConn, error) {
	fail := func(err error) error {
		return &net.OpError{Op: "dial", Net: network, Source: opAddr(laddr), Addr: opAddr(raddr), Err: err}
	}
	if raddr == nil {
		return nil, fail(errMissingAddress)
	}
	n, protocol, err := parseIP(network)
	if err != nil {
		return nil, fail(err)
	}
	h, err := hostOrDefault(d.Host)
	if err != nil {
		return nil, fail(err)
	}
	a := attempt{Dialer: d, host: h, net: n, protocol: protocol}
	c, err := a.ip(ctx, opAddr(laddr), raddr)
	if err != nil {
		return nil, fail(err)
	}
	return c, nil
}

// listenIPAddr is ListenIP on lc.Host.
func (lc *ListenConfig) listenIPAddr(network string, laddr *net.IPAddr) (*IPConn, error) {
	if laddr == nil {
		laddr = &net.IPAddr{}
	}
	fail := func(err error) error { return &net.OpError{Op: "listen", Net: network, Addr: laddr, Err: err} }
	n, protocol, err := parseIP(network)
	if err != nil {
		return nil, fail(err)
	}
	h, err := hostOrDefault(lc.Host)
	if err != nil {
		return nil, fail(err)
	}
	c, err := h.listenIP(n, protocol, laddr)
	if err != nil {
		return nil, fail(err)
	}
	return c, nil
}

// ListenIP is net.ListenIP on this host: a raw socket that gets a copy of each packet of a protocol that arrives. The network
// is "ip", "ip4" or "ip6" with the protocol's name or number behind a colon, "ip4:icmp" or "ip6:58" for instance; "ip" with
// a wildcard address means IPv6, as in package net. No rights are needed. EPROTONOSUPPORT for TCP and UDP: there are no copies
// of their packets.
func (h *Host) ListenIP(network string, laddr *net.IPAddr) (*IPConn, error) {
	return (&ListenConfig{Host: h}).listenIPAddr(network, laddr)
}

// DialIP is net.DialIP from this host: a raw socket as ListenIP makes it, for one peer. If laddr is nil the stack chooses it.
func (h *Host) DialIP(network string, laddr, raddr *net.IPAddr) (*IPConn, error) {
	return (&Dialer{Host: h}).dialIP(context.Background(), network, laddr, raddr)
}

// DialIP is DialContext for a network of IP and addresses. If laddr is not valid the stack chooses it.
func (d *Dialer) DialIP(ctx context.Context, network string, laddr, raddr netip.Addr) (*IPConn, error) {
	ctx, cancel := d.context(ctx)
	defer cancel()
	return d.dialIP(ctx, network, netIPAddr(laddr), netIPAddr(raddr))
}

func netIPAddr(a netip.Addr) *net.IPAddr {
	return &net.IPAddr{IP: a.AsSlice(), Zone: a.Zone()}
}

// ListenIP is net.ListenIP on the default host. See (*Host).ListenIP.
func ListenIP(network string, laddr *net.IPAddr) (*IPConn, error) {
	return new(ListenConfig).listenIPAddr(network, laddr)
}

// DialIP is net.DialIP from the default host. See (*Host).ListenIP.
func DialIP(network string, laddr, raddr *net.IPAddr) (*IPConn, error) {
	return new(Dialer).dialIP(context.Background(), network, laddr, raddr)
}
