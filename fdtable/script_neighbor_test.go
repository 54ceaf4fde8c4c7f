package fdtable_test

import (
	"fmt"
	"net/netip"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// Messages of neighbour discovery and of multicast listeners (RFC 4861, RFC 3810).
const (
	listenerQuery         = 130
	listenerDone          = 132
	routerSolicitation    = 133
	neighborSolicitation  = 135
	neighborAdvertisement = 136
	listenerReport2       = 143
)

// neighborMessage is a message about who has an address: ARP's, or over IPv6 neighbour discovery's.
type neighborMessage struct {
	reply        bool
	sender       netip.Addr
	target       netip.Addr
	toOneStation bool
}

// String is how > lines have it, for either family.
func (m *neighborMessage) String() string {
	kind := "who-has"
	switch {
	case m.reply:
		kind = "reply"
	case m.toOneStation:
		kind = "probe"
	}
	return fmt.Sprintf("arp %s %v", kind, m.target)
}

// isQuestion says whether the peer has to answer. It does not answer announcements of the host's own address, nor the
// question of duplicate address detection whether another host has it.
func (m *neighborMessage) isQuestion() bool {
	return !m.reply && m.sender != m.target && !m.sender.IsUnspecified()
}

// readNeighbor reads an Ethernet frame, if it is a message about neighbours.
func readNeighbor(frame []byte) (m neighborMessage, is bool) {
	b := frame[14:]
	m.toOneStation = frame[0]&1 == 0
	if frame[12] == 8 && frame[13] == 6 && len(b) >= 28 {
		m.sender, m.target = netip.AddrFrom4([4]byte(b[14:18])), netip.AddrFrom4([4]byte(b[24:28]))
		m.reply = b[7] == 2
		return m, true
	}
	h, message, err := readIP(b)
	if err != nil || h.proto != wire.ProtocolICMPv6 || len(message) < 24 ||
		message[0] != neighborSolicitation && message[0] != neighborAdvertisement {
		return m, false
	}
	m.sender, m.target = h.src, netip.AddrFrom16([16]byte(message[8:24]))
	m.reply = message[0] == neighborAdvertisement
	return m, true
}

// isChatter says whether a packet is one that every IPv6 host sends and that no script expects: router solicitations,
// reports of multicast groups, and duplicate address detection.
func isChatter(packet []byte) bool {
	h, message, err := readIP(packet)
	if err != nil || h.src.Is4() {
		return false
	}
	if h.proto == wire.IPv6HopByHop && len(message) >= 16 {
		h.proto, message = message[0], message[8+8*min(int(message[1]), len(message)/8-2):]
	}
	if h.proto != wire.ProtocolICMPv6 || len(message) == 0 {
		return false
	}
	typ := message[0]
	return typ >= listenerQuery && typ <= listenerDone || typ == listenerReport2 || typ == routerSolicitation ||
		typ == neighborSolicitation && h.src.IsUnspecified()
}

// answer is the frame in which the peer, whose Ethernet address is mac, answers a question.
func (m *neighborMessage) answer(question []byte, mac link.MAC) []byte {
	if m.target.Is4() {
		return arpReply(question, mac)
	}
	message := []byte{neighborAdvertisement, 0, 0, 0, 0x60, 0, 0, 0} // solicited, override
	message = append(message, m.target.AsSlice()...)
	message = append(append(message, wire.NDOptTargetLinkAddr, 1), mac[:]...)
	packet := icmpPacket(m.target, m.sender, message)
	packet[7] = 255 // the hop limit of neighbour discovery
	return etherFrame(link.MAC(question[6:12]), mac, packet)
}

// arpReply answers a request that stands behind an Ethernet header.
func arpReply(request []byte, mac link.MAC) []byte {
	b := make([]byte, 42)
	copy(b, request[6:12])
	copy(b[6:], mac[:])
	copy(b[12:], request[12:20])
	b[21] = 2
	copy(b[22:], mac[:])
	copy(b[28:], request[38:42])
	copy(b[32:], request[22:32])
	return b
}

// etherFrame puts an IP packet into an Ethernet frame.
func etherFrame(to, from link.MAC, packet []byte) []byte {
	typ := etherTypeOf(packet)
	b := append(append(make([]byte, 0, 14+len(packet)), to[:]...), from[:]...)
	return append(append(b, byte(typ>>8), byte(typ)), packet...)
}
