package cmsg

import (
	"encoding/binary"
	"net/netip"
	"syscall"

	"github.com/unet-go/unet/stack"
)

// Parse returns what the control messages in b say of a datagram that is sent over IPv6, or else over IPv4; inet6 says that
// the socket is of AF_INET6. EINVAL for what Linux refuses: messages that lie about their length, unknown ones of the
// family's own level, values out of range. Messages of other levels are ignored, as on Linux.
func Parse(b []byte, ipv6, inet6 bool) (c stack.DatagramControl, err error) {
	for {
		m, rest, more, ok := next(b)
		switch {
		case !ok:
			return c, syscall.EINVAL
		case !more:
			return c, nil
		}
		b = rest
		switch {
		case m.level == solSocket:
			ok = m.ignored()
		case m.level == SolUDP:
			if ok = m.typ == UDPSegment && len(m.data) == shortLen; ok {
				c.SegmentSize = binary.NativeEndian.Uint16(m.data)
			}
		case ipv6 && m.level == SolIPv6:
			ok = m.control6(&c)
		case !ipv6 && m.level == SolIP:
			ok = m.control4(&c)
		case !ipv6 && inet6 && m.level == SolIPv6 && m.typ == IPv6Pktinfo:
			ok = m.mapped(&c)
		}
		if !ok {
			return c, syscall.EINVAL
		}
	}
}

// ValidForStream says whether a connection takes the control messages in b, which say nothing of it.
func ValidForStream(b []byte) bool {
	for {
		m, rest, more, ok := next(b)
		if !more || m.level == solSocket && !m.ignored() {
			return ok && !more
		}
		b = rest
	}
}

// ignored says whether a message of level SOL_SOCKET is one of those for Unix sockets, which mean nothing to others:
// SCM_RIGHTS and SCM_CREDENTIALS.
func (m *message) ignored() bool { return m.typ == 1 || m.typ == 2 }

// control4 takes a message of level SOL_IP.
func (m *message) control4(c *stack.DatagramControl) bool {
	value, isInt := m.number()
	switch m.typ {
	case IPPktinfo: // interface, source address, and what only a receiver is told
		if len(m.data) != pktinfo4Len {
			return false
		}
		if n := int(int32(binary.NativeEndian.Uint32(m.data))); n != 0 {
			c.Interface = n
		}
		c.Source = netip.AddrFrom4([ipv4Len]byte(m.data[intLen:]))
		return true
	case IPTTL:
		if !isInt || value < 1 || value > mostTTL {
			return false
		}
		c.TTL = uint8(value)
		return true
	case IPTOS:
		if len(m.data) == 1 {
			value, isInt = int(m.data[0]), true
		}
		if !isInt || value < 0 || value > mostTOS {
			return false
		}
		c.TOS, c.HasTOS = uint8(value), true
		return true
	}
	return false
}

// control6 takes a message of level SOL_IPV6.
func (m *message) control6(c *stack.DatagramControl) bool {
	if m.typ == IPv6Pktinfo {
		if len(m.data) < pktinfo6Len {
			return false
		}
		m.source6(c)
		return true
	}
	value, ok := m.number()
	if !ok {
		return false
	}
	switch m.typ {
	case IPv6Hoplimit:
		if value < notSpecified || value > mostTTL {
			return false
		}
		c.TTL = uint8(max(value, 0))
		return true
	case IPv6Tclass:
		if value < notSpecified || value > mostTOS {
			return false
		}
		c.TOS, c.HasTOS = uint8(value), value != notSpecified
		return true
	case IPv6Dontfrag:
		if value != 0 && value != 1 {
			return false
		}
		c.DontFragment = value == 1
		return true
	}
	return false
}

// source6 takes the address and the interface of IPV6_PKTINFO. The unspecified address leaves the socket's.
func (m *message) source6(c *stack.DatagramControl) {
	if n := int(int32(binary.NativeEndian.Uint32(m.data[ipv6Len:]))); n != 0 {
		c.Interface = n
	}
	if a := netip.AddrFrom16([ipv6Len]byte(m.data)); !a.IsUnspecified() {
		c.Source = a
	}
}

// mapped takes an IPV6_PKTINFO for a datagram over IPv4, whose address must be a mapped one.
func (m *message) mapped(c *stack.DatagramControl) bool {
	if len(m.data) < pktinfo6Len || !netip.AddrFrom16([ipv6Len]byte(m.data)).Is4In6() {
		return false
	}
	m.source6(c)
	c.Source = c.Source.Unmap()
	return true
}

// Append appends the control messages that say c of a datagram over IPv6, or else over IPv4.
func Append(b []byte, ipv6 bool, c *stack.DatagramControl) []byte {
	if c.Source.IsValid() || c.Interface != 0 {
		b = appendPktinfo(b, ipv6, c)
	}
	level, ttl, tos := SolIP, IPTTL, IPTOS
	if ipv6 {
		level, ttl, tos = SolIPv6, IPv6Hoplimit, IPv6Tclass
	}
	if c.TTL != 0 {
		b = appendInt(b, level, ttl, int(c.TTL))
	}
	if c.HasTOS {
		b = appendInt(b, level, tos, int(c.TOS))
	}
	if c.SegmentSize != 0 {
		var data []byte
		b, data = grow(b, SolUDP, UDPSegment, shortLen)
		binary.NativeEndian.PutUint16(data, c.SegmentSize)
	}
	return b
}

// grow appends a message with n octets of data, which data is for.
func grow(b []byte, level, typ, n int) (longer, data []byte) {
	at := len(b)
	b = append(b, make([]byte, space(n))...)
	m := b[at:]
	binary.NativeEndian.PutUint64(m, uint64(HeaderLen+n))
	binary.NativeEndian.PutUint32(m[8:], uint32(level))
	binary.NativeEndian.PutUint32(m[12:], uint32(typ))
	return b, m[HeaderLen:]
}

func appendInt(b []byte, level, typ, value int) []byte {
	b, data := grow(b, level, typ, intLen)
	binary.NativeEndian.PutUint32(data, uint32(value))
	return b
}

// appendPktinfo appends a source address, which is left out where it is of the other family, and an interface.
func appendPktinfo(b []byte, ipv6 bool, c *stack.DatagramControl) []byte {
	if ipv6 {
		b, data := grow(b, SolIPv6, IPv6Pktinfo, pktinfo6Len)
		if c.Source.Is6() {
			a := c.Source.As16()
			copy(data, a[:])
		}
		binary.NativeEndian.PutUint32(data[ipv6Len:], uint32(c.Interface))
		return b
	}
	b, data := grow(b, SolIP, IPPktinfo, pktinfo4Len)
	binary.NativeEndian.PutUint32(data, uint32(c.Interface))
	putAddr4(data[intLen:], c.Source)
	return b
}
