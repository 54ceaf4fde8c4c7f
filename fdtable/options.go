package fdtable

import (
	"net/netip"
	"syscall"

	"github.com/unet-go/unet/stack/tcp"
)

// Ranges of the TCP options, the same as in Linux.
const (
	minMaxSeg       = 88
	maxMaxSeg       = 32767
	maxKeepSeconds  = 32767
	maxKeepCount    = 127
	maxSYNRetries   = 127
	maxFINWait2     = 120 // seconds
	minWindowClamp  = minReceiveQueue / 2
	minReceiveQueue = 2304
	minSendQueue    = 4608
	ecnBits         = 3
)

// SetsockoptInt sets an option whose value is an int: of level SOL_SOCKET SO_REUSEADDR, SO_REUSEPORT,
// SO_KEEPALIVE, SO_BROADCAST, SO_OOBINLINE, SO_RCVBUF, SO_SNDBUF and SO_RCVLOWAT (octets); of IPPROTO_TCP
// TCP_NODELAY, TCP_MAXSEG (octets), TCP_CORK, TCP_KEEPIDLE and TCP_KEEPINTVL (seconds), TCP_KEEPCNT, TCP_SYNCNT,
// TCP_LINGER2 and TCP_DEFER_ACCEPT (seconds), TCP_WINDOW_CLAMP (octets), TCP_QUICKACK, TCP_USER_TIMEOUT
// (milliseconds), TCP_NOTSENT_LOWAT (octets), TCP_FASTOPEN (how many may be pending) and TCP_FASTOPEN_CONNECT; of
// IPPROTO_UDP UDP_SEGMENT (octets) and UDP_GRO; of
// IPPROTO_IP IP_TTL, IP_TOS, IP_MTU_DISCOVER, and IP_PKTINFO, IP_RECVTTL and IP_RECVTOS (control messages of Recvmsg), and for
// datagrams IP_RECVERR (the queue of errors that MSG_ERRQUEUE reads); of
// IPPROTO_IPV6, for AF_INET6 sockets alone, IPV6_V6ONLY (before bind), IPV6_UNICAST_HOPS, IPV6_TCLASS, IPV6_MTU_DISCOVER,
// IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT and IPV6_RECVTCLASS, and for datagrams IPV6_MTU (octets, 1280 at least; 0 for none),
// IPV6_DONTFRAG and IPV6_RECVERR. What an AF_INET6 socket sends over IPv4 goes by the options of IPPROTO_IP. An
// option that is set before listen or connect applies to the listener and the connections that it accepts, or to the
// connection. TCP_QUICKACK stays as it is set. Errors: EINVAL for a value that Linux refuses, and for IPV6_V6ONLY of a
// socket that has a port (one that is bound to an IPv6 address has it); ENOPROTOOPT for any other option, EBADF.
func (t *Table) SetsockoptInt(fd, level, opt, value int) error {
	s, err := t.acquire(fd)
	if err != nil {
		return err
	}
	defer s.release()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch level {
	case SOL_SOCKET:
		return s.setSocketLocked(opt, value)
	case IPPROTO_TCP:
		if s.typ == SOCK_STREAM {
			return s.setTCPLocked(opt, value)
		}
	case IPPROTO_UDP:
		if s.typ == SOCK_DGRAM {
			return s.setUDPLocked(opt, value)
		}
	case IPPROTO_IP:
		return s.setIPLocked(opt, value)
	case IPPROTO_IPV6:
		return s.setIPv6Locked(opt, value)
	}
	return syscall.ENOPROTOOPT
}

// updateLocked changes the TCP options of the connection or listener that the socket has now, and of the one that it gets
// next.
func (s *socket) updateLocked(change func(*tcp.Options)) error {
	if s.dying() {
		return syscall.EBADF
	}
	if s.setup != nil {
		change(&s.setup.options)
		if s.phase == listening {
			s.setup.listener.SetOptions(s.optionsTowardLocked(s.setup.bound.Addr()))
		}
	}
	if c := s.conn.Load(); c != nil {
		return c.Update(change)
	}
	return nil
}

// releaseLocked is updateLocked. If flush is set it also sends the text that a connection holds back because of MSG_MORE
// or, for TCP_NODELAY, because of TCP_CORK, even if the option does not change.
func (s *socket) releaseLocked(flush bool, change func(*tcp.Options)) error {
	err := s.updateLocked(change)
	if c := s.conn.Load(); err == nil && flush && c != nil {
		err = c.Flush()
	}
	return err
}

func (s *socket) optionsLocked() tcp.Options {
	if c := s.conn.Load(); c != nil {
		return c.Options()
	}
	return s.setup.options
}

func (s *socket) setReuseLocked(bit reuse, on bool) {
	s.reuse &^= bit
	if on {
		s.reuse |= bit
	}
}

