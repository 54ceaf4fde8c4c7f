//go:build linux

package flood

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// Kind is a kind of flood.
type Kind struct {
	// Name is its name in flags, About a description.
	Name, About string
	Rate        int // frames a second that are wanted
	begin, end  func(f *flooder) error
	frame       func(f *flooder, b []byte) int // writes the next frame and returns its length
}

// Kinds returns all kinds.
func Kinds() []Kind { return kinds[:] }

var kinds = [...]Kind{
	{Name: "syn-client", About: "SYNs from the client's address", Rate: 50_000, frame: func(f *flooder, b []byte) int {
		return f.tcp(b, f.client, f.ephemeral(), f.port, &wire.TCP{Flags: wire.TCPSyn, Seq: f.random()}, nil)
	}},
	{Name: "syn-many", About: "SYNs from changing addresses beyond the client", Rate: 50_000, frame: func(f *flooder, b []byte) int {
		return f.tcp(b, f.stranger(), f.ephemeral(), f.port, &wire.TCP{Flags: wire.TCPSyn, Seq: f.random()}, nil)
	}},
	{Name: "syn-link", About: "SYNs from changing addresses of the link that no host has", Rate: 50_000, frame: func(f *flooder, b []byte) int {
		return f.tcp(b, f.neighbor(), f.ephemeral(), f.port, &wire.TCP{Flags: wire.TCPSyn, Seq: f.random()}, nil)
	}},
	{Name: "closed", About: "SYNs from the client's address to closed ports", Rate: 50_000, frame: func(f *flooder, b []byte) int {
		return f.tcp(b, f.client, f.ephemeral(), f.closed(), &wire.TCP{Flags: wire.TCPSyn, Seq: f.random()}, nil)
	}},
	{Name: "closed-many", About: "SYNs from changing addresses beyond the client to closed ports", Rate: 50_000, frame: func(f *flooder, b []byte) int {
		return f.tcp(b, f.stranger(), f.ephemeral(), f.closed(), &wire.TCP{Flags: wire.TCPSyn, Seq: f.random()}, nil)
	}},
	{Name: "ack", About: "ACKs of no connection", Rate: 50_000, frame: func(f *flooder, b []byte) int {
		return f.tcp(b, f.stranger(), f.ephemeral(), f.port, &wire.TCP{Flags: wire.TCPAck, Seq: f.random(), Ack: f.random()}, nil)
	}},
	{Name: "rst", About: "RSTs of no connection", Rate: 50_000, frame: func(f *flooder, b []byte) int {
		return f.tcp(b, f.stranger(), f.ephemeral(), f.port, &wire.TCP{Flags: wire.TCPRst, Seq: f.random()}, nil)
	}},
	{Name: "holes", About: "every second octet of a connection", Rate: 30_000, begin: (*flooder).connect, end: (*flooder).reset, frame: (*flooder).hole},
	{Name: "arp", About: "ARP or neighbour discovery, some of it with the client's address", Rate: 50_000, frame: (*flooder).neighbors},
	{Name: "udp", About: "datagrams to closed ports", Rate: 50_000, frame: func(f *flooder, b []byte) int {
		const n = wire.UDPLen + 8
		src := f.stranger()
		u := f.payload(b)[:n]
		clear(u)
		h := wire.UDP{SrcPort: f.ephemeral(), DstPort: f.closed(), Length: n}
		h.Marshal(u)
		if src.Is6() { // which needs a checksum
			putSum(u[6:], u, wire.PseudoHeader(src, f.server, wire.ProtocolUDP, n))
		}
		return f.ip(b, src, wire.ProtocolUDP, n)
	}},
	{Name: "icmp", About: "echo requests", Rate: 50_000, frame: func(f *flooder, b []byte) int {
		const n = wire.ICMPLen + 8
		src := f.stranger()
		m := f.payload(b)[:n]
		clear(m)
		if src.Is6() {
			m[0] = wire.ICMPv6EchoRequest
			wire.PutICMPv6Checksum(m, src.As16(), f.server.As16())
			return f.ip(b, src, wire.ProtocolICMPv6, n)
		}
		h := wire.ICMPv4{Type: wire.ICMPv4EchoRequest}
		h.Marshal(m)
		wire.PutICMPv4Checksum(m)
		return f.ip(b, src, wire.ProtocolICMP, n)
	}},
	{Name: "fragments", About: "fragments that nothing completes", Rate: 50_000, frame: func(f *flooder, b []byte) int {
		const n = 64
		id, offset := f.random(), n*int(f.random()%100)
		p := f.payload(b)
		if f.server.Is6() {
			h := wire.IPv6Fragment{NextHeader: wire.ProtocolUDP, Offset: offset, More: true, ID: id}
			h.Marshal(p)
			clear(p[wire.IPv6FragmentLen:][:n])
			return f.ip(b, f.stranger(), wire.IPv6Fragments, wire.IPv6FragmentLen+n)
		}
		clear(p[:n])
		h := wire.IPv4{Protocol: wire.ProtocolUDP, ID: uint16(id), MF: true, FragmentOffset: offset}
		return f.ipv4(b, f.stranger(), &h, n)
	}},
}

