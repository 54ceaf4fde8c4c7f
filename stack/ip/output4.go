package ip

import "github.com/unet-go/unet/internal/wire"

// putHeader4 writes the IPv4 header of a whole packet to b.
func (r *Route) putHeader4(b []byte, p *OutPacket, total int) {
	h := r.header4(p, total)
	if !p.DontFragment { // only a packet that may be cut needs an identification (RFC 6864 4.1)
		h.ID = uint16(r.iface.core.ids.next(r.local, r.remote, p.Protocol))
	}
	h.Marshal(b)
}

func (r *Route) header4(p *OutPacket, total int) wire.IPv4 {
	return wire.IPv4{TOS: p.TOS, TotalLen: total, DF: p.DontFragment, TTL: r.ttl(p), Protocol: p.Protocol,
		Src: r.local.As4(), Dst: r.remote.As4()}
}

// fragment4 writes the header of a fragment, n octets at offset of what the packet carries, to b.
func (r *Route) fragment4(b []byte, p *OutPacket, id uint16, offset, n int, more bool) {
	h := r.header4(p, wire.IPv4Len+n)
	h.ID, h.FragmentOffset, h.MF = id, offset, more
	h.Marshal(b)
}
