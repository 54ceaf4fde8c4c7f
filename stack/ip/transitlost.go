package ip

import (
	"net/netip"

	"github.com/unet-go/unet/internal/wire"
)

// tellSources takes the reports about packets of others out of a list, and tells the sources of these packets that their
// destination does not answer (RFC 1812 5.2.7.1, RFC 4861 7.2.2).
func (w *forwarding) tellSources(reports []Report) []Report {
	l := w.layer
	ours := reports[:0]
	for _, r := range reports {
		if r.packet == nil || r.Local.IsValid() && l.IsLocal(r.Local) {
			ours = append(ours, r)
			continue
		}
		if p := quotedPacket(r.packet); p != nil {
			l.SendError(p, HostUnreachable, 0)
		}
	}
	return ours
}

// quotedPacket returns what an error about a packet of others, perhaps cut short, is made from; nil if that is no packet.
func quotedPacket(b []byte) *Packet {
	if familyOfVersion(b[0]>>4) == family6 {
		var h wire.IPv6
		payload, err := h.ParseQuote(b)
		if err != nil {
			return nil
		}
		return &Packet{family: family6, Src: netip.AddrFrom16(h.Src), Dst: netip.AddrFrom16(h.Dst), Protocol: h.NextHeader,
			header: b[:wire.IPv6Len], Payload: payload}
	}
	return quotedPacket4(b)
}
