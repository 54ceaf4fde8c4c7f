package stack

import (
	"net/netip"
	"syscall"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/ip"
	"github.com/unet-go/unet/stack/tcp"
)

// Datagram is what ReadMsg tells of a datagram beside its octets.
type Datagram struct {
	// From is the sender. To is the address that the sender wrote to, which may be a broadcast or a group's address, and
	// Local the address of ours that an answer leaves from: To, unless that is such an address.
	From      netip.AddrPort
	To, Local netip.Addr
	// Interface is the number of the interface that the datagram came over: 1 for lo, and so on as in InterfaceNames.
	Interface int
	// TOS is the type of service or traffic class, ECN in its lowest two bits, and TTL the TTL or hop limit, as they arrived.
	TOS, TTL uint8
	// Size is the datagram's length in octets, which may be more than the buffers took.
	Size int
	// SegmentSize is the length in octets of each of several datagrams that were read together, the last of which may be
	// shorter; 0 for a single one. See SetTrains.
	SegmentSize int
}

// DatagramControl says how WriteMsg sends one datagram. The zero value leaves everything to the socket's options.
type DatagramControl struct {
	// Source is the address that the datagram leaves from, where it is valid; the unspecified one means that the route's is
	// chosen, even if the socket is bound to another. The port is always the socket's.
	Source netip.Addr
	// Interface is the number of the interface that the datagram leaves over; 0 for that of the route.
	Interface int
	// TTL is the TTL or hop limit, of multicasts too; 0 for the socket's.
	TTL uint8
	// TOS is the type of service or traffic class, where HasTOS is set.
	TOS    uint8
	HasTOS bool
	// DontFragment refuses the datagram by EMSGSIZE if it is over the path's MTU, as tcp.DiscoverDo does.
	DontFragment bool
	// SegmentSize cuts Data into datagrams of so many octets, the last of which may be shorter; 0 for the socket's. See
	// SetSegmentSize.
	SegmentSize uint16
}

// ReadMsg is ReadFrom into several buffers, one after the other, and tells more of the datagram. m.All means nothing here.
func (s *UDPSocket) ReadMsg(bufs [][]byte, m ReadMode) (n int, d Datagram, err error) {
	in, err := s.next(!m.Try, m.Peek)
	if err != nil {
		return 0, d, err
	}
	defer in.release()
	n = scatter(bufs, 0, in.data, m.Discard)
	d = s.describe(&in)
	if s.trains.Load() && n == d.Size && n > 0 && !m.Peek {
		n = s.readTrain(bufs, m.Discard, &in, &d)
	}
	return n, d, nil
}

// describe tells of a datagram what ReadMsg does.
func (s *UDPSocket) describe(in *datagramIn) Datagram {
	d := Datagram{From: in.from, To: in.to, Local: in.to, Interface: int(in.iface), TOS: in.tos, TTL: in.ttl, Size: len(in.data)}
	if in.group && !s.layer.core.ip.IsLocal(in.to) {
		d.Local = netip.Addr{}
		if r, err := s.layer.core.ip.HostRoute(netip.Addr{}, in.from.Addr()); err == nil {
			d.Local = r.Local()
		}
	}
	return d
}

// WriteMsg is WriteTo, or where to is not valid Write, with what c says for this datagram alone; nil for nothing. Errors
// besides those of WriteTo and Write: for a Source that is no address of this host's EINVAL over IPv6 and ENETUNREACH
// over IPv4; EINVAL for an Interface other than the one whose name the destination has as its zone; ENODEV for an Interface
// that there is not; ENETUNREACH for one that no route to the destination leads over.
func (s *UDPSocket) WriteMsg(p []byte, to netip.AddrPort, c *DatagramControl) (int, error) {
	if !to.IsValid() {
		if to = s.Remote(); !to.IsValid() {
			if err := s.mayWrite(); err != nil {
				return 0, err
			}
			return 0, syscall.EDESTADDRREQ
		}
	}
	if c == nil || *c == (DatagramControl{}) {
		return s.WriteTo(p, to)
	}
	n, err := s.write(p, to, c)
	s.layer.core.flush()
	return n, err
}

// DatagramOut is a datagram for WriteBatch: the parameters of WriteMsg.
type DatagramOut struct {
	Data    []byte
	To      netip.AddrPort // not valid for the peer
	Control DatagramControl
}

// WriteBatch is WriteMsg of several datagrams, which the device gets together. It returns how many were sent: fewer than all
// where one of them failed, and an error only if that was the first. The error of another is returned by the next call if that
// begins with the same datagram, and otherwise not at all.
func (s *UDPSocket) WriteBatch(list []DatagramOut) (n int, err error) {
	defer s.layer.core.flush()
	for i := range list {
		d := &list[i]
		to := d.To
		if !to.IsValid() {
			if to = s.Remote(); !to.IsValid() && s.mayWrite() == nil {
				err = syscall.EDESTADDRREQ
			}
		}
		if err == nil {
			_, err = s.write(d.Data, to, &d.Control)
		}
		if err != nil {
			if i > 0 {
				err = nil
			}
			return i, err
		}
	}
	return len(list), nil
}

