package stack

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/fifo"
	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/ip"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/tcp"
)

// UDPSocket is a UDP endpoint. Its methods may be called from any goroutine. Errors are syscall.Errno
// values: EBADF after Close, EAGAIN where a deadline has passed.
type UDPSocket struct {
	layer *udpLayer
	opt   BindOptions
	pair  atomic.Pointer[udpPair]
	bind  netip.Addr // what ListenUDP was given

	watcher atomic.Pointer[Watcher]
	trains  atomic.Bool // SetTrains

	mu            sync.Mutex
	arrived       sync.Cond // calls that read wait here
	queue         fifo.Queue[datagramIn]
	charge        int // octets that the queue takes
	reported      int // the part of charge that the host's sum of all queues includes
	limit         int
	errno         syscall.Errno // the pending error, which one call returns
	errors        errorQueue    // nil until SetErrorQueue
	closed        bool
	broadcast     bool
	queuedErrors  bool          // the queue of errors is not empty
	segment       uint16        // SetSegmentSize
	options       [2]udpOptions // of IPv4, of IPv6
	readDeadline  waitDeadline
	writeDeadline mono.Time // no write waits
}

// udpOptions are DatagramOptions.
type udpOptions struct {
	discover tcp.PathMTUDiscovery
	ttl, tos uint8
	mtu      uint16
}

// udpPair is what a socket is bound and connected to.
type udpPair struct{ local, remote netip.AddrPort }

// datagramIn is a received datagram. Its octets stand in buf, where there is one.
type datagramIn struct {
	from     netip.AddrPort
	to       netip.Addr
	data     []byte
	buf      *link.Buffer
	charge   int
	iface    int32 // the number of the interface, 0 for none
	tos, ttl uint8
	group    bool // the datagram went to more than one host
}

func (s *UDPSocket) setPair(local, remote netip.AddrPort) { s.pair.Store(&udpPair{local, remote}) }

// families says whose packets the socket takes when it is bound to an address.
func (s *UDPSocket) families(bound netip.Addr) families { return familiesOf(bound, s.opt.V6Only) }

// clashes says whether s may not be bound to a beside other.
func (s *UDPSocket) clashes(other *UDPSocket, a netip.Addr) bool {
	if s.opt.ReusePort && other.opt.ReusePort || s.opt.ReuseAddr && other.opt.ReuseAddr {
		return false
	}
	return sharePackets(a, s.opt.V6Only, other.Local().Addr(), other.opt.V6Only)
}

// score says how well the socket fits a datagram: 0 not at all, then bound to all of both families, to all of the
// datagram's family, to the address, and connected.
func (s *UDPSocket) score(local, remote netip.AddrPort) (score int) {
	p := s.pair.Load()
	switch bound := p.local.Addr(); {
	case bound == local.Addr():
		score = 3
	case !bound.IsUnspecified():
		return 0
	case bound.Is4() == local.Addr().Is4():
		score = 2
	case bound.Is4() || s.opt.V6Only:
		return 0
	default:
		score = 1
	}
	if p.remote.IsValid() {
		if p.remote != remote {
			return 0
		}
		score += 2
	}
	return score
}

// deliver queues a datagram, or drops it when the queue is full. Large ones are kept by reference.
func (s *UDPSocket) deliver(p *ip.Packet, from netip.AddrPort, data []byte) {
	d := datagramIn{from: from, to: p.Dst, tos: p.TOS, ttl: p.TTL, group: p.Broadcast}
	if p.Interface != nil {
		d.iface = int32(p.Interface.Index()) + 1
	}
	if p.Buffer != nil && len(data) > p.Buffer.Cap()/2 {
		d.data, d.buf = data, p.Buffer
		d.buf.Retain()
	} else if len(data) > 0 {
		d.buf = link.NewBuffer(len(data))
		d.data = d.buf.Bytes()[:copy(d.buf.Bytes(), data)]
	}
	s.enqueue(d, drop.UDPFull)
}

// enqueue queues a datagram, or drops it for the reason given when the queue is full.
func (s *UDPSocket) enqueue(d datagramIn, full drop.Reason) {
	d.charge = 128 // for the record itself, so that empty datagrams are bounded too
	if d.buf != nil {
		d.charge += d.buf.Cap()
	}
	s.mu.Lock()
	// One datagram always fits, however small the buffer was made.
	if s.closed || s.charge > 0 && s.charge+d.charge > s.layer.core.datagramLimit(s.limit) {
		s.mu.Unlock()
		d.release()
		s.layer.core.drop(full)
		return
	}
	s.queue.Push(d)
	s.charge += d.charge
	s.accountLocked(udpStep)
	s.mu.Unlock()
	s.arrived.Signal()
	s.notify(ReadyIn)
}

func (d *datagramIn) release() {
	if d.buf != nil {
		d.buf.Release()
	}
}

// believes notes that a router has asked for packets of at most mtu octets on the way from local to remote, and says whether
// that is an error to tell of. As in Linux only DiscoverInterface and DiscoverOmit do not believe it, and over IPv4 an error
// tells of it in these modes too. With DiscoverDont only a queue of errors is told, and that over IPv6 alone: see fail.
func (s *UDPSocket) believes(local netip.Addr, remote netip.AddrPort, mtu int) bool {
	s.mu.Lock()
	mode := s.towardLocked(remote.Addr()).discover
	s.mu.Unlock()
	believes := mode != tcp.DiscoverInterface && mode != tcp.DiscoverOmit
	if !believes && remote.Addr().Is6() {
		return false
	}
	if r, err := s.layer.core.ip.HostRoute(local, remote.Addr()); err == nil && believes {
		r.LearnPathMTU(mtu)
	}
	return mode != tcp.DiscoverDont || remote.Addr().Is6()
}

