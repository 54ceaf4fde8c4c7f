package stack

import (
	"net/netip"
	"syscall"
	"time"

	"github.com/unet-go/unet/stack/ip"
	"github.com/unet-go/unet/stack/tcp"
)

// SetReadDeadline sets when reads give up with EAGAIN; zero for never. It wakes a waiting call.
func (s *UDPSocket) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return syscall.EBADF
	}
	s.readDeadline.set(&s.layer.core.clock, t, &s.arrived)
	s.arrived.Broadcast()
	return nil
}

// SetWriteDeadline sets when writes give up with EAGAIN; zero for never. No write waits.
func (s *UDPSocket) SetWriteDeadline(t time.Time) error {
	return s.set(func() { s.writeDeadline = s.layer.core.clock.Moment(t) })
}

// SetReadBuffer bounds the memory of the receive queue in octets, 2304 at least as in Linux. EINVAL when octets is
// negative.
func (s *UDPSocket) SetReadBuffer(octets int) error {
	if octets < 0 {
		return syscall.EINVAL
	}
	return s.set(func() { s.limit = max(octets, 2304) })
}

// SetBroadcast allows sending to broadcast addresses. Default off.
func (s *UDPSocket) SetBroadcast(on bool) error {
	return s.set(func() { s.broadcast = on })
}

// SetDontFragment makes datagrams over the path's MTU fail instead of leaving in fragments: tcp.DiscoverDo, or without on
// tcp.DiscoverWant. Default off.
func (s *UDPSocket) SetDontFragment(on bool) error {
	mode := tcp.DiscoverWant
	if on {
		mode = tcp.DiscoverDo
	}
	return s.SetPathMTUDiscovery(mode)
}

// SetPathMTUDiscovery says which datagrams may be cut on their way, and which are refused. Default tcp.DiscoverWant.
func (s *UDPSocket) SetPathMTUDiscovery(mode tcp.PathMTUDiscovery) error {
	return s.set(func() { s.options[0].discover, s.options[1].discover = mode, mode })
}

// SetTTL sets the TTL, or the hop limit, of what is sent; zero, the default, means the host's. That of multicasts is 1.
func (s *UDPSocket) SetTTL(ttl uint8) error {
	return s.set(func() { s.options[0].ttl, s.options[1].ttl = ttl, ttl })
}

// SetTOS sets the traffic class of what is sent. Default 0.
func (s *UDPSocket) SetTOS(tos uint8) error {
	return s.set(func() { s.options[0].tos, s.options[1].tos = tos, tos })
}

// DatagramOptions are what a UDP socket's datagrams over one family are sent with.
type DatagramOptions struct {
	// TTL is the TTL or the hop limit, TOS the traffic class; see SetTTL and SetTOS.
	TTL, TOS uint8
	// Discover says which datagrams may be cut on their way; see SetPathMTUDiscovery.
	Discover tcp.PathMTUDiscovery
	// MTU is the largest packet in octets where the path's MTU is not smaller; zero, the default, for no such bound.
	MTU uint16
}

// SetFamilyOptions sets what datagrams over IPv6, or else over IPv4, are sent with. What a socket sends over the other
// family stays as it is. EINVAL: an MTU of less than each link carries, 1280 or 68 octets.
func (s *UDPSocket) SetFamilyOptions(ipv6 bool, o DatagramOptions) error {
	family, least := 0, uint16(68)
	if ipv6 {
		family, least = 1, 1280
	}
	if o.MTU != 0 && o.MTU < least {
		return syscall.EINVAL
	}
	return s.set(func() { s.options[family] = udpOptions{discover: o.Discover, ttl: o.TTL, tos: o.TOS, mtu: o.MTU} })
}

// towardLocked returns the options of datagrams to an address.
func (s *UDPSocket) towardLocked(a netip.Addr) *udpOptions {
	if a.Is4() {
		return &s.options[0]
	}
	return &s.options[1]
}

// limit returns the MTU that datagrams on a route go by.
func (o *udpOptions) limit(r *ip.Route) int {
	mtu := datagramMTU(r, o.discover)
	if o.mtu != 0 {
		mtu = min(mtu, int(o.mtu))
	}
	return mtu
}

func (s *UDPSocket) set(change func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return syscall.EBADF
	}
	change()
	return nil
}

// Closed says whether Close was called, or the host is closed.
func (s *UDPSocket) Closed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// TakeError returns the pending error and clears it; nil where there is none.
func (s *UDPSocket) TakeError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.errno == 0 {
		return nil
	}
	err := s.errno
	s.errno = 0
	return err
}

// datagramMTU returns the MTU that a socket with this mode goes by on a route.
func datagramMTU(r *ip.Route, mode tcp.PathMTUDiscovery) int {
	if mode == tcp.DiscoverProbe || mode.Off() && mode != tcp.DiscoverDont {
		return r.MTU()
	}
	return r.PathMTU()
}

// Defer makes an error of a call that has returned something else the pending error, which the next call returns. Others than
// a syscall.Errno, and EBADF, which stays, are not kept.
func (s *UDPSocket) Defer(err error) {
	errno, ok := err.(syscall.Errno)
	if !ok || errno == syscall.EBADF {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errno = errno
}
