package ip

import (
	"net/netip"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/stack/link"
)

// forwarding is what a host does with packets of others.
type forwarding struct {
	layer  *Layer
	routes routeCache // of such packets
}

// SetForwarding says whether packets for other hosts are passed on from now on.
func (l *Layer) SetForwarding(on bool) {
	if !on {
		l.forwarding.Store(nil)
		return
	}
	w := &forwarding{layer: l}
	w.routes.init()
	var f forwarder = w
	l.forwarding.CompareAndSwap(nil, &f)
}

// forward passes on the packet of a frame, as a router does (RFC 1812 5.2, RFC 8200 3). What cannot pass is dropped and counted,
// and its source is told where that is allowed.
func (w *forwarding) forward(input any, f *link.Frame) {
	in := input.(*Input)
	p, l := &in.Packet, in.layer
	if !in.mayPass(p) {
		return
	}
	if p.TTL <= 1 {
		l.drop(drop.HopLimit)
		l.SendError(p, TimeExceeded, 0)
		return
	}
	r := w.transit(in.topology, p.Dst)
	if r == nil {
		l.drop(drop.NoRoute)
		l.SendError(p, NetUnreachable, 0)
		return
	}
	t := transit{route: r, in: p}
	if !t.describe(f, in.iface.info.Checksum) {
		l.drop(drop.NotForwarded)
		return
	}
	if t.largest() > r.mtu && (r.V6() || t.dontFragment()) {
		l.drop(drop.TooBig)
		l.SendError(p, PacketTooBig, uint32(r.mtu))
		return
	}
	l.counters.forwarded.Add(1)
	t.send()
}

// mayPass says whether a packet for another host may leave its link at all: it came to this host alone and not to all, and
// neither address is one that no packet on another link may have (RFC 1812 4.2.2.11, 5.3.4, 5.3.7; RFC 3927 7; RFC 4291 2.5.6).
func (in *Input) mayPass(p *Packet) bool {
	switch {
	case p.Broadcast, !isUnicast(p.Dst), p.Dst.IsLinkLocalUnicast(), p.Dst.IsLoopback():
		return in.refuse(drop.NotForwarded)
	case !isUnicast(p.Src), p.Src.IsLoopback(), in.topology.class(p.Src) != foreign:
		return in.refuse(drop.BadSource)
	case p.Src.IsLinkLocalUnicast():
		in.drop(drop.NotForwarded)
		if p.family == family6 { // RFC 4007 9; RFC 3927 has no such message
			in.layer.SendError(p, BeyondScope, 0)
		}
		return false
	}
	return p.family == family6 || in.mayPass4(p)
}

// refuse counts a packet that is not passed on, and of which nobody is told.
func (in *Input) refuse(reason drop.Reason) bool {
	in.drop(reason)
	return false
}

// transit returns the way to a destination for packets of others; nil where there is none. Its local address is none.
func (w *forwarding) transit(t *topology, dst netip.Addr) *Route {
	slots, victim := w.routes.set(netip.Addr{}, dst)
	for i := range slots {
		switch r := slots[i].Load(); {
		case r == nil || r.topology != t || r.mtu != r.iface.currentMTU():
			victim = i
		case r.remote == dst:
			return r
		}
	}
	e, ok := t.lookup(dst)
	if !ok {
		return nil
	}
	r := &Route{topology: t, iface: e.iface, family: familyOf(dst), remote: dst, nextHop: dst, mtu: e.iface.currentMTU()}
	if e.via.IsValid() {
		r.nextHop = e.via
	}
	r.super = r.family.super(&r.iface.info)
	slots[victim].Store(r)
	return r
}
