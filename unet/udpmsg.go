package unet

import (
	"net"
	"net/netip"
	"syscall"

	"github.com/unet-go/unet/internal/cmsg"
	"github.com/unet-go/unet/stack"
)

// ReadMsgUDP is ReadFrom, and sets MSG_TRUNC (0x20) in flags if the datagram was longer than b. It writes the control
// messages that SetControlMessage has asked for to oob, and sets MSG_CTRUNC (0x8) in flags if they did not fit.
func (c *UDPConn) ReadMsgUDP(b, oob []byte) (n, oobn, flags int, addr *net.UDPAddr, err error) {
	n, oobn, flags, from, err := c.ReadMsgUDPAddrPort(b, oob)
	if from.IsValid() {
		addr = c.kind.udpAddr(from)
	}
	return n, oobn, flags, addr, err
}

// ReadMsgUDPAddrPort is ReadMsgUDP without an allocation.
func (c *UDPConn) ReadMsgUDPAddrPort(b, oob []byte) (n, oobn, flags int, addr netip.AddrPort, err error) {
	if !c.ok() {
		return 0, 0, 0, netip.AddrPort{}, syscall.EINVAL
	}
	wants := cmsg.Wants(c.wants.Load())
	if wants == 0 {
		var truncated bool
		if n, addr, truncated, err = c.socket.ReadFrom(b); err != nil {
			err = c.opError("read", "recvmsg", c.RemoteAddr(), err)
		}
		if truncated {
			flags = msgTrunc
		}
		return n, 0, flags, c.kind.shown(addr), err
	}
	bufs := [1][]byte{b}
	n, d, err := c.socket.ReadMsg(bufs[:], stack.ReadMode{})
	if err != nil {
		return 0, 0, 0, addr, c.opError("read", "recvmsg", c.RemoteAddr(), err)
	}
	if d.To.Is4() {
		wants &^= cmsg.Pktinfo6 // which Linux too has only if both are asked for
	}
	oobn, flags = cmsg.Put(oob, wants, &d)
	if n < d.Size {
		flags |= msgTrunc
	}
	return n, oobn, flags, c.kind.shown(d.From), nil
}

// WriteMsgUDP is WriteTo, or Write if addr is nil, with the control messages in oob, which apply to this datagram alone:
// UDP_SEGMENT; IP_PKTINFO, IP_TTL and IP_TOS if it is sent over IPv4, and IPV6_PKTINFO, IPV6_HOPLIMIT, IPV6_TCLASS and IPV6_DONTFRAG over
// IPv6. As on Linux a message of the other family is ignored, but an IPV6_PKTINFO with an IPv4-mapped address is taken for
// IPv4 if the socket is of both families. EINVAL for a message that is malformed or that there is not; for a
// source address that is none of this host's EINVAL over IPv6 and ENETUNREACH over IPv4; ENODEV for an interface that there
// is not, ENETUNREACH for one that leads nowhere.
func (c *UDPConn) WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (n, oobn int, err error) {
	if !c.ok() {
		return 0, 0, syscall.EINVAL
	}
	var to netip.AddrPort
	if !c.connected || addr != nil {
		to, err = c.destination(addr)
	}
	if err == nil {
		n, err = c.send(b, oob, to)
	}
	if err != nil {
		return 0, 0, c.opError("write", "sendmsg", opAddr(addr), err)
	}
	return n, len(oob), nil
}

// WriteMsgUDPAddrPort is WriteMsgUDP; a zero addr takes the place of nil.
func (c *UDPConn) WriteMsgUDPAddrPort(b, oob []byte, addr netip.AddrPort) (n, oobn int, err error) {
	if !c.ok() {
		return 0, 0, syscall.EINVAL
	}
	to, err := c.destinationAddrPort(addr)
	if err == nil {
		n, err = c.send(b, oob, to)
	}
	if err != nil {
		return 0, 0, c.opError("write", "sendmsg", addrPortUDPAddr{addr}, err)
	}
	return n, len(oob), nil
}

