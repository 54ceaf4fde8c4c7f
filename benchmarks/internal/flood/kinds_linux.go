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
	{Name: "arp", About: "ARP, some of it with the client's address", Rate: 50_000, frame: (*flooder).arp},
	{Name: "udp", About: "datagrams to closed ports", Rate: 50_000, frame: func(f *flooder, b []byte) int {
		const n = wire.UDPLen + 8
		src := f.stranger()
		u := b[wire.EthernetLen+wire.IPv4Len:][:n]
		clear(u)
		h := wire.UDP{SrcPort: f.ephemeral(), DstPort: f.closed(), Length: n}
		h.Marshal(u)
		return f.ipv4(b, src, &wire.IPv4{Protocol: wire.ProtocolUDP}, n) // without a checksum
	}},
	{Name: "icmp", About: "echo requests", Rate: 50_000, frame: func(f *flooder, b []byte) int {
		const n = wire.ICMPLen + 8
		m := b[wire.EthernetLen+wire.IPv4Len:][:n]
		clear(m)
		h := wire.ICMPv4{Type: wire.ICMPv4EchoRequest}
		h.Marshal(m)
		wire.PutICMPv4Checksum(m)
		return f.ipv4(b, f.stranger(), &wire.IPv4{Protocol: wire.ProtocolICMP}, n)
	}},
	{Name: "fragments", About: "fragments that nothing completes", Rate: 50_000, frame: func(f *flooder, b []byte) int {
		const n = 64
		clear(b[wire.EthernetLen+wire.IPv4Len:][:n])
		h := wire.IPv4{Protocol: wire.ProtocolUDP, ID: uint16(f.random()), MF: true, FragmentOffset: n * int(f.random()%100)}
		return f.ipv4(b, f.stranger(), &h, n)
	}},
}

// ephemeral returns a random port of a client.
func (f *flooder) ephemeral() uint16 { return uint16(1024 + f.random()%(65536-1024)) }

// closed returns a random port on which the server does not listen.
func (f *flooder) closed() uint16 { return uint16(20_000 + f.random()%10_000) }

// stranger returns an address behind the client. The server's answers to it come to the client's host, which does not
// forward them. RFC 2544 reserves 198.18.0.0/15 for benchmarks.
func (f *flooder) stranger() netip.Addr {
	n := f.random()
	return netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)})
}

// neighbor returns an address of the link that no host has.
func (f *flooder) neighbor() netip.Addr {
	a := f.client.As4()
	a[3] = byte(10 + f.random()%240)
	return netip.AddrFrom4(a)
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
	s := b[wire.EthernetLen+wire.IPv4Len:]
	n := h.Marshal(s)
	n += copy(s[n:], text)
	s = s[:n]
	s[16], s[17] = 0, 0
	sum := wire.Checksum(s, wire.PseudoHeader4(src.As4(), f.server.As4(), wire.ProtocolTCP, n))
	s[16], s[17] = byte(sum>>8), byte(sum)
	return f.ipv4(b, src, &wire.IPv4{Protocol: wire.ProtocolTCP, DF: true}, n)
}

// arp writes an ARP packet: requests, replies and announcements of addresses of the link, every tenth of them the
// client's, each with a MAC that no host has.
func (f *flooder) arp(b []byte) int {
	n := f.random()
	mac := link.MAC{2, 0xbb, byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}
	sender := f.neighbor()
	if f.count%10 == 0 {
		sender = f.client
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
	heard, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(htons(unix.ETH_P_IP)))
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
			var ip wire.IPv4
			var h wire.TCP
			segment, err := ip.Parse(b[min(n, wire.EthernetLen):n])
			if err != nil || ip.Dst != c.addr.As4() {
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
