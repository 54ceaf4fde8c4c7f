package stack

import (
	"encoding/binary"
	"net/netip"

	"github.com/unet-go/unet/internal/wire"
)

// costRow is one kind of input of section D of the ledger. Its give weighs n packets at least.
type costRow struct {
	name   string
	config Config
	give   func(w *costWorld, n int)
}

// each weighs n frames that next makes, which does not count.
func each(next func(w *costWorld, i int) []byte) func(*costWorld, int) {
	return func(w *costWorld, n int) {
		w.undisturbed(func() {
			for i := range n {
				w.weigh(next(w, i))
			}
		})
	}
}

// onConn weighs frames for a connection that is made before.
func onConn(next func(c *costConn, i int) []byte) func(*costWorld, int) { return onFull(0, next) }

// onFull weighs frames for a connection with so many octets in flight.
func onFull(octets uint32, next func(c *costConn, i int) []byte) func(*costWorld, int) {
	return func(w *costWorld, n int) {
		c := w.connect(1000, 65535)
		if octets > 0 {
			c.fill(octets)
		}
		each(func(_ *costWorld, i int) []byte { return next(c, i) })(w, n)
		c.conn.Abort()
	}
}

// fill opens the congestion window until so many octets are in flight.
func (c *costConn) fill(octets uint32) {
	text := make([]byte, 64<<10)
	for range 10_000 {
		if _, err := c.conn.TryWrite(text); err == nil {
			continue
		}
		if c.conn.Info().Unacked >= octets {
			return
		}
		c.ackAll()
	}
	c.w.Fatalf("only %d octets in flight", c.conn.Info().Unacked)
}

// ackAll acknowledges what is in flight.
func (c *costConn) ackAll() {
	unacked := c.conn.Info().Unacked
	c.w.give(c.ackFrame(unacked))
	c.ack += unacked
}

func (c *costConn) drain() {
	var p [64 << 10]byte
	for {
		if n, err := c.conn.TryRead(p[:]); n == 0 || err != nil {
			return
		}
	}
}

func syn(w *costWorld, from, to uint16) []byte {
	h := wire.TCP{SrcPort: from, DstPort: to, Seq: w.rnd.Uint32(), Flags: wire.TCPSyn, Window: 65535}
	return in4(ip4(fromPeer(wire.ProtocolTCP), tcp4(peerIP, ourIP, h, nil)))
}

// strangers is how many stations there are beside the peer.
const strangers = 200

func strangerIP(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(20 + i)}) }

func stranger(w *costWorld) netip.Addr { return strangerIP(w.rnd.IntN(strangers)) }

func fromStranger(w *costWorld, proto uint8, payload func(src netip.Addr) []byte) []byte {
	src := stranger(w)
	return in4(ip4(wire.IPv4{Protocol: proto, Src: src.As4(), Dst: ourIP.As4()}, payload(src)))
}