func (s *socket) setSocketLocked(opt, value int) error {
	switch opt {
	case SO_REUSEADDR:
		s.setReuseLocked(reuseAddr, value != 0)
		return nil
	case SO_REUSEPORT:
		s.setReuseLocked(reusePort, value != 0)
		return nil
	case SO_BROADCAST:
		s.setReuseLocked(broadcast, value != 0)
		if u := s.udp.Load(); u != nil {
			return u.SetBroadcast(value != 0)
		}
		return nil
	case SO_KEEPALIVE:
		return s.updateLocked(func(o *tcp.Options) { o.KeepAlive = value != 0 })
	case SO_OOBINLINE:
		return s.updateLocked(func(o *tcp.Options) { o.OutOfBand = value == 0 })
	case SO_RCVBUF:
		n := bufferSize(value, minReceiveQueue, s.host.Config().TCP.MaxRecvBuffer)
		if s.typ == SOCK_DGRAM {
			s.setup.readBuffer = n
			if u := s.udp.Load(); u != nil {
				return u.SetReadBuffer(n)
			}
			return nil
		}
		return s.updateLocked(func(o *tcp.Options) { o.RecvBuffer = int32(n) })
	case SO_SNDBUF:
		n := bufferSize(value, minSendQueue, s.host.Config().TCP.MaxSendBuffer)
		return s.updateLocked(func(o *tcp.Options) { o.SendBuffer = int32(n) })
	case SO_RCVLOWAT:
		limit := orDefault(s.optionsLocked().RecvBuffer, s.host.Config().TCP.MaxRecvBuffer) / 2 // with a greater one a read might wait for ever
		if value < 0 || value > limit {
			value = limit
		}
		return s.updateLocked(func(o *tcp.Options) { o.RecvLowat = int32(max(value, 1)) })
	case SO_LINGER, SO_RCVTIMEO, SO_SNDTIMEO: // not ints
		return syscall.EINVAL
	}
	return syscall.ENOPROTOOPT
}

// bufferSize returns the size for a value of SO_RCVBUF or SO_SNDBUF, as in Linux: a value that is too great, or negative,
// means the greatest size; any other value is doubled.
func bufferSize(value, low, high int) int {
	if value < 0 || value > high/2 {
		return high
	}
	return max(2*value, low)
}

func (s *socket) setTCPLocked(opt, value int) error {
	within := func(low, high int, change func(*tcp.Options)) error {
		if value < low || value > high {
			return syscall.EINVAL
		}
		return s.updateLocked(change)
	}
	switch opt {
	case TCP_FASTOPEN, TCP_FASTOPEN_CONNECT:
		return s.setFastOpenLocked(opt, value)
	case TCP_NODELAY:
		return s.releaseLocked(value != 0, func(o *tcp.Options) { o.NoDelay = value != 0 })
	case TCP_CORK:
		return s.releaseLocked(value == 0, func(o *tcp.Options) { o.Cork = value != 0 })
	case TCP_QUICKACK:
		return s.updateLocked(func(o *tcp.Options) { o.QuickACK = value != 0 })
	case TCP_MAXSEG:
		if value == 0 {
			return s.updateLocked(func(o *tcp.Options) { o.MaxSeg = 0 })
		}
		return within(minMaxSeg, maxMaxSeg, func(o *tcp.Options) { o.MaxSeg = uint16(value) })
	case TCP_KEEPIDLE:
		return within(1, maxKeepSeconds, func(o *tcp.Options) { o.KeepIdle = uint16(value) })
	case TCP_KEEPINTVL:
		return within(1, maxKeepSeconds, func(o *tcp.Options) { o.KeepInterval = uint16(value) })
	case TCP_KEEPCNT:
		return within(1, maxKeepCount, func(o *tcp.Options) { o.KeepCount = uint8(value) })
	case TCP_SYNCNT:
		return within(1, maxSYNRetries, func(o *tcp.Options) { o.SYNRetries = uint8(value) })
	case TCP_LINGER2:
		return s.updateLocked(func(o *tcp.Options) { o.FINWait2 = int32(max(min(value, maxFINWait2), -1)) })
	case TCP_DEFER_ACCEPT:
		return s.updateLocked(func(o *tcp.Options) { o.DeferAccept = tcp.DeferSeconds(value) })
	case TCP_WINDOW_CLAMP:
		if value == 0 && s.phase != unconnected {
			return syscall.EINVAL
		} else if value != 0 {
			value = max(value, minWindowClamp)
		}
		return s.updateLocked(func(o *tcp.Options) { o.WindowClamp = int32(value) })
	case TCP_NOTSENT_LOWAT:
		return s.updateLocked(func(o *tcp.Options) { o.NotSentLowat = uint32(value) })
	case TCP_USER_TIMEOUT:
		return within(0, 1<<31-1, func(o *tcp.Options) { o.UserTimeout = uint32(value) })
	}
	return syscall.ENOPROTOOPT
}

// ipLocked returns the options of both levels.
func (s *socket) ipLocked() ipLevels {
	if s.ip == nil {
		return ipLevels{}
	}
	return *s.ip
}

// levelLocked returns the options of one level.
func (s *socket) levelLocked(level int) ipOptions {
	l := s.ipLocked()
	if level == IPPROTO_IPV6 {
		return l.v6
	}
	return l.v4
}