// send sends a datagram with control messages; on a dialled connection to its peer.
func (c *UDPConn) send(b, oob []byte, to netip.AddrPort) (int, error) {
	if c.connected {
		to = c.socket.Remote()
	}
	if len(oob) == 0 {
		return c.socket.WriteTo(b, to)
	}
	control, err := cmsg.Parse(oob, to.Addr().Unmap().Is6(), c.kind.six)
	if err != nil {
		return 0, err
	}
	return c.socket.WriteMsg(b, to, &control)
}

// ControlFlags is a set of control messages that ReadMsgUDP returns.
type ControlFlags uint

// The control messages, as Linux has them for IPv4 and for IPv6.
const (
	// ControlPacketInfo: the address that the sender wrote to, and the interface (IP_PKTINFO, IPV6_PKTINFO).
	ControlPacketInfo ControlFlags = 1 << iota
	// ControlTTL: the TTL or hop limit with which the datagram arrived (IP_TTL, IPV6_HOPLIMIT).
	ControlTTL
	// ControlTOS: the type of service or traffic class with which it arrived, ECN in the lowest two bits (IP_TOS, IPV6_TCLASS).
	ControlTOS
	// ControlSegments: datagrams of one sender and one length that have arrived one after the other are read by one call, as far
	// as there is room, and the message says how long each of them is; the last may be shorter (UDP_GRO). Every call that
	// reads into several buffers or with control messages reads so then, and the other calls one datagram.
	ControlSegments
)

// SetControlMessage says which control messages ReadMsgUDP and ReadBatch return, in the place of Linux's socket options. By
// default there are none. A datagram over IPv4 has those of level SOL_IP, also on a socket of both families, and one over
// IPv6 those of level SOL_IPV6. EINVAL for unknown flags.
func (c *UDPConn) SetControlMessage(flags ControlFlags, on bool) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	var wants cmsg.Wants
	for flag, w := range map[ControlFlags]cmsg.Wants{ControlPacketInfo: cmsg.Pktinfo4 | cmsg.Pktinfo6,
		ControlTTL: cmsg.TTL | cmsg.Hoplimit6, ControlTOS: cmsg.TOS | cmsg.Tclass6, ControlSegments: cmsg.Trains} {
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
	if wants&cmsg.Trains != 0 {
		return c.setError(c.socket.SetTrains(on))
	}
	return nil
}

// SetSegmentSize makes a write of more octets one of several datagrams of so many octets each, the last of which may be shorter
// (UDP_SEGMENT); 0, the default, for none. EINVAL for values beyond 65,535; for the errors of writes see
// stack.UDPSocket.SetSegmentSize.
func (c *UDPConn) SetSegmentSize(octets int) error {
	switch {
	case !c.ok():
		return syscall.EINVAL
	case octets < 0 || octets > 1<<16-1:
		return c.setError(syscall.EINVAL)
	}
	return c.setError(c.socket.SetSegmentSize(uint16(octets)))
}

// SetTTL sets the TTL or hop limit of what is sent, 1 to 255; -1 is the host's, the default. That of multicasts is 1. EINVAL
// for other values.
func (c *UDPConn) SetTTL(ttl int) error {
	switch {
	case !c.ok():
		return syscall.EINVAL
	case ttl == -1:
		ttl = 0
	case ttl < 1 || ttl > 255:
		return c.setError(syscall.EINVAL)
	}
	return c.setError(c.socket.SetTTL(uint8(ttl)))
}

// SetTOS sets the type of service or traffic class of what is sent, ECN in the lowest two bits. Default 0. EINVAL for
// values beyond 255.
func (c *UDPConn) SetTOS(tos int) error {
	switch {
	case !c.ok():
		return syscall.EINVAL
	case tos < 0 || tos > 255:
		return c.setError(syscall.EINVAL)
	}
	return c.setError(c.socket.SetTOS(uint8(tos)))
}