var costRows = []costRow{
	{name: "ordinary text in order", give: onConn(ordinary)},
	{name: "D-5961-1 resets in the window", give: onConn(func(c *costConn, i int) []byte {
		return c.frame(wire.TCP{Seq: 1 + uint32(c.w.rnd.IntN(60000)), Flags: wire.TCPRst}, nil)
	})},
	{name: "D-5961-3 SYNs on a connection", give: onConn(func(c *costConn, i int) []byte {
		return c.frame(wire.TCP{Seq: c.w.rnd.Uint32(), Flags: wire.TCPSyn}, nil)
	})},
	{name: "D-5961-4 text with acknowledgments out of range", give: onConn(func(c *costConn, i int) []byte {
		return c.frame(wire.TCP{Ack: 1<<31 + uint32(i), Flags: wire.TCPAck, Window: 65535}, make([]byte, 100))
	})},
	{name: "D-SYN-1 SYNs", config: Config{MaxHalfOpen: 1000}, give: each(func(w *costWorld, i int) []byte {
		return fromStranger(w, wire.ProtocolTCP, func(src netip.Addr) []byte {
			return tcp4(src, ourIP, wire.TCP{SrcPort: uint16(w.rnd.Uint32()), DstPort: 80, Seq: w.rnd.Uint32(), Flags: wire.TCPSyn, Window: 65535}, nil)
		})
	})},
	{name: "D-SYN-2 forged cookies", config: Config{MaxHalfOpen: 1}, give: each(func(w *costWorld, i int) []byte {
		if i%2 == 0 {
			return syn(w, uint16(1000+i%30000), 80)
		}
		h := wire.TCP{SrcPort: uint16(1000 + i%30000), DstPort: 80, Seq: w.rnd.Uint32(), Ack: w.rnd.Uint32(), Flags: wire.TCPAck}
		return in4(ip4(fromPeer(wire.ProtocolTCP), tcp4(peerIP, ourIP, h, nil)))
	})},
	{name: "D-SYN-5 all flags", give: each(func(w *costWorld, i int) []byte {
		h := wire.TCP{SrcPort: uint16(1000 + i>>8), DstPort: 80, Seq: w.rnd.Uint32(), Ack: w.rnd.Uint32(), Flags: uint16(i & 0xff), Urgent: 3}
		return in4(ip4(fromPeer(wire.ProtocolTCP), tcp4(peerIP, ourIP, h, []byte("text"))))
	})},
	{name: "D-LAND-1 packets from ourselves", give: each(func(w *costWorld, i int) []byte {
		h := wire.TCP{SrcPort: 80, DstPort: 80, Seq: w.rnd.Uint32(), Flags: wire.TCPSyn}
		return in4(ip4(wire.IPv4{Protocol: wire.ProtocolTCP, Src: ourIP.As4(), Dst: ourIP.As4()}, tcp4(ourIP, ourIP, h, nil)))
	})},
	{name: "D-ICMP-1 D-ICMP-3 forged messages that a packet was too big", give: onFull(100_000, func(c *costConn, i int) []byte {
		quote := wire.TCP{SrcPort: 80, DstPort: c.port, Seq: c.ack + uint32(c.w.rnd.IntN(200_000))}
		mtu := [4]byte{2: byte(i >> 8), 3: byte(i)}
		body := ip4(wire.IPv4{Protocol: wire.ProtocolTCP, Src: ourIP.As4(), Dst: peerIP.As4()}, tcp4(ourIP, peerIP, quote, nil))
		return in4(ip4(fromPeer(wire.ProtocolICMP), icmp4(wire.ICMPv4DestinationUnreachable, 4, mtu, body)))
	})},
	{name: "D-SACK-1 D-SACK-3 a peer with an MSS of one octet", give: tinySegments},
	{name: "D-SACK-2 every second octet acknowledged, from the left", give: onFull(500_000, func(c *costConn, i int) []byte {
		at := uint32(2 + 2*i)
		return c.ackFrame(0, wire.SACKBlock{Left: at, Right: at + 1}, wire.SACKBlock{Left: at - 2, Right: at - 1})
	})},
	{name: "D-SACK-2 blocks at random, and acknowledgments between", give: onFull(500_000, func(c *costConn, i int) []byte {
		var blocks [3]wire.SACKBlock
		for k := range blocks {
			left := uint32(c.w.rnd.IntN(400_000))
			blocks[k] = wire.SACKBlock{Left: left, Right: left + 1 + uint32(c.w.rnd.IntN(100))}
		}
		return c.ackFrame(0, blocks[:]...)
	})},
	{name: "D-SACK-2 all in pieces, and then all at once", give: acknowledgedAtOnce},
	{name: "D-SEG-1 every second octet", give: onConn(func(c *costConn, i int) []byte {
		return c.frame(wire.TCP{Seq: uint32(1 + 2*i%60_000), Flags: wire.TCPAck, Window: 65535}, []byte{1})
	})},
	{name: "D-SEG-1 every second octet, from the right", give: onConn(func(c *costConn, i int) []byte {
		return c.frame(wire.TCP{Seq: uint32(60_001 - 2*i%60_000), Flags: wire.TCPAck, Window: 65535}, []byte{1})
	})},
	{name: "D-SEG-1 octets at random", give: onConn(func(c *costConn, i int) []byte {
		return c.frame(wire.TCP{Seq: uint32(1 + c.w.rnd.IntN(60_000)), Flags: wire.TCPAck, Window: 65535}, []byte{1})
	})},
	{name: "D-SEG-2 octets, and a segment that covers them all", give: onConn(coveredAtOnce)},
	{name: "D-FRAG-1 fragments at random", give: each(func(w *costWorld, i int) []byte {
		src := stranger(w)
		return in4(ip4(wire.IPv4{Protocol: wire.ProtocolUDP, Src: src.As4(), Dst: ourIP.As4(), ID: uint16(w.rnd.Uint32()), MF: true,
			FragmentOffset: 8 * w.rnd.IntN(8000)}, make([]byte, 1000)))
	})},
	{name: "D-FRAG-2 the smallest fragments of one datagram, and the one that ends it", give: each(tinyFragments)},
	{name: "D-PARSE-1 lengths that lie", give: each(func(w *costWorld, i int) []byte {
		f := syn(w, 1000, 80)
		f[14+w.rnd.IntN(40)] = byte(w.rnd.Uint32())
		return f
	})},
	{name: "D-PARSE-2 urgent pointers", give: onConn(func(c *costConn, i int) []byte {
		c.drain()
		h := wire.TCP{Flags: wire.TCPAck | wire.TCPUrg, Urgent: uint16(c.w.rnd.Uint32()), Window: 65535}
		f := c.frame(h, make([]byte, 1+i%100))
		c.seq += uint32(1 + i%100)
		return f
	})},
	{name: "D-PARSE-3 options at random", give: each(func(w *costWorld, i int) []byte {
		f := syn(w, uint16(1000+i%60000), 80)
		b := append(f[:34:34], make([]byte, 60)...)
		copy(b[34:], f[34:54])
		for k := range 40 {
			b[54+k] = byte(w.rnd.IntN(9))
		}
		binary.BigEndian.PutUint16(b[14+2:], 80)
		b[34+12] = 15 << 4
		return resum(b)
	})},
	{name: "D-PARSE-4 packets in packets", give: each(func(w *costWorld, i int) []byte {
		return fromStranger(w, 4, func(netip.Addr) []byte { return ip4(fromPeer(wire.ProtocolTCP), make([]byte, 40)) })
	})},
	{name: "D-ACK-1 text acknowledged octet by octet", give: onFull(100_000, func(c *costConn, i int) []byte {
		c.ack++
		return c.ackFrame(0)
	})},
	{name: "D-ACK-2 acknowledgments of text not sent", give: onFull(100_000, func(c *costConn, i int) []byte {
		return c.ackFrame(1<<20 + uint32(i))
	})},
	{name: "D-ACK-3 duplicate acknowledgments", give: onFull(500_000, func(c *costConn, i int) []byte { return c.ackFrame(0) })},
	{name: "D-STK-1 requests of peers who take no answer", config: Config{MaxOrphans: 100}, give: starving},
	{name: "D-TW-1 connections that we close first", config: Config{MaxTimeWait: 1000}, give: closing},
	{name: "D-SIDE-1 D-SIDE-3 segments to closed ports", give: each(func(w *costWorld, i int) []byte { return syn(w, 1000, uint16(1000+i%60000)) })},
	{name: "D-SIDE-2 D-SIDE-3 datagrams to closed ports", give: each(func(w *costWorld, i int) []byte {
		return fromStranger(w, wire.ProtocolUDP, func(src netip.Addr) []byte { return udp4(src, ourIP, 53, uint16(1000+i%60000), octets(100)) })
	})},
	{name: "D-SHR-1 windows at random", give: onFull(100_000, func(c *costConn, i int) []byte {
		c.win = uint16(c.w.rnd.Uint32())
		if i%16 == 0 {
			c.ack++
		}
		return c.ackFrame(0)
	})},
	{name: "D-REN-1 blocks that are taken back", give: onFull(500_000, func(c *costConn, i int) []byte {
		if i%2 == 0 {
			return c.ackFrame(0)
		}
		left := uint32(1460 * (1 + i%300))
		return c.ackFrame(0, wire.SACKBlock{Left: left, Right: left + 1460})
	})},
	{name: "D-MISC-1 echo requests to everybody", give: each(func(w *costWorld, i int) []byte {
		return fromStranger(w, wire.ProtocolICMP, func(netip.Addr) []byte { return icmp4(8, 0, [4]byte{}, octets(56)) })
	})},
	{name: "D-MISC-2 forged ARP", config: Config{MaxNeighbors: 256}, give: each(func(w *costWorld, i int) []byte {
		mac := otherMAC
		mac[3], mac[4], mac[5] = byte(i), byte(i>>8), byte(i>>16)
		return request(stranger(w), mac, ourIP)
	})},
	{name: "D-MISC-4 frames at random", give: each(func(w *costWorld, i int) []byte {
		f := make([]byte, 14+w.rnd.IntN(100))
		for k := range f {
			f[k] = byte(w.rnd.Uint32())
		}
		copy(f, ourMAC[:])
		f[12], f[13] = 8, 0
		return f
	})},
}

