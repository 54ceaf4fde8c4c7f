package unet

import (
	"net"
	"net/netip"
	"runtime"
	"sync/atomic"

	"github.com/unet-go/unet/stack"
)

// A connection, a listener or a UDP socket has a handle with a finalizer. When the program can no longer reach the handle,
// the finalizer makes the host close the connection, listener or socket, as package net closes the descriptor. The handle
// is an object of its own because an object can have only one finalizer, and the program may want to set one on its
// TCPConn. A finalizer takes 56 octets of the runtime's memory and 0.4 us to set and clear; a cleanup with its closure, its
// argument and the Cleanup that stops it takes 98, and 0.7 us.
//
// A call that waits must refer to the TCPConn until it returns, by using it afterwards or by runtime.KeepAlive. Otherwise
// the connection could be closed during the call.

// tcpHandle is the handle of a TCPConn. It also has the fields that few calls use.
type tcpHandle struct {
	conn          *stack.TCPConn
	local, remote madeOnce[tcpAddress]
	kind          socketKind
}

func newTCPConn(c *stack.TCPConn, k socketKind) *TCPConn {
	h := &tcpHandle{conn: c, kind: k}
	runtime.SetFinalizer(h, (*tcpHandle).forget)
	return &TCPConn{conn: c, handle: h}
}

func (h *tcpHandle) forget() { h.conn.Forget() }

func (h *tcpHandle) localAddr() *net.TCPAddr {
	return tcpAddressOf(&h.local, h.kind, h.conn.Local)
}

func (h *tcpHandle) remoteAddr() *net.TCPAddr {
	return tcpAddressOf(&h.remote, h.kind, h.conn.Remote)
}

func tcpAddressOf(p *madeOnce[tcpAddress], k socketKind, of func() netip.AddrPort) *net.TCPAddr {
	return &p.get(func(v *tcpAddress) { v.set(k, of()) }).TCPAddr
}

// listenerHandle is the handle of a TCPListener.
type listenerHandle struct{ listener *stack.Listener }

func newTCPListener(l *stack.Listener, k socketKind) *TCPListener {
	h := &listenerHandle{l}
	runtime.SetFinalizer(h, (*listenerHandle).forget)
	return &TCPListener{listener: l, handle: h, kind: k, addr: k.tcpAddr(l.Addr())}
}

func (h *listenerHandle) forget() { h.listener.Forget() }

// udpHandle is the handle of a UDPConn.
type udpHandle struct {
	host          *stack.Host
	socket        *stack.UDPSocket
	local, remote madeOnce[udpAddress]
}

func newUDPConn(on *stack.Host, s *stack.UDPSocket, k socketKind, connected bool) *UDPConn {
	h := &udpHandle{host: on, socket: s}
	runtime.SetFinalizer(h, (*udpHandle).forget)
	return &UDPConn{socket: s, handle: h, kind: k, connected: connected}
}

func (h *udpHandle) forget() { h.socket.Forget() }

// madeOnce is a value that the first call of get makes.
type madeOnce[T any] struct{ p atomic.Pointer[T] }

// get returns the value, the same one to all callers. The function fill makes it. If two calls make one at the same time,
// one of the two values is dropped.
func (m *madeOnce[T]) get(fill func(*T)) *T {
	if v := m.p.Load(); v != nil {
		return v
	}
	v := new(T)
	fill(v)
	if !m.p.CompareAndSwap(nil, v) {
		v = m.p.Load()
	}
	return v
}