// write is WriteTo with what c says, where it is not nil. Its caller flushes.
func (s *UDPSocket) write(p []byte, to netip.AddrPort, c *DatagramControl) (int, error) {
	if err := s.mayWrite(); err != nil {
		return 0, err
	}
	if !to.IsValid() || to.Port() == 0 {
		return 0, syscall.EINVAL
	}
	r, err := s.routeTo(to.Addr(), c)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	allowed, segment, o := s.broadcast, int(s.segment), *s.towardLocked(r.Remote())
	s.mu.Unlock()
	if r.Group() && !r.Remote().IsMulticast() && !allowed {
		return 0, syscall.EACCES
	}
	if r.Group() && r.Remote().IsMulticast() {
		o.ttl = 1 // RFC 1112 6.1
	}
	if c != nil {
		o.override(c)
		if c.SegmentSize != 0 {
			segment = int(c.SegmentSize)
		}
	}
	mtu := o.limit(r)
	tooLong := len(p) > ip.MaxPayload(r.Remote())-wire.UDPLen
	if !tooLong && segment > 0 && len(p) > segment {
		return s.writeTrain(r, to.Port(), p, segment, mtu, o)
	}
	if tooLong || o.discover.Refuses() && r.HeaderLen()+wire.UDPLen+len(p) > mtu {
		s.mu.Lock()
		queued := s.errors != nil && s.errors.takeLocked(netip.AddrPortFrom(r.Remote(), to.Port()), syscall.EMSGSIZE, nil, nil, mtu, len(p))
		s.mu.Unlock()
		if queued {
			s.notify(ReadyErr)
		}
		return 0, syscall.EMSGSIZE
	}
	s.layer.send(r, s.Local().Port(), to.Port(), p, mtu, o)
	return len(p), nil
}

// override puts what c says of one datagram in the place of the socket's options.
func (o *udpOptions) override(c *DatagramControl) {
	if c.TTL != 0 {
		o.ttl = c.TTL
	}
	if c.HasTOS {
		o.tos = c.TOS
	}
	if c.DontFragment && (o.discover == tcp.DiscoverWant || o.discover == tcp.DiscoverDont) {
		o.discover = tcp.DiscoverDo
	}
}

// routeTo returns the way of a datagram to an address.
func (s *UDPSocket) routeTo(to netip.Addr, c *DatagramControl) (*ip.Route, error) {
	local := s.Local().Addr()
	if to.Unmap().Is4() && local.Is6() && s.bind.IsUnspecified() {
		local = s.bind // connect has chosen an address of the other family
	}
	var over *ip.Interface
	if c != nil && c.Interface != 0 {
		var err error
		if over, to, err = s.layer.interfaceOf(c.Interface, to); err != nil {
			return nil, err
		}
	}
	remote, err := s.layer.core.routable(local, s.opt.V6Only, to)
	switch {
	case err != nil:
		return nil, err
	case c != nil:
		return s.layer.controlledRoute(local, remote, c.Source, over)
	}
	return s.layer.core.ip.Route(s.layer.source(local), remote)
}

// source returns the address that a socket which is bound to local sends from: one may listen on a broadcast or a group's
// address, but not send from there (RFC 1122 3.2.1.3).
func (l *udpLayer) source(local netip.Addr) netip.Addr {
	if l.core.ip.IsBroadcast(local) || local.IsMulticast() {
		return netip.Addr{}
	}
	return local
}

// interfaceOf returns the interface with a number, and an address with its zone if it needs one.
func (l *udpLayer) interfaceOf(number int, to netip.Addr) (*ip.Interface, netip.Addr, error) {
	list := l.core.ip.Interfaces()
	if number < 0 || number > len(list) {
		return nil, to, syscall.ENODEV
	}
	over := list[number-1]
	if to = plain(to); hasZone(to) && to.Zone() == "" {
		to = to.WithZone(over.Name())
	}
	return over, to, nil
}

// controlledRoute returns the way from a source address, if it is valid, over an interface, if it is not nil.
func (l *udpLayer) controlledRoute(local, remote, source netip.Addr, over *ip.Interface) (*ip.Route, error) {
	if source = plain(source); source.IsValid() {
		local = source
		if !source.IsUnspecified() {
			var err error
			if local, err = l.ownSource(source, remote, over); err != nil {
				return nil, err
			}
		}
	}
	local = l.source(local)
	if over == nil {
		return l.core.ip.Route(local, remote)
	}
	if zone := remote.Zone(); zone != "" && zone != over.Name() {
		return nil, syscall.EINVAL
	}
	return l.core.ip.RouteOver(over, local, remote)
}

// ownSource returns the source address that a program names for a datagram, with its zone. Linux's errors for one that is
// not ours: EINVAL over IPv6, ENETUNREACH over IPv4.
func (l *udpLayer) ownSource(src, remote netip.Addr, over *ip.Interface) (netip.Addr, error) {
	if hasZone(src) && src.Zone() == "" {
		switch {
		case over != nil:
			src = src.WithZone(over.Name())
		case remote.Zone() != "":
			src = src.WithZone(remote.Zone())
		}
	}
	switch {
	case src.Is4() != remote.Is4() || src.IsMulticast():
		return src, syscall.EINVAL
	case l.core.ip.IsLocal(src):
		return src, nil
	case src.Is6():
		return src, syscall.EINVAL
	}
	return src, syscall.ENETUNREACH
}
