package ip

import (
	"errors"
	"net/netip"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/wire"
)

// ipv4 takes an IPv4 packet and what may follow it in the frame. in.Packet holds what the link layer knows.
func (in *Input) ipv4(b []byte) Outcome {
	p := &in.Packet
	var ip wire.IPv4
	payload, err := ip.Parse(b)
	if err != nil {
		return in.drop(headerDrop(err))
	}
	p.family = family4
	p.Src, p.Dst = netip.AddrFrom4(ip.Src), netip.AddrFrom4(ip.Dst)
	p.header, p.Payload = b[:ip.HeaderLen], payload
	p.Protocol, p.TOS, p.TTL = ip.Protocol, ip.TOS, ip.TTL
	p.laterFragment = ip.FragmentOffset != 0
	if !in.destination4(p) {
		return in.elsewhere4(p)
	}
	if !in.source4(p) {
		return Taken
	}
	if len(ip.Options) > 0 && !in.options4(&ip, p) {
		return Taken
	}
	if !ip.MF && ip.FragmentOffset == 0 {
		return in.forUs()
	}
	piece := fragmentIn{id: uint32(ip.ID), offset: ip.FragmentOffset, more: ip.MF}
	if !in.layer.reassembly.add(piece, p) {
		return Taken
	}
	in.owned = append(in.owned, p.Buffer)
	return in.forUs()
}

func headerDrop(err error) drop.Reason {
	switch {
	case errors.Is(err, wire.ErrVersion):
		return drop.IPVersion
	case errors.Is(err, wire.ErrChecksum):
		return drop.IPChecksum
	}
	return drop.IPHeader
}

// destination4 says whether p is for us (RFC 1122 3.2.1.3), and notes when it is for others as well.
func (in *Input) destination4(p *Packet) bool {
	if p.Dst == in.lastDst {
		return true
	}
	switch in.topology.class(p.Dst) {
	case own:
		in.lastDst = p.Dst
		return true
	case broadcast:
		p.Broadcast = true
		return true
	case foreign:
	}
	switch {
	case p.Dst == limitedBroadcast, p.Dst == allHosts:
		p.Broadcast = true
		return true
	}
	return p.Dst.IsLoopback() && in.iface.loopback
}

// elsewhere4 is elsewhere for a packet of IPv4.
func (in *Input) elsewhere4(p *Packet) Outcome {
	if p.Dst.IsLoopback() {
		return in.drop(drop.BadDestination)
	}
	return in.elsewhere(p)
}

// source4 says whether p's source may be one host on the network it came from (RFC 1122 3.2.1.3, MUST-63).
// Our own address never comes from the wire: that is a LAND attack or a loop.
func (in *Input) source4(p *Packet) bool {
	switch {
	case p.Src == in.lastSrc:
		return true
	case in.iface.loopback:
		if p.Src.IsLoopback() || in.topology.class(p.Src) == own {
			return true
		}
	case p.Src.IsUnspecified():
		// A host that has no address yet asks for one.
		if p.Protocol == wire.ProtocolUDP && p.Dst == limitedBroadcast {
			return true
		}
	case isUnicast(p.Src) && !p.Src.IsLoopback() && in.topology.class(p.Src) == foreign:
		in.lastSrc = p.Src
		return true
	}
	in.drop(drop.BadSource)
	return false
}

// options4 says whether the packet may pass: options that we do not know are skipped (MUST-50), one of
// illegal length is a parameter problem (RFC 1122 3.2.1.8), and source routes are not for us (RFC 7126 4.3).
func (in *Input) options4(ip *wire.IPv4, p *Packet) bool {
	sourceRoute, pointer, err := ip.CheckOptions()
	switch {
	case err != nil:
		in.drop(drop.IPOptions)
		in.layer.SendError(p, HeaderProblem, uint32(pointer))
	case sourceRoute:
		in.drop(drop.SourceRoute)
	default:
		return true
	}
	return false
}
