package stack

import (
	"hash/maphash"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"syscall"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/ip"
	"github.com/unet-go/unet/stack/tcp"
)

// udpLayer finds the socket of a datagram. Its lock is a leaf.
type udpLayer struct {
	core *core
	seed maphash.Seed

	datagrams datagramCounters

	mu     sync.RWMutex
	ports  map[uint16][]*UDPSocket // the slices are replaced, not changed
	total  int
	closed bool
}

func (l *udpLayer) init(core *core) {
	l.core = core
	l.seed = maphash.MakeSeed()
	l.ports = make(map[uint16][]*UDPSocket)
}

// count returns the number of open sockets.
func (l *udpLayer) count() int {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.total
}

// on returns the sockets on a port.
func (l *udpLayer) on(port uint16) []*UDPSocket {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.ports[port]
}

// bind gives s its port, or one that is free where s names none.
func (l *udpLayer) bind(s *UDPSocket, local netip.AddrPort) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return syscall.ENETDOWN
	}
	if local.Port() == 0 {
		start := rand.IntN(ephemeralPorts)
		for i := range ephemeralPorts {
			p := uint16(firstEphemeral + (start+i)%ephemeralPorts)
			if !l.usedLocked(p, s.families(local.Addr())) {
				return l.takeLocked(s, netip.AddrPortFrom(local.Addr(), p))
			}
		}
		return syscall.EADDRINUSE
	}
	for _, other := range l.ports[local.Port()] {
		if s.clashes(other, local.Addr()) {
			return syscall.EADDRINUSE
		}
	}
	return l.takeLocked(s, local)
}

// usedLocked says whether a socket at the port takes packets of one of the families.
func (l *udpLayer) usedLocked(port uint16, f families) bool {
	return slices.ContainsFunc(l.ports[port], func(s *UDPSocket) bool { return s.families(s.Local().Addr())&f != 0 })
}

func (l *udpLayer) takeLocked(s *UDPSocket, local netip.AddrPort) error {
	s.setPair(local, netip.AddrPort{})
	l.ports[local.Port()] = append(slices.Clip(l.ports[local.Port()]), s)
	l.total++
	return nil
}

func (l *udpLayer) release(s *UDPSocket, port uint16) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rest := without(l.ports[port], s)
	if len(rest) < len(l.ports[port]) {
		l.total--
	}
	if l.ports[port] = rest; len(rest) == 0 {
		delete(l.ports, port)
	}
}

// close closes all sockets and refuses new ones.
func (l *udpLayer) close() {
	l.mu.Lock()
	l.closed = true
	var all []*UDPSocket
	for _, sockets := range l.ports {
		all = append(all, sockets...)
	}
	l.mu.Unlock()
	for _, s := range all {
		_ = s.Close() // it may be closed already
	}
}

// lookup returns the socket for a datagram: the connected one, else one bound to the address, else one bound to all of its
// family, else one bound to all of both; where several share an address, a keyed hash of the flow chooses.
func (l *udpLayer) lookup(local, remote netip.AddrPort) *UDPSocket {
	sockets := l.on(local.Port())
	if len(sockets) == 1 { // the usual case
		if sockets[0].score(local, remote) > 0 {
			return sockets[0]
		}
		return nil
	}
	var best *UDPSocket
	var top, equal int
	for _, s := range sockets {
		switch score := s.score(local, remote); {
		case score == 0 || score < top:
		case score > top:
			best, top, equal = s, score, 1
		default:
			equal++
		}
	}
	if equal < 2 {
		return best
	}
	type flow struct{ local, remote netip.AddrPort }
	chosen := int(maphash.Comparable(l.seed, flow{local, remote}) % uint64(equal))
	for _, s := range sockets {
		if s.score(local, remote) == top {
			if chosen == 0 {
				return s
			}
			chosen--
		}
	}
	return best // somebody connected or closed meanwhile
}

// input takes a datagram (RFC 768, RFC 1122 4.1).
func (l *udpLayer) input(p *ip.Packet) {
	var u wire.UDP
	data, err := u.Parse(p.Payload)
	if err != nil || u.SrcPort == 0 && u.DstPort == 0 {
		l.core.drop(drop.UDPMalformed)
		return
	}
	switch {
	case u.Checksum == 0 && p.Dst.Is4(): // the sender made none
	case u.Checksum == 0:
		l.core.drop(drop.UDPChecksum) // RFC 8200 8.1
		return
	case !p.ChecksumOK && wire.Checksum(p.Payload[:u.Length], wire.PseudoHeader(p.Src, p.Dst, wire.ProtocolUDP, u.Length)) != 0:
		l.core.drop(drop.UDPChecksum)
		return
	}
	local, remote := netip.AddrPortFrom(p.Dst, u.DstPort), netip.AddrPortFrom(p.Src, u.SrcPort)
	if p.Broadcast && !l.core.ip.IsLocal(p.Dst) {
		l.broadcast(p, local, remote, data)
		return
	}
	s := l.lookup(local, remote)
	if s == nil {
		l.core.drop(drop.UDPNoPort)
		l.core.ip.SendError(p, ip.PortUnreachable, 0)
		return
	}
	l.datagrams.in.Add(1)
	s.deliver(p, remote, data)
}

// broadcast gives a datagram for many to every socket that wants it (RFC 1122 3.3.6).
func (l *udpLayer) broadcast(p *ip.Packet, local, remote netip.AddrPort, data []byte) {
	wanted := false
	for _, s := range l.on(local.Port()) {
		if s.score(local, remote) > 0 {
			wanted = true
			l.datagrams.in.Add(1)
			s.deliver(p, remote, data)
		}
	}
	if !wanted {
		l.core.drop(drop.UDPNoPort)
	}
}

// errorArrives gives an error about a datagram from local to remote to the socket that is connected there: one
// that is not could not tell which of its datagrams is meant (RFC 1122 4.1.3.3, ledger B-UDP-5), unless it has a queue of
// errors.
func (l *udpLayer) errorArrives(local, remote netip.AddrPort, e tcp.ICMPError, r *ip.Report, p *ip.Packet) bool {
	s := l.lookup(local, remote)
	if s == nil {
		return false
	}
	if e.MTU == 0 || s.believes(local.Addr(), remote, e.MTU) {
		s.fail(remote, e.Errno, r, p)
	}
	return true
}

// send sends one datagram, in fragments where it is larger than mtu. The caller flushes.
func (l *udpLayer) send(r *ip.Route, local, remote uint16, data []byte, mtu int, o udpOptions) {
	var b [wire.UDPLen]byte
	u := wire.UDP{SrcPort: local, DstPort: remote, Length: wire.UDPLen + len(data)}
	u.Marshal(b[:])
	spans := [1]tcp.Span{{Data: data}}
	p := ip.OutPacket{Protocol: wire.ProtocolUDP, Header: b[:], ChecksumOffset: 6, Payload: spans[:], PayloadLen: len(data),
		TTL: o.ttl, TOS: o.tos, MTU: mtu}
	p.DontFragment = !o.discover.Off() && r.HeaderLen()+wire.UDPLen+len(data) <= mtu &&
		!(o.discover == tcp.DiscoverWant && r.PathTooNarrow())
	l.datagrams.out.Add(1)
	r.Send(&p)
}
