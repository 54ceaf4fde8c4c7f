package stack

import (
	"net/netip"
	"syscall"
)

// BindOptions say how an address may be shared.
type BindOptions struct {
	// ReuseAddr lets a bind succeed while connections of an earlier one are still there, TIME-WAIT's
	// included, but not while somebody listens.
	ReuseAddr bool
	// ReusePort lets several sockets that all set it bind and listen to one address; connections are spread
	// over them.
	ReusePort bool
	// V6Only keeps a socket that is bound to the IPv6 wildcard from IPv4 traffic.
	V6Only bool
}

// Binding is a reserved local address.
type Binding struct {
	host  *Host
	local netip.AddrPort
}

// BindTCP reserves a local address; port 0 chooses a free one. An invalid address means the wildcard of both
// families. Errors: EADDRINUSE, EADDRNOTAVAIL for an address that is not the host's or when no port is free.
func (h *Host) BindTCP(local netip.AddrPort, opt BindOptions) (*Binding, error) {
	return nil, syscall.EADDRNOTAVAIL
}

// Local returns the bound address with the port that was chosen.
func (b *Binding) Local() netip.AddrPort { return b.local }

// Close gives the address back; a binding that a listener or connection took over is theirs. EBADF when it
// is already closed or taken over.
func (b *Binding) Close() error { return nil }
