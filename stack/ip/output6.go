package ip

import (
	"encoding/binary"

	"github.com/unet-go/unet/internal/wire"
)

// putHeader6 writes the IPv6 header of a whole packet to b.
func (r *Route) putHeader6(b []byte, p *OutPacket, total int) {
	h := r.header6(p, total-wire.IPv6Len)
	h.Marshal(b)
}

func (r *Route) header6(p *OutPacket, payloadLen int) wire.IPv6 {
	return wire.IPv6{TrafficClass: p.TOS, FlowLabel: r.flowLabel(p), PayloadLen: payloadLen, NextHeader: p.Protocol,
		HopLimit: r.hopLimit(p), Src: r.local.As16(), Dst: r.remote.As16()}
}

// hopLimit returns the hop limit of a packet: that which a router has advertised, where the packet has none of its own.
func (r *Route) hopLimit(p *OutPacket) uint8 {
	if advised := r.iface.advised.hopLimit.Load(); p.TTL == 0 && advised != 0 {
		return uint8(advised)
	}
	return r.ttl(p)
}

// fragment6 writes the headers of a fragment, n octets at offset of what the packet carries, to b.
func (r *Route) fragment6(b []byte, p *OutPacket, id uint32, offset, n int, more bool) {
	h := r.header6(p, wire.IPv6FragmentLen+n)
	h.NextHeader = wire.IPv6Fragments
	f := wire.IPv6Fragment{NextHeader: p.Protocol, Offset: offset, More: more, ID: id}
	f.Marshal(b[h.Marshal(b):])
}

// flowLabel returns the label of the flow that p belongs to: the same for all packets between the same ports of the same
// hosts, and for an observer without order (RFC 6437 3). Routers choose a path by it and need not look for the ports. On
// loopback, where there are none, it says which interface link-local addresses belong to; see Input.scoped.
func (r *Route) flowLabel(p *OutPacket) uint32 {
	if r.zone != 0 {
		return r.zone
	}
	x := r.flowSeed + uint64(p.Protocol)
	if (p.Protocol == wire.ProtocolTCP || p.Protocol == wire.ProtocolUDP) && len(p.Header) >= 4 {
		x ^= uint64(binary.BigEndian.Uint32(p.Header)) << 16
	}
	// Two rounds of multiplication, each of which carries upwards what differs.
	x *= 0x9e3779b97f4a7c15
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	return max(uint32(x>>44), 1) // 0 says that there is none
}
