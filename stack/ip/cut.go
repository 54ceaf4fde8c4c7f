package ip

import (
	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/span"
	"github.com/unet-go/unet/stack/link"
)

// sendFragments cuts a packet that exceeds the MTU (RFC 791 2.3, RFC 8200 4.5). The checksum is made here in any case: no
// device completes one over several frames. The fragments share one copy of the payload.
func (r *Route) sendFragments(p *OutPacket) {
	ifc := r.iface
	size := len(p.Header) + p.PayloadLen
	if size > r.family.maxPayload() {
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
		putChecksum(data[p.ChecksumOffset:], p, r.pseudoHeader(p.Protocol, size))
	}
	q := r.queueFor(p)
	headers := r.family.headerLen + r.family.fragmentLen
	step := (r.limit(p) - headers) &^ 7
	id := ifc.core.ids.next(r.local, r.remote, p.Protocol)
	var gather [1]span.Span
	for offset := 0; offset < size; offset += step {
		n := min(step, size-offset)
		front := ifc.linkLen + headers
		buf := link.NewBuffer(link.Headroom + front)
		b, more := buf.Bytes()[link.Headroom+ifc.linkLen:], offset+n < size
		if r.V6() {
			r.fragment6(b, p, id, offset, n, more)
		} else {
			r.fragment4(b, p, uint16(id), offset, n, more)
		}
		var f link.Frame
		f.Set(buf, link.Headroom, link.Headroom+front)
		gather[0] = span.Span{Data: data[offset : offset+n : offset+n], Owner: whole}
		r.transmit(q, &f, gather[:], p.Protocol)
	}
	whole.Release()
	ifc.core.counters.fragmented.Add(1)
}
