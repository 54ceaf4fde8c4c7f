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

	"github.com/unet-go/unet/stack"
)

// UDPConn is a UDP socket with the methods of *net.UDPConn. It is a net.PacketConn and, if it was dialled,
// a net.Conn too. All methods may be called by several goroutines at once; errors are *net.OpError.
//
// Control messages have the layout of 64-bit Linux on every system; see SetControlMessage and ControlMessage. There is no
// descriptor: File returns errors.ErrUnsupported, and there is no SyscallConn, so that code which looks for a syscall.Conn
// does not find one.
type UDPConn struct {
	socket    *stack.UDPSocket
	handle    *udpHandle
	kind      socketKind
	connected bool
	wants     atomic.Uint32 // the cmsg.Wants of SetControlMessage
}

var (
	_ net.Conn       = (*UDPConn)(nil)
	_ net.PacketConn = (*UDPConn)(nil)
)

// listenUDP binds a socket; its errors are for the Err of an OpError.
func (h *Host) listenUDP(lc *ListenConfig, n network, at net.Addr) (*UDPConn, error) {
	e, _ := endpointOf(at)
	k := n.listens(e)
	local, opt, err := h.listenAddr(lc, k, e)
	if err != nil {
		return nil, err
	}
	if a := local.Addr(); a.IsMulticast() { // package net binds a listener on a group to the port of all addresses, and lets others share it
		local, opt.ReuseAddr = netip.AddrPortFrom(wildcardOf(a), local.Port()), true
	}
	s, err := h.stack.ListenUDP(local, opt)
	if err != nil {
		return nil, syscallError("bind", err)
	}
	_ = s.SetBroadcast(true) // package net's default
	return newUDPConn(h.stack, s, k, false), nil
}

func (c *UDPConn) ok() bool { return c != nil && c.socket != nil }

func (c *UDPConn) opError(op, call string, remote net.Addr, err error) error {
	return &net.OpError{Op: op, Net: c.kind.String(), Source: c.LocalAddr(), Addr: remote, Err: syscallError(call, err)}
}

// Read waits for a datagram and copies it to b; octets that do not fit are lost. A datagram may be empty. With an
// empty b it returns at once. On a dialled connection it returns ECONNREFUSED, once, if no socket has the peer's port.
func (c *UDPConn) Read(b []byte) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	if len(b) == 0 && !c.socket.Closed() {
		return 0, nil // package net leaves the datagram in the queue, and does not check the deadline
	}
	n, err := c.socket.Read(b)
	if err != nil {
		return n, c.opError("read", "read", c.RemoteAddr(), err)
	}
	return n, nil
}

// Write sends b as one datagram to the peer that was dialled. On a socket that was not dialled it fails with
// EDESTADDRREQ.
func (c *UDPConn) Write(b []byte) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	n, err := c.socket.Write(b)
	if err != nil {
		return n, c.opError("write", "write", c.RemoteAddr(), err)
	}
	return n, nil
}

// ReadFrom is Read with the sender's address, a *net.UDPAddr.
func (c *UDPConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.ReadFromUDPAddrPort(b)
	if err != nil {
		return n, nil, err
	}
	return n, c.kind.udpAddr(from), nil
}

// ReadFromUDP is ReadFrom with the address's own type.
func (c *UDPConn) ReadFromUDP(b []byte) (n int, addr *net.UDPAddr, err error) {
	n, from, err := c.ReadFromUDPAddrPort(b)
	if err != nil {
		return n, nil, err
	}
	return n, c.kind.udpAddr(from), nil
}

// ReadFromUDPAddrPort is ReadFrom without an allocation.
func (c *UDPConn) ReadFromUDPAddrPort(b []byte) (n int, addr netip.AddrPort, err error) {
	if !c.ok() {
		return 0, netip.AddrPort{}, syscall.EINVAL
	}
	n, addr, _, err = c.socket.ReadFrom(b)
	if err != nil {
		return n, addr, c.opError("read", "recvfrom", c.RemoteAddr(), err)
	}
	return n, c.kind.shown(addr), nil
}

// WriteTo sends b as one datagram to addr, a *net.UDPAddr. On a dialled connection it fails with
// net.ErrWriteToConnected.
func (c *UDPConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	a, ok := addr.(*net.UDPAddr)
	if !ok {
		return 0, &net.OpError{Op: "write", Net: c.kind.String(), Source: c.LocalAddr(), Addr: addr, Err: syscall.EINVAL}
	}
	return c.WriteToUDP(b, a)
}

// WriteToUDP is WriteTo with the address's own type.
func (c *UDPConn) WriteToUDP(b []byte, addr *net.UDPAddr) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	to, err := c.destination(addr)
	if err == nil {
		var n int
		if n, err = c.socket.WriteTo(b, to); err == nil {
			return n, nil
		}
	}
	return 0, c.opError("write", "sendto", opAddr(addr), err)
}

