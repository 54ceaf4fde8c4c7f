package fdtable

import (
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
// IPPROTO_IP IP_TTL, IP_TOS and IP_MTU_DISCOVER; of IPPROTO_IPV6 IPV6_V6ONLY, IPV6_UNICAST_HOPS and IPV6_TCLASS. An
// option that is set before listen or connect applies to the listener and the connections that it accepts, or to the
// connection. TCP_QUICKACK stays as it is set. Errors: EINVAL for a value that Linux refuses, ENOPROTOOPT for any other
// option, EBADF.
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
	case IPPROTO_IP:
		if opt == IP_MTU_DISCOVER {
			return s.setDiscoverLocked(value)
		}
		return s.setIPLocked(opt, value, IP_TTL, IP_TOS)
	case IPPROTO_IPV6:
		if s.domain != AF_INET6 {
			return syscall.ENOPROTOOPT
		}
		if opt == IPV6_V6ONLY {
			return s.setV6OnlyLocked(value != 0)
		}
		return s.setIPLocked(opt, value, IPV6_UNICAST_HOPS, IPV6_TCLASS)
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
			s.setup.listener.SetOptions(s.setup.options)
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

func (s *socket) setV6OnlyLocked(on bool) error {
	if s.phase != unconnected || s.udp.Load() != nil || s.setup.bound.IsValid() {
		return syscall.EINVAL
	}
	s.setReuseLocked(v6Only, on)
	return nil
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

// setIPLocked sets the TTL or the traffic class. The arguments ttl and tos are the options' numbers in one level. TCP sets
// the ECN bits of a connection's traffic class itself.
func (s *socket) setIPLocked(opt, value, ttl, tos int) error {
	switch opt {
	case ttl:
		if value == -1 {
			value = 0 // the host's default
		} else if value < 1 || value > 255 {
			return syscall.EINVAL
		}
		if u := s.udp.Load(); u != nil {
			_ = u.SetTTL(uint8(value)) // fails only after close
		}
		return s.updateLocked(func(o *tcp.Options) { o.TTL = uint8(value) })
	case tos:
		if s.typ == SOCK_STREAM {
			value &^= ecnBits
		} else if u := s.udp.Load(); u != nil {
			_ = u.SetTOS(uint8(value))
		}
		return s.updateLocked(func(o *tcp.Options) { o.TOS = uint8(value) })
	}
	return syscall.ENOPROTOOPT
}
