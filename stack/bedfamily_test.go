package stack

import (
	"net/netip"
	"testing"

	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// The beds of both families. Tests of what both have take addresses and frames from their bed, which knows its family;
// those of what only one has build the frames themselves.

// onBeds runs f over each family, as a subtest, with a fresh host that knows nobody.
func onBeds(t *testing.T, name string, cfg Config, f func(*bed)) {
	t.Helper()
	onDevices(t, name, cfg, memInfo, f)
}

// withPeers is onBeds with a peer that has just said its MAC.
func withPeers(t *testing.T, name string, cfg Config, f func(*bed)) {
	t.Helper()
	onBeds(t, name, cfg, func(b *bed) {
		b.h.findNeighbor(b, b.peer())
		f(b)
	})
}

// onDevices is onBeds for a device of its own.
func onDevices(t *testing.T, name string, cfg Config, info link.Info, f func(*bed)) {
	t.Helper()
	for _, of := range []family{ipv4, ipv6} {
		t.Run(name+of.of, func(t *testing.T) { inBed(t, of, cfg, info, []netip.Prefix{of.net()}, f) })
	}
}

// net is the host's address on a bed, with its network.
func (f *family) net() netip.Prefix { return netip.PrefixFrom(f.addrB, f.bits) }

// ours and peer are the addresses of the host and of its peer.
func (b *bed) ours() netip.Addr { return b.addrB }
func (b *bed) peer() netip.Addr { return b.addrA }

// here, there, anywhere and loopback are a port of the host, of the peer, of all addresses of the host, and of its loopback.
func (b *bed) here(port uint16) netip.AddrPort     { return netip.AddrPortFrom(b.ours(), port) }
func (b *bed) there(port uint16) netip.AddrPort    { return netip.AddrPortFrom(b.peer(), port) }
func (b *bed) anywhere(port uint16) netip.AddrPort { return netip.AddrPortFrom(b.any, port) }

func (b *bed) loopback(port uint16) netip.AddrPort {
	if b.any.Is6() {
		return netip.AddrPortFrom(netip.IPv6Loopback(), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
}

func (b *bed) bindUDP(local netip.AddrPort) *UDPSocket {
	b.Helper()
	s, err := b.h.ListenUDP(local, BindOptions{})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// framed returns a packet as the peer's frame for the host.
func (b *bed) framed(packet []byte) []byte {
	if b.dev.info.Kind == link.IP {
		return packet
	}
	return frames.Ethernet(ourMAC, peerMAC, packet)
}

// in returns a frame of the peer's with a packet for the host.
func (b *bed) in(protocol uint8, payload []byte) []byte {
	return b.framed(frames.IP(b.peer(), b.ours(), protocol, payload))
}

// tcpIn returns a frame of the peer's with a segment, udpIn one with a datagram, icmpIn one with an ICMP message.
func (b *bed) tcpIn(h wire.TCP, text []byte) []byte {
	return b.in(wire.ProtocolTCP, frames.TCP(b.peer(), b.ours(), h, text))
}

func (b *bed) udpIn(srcPort, dstPort uint16, data []byte) []byte {
	return b.in(wire.ProtocolUDP, frames.UDP(b.peer(), b.ours(), srcPort, dstPort, data))
}

func (b *bed) icmpIn(typ, code uint8, rest [4]byte, body []byte) []byte {
	return b.in(b.icmp, frames.ICMP(b.peer(), b.ours(), typ, code, rest, body))
}

// echoIn returns a frame of the peer's with an echo request.
func (b *bed) echoIn(data []byte) []byte {
	return b.icmpIn(b.echoRequest, 0, [4]byte{0, 1, 0, 1}, data)
}

// asked returns a frame by which the peer asks for the host's MAC, and says its own, peerMAC.
func (b *bed) asked() []byte { return b.askedBy(peerMAC) }

// askedBy is asked with any MAC.
func (b *bed) askedBy(mac link.MAC) []byte {
	if b.peer().Is4() {
		return request(b.peer(), mac, b.ours())
	}
	return neighborMessage(b.peer(), b.ours(), mac, true)
}

// told returns a frame by which a neighbour answers who has asked for its MAC.
func (b *bed) told(a netip.Addr, mac link.MAC) []byte {
	if a.Is4() {
		return reply(a, mac)
	}
	return neighborMessage(a, b.ours(), mac, false)
}

// parsed is a sent frame as IP packet.
func (b *bed) parsed(f []byte) frames.Packet {
	b.Helper()
	p, ok := b.packetOf(f)
	if !ok {
		b.Fatalf("a sent frame is no IP packet: %x", f)
	}
	return p
}

// packetOf returns the IP packet of a sent frame, if there is one in it that is no message of neighbour discovery.
func (b *bed) packetOf(f []byte) (p frames.Packet, ok bool) {
	b.Helper()
	if b.dev.info.Kind == link.Ethernet {
		if typ := uint16(f[12])<<8 | uint16(f[13]); typ != wire.EtherTypeIPv4 && typ != wire.EtherTypeIPv6 {
			return p, false
		}
		f = f[wire.EthernetLen:]
	}
	p, err := frames.ParseIP(f)
	if err != nil {
		b.Fatalf("a sent frame does not parse: %v", err)
	}
	return p, p.Protocol != wire.ProtocolICMPv6 || p.Payload[0] < wire.ICMPv6NeighborSolicitation || p.Payload[0] > wire.ICMPv6NeighborAdvertisement
}