// ephemeral returns a random port of a client.
func (f *flooder) ephemeral() uint16 { return uint16(1024 + f.random()%(65536-1024)) }

// closed returns a random port on which the server does not listen.
func (f *flooder) closed() uint16 { return uint16(20_000 + f.random()%10_000) }

// stranger returns an address behind the client. The server's answers to it come to the client's host, which does not
// forward them. RFC 2544 reserves 198.18.0.0/15 for benchmarks, RFC 5180 2001:2::/48.
func (f *flooder) stranger() netip.Addr {
	n := f.random()
	if f.server.Is6() {
		return netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 3: 2, 7: byte(n >> 8), 15: byte(n)})
	}
	return netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)})
}

// neighbor returns an address of the link that no host has.
func (f *flooder) neighbor() netip.Addr {
	n := f.random()
	if f.server.Is6() {
		a := f.client.As16()
		a[8], a[15] = 0xbb, byte(n)
		a[12], a[13], a[14] = byte(n>>24), byte(n>>16), byte(n>>8)
		return netip.AddrFrom16(a)
	}
	a := f.client.As4()
	a[3] = byte(10 + n%240)
	return netip.AddrFrom4(a)
}

// payload returns what is behind the link and IP header of a frame.
func (f *flooder) payload(b []byte) []byte {
	if f.server.Is6() {
		return b[wire.EthernetLen+wire.IPv6Len:]
	}
	return b[wire.EthernetLen+wire.IPv4Len:]
}

// putSum writes the Internet checksum of b and a pseudo-header. Its field is zero before.
func putSum(field, b []byte, pseudo uint32) {
	sum := wire.Checksum(b, pseudo)
	field[0], field[1] = byte(sum>>8), byte(sum)
}

// ip writes the link and IP header before n octets that are in their place.
func (f *flooder) ip(b []byte, src netip.Addr, protocol uint8, n int) int {
	if src.Is4() {
		return f.ipv4(b, src, &wire.IPv4{Protocol: protocol}, n)
	}
	return f.ipv6(b, f.own, src, f.server, &wire.IPv6{NextHeader: protocol, HopLimit: 64}, n)
}

// ipv6 is ipv4 for IPv6, from a station of the link to an address of the server's or a group.
func (f *flooder) ipv6(b []byte, station link.MAC, src, dst netip.Addr, h *wire.IPv6, n int) int {
	eth := wire.Ethernet{Dst: f.peer, Src: station, Type: wire.EtherTypeIPv6}
	if dst.IsMulticast() {
		g := dst.As16()
		eth.Dst = link.MAC{0x33, 0x33, g[12], g[13], g[14], g[15]}
	}
	eth.Marshal(b)
	h.Src, h.Dst, h.PayloadLen = src.As16(), dst.As16(), n
	return wire.EthernetLen + h.Marshal(b[wire.EthernetLen:]) + n
}

// ipv4 writes the link and IP header before n octets that are in their place.
func (f *flooder) ipv4(b []byte, src netip.Addr, h *wire.IPv4, n int) int {
	eth := wire.Ethernet{Dst: f.peer, Src: f.own, Type: wire.EtherTypeIPv4}
	eth.Marshal(b)
	h.TTL, h.Src, h.Dst, h.TotalLen = 64, src.As4(), f.server.As4(), wire.IPv4Len+n
	return wire.EthernetLen + h.Marshal(b[wire.EthernetLen:]) + n
}

// tcp writes a segment.
func (f *flooder) tcp(b []byte, src netip.Addr, from, to uint16, h *wire.TCP, text []byte) int {
	h.SrcPort, h.DstPort, h.Window = from, to, 65535
	if h.Flags&wire.TCPSyn != 0 {
		h.Options.Has, h.Options.MSS = wire.TCPOptMSS, 1460
	}
	s := f.payload(b)
	n := h.Marshal(s)
	n += copy(s[n:], text)
	s = s[:n]
	s[16], s[17] = 0, 0
	putSum(s[16:], s, wire.PseudoHeader(src, f.server, wire.ProtocolTCP, n))
	if src.Is6() {
		return f.ip(b, src, wire.ProtocolTCP, n)
	}
	return f.ipv4(b, src, &wire.IPv4{Protocol: wire.ProtocolTCP, DF: true}, n)
}

// neighbors writes a packet of ARP or of neighbour discovery: requests, replies and announcements of addresses of the link,
// every tenth of them the client's, each with a MAC that no host has.
func (f *flooder) neighbors(b []byte) int {
	n := f.random()
	mac := link.MAC{2, 0xbb, byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}
	sender := f.neighbor()
	if f.count%10 == 0 {
		sender = f.client
	}
	if sender.Is6() {
		return f.discovery(b, mac, sender)
	}
	p := wire.ARP{Op: wire.ARPRequest, SenderMAC: mac, SenderIP: sender.As4(), TargetIP: f.server.As4()}
	eth := wire.Ethernet{Dst: wire.BroadcastMAC, Src: mac, Type: wire.EtherTypeARP}
	switch f.count / 10 % 3 {
	case 1:
		eth.Dst, p.Op, p.TargetMAC = f.peer, wire.ARPReply, f.peer
	case 2:
		p.TargetIP = p.SenderIP
	}
	eth.Marshal(b)
	return wire.EthernetLen + p.Marshal(b[wire.EthernetLen:])
}

