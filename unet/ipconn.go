package unet

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/unet-go/unet/internal/cmsg"
	"github.com/unet-go/unet/stack"
)

// IPConn is a raw socket with the methods of *net.IPConn: it sends and receives packets of one protocol of IP, such as ICMP. It
// is a net.PacketConn and, if it was dialled, a net.Conn too. All methods may be called by several goroutines at once; errors
// are *net.OpError.
//
// As in package net, Read and ReadMsgIP return a packet of IPv4 with its IP header, and ReadFrom and ReadFromIP without, but
// the buffer must have room for it. There is never a header of IPv6, and none is written. The host computes the checksum of
// ICMPv6; that of ICMP is the caller's, as golang.org/x/net/icmp makes it. The host itself goes on to answer echo requests.
//
// Control messages are those of a UDPConn. There is no descriptor: File returns errors.ErrUnsupported, and there is no
// SyscallConn.
type IPConn struct {
	socket    *stack.RawSocket
	handle    *ipHandle
	kind      socketKind
	connected bool
	wants     atomic.Uint32 // the cmsg.Wants of SetControlMessage
}

var (
	_ net.Conn       = (*IPConn)(nil)
	_ net.PacketConn = (*IPConn)(nil)
)

// ipHandle is the handle of an IPConn; see tcpHandle.
type ipHandle struct {
	host   *stack.Host
	socket *stack.RawSocket
}

func newIPConn(on *stack.Host, s *stack.RawSocket, k socketKind, connected bool) *IPConn {
	h := &ipHandle{host: on, socket: s}
	runtime.SetFinalizer(h, (*ipHandle).forget)
	return &IPConn{socket: s, handle: h, kind: k, connected: connected}
}

func (h *ipHandle) forget() { h.socket.Forget() }

func (c *IPConn) ok() bool { return c != nil && c.socket != nil }

func (c *IPConn) opError(op, call string, remote net.Addr, err error) error {
	return &net.OpError{Op: op, Net: c.kind.String(), Source: c.LocalAddr(), Addr: remote, Err: syscallError(call, err)}
}

// ipAddr returns an address in package net's form; nil for the zero Addr.
func (c *IPConn) ipAddr(a netip.Addr) *net.IPAddr {
	if !a.IsValid() {
		return nil
	}
	var octets [16]byte
	return &net.IPAddr{IP: c.kind.octets(&octets, a), Zone: a.Zone()}
}

// read waits for a packet. call is the system call's name.
func (c *IPConn) read(b []byte, call string) (int, stack.Datagram, error) {
	bufs := [1][]byte{b}
	n, d, err := c.socket.ReadMsg(bufs[:], stack.ReadMode{})
	runtime.KeepAlive(c.handle)
	if err != nil {
		return 0, d, c.opError("read", call, c.RemoteAddr(), err)
	}
	return n, d, nil
}

// Read waits for a packet and copies it to b, with its header if it is of IPv4; octets that do not fit are lost. On a dialled
// connection it returns an error that the peer or a router has reported, once.
func (c *IPConn) Read(b []byte) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	if len(b) == 0 && !c.socket.Closed() {
		return 0, nil // as package net
	}
	n, _, err := c.read(b, "read")
	return n, err
}

// ReadFrom waits for a packet, copies it to b without its header and returns the sender, a *net.IPAddr. b must have room for
// the header of IPv4 too.
func (c *IPConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.ReadFromIP(b)
	if from == nil {
		return n, nil, err
	}
	return n, from, err
}

// ReadFromIP is ReadFrom with the address's own type.
func (c *IPConn) ReadFromIP(b []byte) (int, *net.IPAddr, error) {
	if !c.ok() {
		return 0, nil, syscall.EINVAL
	}
	n, d, err := c.read(b, "recvfrom")
	if err != nil {
		return 0, nil, err
	}
	if d.To.Is4() {
		n = stripHeader(b, n)
	}
	return n, c.ipAddr(d.From.Addr()), nil
}

// stripHeader takes the IPv4 header off the packet in the first n octets of b, if it is all there, and returns the length
// of the rest.
func stripHeader(b []byte, n int) int {
	const least = 20
	if n < least {
		return n
	}
	header := int(b[0]&0xf) * 4
	if header < least || header > n {
		return n
	}
	return copy(b, b[header:n])
}

// ReadMsgIP is Read with the sender's address. It writes the control messages that SetControlMessage has asked for to oob;
// flags has MSG_TRUNC (0x20) if the packet was longer than b, and MSG_CTRUNC (0x8) if the messages did not fit.
func (c *IPConn) ReadMsgIP(b, oob []byte) (n, oobn, flags int, addr *net.IPAddr, err error) {
	if !c.ok() {
		return 0, 0, 0, nil, syscall.EINVAL
	}
	n, d, err := c.read(b, "recvmsg")
	if err != nil {
		return 0, 0, 0, nil, err
	}
	wants := cmsg.Wants(c.wants.Load())
	if d.To.Is4() {
		wants &^= cmsg.Pktinfo6
	}
	oobn, flags = cmsg.Put(oob, wants, &d)
	if n < d.Size {
		flags |= msgTrunc
	}
	return n, oobn, flags, c.ipAddr(d.From.Addr()), nil
}