// WriteToUDPAddrPort is WriteTo without an allocation.
func (c *UDPConn) WriteToUDPAddrPort(b []byte, addr netip.AddrPort) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	to, err := c.destinationAddrPort(addr)
	if err == nil && !addr.IsValid() {
		err = net.ErrWriteToConnected
	}
	if err == nil {
		var n int
		if n, err = c.socket.WriteTo(b, to); err == nil {
			return n, nil
		}
	}
	return 0, c.opError("write", "sendto", addrPortUDPAddr{addr}, err)
}

// addrPortUDPAddr is the address in the errors of the methods that take a netip.AddrPort, as in package net.
type addrPortUDPAddr struct{ netip.AddrPort }

func (addrPortUDPAddr) Network() string { return "udp" }

// mayWriteTo returns the error, or nil, for sending a datagram with or without an address of its own.
func (c *UDPConn) mayWriteTo(addressed bool) error {
	switch {
	case c.connected:
		return net.ErrWriteToConnected
	case !addressed:
		return errMissingAddress
	}
	return nil
}

// destinationAddrPort returns addr as an address of the stack, or the error for sending a datagram to it. A message on a
// connected socket has no address.
func (c *UDPConn) destinationAddrPort(addr netip.AddrPort) (netip.AddrPort, error) {
	if addr.IsValid() == c.connected {
		return netip.AddrPort{}, c.mayWriteTo(addr.IsValid())
	}
	a := addr.Addr()
	if a.IsValid() && !c.kind.six && !a.Unmap().Is4() {
		return netip.AddrPort{}, &net.AddrError{Err: "non-IPv4 address", Addr: a.String()}
	}
	return netip.AddrPortFrom(zoned(c.handle.host, a.Unmap()), addr.Port()), nil
}

// destination returns addr as an address of the stack, or the error for sending a datagram to it.
func (c *UDPConn) destination(addr *net.UDPAddr) (netip.AddrPort, error) {
	if err := c.mayWriteTo(addr != nil); err != nil {
		return netip.AddrPort{}, err
	}
	e, _ := endpointOf(addr)
	return c.kind.addrPort(c.handle.host, e)
}

func unmap(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// Close ends the socket. Calls that are blocked on it return net.ErrClosed, and so do all later ones.
func (c *UDPConn) Close() error {
	if !c.ok() {
		return syscall.EINVAL
	}
	runtime.SetFinalizer(c.handle, nil)
	if err := c.socket.Close(); err != nil {
		return c.opError("close", "close", c.RemoteAddr(), err)
	}
	return nil
}

// LocalAddr returns the local address, a *net.UDPAddr that the first call makes and all calls share: do not modify
// it. It stays valid after Close.
func (c *UDPConn) LocalAddr() net.Addr {
	if !c.ok() {
		return nil
	}
	return &c.handle.local.get(func(v *udpAddress) { v.set(c.kind, c.socket.Local()) }).UDPAddr
}

// RemoteAddr returns the address that was dialled, a *net.UDPAddr that all calls share; nil if none was dialled.
func (c *UDPConn) RemoteAddr() net.Addr {
	if !c.ok() || !c.connected {
		return nil
	}
	return &c.handle.remote.get(func(v *udpAddress) { v.set(c.kind, c.socket.Remote()) }).UDPAddr
}

// SetDeadline is SetReadDeadline and SetWriteDeadline together.
func (c *UDPConn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline sets the time from which reads fail with an error that wraps os.ErrDeadlineExceeded instead
// of waiting. The zero time means never.
func (c *UDPConn) SetReadDeadline(t time.Time) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	return c.setError(c.socket.SetReadDeadline(t))
}

// SetWriteDeadline is SetReadDeadline for writes.
func (c *UDPConn) SetWriteDeadline(t time.Time) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	return c.setError(c.socket.SetWriteDeadline(t))
}

func (c *UDPConn) setError(err error) error {
	if err == nil {
		return nil
	}
	return &net.OpError{Op: "set", Net: c.kind.String(), Addr: c.LocalAddr(), Err: syscallError("setsockopt", err)}
}

// SetReadBuffer bounds the receive queue in octets, 2304 at least as in Linux; datagrams beyond it are dropped.
func (c *UDPConn) SetReadBuffer(bytes int) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	return c.setError(c.socket.SetReadBuffer(int(bufferSize(bytes))))
}

// SetWriteBuffer does nothing on an open socket: datagrams are not queued in it.
func (c *UDPConn) SetWriteBuffer(bytes int) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if c.socket.Closed() {
		return c.setError(syscall.EBADF)
	}
	return nil
}

// File returns an error that wraps errors.ErrUnsupported: the socket has no descriptor.
func (c *UDPConn) File() (*os.File, error) {
	if !c.ok() {
		return nil, syscall.EINVAL
	}
	return nil, c.opError("file", "", c.RemoteAddr(), errors.ErrUnsupported)
}
