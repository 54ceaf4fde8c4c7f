package fdtable

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/tcp"
)

// phase is how far a socket's association has come; Linux's SS_UNCONNECTED, SS_CONNECTING, SS_CONNECTED.
// Whether a socket is bound is another matter: see origin.
type phase uint8

const (
	unconnected phase = iota
	listening
	connecting
	connected
)

// socket is a file that is a socket.
//
// Reading and writing look at conn alone and take no lock. mu orders the calls that change what the socket
// is. It is held during calls of package stack that do not wait, and never during one that does.
type socket struct {
	file
	host *stack.Host
	// kept is an errno that the last Write owes to the next call, because it returned a count instead.
	kept   atomic.Uint32
	domain uint8
	typ    uint8
	reuse  reuse // guarded by mu

	mu    sync.Mutex
	phase phase
	// watched says that somebody has asked for the socket's readiness; guarded by mu.
	watched bool
	// conn is the connection, from connect or accept on. It stays after a connect without wait has failed,
	// until the next one, since its error is still to be fetched.
	conn atomic.Pointer[stack.TCPConn]
	// udp is the datagram socket, from the first call on that needs one.
	udp atomic.Pointer[stack.UDPSocket]
	// origin is nil for an accepted connection, which needs none of it.
	origin *origin
	// timeouts is nil until SO_RCVTIMEO or SO_SNDTIMEO is set.
	timeouts atomic.Pointer[timeouts]
}

// reuse is the set of options that say who may share an address.
type reuse uint8

const (
	reuseAddr reuse = 1 << iota
	reusePort
	v6Only
	broadcast
)

// origin is what a socket from Socket has beside an accepted one. It is guarded by the socket's mu.
type origin struct {
	// options are what was set before there was a connection or listener to set it on.
	options tcp.Options
	// readBuffer is SO_RCVBUF of a datagram socket; zero for the host's default.
	readBuffer int
	// binding reserves the local port, from bind until listen or connect take it over.
	binding *stack.Binding
	// bound is the address that bind chose, which stays the socket's; not valid when bind was not called.
	bound    netip.AddrPort
	listener *stack.Listener
	fast     fastOpen
	backlog  int // of listener
	// ended is what shutdown has ended of a datagram socket; not guarded.
	ended atomic.Uint32
}

func newSocket(h *stack.Host, domain, typ uint8) *socket {
	s := &socket{host: h, domain: domain, typ: typ, origin: &origin{options: tcp.DefaultOptions()}}
	s.body = s
	return s
}

// evict closes what the socket stands for, which wakes the calls that wait on it. With SO_LINGER it waits.
func (s *socket) evict() {
	s.mu.Lock()
	conn, udp := s.conn.Load(), s.udp.Load()
	var binding *stack.Binding
	var listener *stack.Listener
	if s.origin != nil {
		binding, listener = s.origin.binding, s.origin.listener
	}
	s.mu.Unlock()
	// Nobody is left to hear of an error: close(2) reports none of a socket's.
	if binding != nil {
		_ = binding.Close()
	}
	if listener != nil {
		_ = listener.Close()
	}
	if udp != nil {
		_ = udp.Close()
	}
	if conn != nil {
		_ = conn.Close()
	}
}

// stream returns EOPNOTSUPP for a socket that is not SOCK_STREAM.
func (s *socket) stream() error {
	if s.typ != SOCK_STREAM {
		return syscall.EOPNOTSUPP
	}
	return nil
}

// inner translates an address of the caller into the stack's form.
func (s *socket) inner(a netip.AddrPort) (netip.AddrPort, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.innerLocked(a)
}

// innerLocked makes an IPv4-mapped address IPv4. It returns EAFNOSUPPORT for an address of the wrong family,
// ENETUNREACH for a mapped one of a socket that is IPV6_V6ONLY.
func (s *socket) innerLocked(a netip.AddrPort) (netip.AddrPort, error) {
	if !a.IsValid() || a.Addr().Is4() != (s.domain == AF_INET) {
		return netip.AddrPort{}, syscall.EAFNOSUPPORT
	}
	if !a.Addr().Is4In6() {
		return a, nil
	}
	if s.reuse&v6Only != 0 {
		return netip.AddrPort{}, syscall.ENETUNREACH
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), nil
}

// outer translates an address of the stack into the socket's family.
func (s *socket) outer(a netip.AddrPort) netip.AddrPort {
	if s.domain == AF_INET6 && a.Addr().Is4() {
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr().As16()), a.Port())
	}
	return a
}

// wildcard is the unspecified address of the socket's family, with port 0.
func (s *socket) wildcard() netip.AddrPort {
	if s.domain == AF_INET6 {
		return netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
	}
	return netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
}