// PathMTU returns the MTU of the path to the connected peer in octets, as far as it is known. ENOTCONN where there is no
// peer, and the errors of a route.
func (s *UDPSocket) PathMTU() (int, error) {
	pair := s.pair.Load()
	if !pair.remote.IsValid() {
		return 0, syscall.ENOTCONN
	}
	r, err := s.layer.core.ip.Route(pair.local.Addr(), pair.remote.Addr())
	if err != nil {
		return 0, err
	}
	return r.PathMTU(), nil
}

// fail makes errno the pending error of a socket that is connected to remote, or has a queue of errors, which then has r too.
func (s *UDPSocket) fail(remote netip.AddrPort, errno syscall.Errno, r *ip.Report, p *ip.Packet) {
	s.mu.Lock()
	queued := s.errors != nil && s.errors.takeLocked(remote, errno, r, p, 0, 0)
	if !queued && (s.pair.Load().remote != remote ||
		errno == syscall.EMSGSIZE && s.towardLocked(remote.Addr()).discover == tcp.DiscoverDont) {
		s.mu.Unlock()
		return
	}
	s.errno = errno
	s.mu.Unlock()
	s.arrived.Broadcast()
	s.notify(ReadyErr)
}

// Connect makes remote the peer of Read and Write, from which alone datagrams are taken, and chooses the
// local address where there is none. The zero AddrPort dissolves that. Errors: those of a route, EACCES for a broadcast
// address without SetBroadcast, and for an address that is not for the socket those of Host.ConnectTCP.
func (s *UDPSocket) Connect(remote netip.AddrPort) error {
	local := s.Local()
	if !remote.IsValid() {
		s.setPair(netip.AddrPortFrom(s.bind, local.Port()), netip.AddrPort{})
		return nil
	}
	to, err := s.layer.core.routable(s.bind, s.opt.V6Only, remote.Addr())
	if err != nil {
		return err
	}
	r, err := s.layer.core.ip.Route(s.bind, to)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return syscall.EBADF
	}
	if r.Group() && !s.broadcast && !r.Remote().IsMulticast() {
		return syscall.EACCES
	}
	s.setPair(netip.AddrPortFrom(r.Local(), local.Port()), netip.AddrPortFrom(r.Remote(), remote.Port()))
	return nil
}

// WriteTo sends p as one datagram. EMSGSIZE: longer than a datagram can be, or than the MTU where
// PathMTUDiscovery.Refuses; EACCES: a broadcast address without SetBroadcast; ENETUNREACH, EINVAL: no such peer, and
// for an address that is not for the socket the errors of Host.ConnectTCP. An IPv4-mapped address is one of IPv4.
// It does not wait: what a full queue cannot take is dropped, as it might be anywhere on the way.
func (s *UDPSocket) WriteTo(p []byte, to netip.AddrPort) (int, error) {
	n, err := s.write(p, to, nil)
	s.layer.core.flush()
	return n, err
}

// Write sends p as one datagram to the connected peer; EDESTADDRREQ where there is none.
func (s *UDPSocket) Write(p []byte) (int, error) {
	to := s.Remote()
	if !to.IsValid() {
		if err := s.mayWrite(); err != nil {
			return 0, err
		}
		return 0, syscall.EDESTADDRREQ
	}
	return s.WriteTo(p, to)
}

// mayWrite returns what keeps the socket from sending.
func (s *UDPSocket) mayWrite() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return syscall.EBADF
	case s.writeDeadline != 0 && passed(s.writeDeadline, s.layer.core.clock.Now()):
		return syscall.EAGAIN
	case s.errno != 0:
		err := s.errno
		s.errno = 0
		return err
	}
	return nil
}

// Local returns the address that the socket is bound to.
func (s *UDPSocket) Local() netip.AddrPort { return s.pair.Load().local }

// Remote returns the connected peer; the zero AddrPort where there is none.
func (s *UDPSocket) Remote() netip.AddrPort { return s.pair.Load().remote }

// Close ends the socket and wakes all that wait on it. EBADF the second time.
func (s *UDPSocket) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return syscall.EBADF
	}
	s.closed = true
	for _, d := range s.queue.Items() {
		d.release()
	}
	s.queue, s.errors, s.charge = fifo.Queue[datagramIn]{}, nil, 0
	s.accountLocked(0)
	s.readDeadline.stop()
	s.mu.Unlock()
	s.arrived.Broadcast()
	s.notify(ReadyAll)
	s.layer.release(s, s.Local().Port())
	return nil
}

// Forget is (*TCPConn).Forget for a UDP socket.
func (s *UDPSocket) Forget() { s.layer.core.forget(s) }

func (s *UDPSocket) closeForgotten() { _ = s.Close() }

// notify calls the watcher; no lock is held.
func (s *UDPSocket) notify(edges Readiness) {
	if w := s.watcher.Load(); w != nil {
		(*w).Wake(edges)
	}
}
