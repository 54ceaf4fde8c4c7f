package fdtable

import (
	"net/netip"
	"syscall"
	"time"

	"github.com/unet-go/unet/stack/tcp"
)

// GetsockoptInt returns an option whose value is an int: all that SetsockoptInt sets, and of level SOL_SOCKET
// SO_ERROR (the pending error, which it clears), SO_TYPE, SO_PROTOCOL, SO_DOMAIN and SO_ACCEPTCONN, of level
// IPPROTO_IP IP_MTU and of IPPROTO_IPV6 IPV6_MTU (octets, of the path to the peer; ENOTCONN where there is none) and
// IPV6_ADDRFORM (AF_INET6; ENOTCONN without a peer). As in Linux, buffer
// sizes are twice the values that were set; TCP_MAXSEG is the segment size in use. ENOPROTOOPT
// for any other option, EOPNOTSUPP where an AF_INET socket has no options of the level, EBADF.
func (t *Table) GetsockoptInt(fd, level, opt int) (int, error) {
	s, err := t.acquire(fd)
	if err != nil {
		return 0, err
	}
	defer s.release()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch level {
	case SOL_SOCKET:
		return s.getSocketLocked(opt)
	case IPPROTO_TCP:
		if s.typ == SOCK_STREAM {
			return s.getTCPLocked(opt)
		}
	case IPPROTO_UDP:
		if s.typ == SOCK_DGRAM {
			return s.getUDPLocked(opt)
		}
	case IPPROTO_IP:
		return s.getIPLocked(opt)
	case IPPROTO_IPV6:
		return s.getIPv6Locked(opt)
	}
	return 0, s.noLevel()
}