// setLevelLocked changes the options of one level, also on the connection, listener or datagram socket that the socket has.
func (s *socket) setLevelLocked(level int, change func(*ipOptions)) error {
	if s.dying() {
		return syscall.EBADF
	}
	l := s.ipLocked()
	if level == IPPROTO_IPV6 {
		change(&l.v6)
	} else {
		change(&l.v4)
	}
	s.ip = &l
	if s.phase == listening {
		s.setup.listener.SetOptions(s.optionsTowardLocked(s.setup.bound.Addr()))
	}
	if u := s.udp.Load(); u != nil {
		return s.putDatagramLocked(u)
	}
	if c := s.conn.Load(); c != nil {
		return c.Update(l.toward(c.Remote().Addr()).put)
	}
	return nil
}

// optionsTowardLocked returns the options of a connection to an address, or of a listener of one. What a listener of both
// families accepts over IPv4 gets those of that level from accept.
func (s *socket) optionsTowardLocked(a netip.Addr) tcp.Options {
	o := s.setup.options
	if s.ip != nil {
		s.ip.toward(a).put(&o)
	}
	return o
}

// setIPLocked sets an option of level IPPROTO_IP.
func (s *socket) setIPLocked(opt, value int) error {
	switch opt {
	case IP_TTL:
		if value == 0 {
			return syscall.EINVAL
		}
		return s.setTTLLocked(IPPROTO_IP, value)
	case IP_TOS:
		return s.setTOSLocked(IPPROTO_IP, uint8(value))
	case IP_MTU_DISCOVER:
		return s.setDiscoverLocked(IPPROTO_IP, value)
	case IP_RECVERR:
		return s.setRecverrLocked(IPPROTO_IP, value)
	}
	return s.setWantedLocked(IPPROTO_IP, opt, value)
}

// setIPv6Locked sets an option of level IPPROTO_IPV6, which AF_INET sockets do not have.
func (s *socket) setIPv6Locked(opt, value int) error {
	if s.domain != AF_INET6 {
		return syscall.ENOPROTOOPT
	}
	switch opt {
	case IPV6_V6ONLY:
		return s.setV6OnlyLocked(value != 0)
	case IPV6_UNICAST_HOPS:
		return s.setTTLLocked(IPPROTO_IPV6, value)
	case IPV6_TCLASS:
		if value == -1 {
			value = 0
		} else if value < 0 || value > 255 {
			return syscall.EINVAL
		}
		return s.setTOSLocked(IPPROTO_IPV6, uint8(value))
	case IPV6_MTU_DISCOVER:
		return s.setDiscoverLocked(IPPROTO_IPV6, value)
	case IPV6_RECVERR:
		return s.setRecverrLocked(IPPROTO_IPV6, value)
	case IPV6_DONTFRAG:
		return s.setLevelLocked(IPPROTO_IPV6, func(o *ipOptions) { o.dontFragment = value != 0 })
	case IPV6_MTU:
		const least = 1280 // of every link (RFC 8200 5)
		if value != 0 && value < least {
			return syscall.EINVAL
		}
		return s.setLevelLocked(IPPROTO_IPV6, func(o *ipOptions) { o.mtu = uint16(min(value, 1<<16-1)) })
	case IPV6_ADDRFORM:
		return s.setFormLocked(value)
	}
	return s.setWantedLocked(IPPROTO_IPV6, opt, value)
}

// setTTLLocked sets the TTL or the hop limit; -1 means the host's.
func (s *socket) setTTLLocked(level, value int) error {
	if value == -1 {
		value = 0
	} else if value < 1 || value > 255 {
		return syscall.EINVAL
	}
	return s.setLevelLocked(level, func(o *ipOptions) { o.ttl = uint8(value) })
}

// setTOSLocked sets the traffic class. TCP sets the ECN bits of a connection's itself.
func (s *socket) setTOSLocked(level int, value uint8) error {
	if s.typ == SOCK_STREAM {
		value &^= ecnBits
	}
	return s.setLevelLocked(level, func(o *ipOptions) { o.tos = value })
}

func (s *socket) setV6OnlyLocked(on bool) error {
	if s.phase != unconnected || s.udp.Load() != nil || s.setup.bound.IsValid() {
		return syscall.EINVAL
	}
	s.setReuseLocked(v6Only, on)
	return nil
}

// setFormLocked refuses IPV6_ADDRFORM as Linux does. Where Linux would make an AF_INET socket of one that is connected to
// a mapped address, there is no such option.
func (s *socket) setFormLocked(domain int) error {
	switch remote := s.remoteLocked(); {
	case domain != AF_INET:
		return syscall.EINVAL
	case !remote.IsValid():
		return syscall.ENOTCONN
	case s.reuse&v6Only != 0 || !remote.Addr().Is4():
		return syscall.EADDRNOTAVAIL
	}
	return syscall.ENOPROTOOPT
}

// setDiscoverLocked sets IP_MTU_DISCOVER or IPV6_MTU_DISCOVER: EINVAL for an unknown value.
func (s *socket) setDiscoverLocked(level, value int) error {
	if value < 0 || value >= len(discoveries) {
		return syscall.EINVAL
	}
	return s.setLevelLocked(level, func(o *ipOptions) { o.discover = discoveries[value] })
}
