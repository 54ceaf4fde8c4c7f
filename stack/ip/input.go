package ip

import (
	"net/netip"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// Outcome says what a frame has come to.
type Outcome uint8

const (
	// Taken: the layer has dealt with the frame, or dropped and counted it.
	Taken Outcome = iota
	// ForTransport: Input.Packet is for a transport.
	ForTransport
	// AboutOurs: Input.Report tells of a packet of ours.
	AboutOurs
	// ForOthers: Input.Packet is for another host, and the layer forwards. Input.Forward is to be called.
	ForOthers
)

// Input takes the frames of one receive loop. Its methods are called by one goroutine at a time.
type Input struct {
	// Packet and Report are what the last call of Frame has found.
	Packet Packet
	Report Report

	layer    *Layer
	iface    *Interface
	topology *topology // of the burst
	// The destination and the source of the latest packet that passed for our own and for a foreign address
	// of topology: most packets are between the same two.
	lastDst, lastSrc netip.Addr
	linkSource       link.MAC       // of the frame
	flowLabel        uint32         // of the IPv6 packet
	owned            []*link.Buffer // of reassembled packets, to be released after the burst
}

// Init makes in ready for frames of one of the layer's interfaces.
func (in *Input) Init(l *Layer, ifc *Interface) { in.layer, in.iface = l, ifc }

// Begin begins a burst of frames: addresses and routes are those of now until it ends.
func (in *Input) Begin() {
	if t := in.layer.topology.Load(); t != in.topology {
		in.topology, in.lastDst, in.lastSrc = t, netip.Addr{}, netip.Addr{}
	}
}

// End ends a burst, and releases what packets of it were put together in. The frames are the caller's to release.
func (in *Input) End() {
	for i, b := range in.owned {
		b.Release()
		in.owned[i] = nil
	}
	in.owned = in.owned[:0]
	in.Packet, in.Report.Transport = Packet{}, nil // which would keep the last frame's buffer
}

// Frame takes one frame, which the caller keeps until the end of the burst. The link's header and pad stay here.
func (in *Input) Frame(f *link.Frame) Outcome {
	p := &in.Packet
	*p = Packet{Interface: in.iface, Buffer: f.Buffer()}
	// A partial checksum means that the packet never crossed a wire.
	p.ChecksumOK = f.Meta.ChecksumValid || f.Meta.NeedsChecksum && in.iface.info.Checksum
	if f.Meta.GSO != link.NoSegmentation {
		p.GSOSize = f.Meta.GSOSize
	}
	if in.iface.info.Kind == link.IP {
		return in.ip(f.Header)
	}
	var eth wire.Ethernet
	b, err := eth.Parse(f.Header)
	if err != nil {
		return in.drop(drop.Runt)
	}
	if !in.accepts(&eth) {
		return Taken
	}
	if eth.Type == wire.EtherTypeVLAN || eth.Type == wire.EtherTypeServiceVLAN {
		var ok bool
		if eth.Type, b, ok = in.untag(eth.Type, b); !ok {
			return Taken
		}
	}
	p.Broadcast, in.linkSource = eth.Dst[0]&1 != 0, eth.Src
	if f := familyOfType(eth.Type); f != nil {
		return in.network(f, b)
	}
	if eth.Type == wire.EtherTypeARP {
		in.arp(b)
		return Taken
	}
	return in.drop(drop.EtherType)
}

// ip takes a packet from a device that has no link header.
func (in *Input) ip(b []byte) Outcome {
	if len(b) == 0 {
		return in.drop(drop.Runt)
	}
	return in.network(familyOfVersion(b[0]>>4), b)
}

// drop counts a packet that comes to nothing. It is not inlined for the reason of (*base).drop.
//
//go:noinline
func (in *Input) drop(reason drop.Reason) Outcome {
	in.layer.drop(reason)
	return Taken
}

// accepts says whether a frame is for us: our own address, everybody's, or that of a group we are in.
func (in *Input) accepts(eth *wire.Ethernet) bool {
	own := in.iface.info.MAC
	switch {
	case eth.Src == own:
		in.drop(drop.OwnMAC)
	case eth.Dst == own, inGroup(eth.Dst), isGroupMAC6(eth.Dst) && in.topology.inGroupMAC6(in.iface, eth.Dst):
		return true
	default:
		in.drop(drop.ForeignMAC)
	}
	return false
}

// untag takes the tags of VLAN 0 off, which name a priority and no VLAN (IEEE 802.1Q 6.9.1), and returns what they
// enclose and its EtherType. As Linux does it, it takes all of them, a service provider's too.
func (in *Input) untag(typ uint16, b []byte) (uint16, []byte, bool) {
	for typ == wire.EtherTypeVLAN || typ == wire.EtherTypeServiceVLAN {
		var tag wire.VLANTag
		rest, err := tag.Parse(b)
		switch {
		case err != nil:
			in.drop(drop.Runt)
			return 0, nil, false
		case tag.ID != 0:
			in.drop(drop.VLAN)
			return 0, nil, false
		}
		typ, b = tag.Type, rest
	}
	return typ, b, true
}

// Forward passes on the packet of a frame for which Frame has just returned ForOthers. It does not flush.
func (in *Input) Forward(f *link.Frame) {
	if w := in.layer.forwarding.Load(); w != nil { // otherwise it was turned off just now
		(*w).forward(in, f)
	}
}

// elsewhere says what comes of a packet whose destination is not us.
func (in *Input) elsewhere(p *Packet) Outcome {
	switch {
	case in.iface.loopback || p.Dst.IsMulticast():
	case in.layer.forwarding.Load() != nil:
		return ForOthers
	}
	return in.drop(drop.NotForUs)
}

// network takes a packet of a family.
func (in *Input) network(f *family, b []byte) Outcome {
	if f == family6 {
		return in.ipv6(b)
	}
	return in.ipv4(b)
}

// forUs is the last step of a whole packet: ICMP is the layer's own, everything else a transport's.
func (in *Input) forUs() Outcome {
	p := &in.Packet
	switch {
	case p.Protocol != p.family.icmp:
		return ForTransport
	case p.family == family6:
		return in.icmp6(p)
	}
	return in.icmp4(p)
}
