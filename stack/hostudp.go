package stack

import (
	"net/netip"
	"syscall"
)

// ListenUDP binds a UDP socket; port 0 chooses a free one. An address that is not valid or unspecified means
// all of ours. EADDRINUSE when another socket has the address, unless both set ReusePort or ReuseAddr;
// EADDRNOTAVAIL when it is not ours; EADDRINUSE as well when no port is free; ENETDOWN when the host is closed, or all
// its devices have failed: then only loopback addresses can be bound, and all of ours to a port that is chosen, for a
// socket that will connect to one.
func (h *Host) ListenUDP(local netip.AddrPort, opt BindOptions) (*UDPSocket, error) {
	a := local.Addr().Unmap()
	if h.severed(a) && (!wildcard(a) || local.Port() != 0) {
		return nil, syscall.ENETDOWN
	}
	if a.IsValid() && !a.IsUnspecified() && !h.ip.IsLocal(a) &&
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
