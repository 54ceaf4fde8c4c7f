package ip

import (
	"net/netip"
	"sync/atomic"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// ndHopLimit is the hop limit of all messages of neighbour discovery: one that came through a router has less
// (RFC 4861 3.1).
const ndHopLimit = 255

// ndSender sends what the host itself has to say on one link over IPv6, past all routes.
type ndSender struct {
	queue   func() *Queue // to send by now
	mac     link.MAC
	linkLen int // of the link header, 14 or 0
	router  *atomic.Pointer[forwarder]
	advised *ndParameters
}

// allNodesMAC is the Ethernet address of the group of all nodes.
var allNodesMAC = groupMAC6(allNodes)

// linkAddrLen is the length in octets of an option with an Ethernet address.
const linkAddrLen = 8

// send queues a packet of the given header and payload for a station. It fills in the length.
func (s *ndSender) send(to link.MAC, h *wire.IPv6, payload []byte) {
	n := s.linkLen + wire.IPv6Len + len(payload)
	buf := link.NewBuffer(link.Headroom + n)
	b := buf.Bytes()[link.Headroom:]
	if s.linkLen > 0 {
		eth := wire.Ethernet{Dst: to, Src: s.mac, Type: wire.EtherTypeIPv6}
		b = b[eth.Marshal(b):]
	}
	h.PayloadLen = len(payload)
	copy(b[h.Marshal(b):], payload)
	var f link.Frame
	f.Set(buf, link.Headroom, link.Headroom+n)
	s.queue().put(&f, nil)
}

// ndMessage is a solicitation or an advertisement with one option.
type ndMessage [wire.NDNeighborLen + linkAddrLen]byte

// put writes a message of the given type from src to dst, with the host's MAC in an option unless that is 0, and returns it.
func (b *ndMessage) put(s *ndSender, src, dst netip.Addr, typ uint8, m *wire.NDNeighbor, option uint8) []byte {
	n := m.Marshal(b[:], typ)
	if option != 0 && s.linkLen > 0 {
		o := wire.NDOption{Type: option, Data: s.mac[:]}
		n += o.Marshal(b[n:])
	}
	wire.PutICMPv6Checksum(b[:n], src.As16(), dst.As16())
	return b[:n]
}

// message sends such a message to a station.
func (s *ndSender) message(to link.MAC, src, dst netip.Addr, typ uint8, m *wire.NDNeighbor, option uint8) {
	var b ndMessage
	s.send(to, &wire.IPv6{NextHeader: wire.ProtocolICMPv6, HopLimit: ndHopLimit, Src: src.As16(), Dst: dst.As16()},
		b.put(s, src, dst, typ, m, option))
}

// solicit asks for target. withMAC says whether the answer may be sent to the host's MAC without a question for it.
func (s *ndSender) solicit(to link.MAC, src, dst, target netip.Addr, withMAC bool) {
	option := uint8(0)
	if withMAC {
		option = wire.NDOptSourceLinkAddr
	}
	s.message(to, src, dst, wire.ICMPv6NeighborSolicitation, &wire.NDNeighbor{Target: target.As16()}, option)
}

// detect asks whether another host has the address (RFC 4862 5.4.2).
func (s *ndSender) detect(a netip.Addr) {
	group := solicitedNode(a)
	s.solicit(groupMAC6(group), netip.IPv6Unspecified(), group, a, false)
}

// advertise says that target is at the host's MAC. override says that what others have known before is to be replaced.
func (s *ndSender) advertise(to link.MAC, target, dst netip.Addr, solicited, override bool) {
	s.message(to, target, dst, wire.ICMPv6NeighborAdvertisement,
		&wire.NDNeighbor{Router: s.router.Load() != nil, Solicited: solicited, Override: override, Target: target.As16()}, wire.NDOptTargetLinkAddr)
}

// announce tells all hosts on the link of an address (RFC 4861 7.2.6).
func (s *ndSender) announce(a netip.Addr) { s.advertise(allNodesMAC, a, allNodes, false, true) }
