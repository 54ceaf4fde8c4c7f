package stack

import (
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/ip"
	"github.com/unet-go/unet/stack/tcp"
)

// RawSocket sends and receives whole packets of one IP protocol: raw(7). Its methods may be called from any goroutine.
// Errors are syscall.Errno values as those of a UDPSocket. A packet of IPv4 is read with its IP header, one of IPv6 without;
// what is written gets its IP header from the host, and that of ICMPv6 its checksum.
type RawSocket struct {
	// queued is a UDP socket without a port, which no datagram reaches: it has the queue, which counts towards
	// Config.MaxBuffered, the addresses, the options and the deadlines.
	queued   UDPSocket
	sockets  *rawSockets
	protocol uint8
	types    atomic.Pointer[[256]bool] // of ICMP, that are read; nil for all
}

// Protocol returns the number of the IP protocol.
func (s *RawSocket) Protocol() int { return int(s.protocol) }

// Local returns the address that the socket is bound to, Remote the connected peer's; the zero Addr where there is none.
func (s *RawSocket) Local() netip.Addr { return s.queued.Local().Addr() }

// Remote returns the connected peer's address; the zero Addr where there is none.
func (s *RawSocket) Remote() netip.Addr { return s.queued.Remote().Addr() }

// Connect makes remote the peer of Write, from which alone packets are taken. See (*UDPSocket).Connect.
func (s *RawSocket) Connect(remote netip.Addr) error {
	if !remote.IsValid() {
		return s.queued.Connect(netip.AddrPort{})
	}
	return s.queued.Connect(netip.AddrPortFrom(remote, 0))
}

// ReadMsg waits for a packet and copies it to the buffers, one after the other; octets that do not fit are lost. The ports of
// the Datagram are 0, its Size is the packet's length. The pending error, if there is one, is returned once.
func (s *RawSocket) ReadMsg(bufs [][]byte, m ReadMode) (n int, d Datagram, err error) {
	return s.queued.ReadMsg(bufs, m)
}

// WriteMsg sends p as one packet to an address, or to the peer where that is not valid, with what c says for this packet
// alone; nil for nothing. EMSGSIZE: longer than a packet can be, or than the MTU where PathMTUDiscovery.Refuses. EINVAL: no
// message of ICMPv6 is as short. Other errors are those of (*UDPSocket).WriteMsg.
func (s *RawSocket) WriteMsg(p []byte, to netip.Addr, c *DatagramControl) (int, error) {
	n, err := s.write(p, to, c)
	s.queued.layer.core.flush()
	return n, err
}

func (s *RawSocket) write(p []byte, to netip.Addr, c *DatagramControl) (int, error) {
	u := &s.queued
	if err := u.mayWrite(); err != nil {
		return 0, err
	}
	if !to.IsValid() {
		if to = s.Remote(); !to.IsValid() {
			return 0, syscall.EDESTADDRREQ
		}
	}
	r, err := u.routeTo(to, c)
	if err != nil {
		return 0, err
	}
	u.mu.Lock()
	allowed, o := u.broadcast, *u.towardLocked(r.Remote())
	u.mu.Unlock()
	if r.Group() && !r.Remote().IsMulticast() && !allowed {
		return 0, syscall.EACCES
	}
	if r.Remote().IsMulticast() {
		o.ttl = 1 // RFC 1112 6.1
	}
	if c != nil {
		o.override(c)
	}
	out := ip.OutPacket{Protocol: s.protocol, ChecksumOffset: -1, TTL: o.ttl, TOS: o.tos, MTU: o.limit(r)}
	if len(p) > ip.MaxPayload(r.Remote()) || o.discover.Refuses() && r.HeaderLen()+len(p) > out.MTU {
		return 0, syscall.EMSGSIZE
	}
	var header [4]byte
	if r.V6() && s.protocol == wire.ProtocolICMPv6 {
		if len(p) < len(header) {
			return 0, syscall.EINVAL
		}
		header[0], header[1] = p[0], p[1]
		out.Header, out.ChecksumOffset = header[:], 2
	}
	rest := [1]tcp.Span{{Data: p[len(out.Header):]}}
	out.Payload, out.PayloadLen = rest[:], len(rest[0].Data)
	out.DontFragment = !o.discover.Off() && r.HeaderLen()+len(p) <= out.MTU &&
		!(o.discover == tcp.DiscoverWant && r.PathTooNarrow())
	r.Send(&out)
	return len(p), nil
}

// SetICMPTypes makes the socket read messages of these types of ICMP or ICMPv6 only; without any, the default, of all.
func (s *RawSocket) SetICMPTypes(types ...uint8) error {
	return s.queued.set(func() {
		var only *[256]bool
		if len(types) > 0 {
			only = new([256]bool)
		}
		for _, t := range types {
			only[t] = true
		}
		s.types.Store(only)
	})
}

// SetReadDeadline is (*UDPSocket).SetReadDeadline.
func (s *RawSocket) SetReadDeadline(t time.Time) error { return s.queued.SetReadDeadline(t) }

// SetWriteDeadline is (*UDPSocket).SetWriteDeadline.
func (s *RawSocket) SetWriteDeadline(t time.Time) error { return s.queued.SetWriteDeadline(t) }

// SetReadBuffer is (*UDPSocket).SetReadBuffer.
func (s *RawSocket) SetReadBuffer(octets int) error { return s.queued.SetReadBuffer(octets) }

// SetBroadcast is (*UDPSocket).SetBroadcast.
func (s *RawSocket) SetBroadcast(on bool) error { return s.queued.SetBroadcast(on) }

// SetPathMTUDiscovery is (*UDPSocket).SetPathMTUDiscovery.
func (s *RawSocket) SetPathMTUDiscovery(mode tcp.PathMTUDiscovery) error {
	return s.queued.SetPathMTUDiscovery(mode)
}

// SetTTL is (*UDPSocket).SetTTL.
func (s *RawSocket) SetTTL(ttl uint8) error { return s.queued.SetTTL(ttl) }

// SetTOS is (*UDPSocket).SetTOS.
func (s *RawSocket) SetTOS(tos uint8) error { return s.queued.SetTOS(tos) }

// Ready returns what the socket is ready for. Writing never waits.
func (s *RawSocket) Ready() Readiness { return s.queued.Ready() }

// Watch makes w the socket's watcher, in place of any other; nil for none.
func (s *RawSocket) Watch(w Watcher) { s.queued.Watch(w) }

// Closed says whether Close was called, or the host is closed.
func (s *RawSocket) Closed() bool { return s.queued.Closed() }

// Close ends the socket and wakes all that wait on it. EBADF the second time.
func (s *RawSocket) Close() error {
	s.sockets.remove(s)
	return s.queued.Close()
}

// Forget is (*TCPConn).Forget for a raw socket.
func (s *RawSocket) Forget() { s.sockets.core.forget(s) }

func (s *RawSocket) closeForgotten() { _ = s.Close() }
