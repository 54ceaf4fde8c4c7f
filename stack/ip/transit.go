package ip

import (
	"encoding/binary"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// transit is a packet of others on its way through this host. Its octets are those of the received frame until send copies
// them, so that an error quotes what was received.
type transit struct {
	route  *Route
	in     *Packet
	packet []byte // from the IP header on, without the link's pad
	// Of a packet whose checksum was left to a device, where the transport header begins and the checksum field in that;
	// start is 0 for others. gso is the payload of each segment of a super-segment, of which headers are all octets before the payload.
	start, field, gso, headers int
}

// describe notes the packet of the frame and what the frame's metadata say of it. It is false if they contradict each other.
// offload says that the device may leave checksums out.
func (t *transit) describe(f *link.Frame, offload bool) bool {
	p := t.in
	t.packet = p.header[:len(p.header)+len(p.Payload)]
	at := cap(f.Header) - cap(p.header) // the octets of the link's header: both end where the buffer does
	if f.Meta.NeedsChecksum && offload {
		t.start, t.field = int(f.Meta.ChecksumStart)-at, int(f.Meta.ChecksumOffset)
		if t.start < len(p.header) || t.start+t.field+2 > len(t.packet) {
			return false
		}
	}
	if f.Meta.GSO == link.NoSegmentation {
		return true
	}
	if t.start == 0 {
		t.start = len(p.header)
	}
	t.gso, t.headers, t.field = int(f.Meta.GSOSize), int(f.Meta.HeaderLen)-at, tcpChecksum
	return t.gso > 0 && f.Meta.GSO == p.family.tcpSuper && t.start+wire.TCPLen <= t.headers && t.headers <= len(t.packet)
}

// tcpChecksum is where the checksum is in a TCP header.
const tcpChecksum = 16

// largest returns the length in octets of the largest packet that the next link would have to carry.
func (t *transit) largest() int {
	if t.gso > 0 {
		return min(t.headers+t.gso, len(t.packet))
	}
	return len(t.packet)
}

// dontFragment says whether a packet of IPv4 must not be cut.
func (t *transit) dontFragment() bool { return t.packet[6]&0x40 != 0 }

// send queues the packet with a TTL of one less: as it is where the device takes it so, or else cut into segments, or fragments,
// and with the checksum that the device that it came from has left out.
func (t *transit) send() {
	r := t.route
	f, b := r.frame(len(t.packet))
	copy(b, t.packet)
	t.packet = b
	r.family.decrement(b)
	whole := t.gso > 0 && len(b) <= r.super && t.headers+t.gso <= r.mtu
	switch {
	case whole:
		binary.BigEndian.PutUint16(b[t.start+t.field:], wire.Fold(t.pseudoHeader(len(b)-t.start)))
		f.Meta.GSO, f.Meta.GSOSize = r.family.tcpSuper, uint16(t.gso)
		f.Meta.HeaderLen = uint16(r.iface.linkLen + t.headers)
		t.leaveChecksum(&f)
	case t.gso > 0:
		t.cutSegments(b)
	case t.start > 0 && len(b) <= r.mtu && r.iface.info.Checksum:
		t.leaveChecksum(&f)
	case t.start > 0:
		completeChecksum(b[t.start:], t.field, t.in.Protocol)
	}
	if t.gso > 0 && !whole {
		f.Release()
		return
	}
	if len(b) > r.mtu && !whole {
		t.cutFragments(b)
		f.Release()
		return
	}
	t.transmit(&f)
}

// leaveChecksum leaves the checksum to the device that the frame goes to.
func (t *transit) leaveChecksum(f *link.Frame) {
	f.Meta.NeedsChecksum = true
	f.Meta.ChecksumStart, f.Meta.ChecksumOffset = uint16(t.route.iface.linkLen+t.start), uint16(t.field)
}

// pseudoHeader returns the sum of the pseudo-header of a segment of so many octets.
func (t *transit) pseudoHeader(length int) uint32 {
	return wire.PseudoHeader(t.in.Src, t.in.Dst, wire.ProtocolTCP, length)
}

// transmit queues a frame. A packet that waits for a neighbour is one of few, whatever it carries: others than ours have no claim to more.
func (t *transit) transmit(f *link.Frame) {
	r := t.route
	q := r.iface.queues[0]
	if n := len(r.iface.queues); n > 1 { // as queueFor chooses it for packets without ports
		h := (addressBits(t.in.Src) ^ addressBits(t.in.Dst)) * 0x9e3779b1
		q = r.iface.queueFrom(int(h>>16) % n)
	}
	r.transmit(q, f, nil, 0)
}

// frame returns a frame for a packet of n octets, and the place of the packet in it.
func (r *Route) frame(n int) (f link.Frame, packet []byte) {
	n += r.iface.linkLen
	buf := link.NewBuffer(link.Headroom + n)
	f.Set(buf, link.Headroom, link.Headroom+n)
	return f, f.Header[r.iface.linkLen:]
}

// decrement takes one from the TTL of a packet of IPv4, and puts its checksum right (RFC 1624), or from the hop limit.
func (f *family) decrement(packet []byte) {
	if f == family6 {
		packet[7]--
		return
	}
	packet[8]--
	sum := ^binary.BigEndian.Uint16(packet[10:])
	binary.BigEndian.PutUint16(packet[10:], ^wire.Fold(uint32(sum)+0xffff-0x100))
}

// completeChecksum completes the checksum of a transport header and what follows it, whose field has the pseudo-header's sum.
func completeChecksum(transport []byte, field int, protocol uint8) {
	c := wire.Checksum(transport, 0)
	if c == 0 && protocol == wire.ProtocolUDP {
		c = 0xffff // zero says that there is none (RFC 768)
	}
	binary.BigEndian.PutUint16(transport[field:], c)
}
