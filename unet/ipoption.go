package unet

import (
	"syscall"

	"github.com/unet-go/unet/internal/cmsg"
)

// SetReadBuffer bounds the receive queue in octets, 2304 at least as in Linux; packets beyond it are dropped and counted.
func (c *IPConn) SetReadBuffer(bytes int) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	return c.setError(c.socket.SetReadBuffer(int(bufferSize(bytes))))
}

// SetWriteBuffer does nothing on an open socket: packets are not queued in it.
func (c *IPConn) SetWriteBuffer(bytes int) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if c.socket.Closed() {
		return c.setError(syscall.EBADF)
	}
	return nil
}

// SetTTL sets the TTL or hop limit of what is sent, 1 to 255; 0, the default, for the host's. That of multicasts is 1. EINVAL
// for other values.
func (c *IPConn) SetTTL(ttl int) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if ttl < 0 || ttl > 255 {
		return c.setError(syscall.EINVAL)
	}
	return c.setError(c.socket.SetTTL(uint8(ttl)))
}

// SetTOS sets the type of service or traffic class of what is sent, 0 to 255, 0 by default. EINVAL for other values.
func (c *IPConn) SetTOS(tos int) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if tos < 0 || tos > 255 {
		return c.setError(syscall.EINVAL)
	}
	return c.setError(c.socket.SetTOS(uint8(tos)))
}

// SetICMPTypes makes the socket read messages of these types of ICMP or ICMPv6 only; without any, the default, of all: those of
// neighbour discovery too. It has the purpose of Linux's ICMP_FILTER and ICMP6_FILTER.
func (c *IPConn) SetICMPTypes(types ...uint8) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	return c.setError(c.socket.SetICMPTypes(types...))
}

// SetControlMessage says which control messages ReadMsgIP returns. By default there are none. EINVAL for unknown flags, and for
// ControlSegments, which is UDP's.
func (c *IPConn) SetControlMessage(flags ControlFlags, on bool) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	var wants cmsg.Wants
	for flag, w := range map[ControlFlags]cmsg.Wants{ControlPacketInfo: cmsg.Pktinfo4 | cmsg.Pktinfo6,
		ControlTTL: cmsg.TTL | cmsg.Hoplimit6, ControlTOS: cmsg.TOS | cmsg.Tclass6} {
		if flags&flag != 0 {
			wants |= w
			flags &^= flag
		}
	}
	switch {
	case flags != 0:
		return c.setError(syscall.EINVAL)
	case c.socket.Closed():
		return c.setError(syscall.EBADF)
	case on:
		c.wants.Or(uint32(wants))
	default:
		c.wants.And(^uint32(wants))
	}
	return nil
}