// ordinary is text in order.
func ordinary(c *costConn, _ int) []byte {
	c.drain()
	f := c.frame(wire.TCP{Flags: wire.TCPAck, Window: 65535}, make([]byte, 1000))
	c.seq += 1000
	return f
}

func icmpEcho(i int) []byte {
	return in4(ip4(fromPeer(wire.ProtocolICMP), icmp4(8, 0, [4]byte{2: byte(i >> 8), 3: byte(i)}, octets(56))))
}

// resum sets the checksums of a frame with a segment anew.
func resum(f []byte) []byte {
	header, segment := f[14:34], f[34:]
	header[10], header[11] = 0, 0
	binary.BigEndian.PutUint16(header[10:], wire.Checksum(header, 0))
	segment[16], segment[17] = 0, 0
	binary.BigEndian.PutUint16(segment[16:], wire.Checksum(segment, wire.PseudoHeader(peerIP, ourIP, wire.ProtocolTCP, len(segment))))
	return f
}

// tinySegments has the host send to a peer that offers an MSS of one octet.
func tinySegments(w *costWorld, n int) {
	c := w.connectWith(1000, 65535, wire.TCPOptions{Has: wire.TCPOptMSS | wire.TCPOptSACKPermitted, MSS: 1})
	text := make([]byte, 32<<10)
	each(func(_ *costWorld, i int) []byte {
		_, _ = c.conn.TryWrite(text)
		at := uint32(1 + i%2000)
		if i%50 == 0 {
			c.ack++
		}
		return c.ackFrame(0, wire.SACKBlock{Left: at, Right: at + 1})
	})(w, n)
	c.conn.Abort()
}

