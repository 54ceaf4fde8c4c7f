package stack

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"syscall"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/ip"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/tcp"
)

// rawReceiver takes what raw sockets are to see. It is an interface so that their code is only in programs that call
// ListenRaw.
type rawReceiver interface {
	input(p *ip.Packet) bool
	errorArrives(r *ip.Report, e tcp.ICMPError) bool
	close()
	fail()
}

// rawInput gives a packet to the raw sockets of its protocol, and says whether there is one.
func (h *Host) rawInput(p *ip.Packet) bool {
	raw := h.raw.Load()
	return raw != nil && (*raw).input(p)
}

// ListenRaw makes a raw socket: it gets a copy of each packet of an IP protocol that arrives for local, or for any of our
// addresses of the family if local is not valid or unspecified. Packets are seen when they are whole, and after the checksum
// of ICMP was verified; the host itself goes on to answer ICMP. The address decides on the family, IPv6 if it is not valid.
// Errors: EPROTONOSUPPORT for TCP and UDP, of which there are no copies, and for a number that is no protocol's;
// EADDRNOTAVAIL for an address that is not ours, and those of ListenUDP for a link-local one; ENETDOWN when the host is
// closed, or all its devices have failed.
func (h *Host) ListenRaw(local netip.Addr, protocol int) (*RawSocket, error) {
	a, err := h.bindable(local)
	switch {
	case err != nil:
		return nil, err
	case protocol <= 0 || protocol >= 255 || protocol == wire.ProtocolTCP || protocol == wire.ProtocolUDP:
		return nil, syscall.EPROTONOSUPPORT
	case h.severed(a) && !a.IsUnspecified():
		return nil, syscall.ENETDOWN
	case !a.IsUnspecified() && !h.ip.IsLocal(a) && !h.ip.IsBroadcast(a) && !a.IsMulticast():
		return nil, syscall.EADDRNOTAVAIL
	}
	s := &RawSocket{protocol: uint8(protocol)}
	s.queued = UDPSocket{layer: &h.udp, opt: BindOptions{V6Only: true}, bind: a, limit: h.config.UDPBuffer}
	s.queued.arrived.L = &s.queued.mu
	s.queued.setPair(netip.AddrPortFrom(a, 0), netip.AddrPort{})
	s.sockets = h.rawSockets()
	if !s.sockets.add(s) {
		return nil, syscall.ENETDOWN
	}
	h.forgotten.openIdle()
	return s, nil
}

// rawSockets returns the host's raw sockets, which the first call makes.
func (h *Host) rawSockets() *rawSockets {
	for {
		if raw := h.raw.Load(); raw != nil {
			list, _ := (*raw).(*rawSockets)
			return list
		}
		list := &rawSockets{core: &h.core}
		var raw rawReceiver = list
		if h.raw.CompareAndSwap(nil, &raw) {
			h.ip.Tap(list.input)
			if h.over() { // Close may not have seen it
				list.close()
			}
		}
	}
}

// rawSockets are the raw sockets of a host. The lock is a leaf.
type rawSockets struct {
	core *core

	mu     sync.RWMutex
	list   []*RawSocket // replaced, not changed
	closed bool
}

func (l *rawSockets) add(s *RawSocket) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.list = append(l.list[:len(l.list):len(l.list)], s)
	}
	return !l.closed
}

func (l *rawSockets) remove(s *RawSocket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = without(l.list, s)
}

func (l *rawSockets) all() []*RawSocket {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.list
}

// close implements rawReceiver: it closes all sockets and refuses new ones.
func (l *rawSockets) close() {
	l.mu.Lock()
	l.closed = true
	list := l.list
	l.mu.Unlock()
	for _, s := range list {
		_ = s.Close() // it may be closed already
	}
}

// fail implements rawReceiver: the devices have failed.
func (l *rawSockets) fail() {
	for _, s := range l.all() {
		if s.Local().IsLoopback() {
			continue
		}
		s.queued.mu.Lock() // a reader holds it from its look at the topology until it waits
		s.queued.arrived.Broadcast()
		s.queued.mu.Unlock()
		s.queued.notify(ReadyAll)
	}
}

// input implements rawReceiver.
func (l *rawSockets) input(p *ip.Packet) bool {
	wanted := false
	for _, s := range l.all() {
		if s.matches(p.Protocol, p.Dst, p.Src) {
			wanted = true
			if !s.filters(p) {
				s.deliver(p)
			}
		}
	}
	return wanted
}

// errorArrives implements rawReceiver: as on Linux a hard error about a packet that was sent from a connected socket, or one
// about its size, is the next call's; other sockets read the message itself if they want to.
func (l *rawSockets) errorArrives(r *ip.Report, e tcp.ICMPError) bool {
	taken := false
	for _, s := range l.all() {
		if !s.matches(r.Protocol, r.Local, r.Remote) {
			continue
		}
		taken = true
		remote := netip.AddrPortFrom(r.Remote, 0)
		if e.Hard || e.MTU > 0 && s.queued.believes(r.Local, remote, e.MTU) {
			s.queued.fail(remote, e.Errno, r, nil)
		}
	}
	return taken
}

// matches says whether the socket is for packets of a protocol between two addresses.
func (s *RawSocket) matches(protocol uint8, local, remote netip.Addr) bool {
	if protocol != s.protocol {
		return false
	}
	pair := s.queued.pair.Load()
	bound := pair.local.Addr()
	if bound.Is4() != local.Is4() || bound != local && !bound.IsUnspecified() {
		return false
	}
	return !pair.remote.IsValid() || pair.remote.Addr() == remote
}

// filters says whether the socket does not want the ICMP message p.
func (s *RawSocket) filters(p *ip.Packet) bool {
	only := s.types.Load()
	return only != nil && len(p.Payload) > 0 && !only[p.Payload[0]]
}

// deliver queues a copy of a packet: of IPv4 with its header, as Linux does it.
func (s *RawSocket) deliver(p *ip.Packet) {
	header := p.Header()
	if p.Dst.Is6() {
		header = nil
	}
	d := datagramIn{from: netip.AddrPortFrom(p.Src, 0), to: p.Dst, tos: p.TOS, ttl: p.TTL, group: p.Broadcast}
	if p.Interface != nil {
		d.iface = int32(p.Interface.Index()) + 1
	}
	if n := len(header) + len(p.Payload); n > 0 {
		d.buf = link.NewBuffer(n)
		d.data = d.buf.Bytes()[:n]
		copy(d.data[copy(d.data, header):], p.Payload)
		if len(header) > 0 {
			wholeHeader(d.data, len(header))
		}
	}
	s.queued.enqueue(d, drop.RawFull)
}

// wholeHeader makes the IPv4 header of a packet, which may have come in fragments, that of the whole one.
func wholeHeader(b []byte, headerLen int) {
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	b[6], b[7] = b[6]&0x40, 0 // of the flags and the fragment's offset DF is left
	b[10], b[11] = 0, 0
	binary.BigEndian.PutUint16(b[10:], ^wire.Fold(wire.Sum(b[:headerLen], 0)))
}
