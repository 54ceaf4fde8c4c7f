package ip

import (
	"encoding/binary"
	"net/netip"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/span"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// OutPacket is a transport's packet on its way down. Everything in it is borrowed for the call of Send.
type OutPacket struct {
	Protocol, TOS, TTL uint8       // TTL 0: the host's default
	Header             []byte      // transport header, its checksum field zero
	ChecksumOffset     int         // of the checksum field in Header; negative: Header needs none
	Payload            []span.Span // gathered behind Header
	PayloadLen         int
	GSOSize            uint16 // payload of each segment of a super-segment; 0 for a plain packet
	DontFragment       bool
	MTU                int // of the path where it is less than the route's; 0 for the route's
}

// smallPayload is the payload in octets up to which a packet is copied into its frame rather than gathered.
const smallPayload = 512

// Send queues p on the route's interface. It takes leaf locks only and never blocks: callable under a
// shard's lock. Its caller calls Layer.Flush once no lock is held. A packet over the path's MTU leaves
// in fragments, or is dropped and counted when it must not be cut.
func (r *Route) Send(p *OutPacket) {
	limit, front := r.limit(p), r.family.headerLen+len(p.Header)
	fits := front+int(p.GSOSize) <= limit // each of what the device will cut
	if p.GSOSize != 0 {
		limit = max(limit, r.super)
	}
	if total := front + p.PayloadLen; fits && total <= limit {
		r.sendWhole(p, total)
		return
	}
	if p.DontFragment || p.GSOSize != 0 {
		r.iface.core.drop(drop.TooBig)
		return
	}
	r.sendFragments(p)
}

// limit returns the largest packet that p may leave in.
func (r *Route) limit(p *OutPacket) int {
	if p.MTU > 0 {
		return min(p.MTU, r.mtu)
	}
	return r.mtu
}

// sendWhole makes one frame: link, IP and transport header in a buffer of its own, the payload behind them
// when it is small or not ours to keep, by reference otherwise.
func (r *Route) sendWhole(p *OutPacket, total int) {
	ifc := r.iface
	copied := 0
	if p.PayloadLen <= smallPayload || !owned(p.Payload) {
		copied = p.PayloadLen
	}
	front := ifc.linkLen + r.family.headerLen
	n := front + len(p.Header) + copied
	buf := link.NewBuffer(link.Headroom + n)
	b := buf.Bytes()[link.Headroom : link.Headroom+n]
	if r.V6() {
		r.putHeader6(b[ifc.linkLen:], p, total)
	} else {
		r.putHeader4(b[ifc.linkLen:], p, total)
	}
	copy(b[front:], p.Header)

	var f link.Frame
	f.Set(buf, link.Headroom, link.Headroom+n)
	if copied > 0 {
		at := front + len(p.Header)
		for _, s := range p.Payload {
			at += copy(b[at:], s.Data)
		}
	}
	if p.ChecksumOffset >= 0 {
		r.checksum(&f, p, b[front:])
	}
	if p.GSOSize != 0 {
		f.Meta.GSO, f.Meta.GSOSize, f.Meta.HeaderLen = r.family.tcpSuper, p.GSOSize, uint16(front+len(p.Header))
	}
	gather := p.Payload
	if copied > 0 {
		gather = nil
	}
	r.transmit(r.queueFor(p), &f, gather, p.Protocol)
}

// owned says whether all spans can be kept by reference.
func owned(spans []span.Span) bool {
	for _, s := range spans {
		if b, ok := s.Owner.(*link.Buffer); !ok || b == nil {
			return false
		}
	}
	return true
}

// ttl returns the TTL or hop limit of a packet.
func (r *Route) ttl(p *OutPacket) uint8 {
	if p.TTL == 0 {
		return r.iface.core.TTL
	}
	return p.TTL
}

// checksum completes the transport checksum of the packet whose transport header begins at transport, or leaves the
// payload's part to the device.
func (r *Route) checksum(f *link.Frame, p *OutPacket, transport []byte) {
	sum := r.pseudoHeader(p.Protocol, len(p.Header)+p.PayloadLen)
	field := transport[p.ChecksumOffset:]
	if r.iface.info.Checksum {
		binary.BigEndian.PutUint16(field, wire.Fold(sum))
		f.Meta.NeedsChecksum = true
		f.Meta.ChecksumStart = uint16(r.iface.linkLen + r.family.headerLen)
		f.Meta.ChecksumOffset = uint16(p.ChecksumOffset)
		return
	}
	putChecksum(field, p, sum)
}

// putChecksum computes the whole transport checksum, given the pseudo-header's sum.
func putChecksum(field []byte, p *OutPacket, sum uint32) {
	sum = wire.Sum(p.Header, sum)
	at := len(p.Header)
	for _, s := range p.Payload {
		sum = wire.SumAt(s.Data, at, sum)
		at += len(s.Data)
	}
	c := ^wire.Fold(sum)
	if c == 0 && p.Protocol == wire.ProtocolUDP {
		c = 0xffff // zero says that there is none (RFC 768)
	}
	binary.BigEndian.PutUint16(field, c)
}

// queueFor returns the queue for a packet of a flow, which stays on its queue: TCP's by their ports, all others by their
// addresses, since fragments have no ports but the first, and an ICMP message has none. Package tap has the kernel
// choose the same queue for the other direction, so that datagrams stay in order there too.
func (r *Route) queueFor(p *OutPacket) *Queue {
	queues := r.iface.queues
	if len(queues) == 1 {
		return queues[0]
	}
	var h uint32
	if p.Protocol == wire.ProtocolTCP {
		h = binary.BigEndian.Uint32(p.Header)
	} else {
		h = addressBits(r.local) ^ addressBits(r.remote)
	}
	h *= 0x9e3779b1
	return r.iface.queueFrom(int(h>>16) % len(queues))
}

// addressBits mixes the octets of an address: that of two IPv4 addresses, combined by XOR, is that of their 32 bits.
func addressBits(a netip.Addr) uint32 {
	b := a.As16()
	return binary.BigEndian.Uint32(b[0:4]) ^ binary.BigEndian.Uint32(b[4:8]) ^ binary.BigEndian.Uint32(b[8:12]) ^
		binary.BigEndian.Uint32(b[12:16])
}

// transmit puts a frame with room for its link header on the queue, gather behind it, once it is known where
// it goes. The spans of gather are all kept by buffers. proto is what the packet carries.
func (r *Route) transmit(q *Queue, f *link.Frame, gather []span.Span, proto uint8) {
	if r.iface.linkLen == 0 {
		q.put(f, gather)
		return
	}
	mac := r.groupMAC
	if !r.group {
		var ok bool
		if mac, ok = r.resolve(q, f, gather, proto); !ok {
			return
		}
	}
	putLinkHeader(f, mac, r.iface.info.MAC, r.family.etherType)
	q.put(f, gather)
}
