package fdtable

import (
	"net/netip"
	"slices"
	"syscall"

	"github.com/unet-go/unet/internal/cmsg"
	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/tcp"
)

// ipOptions are the options of one level, IPPROTO_IP or IPPROTO_IPV6.
type ipOptions struct {
	ttl, tos     uint8 // ttl is 0 for the host's
	discover     tcp.PathMTUDiscovery
	dontFragment bool   // IPV6_DONTFRAG
	recverr      bool   // IP_RECVERR or IPV6_RECVERR
	mtu          uint16 // IPV6_MTU; 0 for the path's
	wants        cmsg.Wants
}

// ipLevels are the options of both levels. As on Linux an AF_INET6 socket has both, and setting one leaves the other
// alone: what it sends over IPv4 goes by those of IPPROTO_IP. The value is not changed, but replaced, since accepted
// sockets have their listener's.
type ipLevels struct{ v4, v6 ipOptions }

// toward returns the options for packets to an address.
func (l *ipLevels) toward(a netip.Addr) *ipOptions {
	if a.Is4() {
		return &l.v4
	}
	return &l.v6
}

// wanted are the options that ask for control messages of received datagrams, by level and number.
var wanted = map[[2]int]cmsg.Wants{
	{IPPROTO_IP, IP_PKTINFO}: cmsg.Pktinfo4, {IPPROTO_IP, IP_RECVTTL}: cmsg.TTL, {IPPROTO_IP, IP_RECVTOS}: cmsg.TOS,
	{IPPROTO_IPV6, IPV6_RECVPKTINFO}: cmsg.Pktinfo6, {IPPROTO_IPV6, IPV6_RECVHOPLIMIT}: cmsg.Hoplimit6,
	{IPPROTO_IPV6, IPV6_RECVTCLASS}: cmsg.Tclass6,
}

// setWantedLocked sets an option that asks for a control message. ENOPROTOOPT: it is no such option.
func (s *socket) setWantedLocked(level, opt, value int) error {
	w, ok := wanted[[2]int{level, opt}]
	if !ok {
		return syscall.ENOPROTOOPT
	}
	err := s.setLevelLocked(level, func(o *ipOptions) { o.wants = o.wants.Set(w, value != 0) })
	if err == nil && s.setup != nil {
		trains := s.setup.wants.Load() & uint32(cmsg.Trains)
		s.setup.wants.Store(uint32(s.ip.v4.wants|s.ip.v6.wants) | trains)
	}
	return err
}

// put enters the options into those of a connection.
func (o *ipOptions) put(to *tcp.Options) { to.TTL, to.TOS, to.Discover = o.ttl, o.tos, o.discover }

// number returns the value of an option that both levels have.
func (o *ipOptions) number(opt, ttl, tos, discover int, defaultTTL uint8) (int, error) {
	switch opt {
	case ttl:
		if o.ttl == 0 {
			return int(defaultTTL), nil
		}
		return int(o.ttl), nil
	case tos:
		return int(o.tos), nil
	case discover:
		return discoveryNumber(o.discover), nil
	}
	return 0, syscall.ENOPROTOOPT
}

// datagram returns the options as the stack has them for datagrams. IPV6_DONTFRAG refuses what would be cut.
func (o *ipOptions) datagram() stack.DatagramOptions {
	mode := o.discover
	if o.dontFragment && (mode == tcp.DiscoverWant || mode == tcp.DiscoverDont) {
		mode = tcp.DiscoverDo
	}
	return stack.DatagramOptions{TTL: o.ttl, TOS: o.tos, Discover: mode, MTU: o.mtu}
}

// discoveries are the values of IP_MTU_DISCOVER and IPV6_MTU_DISCOVER.
var discoveries = []tcp.PathMTUDiscovery{
	IP_PMTUDISC_DONT: tcp.DiscoverDont, IP_PMTUDISC_WANT: tcp.DiscoverWant, IP_PMTUDISC_DO: tcp.DiscoverDo,
	IP_PMTUDISC_PROBE: tcp.DiscoverProbe, IP_PMTUDISC_INTERFACE: tcp.DiscoverInterface, IP_PMTUDISC_OMIT: tcp.DiscoverOmit,
}

// discoveryNumber returns the value of IP_MTU_DISCOVER.
func discoveryNumber(mode tcp.PathMTUDiscovery) int { return slices.Index(discoveries, mode) }

// setRecverrLocked sets IP_RECVERR or IPV6_RECVERR, which only datagram sockets have.
func (s *socket) setRecverrLocked(level, value int) error {
	if s.typ != SOCK_DGRAM {
		return syscall.ENOPROTOOPT
	}
	err := s.setLevelLocked(level, func(o *ipOptions) { o.recverr = value != 0 })
	if u := s.udp.Load(); err == nil && u != nil {
		return u.SetErrorQueue(level == IPPROTO_IPV6, value != 0)
	}
	return err
}

// getRecverrLocked returns IP_RECVERR or IPV6_RECVERR.
func (s *socket) getRecverrLocked(level int) (int, error) {
	if s.typ != SOCK_DGRAM {
		return 0, syscall.ENOPROTOOPT
	}
	return number(s.levelLocked(level).recverr), nil
}

// putRecverrLocked gives a new datagram socket of the stack the queue of errors that was asked for.
func (s *socket) putRecverrLocked(u *stack.UDPSocket) error {
	for _, level := range []int{IPPROTO_IP, IPPROTO_IPV6} {
		if !s.levelLocked(level).recverr {
			continue
		}
		if err := u.SetErrorQueue(level == IPPROTO_IPV6, true); err != nil {
			return err
		}
	}
	return nil
}