// acknowledgedAtOnce breaks what is in flight into as many records as it can be, and then acknowledges it all: the
// packet that has the most to free.
func acknowledgedAtOnce(w *costWorld, n int) {
	c := w.connect(1000, 65535)
	w.undisturbed(func() {
		for len(w.spent) < n {
			c.fill(500_000)
			for i := range min(n, 1000) {
				at := uint32(2 + 2*i)
				w.weigh(c.ackFrame(0, wire.SACKBlock{Left: at, Right: at + 1}))
			}
			unacked := c.conn.Info().Unacked
			w.weigh(c.ackFrame(unacked))
			c.ack += unacked
		}
	})
	c.conn.Abort()
}

// coveredAtOnce has a thousand runs of one octet, which a segment then covers: the packet that has the most to join.
func coveredAtOnce(c *costConn, i int) []byte {
	const runs = 700
	h := wire.TCP{Flags: wire.TCPAck, Window: 65535}
	if k := i % (runs + 1); k < runs {
		h.Seq = uint32(1 + 2*k)
		return c.frame(h, []byte{1})
	}
	f := c.frame(h, make([]byte, 2*runs))
	c.seq += 2 * runs
	c.drain()
	return f
}

// tinyFragments cuts one datagram after the other into pieces of eight octets.
func tinyFragments(_ *costWorld, i int) []byte {
	const pieces = 256
	h := fromPeer(wire.ProtocolUDP)
	k := (i % pieces * 129) % pieces // in a mixed order, the last one last
	if i%pieces == pieces-1 {
		k = pieces - 1
	} else if k == pieces-1 {
		k = pieces - 1 - 129%pieces
	}
	h.ID, h.FragmentOffset, h.MF = uint16(i/pieces), 8*k, k < pieces-1
	return in4(ip4(h, make([]byte, 8)))
}

// starving opens connections whose peers ask and take nothing, and which their user closes.
func starving(w *costWorld, n int) {
	w.undisturbed(func() {
		for port := 1000; len(w.spent) < n; port++ {
			c := &costConn{w: w, port: uint16(port), seq: w.rnd.Uint32()}
			w.weigh(c.frame(wire.TCP{Flags: wire.TCPSyn, Window: 0}, nil))
			c.seq++
			c.ack = w.dev.iss(c.port) + 1
			w.weigh(c.frame(wire.TCP{Flags: wire.TCPAck | wire.TCPPsh, Window: 0}, []byte("GET")))
			conn, err := w.l.TryAccept()
			if err != nil {
				continue
			}
			_, _ = conn.TryRead(make([]byte, 10))
			_, _ = conn.TryWrite(make([]byte, 1000))
			_ = conn.Close()
			w.weigh(c.frame(wire.TCP{Seq: 3, Flags: wire.TCPAck, Window: 0}, nil))
		}
	})
}

// closing opens connections that the host closes first, so that it has to keep their records.
func closing(w *costWorld, n int) {
	w.undisturbed(func() {
		for port := uint16(100); len(w.spent) < n; port++ {
			c := &costConn{w: w, port: port, seq: w.rnd.Uint32()}
			w.weigh(c.frame(wire.TCP{Flags: wire.TCPSyn, Window: 65535}, nil))
			c.seq++
			c.ack = w.dev.iss(c.port) + 1
			w.weigh(c.frame(wire.TCP{Flags: wire.TCPAck, Window: 65535}, nil))
			conn, err := w.l.TryAccept()
			if err != nil {
				continue // a record of the port is left, or the SYN found none
			}
			_ = conn.Close()
			w.weigh(c.frame(wire.TCP{Flags: wire.TCPAck | wire.TCPFin, Ack: 1, Window: 65535}, nil))
		}
	})
}
