package fdtable

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/tcp"
)

// phase is the state of a socket, as Linux's SS_UNCONNECTED, SS_CONNECTING, SS_CONNECTED. A socket may be bound in any of
// them: see setup.
type phase uint8

const (
	unconnected phase = iota
	listening
	connecting
	connected
)

// socket is a file that is a socket.
//
// Reading and writing use conn alone and take no lock. The lock mu serialises the calls that change the socket's phase.
// It is held during calls of package stack that do not wait, and never during one that does.
type socket struct {
	file
	host *stack.Host
	// deferred is the errno of a Write that returned a count instead: the next call returns it.
	deferred atomic.Uint32
	domain   uint8
	typ      uint8
	reuse    reuse // guarded by mu

	// ip are the options of IP's levels; nil for the defaults. Guarded by mu.
	ip *ipLevels

	mu    sync.Mutex
	phase phase
	// watched says that follow was called; guarded by mu.
	watched bool
	// conn is the connection, from connect or accept on. After a non-blocking connect has failed it stays until the next
	// connect, because its error has still to be returned.
	conn atomic.Pointer[stack.TCPConn]
	// udp is the stack's datagram socket. The first call that needs one makes it.
	udp atomic.Pointer[stack.UDPSocket]
	// setup is nil for an accepted connection, which needs none of its fields.
	setup *setup
	// timeouts is nil until SO_RCVTIMEO or SO_SNDTIMEO is set.
	timeouts atomic.Pointer[timeouts]
}

// reuse is the set of options that decide which sockets may share an address, and broadcast.
type reuse uint8

const (
	reuseAddr reuse = 1 << iota
	reusePort
	v6Only
	broadcast
)

// setup holds the fields that only a socket made by Socket needs, and an accepted one does not. It is guarded by the
// socket's mu.
type setup struct {
	// options are set on the connection, listener or datagram socket that the socket gets next.
	options tcp.Options
	// readBuffer is SO_RCVBUF of a datagram socket; zero for the host's default.
	readBuffer int
	// binding reserves the local port, from bind until listen or connect take it over.
	binding *stack.Binding
	// bound is the address of bind. The socket keeps it after a connection has ended. It is not valid if bind was not
	// called.
	bound    netip.AddrPort
	listener *stack.Listener
	fast     fastOpen
	backlog  int // of listener
	// segment is UDP_SEGMENT.
	segment uint16
	// wants has the cmsg.Wants of a datagram socket; mu does not guard it.
	wants atomic.Uint32
	// ended has the directions of a datagram socket that shutdown has ended; mu does not guard it.
	ended atomic.Uint32
}

func newSocket(h *stack.Host, domain, typ uint8) *socket {
	s := &socket{host: h, domain: domain, typ: typ, setup: &setup{options: tcp.DefaultOptions()}}
	s.body = s
	return s
}

// evict implements body: it closes the socket's connection, listener, datagram socket and binding, which wakes the calls
// that wait on it. With SO_LINGER it waits.
func (s *socket) evict() {
	s.mu.Lock()
	conn, udp := s.conn.Load(), s.udp.Load()
	var binding *stack.Binding
	var listener *stack.Listener
	if s.setup != nil {
		binding, listener = s.setup.binding, s.setup.listener
	}
	s.mu.Unlock()
	// Errors are dropped, since close(2) of a socket reports none.
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

// inner converts an address of the caller into the stack's form.
func (s *socket) inner(a netip.AddrPort, p purpose) (netip.AddrPort, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.innerLocked(a, p)
}

// innerLocked is inner for a caller that holds the lock.
func (s *socket) innerLocked(a netip.AddrPort, p purpose) (netip.AddrPort, error) {
	as := addressing{host: s.host, domain: s.domain, typ: s.typ, v6Only: s.reuse&v6Only != 0}
	return as.inner(a, p)
}

// outer converts an address of the stack into the socket's family.
func (s *socket) outer(a netip.AddrPort) netip.AddrPort {
	if s.domain == AF_INET6 && a.Addr().Is4() {
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr().As16()), a.Port())
	}
	return a
}

// wildcard returns the unspecified address of the socket's family, with port 0.
func (s *socket) wildcard() netip.AddrPort {
	if s.domain == AF_INET6 {
		return netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
	}
	return netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
}