// discovery writes a solicitation of the server's address, or an advertisement of the sender's that answers or announces.
func (f *flooder) discovery(b []byte, mac link.MAC, sender netip.Addr) int {
	dst, typ, option := f.server, uint8(wire.ICMPv6NeighborAdvertisement), uint8(wire.NDOptTargetLinkAddr)
	m := wire.NDNeighbor{Override: true, Target: sender.As16()}
	switch f.count / 10 % 3 {
	case 0:
		typ, option = wire.ICMPv6NeighborSolicitation, wire.NDOptSourceLinkAddr
		m = wire.NDNeighbor{Target: f.server.As16()}
	case 1:
		m.Solicited = true
	case 2:
		dst = netip.IPv6LinkLocalAllNodes()
	}
	p := f.payload(b)
	n := m.Marshal(p, typ)
	o := wire.NDOption{Type: option, Data: mac[:]}
	n += o.Marshal(p[n:])
	wire.PutICMPv6Checksum(p[:n], sender.As16(), dst.As16())
	return f.ipv6(b, mac, sender, dst, &wire.IPv6{NextHeader: wire.ProtocolICMPv6, HopLimit: 255}, n)
}

// attackConn is a connection of the flooder's own.
type attackConn struct {
	addr     netip.Addr
	port     uint16
	seq, ack uint32 // of the next octet in each direction
	at       uint32 // the next hole begins so many octets after seq
}

// attackWindow is the distance in octets from the last acknowledged octet within which the holes are: every server's
// window is larger.
const attackWindow = 60_000

// connect opens a connection from an address that no host has, so that no host resets it.
func (f *flooder) connect() error {
	c := &f.attack
	c.addr, c.port, c.seq = netip.AddrFrom4([4]byte{198, 19, 0, 1}), f.ephemeral(), f.random()
	protocol := uint16(unix.ETH_P_IP)
	if f.server.Is6() {
		c.addr, protocol = netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 3: 2, 5: 1, 15: 1}), unix.ETH_P_IPV6
	}
	heard, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(htons(protocol)))
	if err != nil {
		return err
	}
	defer unix.Close(heard)
	if err := unix.SetsockoptTimeval(heard, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}); err != nil {
		return err
	}
	var b [2048]byte
	send := func(h wire.TCP) error {
		n := f.tcp(b[:], c.addr, c.port, f.port, &h, nil)
		_, err := unix.Write(f.socket, b[:n])
		return err
	}
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); {
		if err := send(wire.TCP{Flags: wire.TCPSyn, Seq: c.seq}); err != nil {
			return err
		}
		n, err := unix.Read(heard, b[:])
		for ; err == nil; n, err = unix.Read(heard, b[:]) {
			var h wire.TCP
			segment, dst, err := parse(b[min(n, wire.EthernetLen):n])
			if err != nil || dst != c.addr {
				continue
			}
			if _, err := h.Parse(segment); err != nil || h.DstPort != c.port || h.Flags&wire.TCPSyn == 0 {
				continue
			}
			c.seq, c.ack = c.seq+1, h.Seq+1
			return send(wire.TCP{Flags: wire.TCPAck, Seq: c.seq, Ack: c.ack})
		}
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	return fmt.Errorf("%v does not answer %v", f.server, c.addr)
}

// parse returns what a packet carries, and where it goes.
func parse(b []byte) (payload []byte, dst netip.Addr, err error) {
	if len(b) > 0 && b[0]>>4 == 6 {
		var ip wire.IPv6
		payload, err = ip.Parse(b)
		return payload, netip.AddrFrom16(ip.Dst), err
	}
	var ip wire.IPv4
	payload, err = ip.Parse(b)
	return payload, netip.AddrFrom4(ip.Dst), err
}

// reset ends the connection: otherwise the server would wait for it at its end.
func (f *flooder) reset() error {
	var b [128]byte
	c := &f.attack
	n := f.tcp(b[:], c.addr, c.port, f.port, &wire.TCP{Flags: wire.TCPRst, Seq: c.seq}, nil)
	_, err := unix.Write(f.socket, b[:n])
	return err
}

func htons(n uint16) uint16 { return n<<8 | n>>8 }

// hole writes a segment of one octet, and leaves out the octet before it. At the end of the window it starts again at the
// beginning.
func (f *flooder) hole(b []byte) int {
	c := &f.attack
	if c.at += 2; c.at > attackWindow {
		c.at = 2
	}
	return f.tcp(b, c.addr, c.port, f.port, &wire.TCP{Flags: wire.TCPAck, Seq: c.seq + c.at, Ack: c.ack}, []byte{'x'})
}