// Write sends b as one packet to the peer that was dialled. On a socket that was not dialled it fails with EDESTADDRREQ.
func (c *IPConn) Write(b []byte) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	n, err := c.socket.WriteMsg(b, netip.Addr{}, nil)
	if err != nil {
		return 0, c.opError("write", "write", c.RemoteAddr(), err)
	}
	return n, nil
}

// WriteTo sends b as one packet to addr, a *net.IPAddr. On a dialled connection it fails with net.ErrWriteToConnected.
func (c *IPConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	a, ok := addr.(*net.IPAddr)
	if !ok {
		return 0, &net.OpError{Op: "write", Net: c.kind.String(), Source: c.LocalAddr(), Addr: addr, Err: syscall.EINVAL}
	}
	return c.WriteToIP(b, a)
}

// WriteToIP is WriteTo with the address's own type.
func (c *IPConn) WriteToIP(b []byte, addr *net.IPAddr) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	return c.write(b, nil, addr, "sendto")
}

// WriteMsgIP is WriteToIP with the control messages in oob, which apply to this packet alone; see (*UDPConn).WriteMsgUDP.
func (c *IPConn) WriteMsgIP(b, oob []byte, addr *net.IPAddr) (n, oobn int, err error) {
	if !c.ok() {
		return 0, 0, syscall.EINVAL
	}
	if n, err = c.write(b, oob, addr, "sendmsg"); err != nil {
		return 0, 0, err
	}
	return n, len(oob), nil
}

// write sends a packet to an address by the system call of that name.
func (c *IPConn) write(b, oob []byte, addr *net.IPAddr, call string) (n int, err error) {
	var to netip.Addr
	switch {
	case c.connected:
		err = net.ErrWriteToConnected
	case addr == nil:
		err = errMissingAddress
	default:
		if to, err = c.kind.sockaddr(endpoint{ip: addr.IP, zone: addr.Zone}); err == nil {
			to = zoned(c.handle.host, to.Unmap())
		}
	}
	var control stack.DatagramControl
	if err == nil && len(oob) > 0 {
		control, err = cmsg.Parse(oob, to.Is6(), c.kind.six)
	}
	if err == nil {
		n, err = c.socket.WriteMsg(b, to, &control)
	}
	if err != nil {
		return 0, c.opError("write", call, opAddr(addr), err)
	}
	return n, nil
}

// Close ends the socket. Calls that are blocked on it return net.ErrClosed, and so do all later ones.
func (c *IPConn) Close() error {
	if !c.ok() {
		return syscall.EINVAL
	}
	runtime.SetFinalizer(c.handle, nil)
	if err := c.socket.Close(); err != nil {
		return c.opError("close", "close", c.RemoteAddr(), err)
	}
	return nil
}

// LocalAddr returns the local address, a *net.IPAddr.
func (c *IPConn) LocalAddr() net.Addr {
	if !c.ok() {
		return nil
	}
	return c.ipAddr(c.socket.Local())
}

// RemoteAddr returns the address that was dialled, a *net.IPAddr; nil if none was dialled.
func (c *IPConn) RemoteAddr() net.Addr {
	if !c.ok() || !c.connected {
		return nil
	}
	return c.ipAddr(c.socket.Remote())
}

// SetDeadline is SetReadDeadline and SetWriteDeadline together.
func (c *IPConn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline sets the time from which reads fail with an error that wraps os.ErrDeadlineExceeded instead of waiting. The
// zero time means never.
func (c *IPConn) SetReadDeadline(t time.Time) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	return c.setError(c.socket.SetReadDeadline(t))
}

// SetWriteDeadline is SetReadDeadline for writes.
func (c *IPConn) SetWriteDeadline(t time.Time) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	return c.setError(c.socket.SetWriteDeadline(t))
}

func (c *IPConn) setError(err error) error {
	if err == nil {
		return nil
	}
	return &net.OpError{Op: "set", Net: c.kind.String(), Addr: c.LocalAddr(), Err: syscallError("setsockopt", err)}
}

// File returns an error that wraps errors.ErrUnsupported: the socket has no descriptor.
func (c *IPConn) File() (*os.File, error) {
	if !c.ok() {
		return nil, syscall.EINVAL
	}
	return nil, c.opError("file", "", c.RemoteAddr(), errors.ErrUnsupported)
}
