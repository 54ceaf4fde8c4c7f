package stack

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/tcp"
)

var (
	limitedBroadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	allHosts         = netip.AddrFrom4([4]byte{224, 0, 0, 1}) // every host is in this group (RFC 1112 4)
	allHostsMAC      = link.MAC{0x01, 0x00, 0x5e, 0, 0, 1}
)

// groupMAC returns the Ethernet address of a broadcast or multicast address (RFC 1112 6.4).
func groupMAC(a netip.Addr) link.MAC {
	if !a.IsMulticast() {
		return wire.BroadcastMAC
	}
	b := a.As4()
	return link.MAC{0x01, 0x00, 0x5e, b[1] & 0x7f, b[2], b[3]}
}

// ipv4 takes an IPv4 packet and what may follow it in the frame. p holds what the link layer knows.
func (rc *receiver) ipv4(b []byte, p *packet) {
	h := rc.host
	var ip wire.IPv4
	payload, err := ip.Parse(b)
	if err != nil {
		h.drop(headerDrop(err))
		return
	}
	p.src, p.dst = netip.AddrFrom4(ip.Src), netip.AddrFrom4(ip.Dst)
	p.header, p.payload = b[:ip.HeaderLen], payload
	p.tos, p.ttl = ip.TOS, ip.TTL
	if !rc.destination4(p) || !rc.source4(p, ip.Protocol) {
		return
	}
	if len(ip.Options) > 0 && !rc.options4(&ip, p) {
		return
	}
	if !ip.MF && ip.FragmentOffset == 0 {
		rc.deliver(ip.Protocol, p)
		return
	}
	if whole, proto := h.reassembly.add(&ip, p); whole != nil {
		rc.owned = append(rc.owned, whole.buf)
		rc.deliver(proto, whole)
	}
}

func headerDrop(err error) Drop {
	switch {
	case errors.Is(err, wire.ErrVersion):
		return DropIPVersion
	case errors.Is(err, wire.ErrChecksum):
		return DropIPChecksum
	}
	return DropIPHeader
}

// destination4 says whether p is for us (RFC 1122 3.2.1.3), and notes when it is for others as well.
func (rc *receiver) destination4(p *packet) bool {
	if p.dst == rc.lastDst {
		return true
	}
	switch rc.topology.class(p.dst) {
	case own:
		rc.lastDst = p.dst
		return true
	case broadcast:
		p.broadcast = true
		return true
	case foreign:
	}
	switch {
	case p.dst == limitedBroadcast, p.dst == allHosts:
		p.broadcast = true
		return true
	case p.dst.IsLoopback():
		if rc.iface.loopback {
			return true
		}
		rc.host.drop(DropBadDestination)
	default:
		rc.host.drop(DropNotForUs)
	}
	return false
}

// source4 says whether p's source may be one host on the network it came from (RFC 1122 3.2.1.3, MUST-63).
// Our own address never comes from the wire: that is a LAND attack or a loop.
func (rc *receiver) source4(p *packet, proto uint8) bool {
	switch {
	case p.src == rc.lastSrc:
		return true
	case rc.iface.loopback:
		if p.src.IsLoopback() || rc.topology.class(p.src) == own {
			return true
		}
	case p.src.IsUnspecified():
		// A host that has no address yet asks for one.
		if proto == wire.ProtocolUDP && p.dst == limitedBroadcast {
			return true
		}
	case isUnicast(p.src) && !p.src.IsLoopback() && rc.topology.class(p.src) == foreign:
		rc.lastSrc = p.src
		return true
	}
	rc.host.drop(DropBadSource)
	return false
}

// options4 says whether the packet may pass: options that we do not know are skipped (MUST-50), one of
// illegal length is a parameter problem (RFC 1122 3.2.1.8), and source routes are not for us (RFC 7126 4.3).
func (rc *receiver) options4(ip *wire.IPv4, p *packet) bool {
	sourceRoute, pointer, err := ip.CheckOptions()
	switch {
	case err != nil:
		rc.host.drop(DropIPOptions)
		if ip.FragmentOffset == 0 {
			rc.host.sendICMPError(p, wire.ICMPv4ParameterProblem, 0, [4]byte{uint8(pointer)})
		}
	case sourceRoute:
		rc.host.drop(DropSourceRoute)
	default:
		return true
	}
	return false
}

// smallPayload is the payload in octets up to which a packet is copied into its frame rather than gathered.
const smallPayload = 512