// noLevel is the error of a get for a level of which the socket has no options. Linux's is another one for AF_INET6.
func (s *socket) noLevel() error {
	if s.domain == AF_INET6 {
		return syscall.ENOPROTOOPT
	}
	return syscall.EOPNOTSUPP
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

// orDefault returns n, or the value that zero stands for if n is zero.
func orDefault[T int32 | uint8 | uint16](n T, zero int) int {
	if n == 0 {
		return zero
	}
	return int(n)
}

func (s *socket) getSocketLocked(opt int) (int, error) {
	switch opt {
	case SO_REUSEADDR:
		return number(s.reuse&reuseAddr != 0), nil
	case SO_REUSEPORT:
		return number(s.reuse&reusePort != 0), nil
	case SO_BROADCAST:
		return number(s.reuse&broadcast != 0), nil
	case SO_TYPE:
		return int(s.typ), nil
	case SO_DOMAIN:
		return int(s.domain), nil
	case SO_PROTOCOL:
		if s.typ == SOCK_DGRAM {
			return IPPROTO_UDP, nil
		}
		return IPPROTO_TCP, nil
	case SO_ACCEPTCONN:
		return number(s.phase == listening), nil
	case SO_ERROR:
		return s.pendingErrorLocked(), nil
	case SO_KEEPALIVE:
		return number(s.optionsLocked().KeepAlive), nil
	case SO_OOBINLINE:
		return number(!s.optionsLocked().OutOfBand), nil
	case SO_RCVBUF:
		if s.typ == SOCK_DGRAM {
			return orDefault(int32(s.setup.readBuffer), s.host.Config().UDPBuffer), nil
		}
		return s.receiveBufferLocked(), nil
	case SO_SNDBUF:
		return orDefault(s.optionsLocked().SendBuffer, s.host.Config().TCP.SendBuffer), nil
	case SO_RCVLOWAT:
		return max(int(s.optionsLocked().RecvLowat), 1), nil
	case SO_SNDLOWAT:
		return 1, nil
	case SO_LINGER, SO_RCVTIMEO, SO_SNDTIMEO:
		return 0, syscall.EINVAL
	}
	return 0, syscall.ENOPROTOOPT
}

// receiveBufferLocked returns SO_RCVBUF of a stream socket.
func (s *socket) receiveBufferLocked() int {
	return orDefault(s.optionsLocked().RecvBuffer, s.host.Config().TCP.RecvBuffer)
}

// pendingErrorLocked returns and clears the error for SO_ERROR.
func (s *socket) pendingErrorLocked() int {
	err := s.takeDeferred()
	if c := s.conn.Load(); err == nil && c != nil {
		err = c.TakeError()
	}
	if u := s.udp.Load(); err == nil && u != nil {
		err = u.TakeError()
	}
	if errno, ok := err.(syscall.Errno); ok {
		return int(errno)
	}
	return 0
}

func (s *socket) getTCPLocked(opt int) (int, error) {
	const defaultMaxSeg = 536 // the value in Linux before there is a connection
	o := s.optionsLocked()
	switch opt {
	case TCP_FASTOPEN, TCP_FASTOPEN_CONNECT:
		return s.fastOpenLocked(opt), nil
	case TCP_NODELAY:
		return number(o.NoDelay), nil
	case TCP_CORK:
		return number(o.Cork), nil
	case TCP_QUICKACK:
		return number(o.QuickACK), nil
	case TCP_MAXSEG:
		if c := s.conn.Load(); c != nil {
			if mss := c.Info().SndMSS; mss > 0 {
				return mss, nil
			}
		}
		return orDefault(o.MaxSeg, defaultMaxSeg), nil
	case TCP_KEEPIDLE:
		return orDefault(o.KeepIdle, 7200), nil
	case TCP_KEEPINTVL:
		return orDefault(o.KeepInterval, 75), nil
	case TCP_KEEPCNT:
		return orDefault(o.KeepCount, 9), nil
	case TCP_SYNCNT:
		return orDefault(o.SYNRetries, tcp.SYNRetries(s.host.Config().TCP)), nil
	case TCP_LINGER2:
		return orDefault(o.FINWait2, int(s.host.Config().TCP.FINWait2/time.Second)), nil
	case TCP_DEFER_ACCEPT:
		return int(o.DeferAccept), nil
	case TCP_WINDOW_CLAMP:
		return int(o.WindowClamp), nil
	case TCP_NOTSENT_LOWAT:
		return int(int32(o.NotSentLowat)), nil
	case TCP_USER_TIMEOUT:
		return int(o.UserTimeout), nil
	}
	return 0, syscall.ENOPROTOOPT
}

// getIPLocked returns an option of level IPPROTO_IP.
func (s *socket) getIPLocked(opt int) (int, error) {
	switch opt {
	case IP_MTU:
		return s.pathMTULocked()
	case IP_RECVERR:
		return s.getRecverrLocked(IPPROTO_IP)
	}
	o := s.levelLocked(IPPROTO_IP)
	if w, ok := wanted[[2]int{IPPROTO_IP, opt}]; ok {
		return number(o.wants&w != 0), nil
	}
	return o.number(opt, IP_TTL, IP_TOS, IP_MTU_DISCOVER, s.host.Config().TTL)
}

// getIPv6Locked returns an option of level IPPROTO_IPV6, which AF_INET sockets do not have.
func (s *socket) getIPv6Locked(opt int) (int, error) {
	if s.domain != AF_INET6 {
		return 0, s.noLevel()
	}
	o := s.levelLocked(IPPROTO_IPV6)
	if w, ok := wanted[[2]int{IPPROTO_IPV6, opt}]; ok {
		return number(o.wants&w != 0), nil
	}
	switch opt {
	case IPV6_V6ONLY:
		return number(s.reuse&v6Only != 0), nil
	case IPV6_RECVERR:
		return s.getRecverrLocked(IPPROTO_IPV6)
	case IPV6_DONTFRAG:
		return number(o.dontFragment), nil
	case IPV6_MTU:
		return s.pathMTULocked()
	case IPV6_ADDRFORM:
		if !s.remoteLocked().IsValid() {
			return 0, syscall.ENOTCONN
		}
		return int(s.domain), nil
	}
	return o.number(opt, IPV6_UNICAST_HOPS, IPV6_TCLASS, IPV6_MTU_DISCOVER, s.host.Config().TTL)
}

// remoteLocked returns the address of the peer, as the stack has it; not a valid one where the socket has none.
func (s *socket) remoteLocked() netip.AddrPort {
	if u := s.udp.Load(); u != nil {
		return u.Remote()
	}
	if c := s.conn.Load(); c != nil && c.State() == tcp.Established {
		return c.Remote()
	}
	return netip.AddrPort{}
}

// pathMTULocked returns IP_MTU or IPV6_MTU: ENOTCONN if the socket has no peer.
func (s *socket) pathMTULocked() (int, error) {
	if u := s.udp.Load(); u != nil {
		return u.PathMTU()
	}
	if c := s.conn.Load(); c != nil && s.phase != unconnected {
		return c.Info().PathMTU, nil
	}
	return 0, syscall.ENOTCONN
}

// TCPInfo returns the state of a connection or of a socket that may become one: TCP_INFO. ENOPROTOOPT for a
// datagram socket, EBADF.
func (t *Table) TCPInfo(fd int) (tcp.Info, error) {
	s, err := t.acquire(fd)
	if err != nil {
		return tcp.Info{}, err
	}
	defer s.release()
	if s.typ != SOCK_STREAM {
		return tcp.Info{}, syscall.ENOPROTOOPT
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.conn.Load(); c != nil {
		return c.Info(), nil
	}
	if s.phase == listening {
		return tcp.Info{State: tcp.Listen}, nil
	}
	return tcp.Info{State: tcp.Closed}, nil
}
