package stack

import (
	"net/netip"
	"syscall"
)

// ListenUDP binds a UDP socket; port 0 chooses a free one. An address that is not valid means all of ours, and so does
// [::] without V6Only. A link-local address needs its interface's name as its zone: EINVAL without one, ENODEV for one that
// is no interface's name. EADDRINUSE when another socket has the address, unless both set ReusePort or ReuseAddr;
// EADDRNOTAVAIL when it is not ours; EADDRINUSE as well when no port is free; ENETDOWN when the host is closed, or all
// its devices have failed: then only loopback addresses can be bound, and all of ours to a port that is chosen, for a
// socket that will connect to one.
func (h *Host) ListenUDP(local netip.AddrPort, opt BindOptions) (*UDPSocket, error) {
	a, err := h.bindable(local.Addr())
	if err != nil {
		return nil, err
	}
	if h.severed(a) && (!a.IsUnspecified() || local.Port() != 0) {
		return nil, syscall.ENETDOWN
	}
	if !a.IsUnspecified() && !h.ip.IsLocal(a) &&
		!h.ip.IsBroadcast(a) && !a.IsMulticast() {
		return nil, syscall.EADDRNOTAVAIL
	}
	s := &UDPSocket{layer: &h.udp, opt: opt, bind: a, limit: h.config.UDPBuffer}
	s.arrived.L = &s.mu
	if err := h.udp.bind(s, netip.AddrPortFrom(a, local.Port())); err != nil {
		return nil, err
	}
	h.forgotten.openIdle()
	return s, nil
}
