package ip

import (
	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/span"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// putHeader4 writes the IPv4 header of a whole packet to b.
func (r *Route) putHeader4(b []byte, p *OutPacket, total int) {
	h := r.header4(p, total)
	if !p.DontFragment { // only a packet that may be cut needs an identification (RFC 6864 4.1)
		h.ID = r.iface.core.ids.next(r.local, r.remote, p.Protocol)
	}
	h.Marshal(b)
}

func (r *Route) header4(p *OutPacket, total int) wire.IPv4 {
	return wire.IPv4{TOS: p.TOS, TotalLen: total, DF: p.DontFragment, TTL: r.ttl(p), Protocol: p.Protocol,
		Src: r.local.As4(), Dst: r.remote.As4()}
}

// sendFragments cuts a packet that exceeds the MTU (RFC 791 2.3). The checksum is made here in any case: no
// device completes one over several frames. The fragments share one copy of the payload.
func (r *Route) sendFragments(p *OutPacket) {
	ifc := r.iface
	size := len(p.Header) + p.PayloadLen
	if wire.IPv4Len+size > maxPacket {
		ifc.core.drop(drop.TooBig)
		return
	}
	whole := link.NewBuffer(size)
	data := whole.Bytes()[:size]
	at := copy(data, p.Header)
	for _, s := range p.Payload {
		at += copy(data[at:], s.Data)
	}
	if p.ChecksumOffset >= 0 {
		putChecksum(data[p.ChecksumOffset:], p, wire.PseudoHeader(r.local, r.remote, p.Protocol, size))
	}
	q := r.queueFor(p)
	step := (r.limit(p) - wire.IPv4Len) &^ 7
	ip := r.header4(p, 0)
	ip.ID = ifc.core.ids.next(r.local, r.remote, p.Protocol)
	var gather [1]span.Span
	for offset := 0; offset < size; offset += step {
		n := min(step, size-offset)
		ip.TotalLen, ip.FragmentOffset, ip.MF = wire.IPv4Len+n, offset, offset+n < size
		front := ifc.linkLen + wire.IPv4Len
		buf := link.NewBuffer(link.Headroom + front)
		ip.Marshal(buf.Bytes()[link.Headroom+ifc.linkLen:])
		var f link.Frame
		f.Set(buf, link.Headroom, link.Headroom+front)
		gather[0] = span.Span{Data: data[offset : offset+n : offset+n], Owner: whole}
		r.transmit(q, &f, gather[:], p.Protocol)
	}
	whole.Release()
	ifc.core.counters.fragmented.Add(1)
}

// putHeader writes the IP header of a whole packet to b.
func (r *Route) putHeader(b []byte, p *OutPacket, total int) { r.putHeader4(b, p, total) }
