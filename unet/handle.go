package unet

import (
	"net"
	"net/netip"
	"runtime"
	"sync/atomic"

	"github.com/unet-go/unet/stack"
)

// A handle is what the garbage collector watches of a connection, a listener or a UDP socket: when the program can
// no longer reach it, its finalizer has the host close what it stands for, as package net closes the descriptor. It
// is an object of its own so that the program can give its TCPConn a finalizer, of which an object has but one. A
// finalizer takes 56 octets of the runtime's and 0.4 us to set and clear; a cleanup with its closure, its argument and
// the Cleanup that stops it takes 98, and 0.7 us.
//
// A call that waits must hold the TCPConn until it returns, by using it afterwards or by runtime.KeepAlive: the
// connection would be closed under it.

// tcpHandle is a TCPConn's. It has what few calls use.
type tcpHandle struct {
	conn          *stack.TCPConn
	local, remote madeOnce[tcpAddress]
	net           network
}

func newTCPConn(c *stack.TCPConn, n network) *TCPConn {
	h := &tcpHandle{conn: c, net: n}
	runtime.SetFinalizer(h, (*tcpHandle).forget)
	return &TCPConn{conn: c, handle: h}
}

func (h *tcpHandle) forget() { h.conn.Forget() }

func (h *tcpHandle) localAddr() *net.TCPAddr {
	return tcpAddressOf(&h.local, h.conn.Local)
}

func (h *tcpHandle) remoteAddr() *net.TCPAddr {
	return tcpAddressOf(&h.remote, h.conn.Remote)
}

func tcpAddressOf(p *madeOnce[tcpAddress], of func() netip.AddrPort) *net.TCPAddr {
	return &p.get(func(v *tcpAddress) { v.set(of()) }).TCPAddr
}

// listenerHandle is a TCPListener's.
type listenerHandle struct{ listener *stack.Listener }

func newTCPListener(l *stack.Listener, n network) *TCPListener {
	h := &listenerHandle{l}
	runtime.SetFinalizer(h, (*listenerHandle).forget)
	return &TCPListener{listener: l, handle: h, net: n, addr: tcpAddr(l.Addr())}
}

func (h *listenerHandle) forget() { h.listener.Forget() }

// udpHandle is a UDPConn's.
type udpHandle struct {
	socket        *stack.UDPSocket
	local, remote madeOnce[udpAddress]
}

func newUDPConn(s *stack.UDPSocket, n network, connected bool) *UDPConn {
	h := &udpHandle{socket: s}
	runtime.SetFinalizer(h, (*udpHandle).forget)
	return &UDPConn{socket: s, handle: h, net: n, connected: connected}
}

func (h *udpHandle) forget() { h.socket.Forget() }

// madeOnce is a value that the first call of get makes.
type madeOnce[T any] struct{ p atomic.Pointer[T] }

// get returns the value, the same one to all callers. fill makes it; of two at the same time one may be for nothing.
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
