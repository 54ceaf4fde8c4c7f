package ip

import (
	"net/netip"

	"github.com/unet-go/unet/internal/wire"
)

// mayPass4 says whether the options of a packet for another host, if any, let it pass.
func (in *Input) mayPass4(p *Packet) bool {
	if len(p.header) == wire.IPv4Len {
		return true
	}
	var h wire.IPv4
	_, err := h.ParseQuote(p.header)
	return err == nil && in.options4(&h, p)
}

// quotedPacket4 is quotedPacket for a packet of IPv4.
func quotedPacket4(b []byte) *Packet {
	var h wire.IPv4
	payload, err := h.ParseQuote(b)
	if err != nil {
		return nil
	}
	return &Packet{family: family4, Src: netip.AddrFrom4(h.Src), Dst: netip.AddrFrom4(h.Dst), Protocol: h.Protocol,
		header: b[:h.HeaderLen], Payload: payload, laterFragment: h.FragmentOffset != 0}
}

// cutFragments queues a packet of IPv4, which may be a fragment itself, in fragments that the link takes (RFC 791 3.2,
// RFC 1812 4.2.2.7). The first one has all options, the others those that are to be copied.
func (t *transit) cutFragments(b []byte) {
	r := t.route
	var h wire.IPv4
	data, err := h.ParseQuote(b)
	if err != nil { // it was parsed before
		return
	}
	base, more := h.FragmentOffset, h.MF
	for at := 0; at < len(data); {
		if at > 0 {
			h.Options = copiedOptions4(&h)
		}
		front := wire.IPv4Len + (len(h.Options)+3)&^3
		n := min((r.mtu-front)&^7, len(data)-at)
		h.FragmentOffset, h.MF, h.TotalLen = base+at, more || at+n < len(data), front+n
		f, s := r.frame(front + n)
		h.Marshal(s)
		copy(s[front:], data[at:at+n])
		at += n
		t.transmit(&f)
	}
	r.iface.core.counters.fragmented.Add(1)
}

// copiedOptions4 returns the options that each fragment has (RFC 791 3.1: those of the copied flag).
func copiedOptions4(h *wire.IPv4) (options []byte) {
	const copied = 0x80
	var o wire.IPv4Option
	for r := h.ReadOptions(); ; {
		if ok, err := r.Next(&o); !ok || err != nil {
			return options
		}
		if o.Type&copied != 0 {
			options = append(append(options, o.Type, uint8(len(o.Data)+2)), o.Data...)
		}
	}
}