// send queues p on the route's interface. It takes leaf locks only and never blocks: callable under a
// shard's lock. Whoever calls it calls Host.flush once no lock is held. A packet over the path's MTU leaves
// in fragments, or is dropped and counted when it must not be cut.
func (r *route) send(p *outPacket) {
	limit, front := r.mtu(p), wire.IPv4Len+len(p.header)
	fits := front+int(p.gsoSize) <= limit // each of what the device will cut
	if p.gsoSize != 0 {
		limit = max(limit, r.path.MaxSuper)
	}
	if total := front + p.payloadLen; fits && total <= limit {
		r.sendWhole(p, total)
		return
	}
	if p.df || p.gsoSize != 0 {
		r.iface.host.drop(DropTooBig)
		return
	}
	r.sendFragments(p)
}

// mtu returns the largest packet that p may leave in.
func (r *route) mtu(p *outPacket) int {
	if p.mtu > 0 {
		return min(p.mtu, r.path.MTU)
	}
	return r.path.MTU
}

// sendWhole makes one frame: link, IP and transport header in a buffer of its own, the payload behind them
// when it is small or not ours to keep, by reference otherwise.
func (r *route) sendWhole(p *outPacket, total int) {
	ifc := r.iface
	copied := 0
	if p.payloadLen <= smallPayload || !kept(p.payload) {
		copied = p.payloadLen
	}
	front := ifc.linkLen + wire.IPv4Len
	n := front + len(p.header) + copied
	buf := link.NewBuffer(link.Headroom + n)
	b := buf.Bytes()[link.Headroom : link.Headroom+n]
	ip := r.header4(p, total)
	if !p.df { // only a packet that may be cut needs an identification (RFC 6864 4.1)
		ip.ID = ifc.host.ids.next(r.local, r.remote, p.proto)
	}
	ip.Marshal(b[ifc.linkLen:])
	copy(b[front:], p.header)

	var f link.Frame
	f.Set(buf, link.Headroom, link.Headroom+n)
	if copied > 0 {
		at := front + len(p.header)
		for _, s := range p.payload {
			at += copy(b[at:], s.Data)
		}
	}
	if p.sumOffset >= 0 {
		r.checksum(&f, p, b[front:])
	}
	if p.gsoSize != 0 {
		f.Meta.GSO, f.Meta.GSOSize, f.Meta.HeaderLen = link.TCP4, p.gsoSize, uint16(front+len(p.header))
	}
	gather := p.payload
	if copied > 0 {
		gather = nil
	}
	r.transmit(r.queueFor(p), &f, gather)
}

// kept says whether all spans can be kept by reference.
func kept(spans []tcp.Span) bool {
	for _, s := range spans {
		if b, ok := s.Owner.(*link.Buffer); !ok || b == nil {
			return false
		}
	}
	return true
}

func (r *route) header4(p *outPacket, total int) wire.IPv4 {
	ttl := p.ttl
	if ttl == 0 {
		ttl = r.iface.host.config.TTL
	}
	return wire.IPv4{TOS: p.tos, TotalLen: total, DF: p.df, TTL: ttl, Protocol: p.proto,
		Src: r.local.As4(), Dst: r.remote.As4()}
}

// checksum completes the transport checksum of the packet whose transport header begins at, or leaves the
// payload's part to the device.
func (r *route) checksum(f *link.Frame, p *outPacket, transport []byte) {
	sum := wire.PseudoHeader4(r.local.As4(), r.remote.As4(), p.proto, len(p.header)+p.payloadLen)
	field := transport[p.sumOffset:]
	if r.iface.info.Checksum {
		binary.BigEndian.PutUint16(field, wire.Fold(sum))
		f.Meta.NeedsChecksum = true
		f.Meta.ChecksumStart = uint16(r.iface.linkLen + wire.IPv4Len)
		f.Meta.ChecksumOffset = uint16(p.sumOffset)
		return
	}
	putChecksum(field, p, sum)
}

// putChecksum computes the whole transport checksum, given the pseudo-header's sum.
func putChecksum(field []byte, p *outPacket, sum uint32) {
	sum = wire.Sum(p.header, sum)
	at := len(p.header)
	for _, s := range p.payload {
		sum = wire.SumAt(s.Data, at, sum)
		at += len(s.Data)
	}
	c := ^wire.Fold(sum)
	if c == 0 && p.proto == wire.ProtocolUDP {
		c = 0xffff // zero says that there is none (RFC 768)
	}
	binary.BigEndian.PutUint16(field, c)
}
