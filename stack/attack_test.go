package stack

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

func TestCollisions(t *testing.T) {
	t.Run("D-HASH-1 four-tuples that collide under one host's seed do not under another's", func(t *testing.T) {
		hosts := [2]*Host{}
		for i := range hosts {
			h, err := New(Config{Shards: 8})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := h.Close(); err != nil {
					t.Error(err)
				}
			}()
			hosts[i] = h
		}
		known, other := &hosts[0].tcp, &hosts[1].tcp
		const flows, buckets = 200, 256
		var keys []flowKey
		for i := 0; len(keys) < flows; i++ {
			remote := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, byte(i >> 24), byte(i >> 16), 1}), uint16(i))
			k := makeKey(netip.AddrPortFrom(addrA, 80), remote, 0)
			if hash := known.shards[0].flows.hash(&k); hash>>known.shift == 0 && hash%buckets == 0 {
				keys = append(keys, k)
			}
		}
		// longest returns how long a chain the keys make, wherever they come to stand.
		longest := func(l *tcpLayer) int {
			chains, most := map[[2]uint64]int{}, 0
			for i := range keys {
				hash := l.shards[0].flows.hash(&keys[i])
				at := [2]uint64{hash >> l.shift, hash % buckets}
				chains[at]++
				most = max(most, chains[at])
			}
			return most
		}
		if n := longest(known); n != flows {
			t.Errorf("%d of %d collide where they should", n, flows)
		}
		if n := longest(other); n > 5 { // of 200 in 2048 chains
			t.Errorf("%d of %d collide on a host with another seed", n, flows)
		}
		// Fragments, datagrams and neighbours are in Go's own maps, which have a seed each; the rest has one of ours.
		k := makeKey(netip.AddrPortFrom(addrA, 1), netip.AddrPortFrom(addrB, 2), 0)
		if hosts[0].tcp.seed == hosts[1].tcp.seed ||
			hosts[0].tcp.ports.seed == hosts[1].tcp.ports.seed ||
			hosts[0].tcp.ports.scan(&k).start == hosts[1].tcp.ports.scan(&k).start {
			t.Error("two hosts share a seed")
		}
	})
}

func TestFullPorts(t *testing.T) {
	t.Run("D-PORT-1 the search of a port looks at each once, and ends", func(t *testing.T) {
		var ports portTable
		ports.init()
		k := makeKey(netip.AddrPortFrom(addrA, 0), netip.AddrPortFrom(addrB, 80), 0)
		for range 3 {
			seen := make(map[uint16]bool)
			scan := ports.scan(&k)
			for {
				p, ok := scan.next()
				if !ok {
					break
				}
				if seen[p] || p < firstEphemeral || p > firstEphemeral+ephemeralPorts-1 {
					t.Fatalf("port %d a second time, or out of range", p)
				}
				seen[p] = true
			}
			if len(seen) != ephemeralPorts || ephemeralPorts != 28232 {
				t.Errorf("%d ports looked at", len(seen))
			}
		}
	})
}

func TestPortCounters(t *testing.T) {
	t.Run("D-6056-2 dials to one destination do not show in the ports towards another", func(t *testing.T) {
		var ports portTable
		ports.init()
		to := func(i int) flowKey {
			return makeKey(netip.AddrPortFrom(addrA, 0), netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}), 443), 0)
		}
		next := func(i int) uint16 {
			k := to(i)
			scan := ports.scan(&k)
			p, _ := scan.next()
			return p
		}
		const pairs = 2000
		moved := 0
		for i := range pairs {
			before := next(2 * i)
			k := to(2*i + 1)
			for range 10 {
				scan := ports.scan(&k)
				scan.next()
				scan.found()
			}
			if next(2*i) != before {
				moved++
			}
		}
		// One pair in a thousand shares an offset, and nobody knows which.
		if moved > 20 {
			t.Errorf("%d of %d destinations saw the dials of another", moved, pairs)
		}
	})
}

func TestSockstress(t *testing.T) {
	const flows = 5000
	withPeers(t, "D-STK-1 connections whose peers take nothing are gone a minute after Close, and their memory with them",
		Config{NeighborReachable: 24 * time.Hour, MaxBuffered: 1 << 30}, func(b *bed) {
			l := b.listenTCP(80, flows)
			response := make([]byte, 1000)
			var last uint32
			for first := 0; first < flows; first += 500 {
				var frames [][]byte
				for i := range uint16(500) {
					frames = append(frames, b.frame(seg{flags: "S", seq: 100, peer: 2000 + uint16(first) + i}))
				}
				b.inject(frames...)
				frames = frames[:0]
				for _, s := range b.sent() {
					frames = append(frames, b.shutWindow(seg{flags: "A", seq: 101, ack: s.seq + 1, peer: s.peer, text: "GET"}))
					last = s.seq
				}
				b.inject(frames...)
				b.take()
			}
			for range flows {
				c, err := l.TryAccept()
				if err != nil {
					b.Fatal(err)
				}
				if n, err := c.TryRead(make([]byte, 10)); n != 3 || err != nil {
					b.Fatal(n, err)
				}
				if n, err := c.TryWrite(response); n != len(response) || err != nil {
					b.Fatal(n, err)
				}
				if err := c.Close(); err != nil {
					b.Fatal(err)
				}
			}
			if g := b.h.Stats().TCPGauges; g.Orphans != flows || g.Buffered < flows*1000 {
				b.Errorf("%d orphans, %d octets", g.Orphans, g.Buffered)
			}
			time.Sleep(time.Minute + time.Second)
			if g := b.h.Stats().TCPGauges; g.Orphans != 0 || g.Buffered != 0 || g.Connections() != 0 || last == 0 {
				b.Errorf("after a minute %d orphans, %d octets, %d connections", g.Orphans, g.Buffered, g.Connections())
			}
			b.take()
		})
}

// shutWindow returns the frame of a segment that offers no window.
func (b *bed) shutWindow(s seg) []byte {
	h := wire.TCP{SrcPort: s.peer, DstPort: 80, Seq: s.seq, Ack: s.ack, Flags: wire.TCPAck}
	return b.tcpIn(h, []byte(s.text))
}

func TestLateCookie(t *testing.T) {
	withPeers(t, "D-SYN-3 cookies only under pressure, and one that was given counts when the pressure is over", Config{MaxHalfOpen: 1, ICMPRate: -1, ResetRate: -1}, func(b *bed) {
		l := b.listenTCP(80, 4)
		b.send(seg{flags: "S", seq: 500, peer: 4000})
		if n := b.h.Stats().TCPGauges.SYNCookies; n != 0 {
			b.Errorf("%d cookies for the first SYN", n)
		}
		iss := b.send(seg{flags: "S", seq: 100})[0].seq
		b.send(seg{flags: "R", seq: 501, peer: 4000})
		if g := b.h.Stats().TCPGauges; g.SYNCookies != 1 || g.HalfOpen != 0 {
			b.Errorf("%d cookies, %d records", g.SYNCookies, g.HalfOpen)
		}
		time.Sleep(30 * time.Second)
		b.take()
		b.expect("the ACK of a cookie", b.send(seg{flags: "A", seq: 101, ack: iss + 1}))
		if _, err := l.TryAccept(); err != nil {
			b.Error(err)
		}
		// Without pressure the next SYN has a record again.
		b.send(seg{flags: "S", seq: 100, peer: 4001})
		if g := b.h.Stats().TCPGauges; g.SYNCookies != 1 || g.HalfOpen != 1 {
			b.Errorf("%d cookies, %d records", g.SYNCookies, g.HalfOpen)
		}
	})
}

func TestPortScanned(t *testing.T) {
	withPeers(t, "D-SIDE-3 a scan of all ports gets no more resets than a limit allows", Config{ResetRate: 1000, NeighborReachable: time.Hour}, func(b *bed) {
		resets := 0
		for first := 0; first < 1<<16; first += 1 << 10 {
			var frames [][]byte
			for i := range 1 << 10 {
				frames = append(frames, b.frame(seg{flags: "S", seq: 100, port: max(uint16(first+i), 1), peer: 999}))
			}
			b.inject(frames...)
			resets += len(b.sent())
			time.Sleep(time.Second / 64)
		}
		if resets == 0 || resets > 1000 {
			b.Errorf("%d resets for a scan of all ports within a second", resets)
		}
	})
}

func TestRouterLies(t *testing.T) {
	t.Run("D-MISC-2 no router advertisement, redirect or neighbour advertisement moves anything", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			routes, addrs, neighbors := b.h.Routes(), b.h.Addrs(), b.h.Stats().Interfaces[1].Neighbors
			s := b.listenUDP("10.0.0.2:7")
			b.writeTo(s, []byte("x"), netip.AddrPortFrom(peerIP, 9))
			way := b.take()
			router := netip.MustParseAddr("fe80::66")
			all := netip.MustParseAddr("ff02::1")
			for _, typ := range []byte{133, 134, 135, 136, 137} {
				for _, dst := range []netip.Addr{all, netip.MustParseAddr("fe80::2")} {
					body := append([]byte{typ, 0, 0, 0, 64, 0xc0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0},
						// an address for the link layer and a prefix to configure oneself from
						2, 1, 2, 0, 0, 0, 6, 6, 3, 4, 64, 0xc0, 0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0, 0, 0,
						0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
					sum := wire.Checksum(body, wire.PseudoHeader(router, dst, wire.ProtocolICMPv6, len(body)))
					body[2], body[3] = byte(sum>>8), byte(sum)
					p := append([]byte{0x60, 0, 0, 0, 0, byte(len(body)), wire.ProtocolICMPv6, 255}, router.AsSlice()...)
					p = append(append(p, dst.AsSlice()...), body...)
					for _, mac := range []link.MAC{ourMAC, {0x33, 0x33, 0, 0, 0, 1}} {
						b.inject(ethFrame(mac, peerMAC, wire.EtherTypeIPv6, p))
					}
				}
			}
			quote := ip4(toPeer(wire.ProtocolUDP), udp4(ourIP, peerIP, 7, 9, []byte("hello")))
			for code := range uint8(4) { // ICMPv4 redirects, and RFC 1256's advertisement
				b.inject(in4(ip4(fromPeer(wire.ProtocolICMP), icmp4(5, code, otherIP.As4(), quote))))
			}
			b.inject(in4(ip4(fromPeer(wire.ProtocolICMP), icmp4(9, 0, [4]byte{1, 2, 0, 99}, append(otherIP.AsSlice(), 0, 0, 0, 1)))))
			b.want()
			if !slices.Equal(b.h.Routes(), routes) || !slices.Equal(b.h.Addrs(), addrs) || b.h.Stats().Interfaces[1].Neighbors != neighbors {
				b.Error("the host has learned something")
			}
			b.writeTo(s, []byte("x"), netip.AddrPortFrom(peerIP, 9))
			again := b.take()
			if len(way) != 1 || len(again) != 1 || !bytes.Equal(way[0][:14], again[0][:14]) {
				b.Errorf("the way to the peer was %x and is %x", way, again)
			}
		})
	})
}

func TestNoOldMemory(t *testing.T) {
	mark := bytes.Repeat([]byte{0xaa}, 1<<16)
	withPeers(t, "D-MISC-3 nothing leaves but what was meant to", Config{ICMPRate: -1, ResetRate: -1}, func(b *bed) {
		var dirty []*link.Buffer
		for size := 64; size <= 1<<16; size *= 2 {
			for range 64 {
				buf := link.NewBuffer(size)
				copy(buf.Bytes(), mark)
				dirty = append(dirty, buf)
			}
		}
		for _, buf := range dirty {
			buf.Release()
		}
		s := b.bindUDP(b.here(7))
		b.listenTCP(80, 10)
		b.inject(b.asked())
		for n := range 40 {
			b.inject(b.echoIn(octets(n)))
			b.inject(b.udpIn(5, 8, octets(n)))
			b.inject(b.frame(seg{flags: "S", seq: 1, port: 81, text: strings.Repeat("x", n)}))
			b.writeTo(s, octets(n), b.there(9))
		}
		b.writeTo(s, octets(4000), b.there(9)) // in fragments
		for options := range 16 {
			h := wire.TCP{SrcPort: 2000 + uint16(options), DstPort: 80, Seq: 9, Flags: wire.TCPSyn, Window: 9}
			h.Options = wire.TCPOptions{Has: uint16(options), MSS: 1460, WScale: 7, TSVal: 1}
			b.inject(b.tcpIn(h, nil))
		}
		frames := b.take()
		if len(frames) < 170 {
			b.Fatalf("%d frames", len(frames))
		}
		for _, f := range frames {
			if bytes.Contains(f, mark[:3]) {
				b.Errorf("old memory in %x", f)
			}
			p, ok := b.packetOf(f)
			if !ok {
				continue
			}
			if len(f) != wire.EthernetLen+b.headerLen+len(p.Payload) {
				b.Errorf("octets behind the packet: %x", f)
			}
			var h wire.TCP
			switch {
			case p.Protocol == b.icmp && p.Payload[0] == b.unreachable && !bytes.Equal(p.Payload[4:8], make([]byte, 4)):
				b.Errorf("unused octets of an error: %x", p.Payload)
			case p.Protocol == wire.ProtocolTCP:
				if _, err := h.Parse(p.Payload); err != nil || !padded(p.Payload[wire.TCPLen:h.HeaderLen]) {
					b.Errorf("options %x, %v", p.Payload, err)
				}
			}
		}
	})
}

// padded says whether what follows the end of an option list is zero (RFC 9293 3.1).
func padded(options []byte) bool {
	for i := 0; i < len(options); {
		switch options[i] {
		case 0:
			return bytes.Count(options[i:], []byte{0}) == len(options)-i
		case 1:
			i++
		default:
			i += int(options[i+1])
		}
	}
	return true
}

func TestNoPanic(t *testing.T) {
	t.Run("D-MISC-4 nothing in the core catches a panic, so that each would be seen", func(t *testing.T) {
		for _, room := range []string{".", "tcp", "link", "../internal/*", "../unet", "../fdtable", "../tap"} {
			files, err := filepath.Glob(room + "/*.go")
			if err != nil || len(files) == 0 {
				t.Fatal(room, err)
			}
			for _, name := range files {
				if strings.HasSuffix(name, "_test.go") {
					continue
				}
				file, err := parser.ParseFile(gotoken.NewFileSet(), name, nil, 0)
				if err != nil {
					t.Fatal(err)
				}
				ast.Inspect(file, func(n ast.Node) bool {
					if call, ok := n.(*ast.CallExpr); ok {
						if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "recover" {
							t.Errorf("%s recovers", name)
						}
					}
					return true
				})
			}
		}
	})
	withPeers(t, "D-MISC-4 frames with lies in them, of all kinds", Config{ReassemblyBytes: 64 << 10, MaxNeighbors: 4, ICMPRate: -1, ResetRate: -1}, func(b *bed) {
		b.listenTCP(80, 4)
		b.bindUDP(b.here(7))
		syn := frames.TCP(b.peer(), b.ours(), wire.TCP{SrcPort: 5, DstPort: 80, Flags: wire.TCPSyn, Window: 1000,
			Options: wire.TCPOptions{Has: 15, MSS: 1460, WScale: 7, TSVal: 9}}, octets(20))
		quote := frames.IP(b.ours(), b.peer(), wire.ProtocolTCP, syn)
		kinds := [][]byte{
			b.in(wire.ProtocolTCP, syn),
			b.udpIn(5, 7, octets(30)),
			b.echoIn(octets(9)),
			b.tooBigIn(257, quote),
			b.pieceIn(frames.UDP(b.peer(), b.ours(), 5, 7, octets(72)), 0, 40),
			b.pieceIn(frames.UDP(b.peer(), b.ours(), 5, 7, octets(72)), 40, 40),
			b.asked(), b.told(b.peer(), peerMAC),
		}
		r := rand.New(rand.NewPCG(4, 4))
		for range 300 {
			var frames [][]byte
			for range 64 {
				f := bytes.Clone(kinds[r.IntN(len(kinds))])
				for range r.IntN(4) {
					f[12+r.IntN(len(f)-12)] = byte(r.Uint32())
				}
				mend(f, r)
				frames = append(frames, f[:len(f)-r.IntN(2)*r.IntN(len(f))])
			}
			b.inject(frames...)
			for _, f := range b.take() {
				checkSent(b.T, f)
			}
		}
		if s := b.h.Stats(); s.ReassemblyBytes > 64<<10 || s.Interfaces[1].Neighbors > 4 {
			b.Errorf("%d octets for reassembly, %d neighbours", s.ReassemblyBytes, s.Interfaces[1].Neighbors)
		}
	})
}

// tooBigIn returns a frame of the peer's which says that a packet of ours has no room in an MTU.
func (b *bed) tooBigIn(mtu uint16, packet []byte) []byte {
	rest := [4]byte{2: byte(mtu >> 8), 3: byte(mtu)}
	if b.peer().Is4() {
		return b.icmpIn(wire.ICMPv4DestinationUnreachable, wire.ICMPv4FragmentationNeeded, rest, packet)
	}
	return b.icmpIn(wire.ICMPv6PacketTooBig, 0, rest, packet)
}

// pieceIn returns a frame of the peer's with the fragment of a datagram that has n octets from a multiple of 8 on.
func (b *bed) pieceIn(datagram []byte, at, n int) []byte {
	if b.peer().Is4() {
		header := fromPeer(wire.ProtocolUDP)
		header.ID = 3
		return piece(header, datagram, at, n)
	}
	header := []byte{wire.ProtocolUDP, 0, byte(at >> 8), byte(at), 0, 0, 0, 3}
	if at+n < len(datagram) {
		header[3] |= 1 // more fragments follow
	}
	return b.in(wire.IPv6Fragments, append(header, datagram[at:at+n]...))
}

// mend computes the checksums of a frame anew, mostly: behind them the lies get farther.
func mend(f []byte, r *rand.Rand) {
	if len(f) >= 54 && f[12] == 0x86 && f[13] == 0xdd && r.IntN(4) != 0 {
		body := f[54:]
		if at, ok := map[byte]int{wire.ProtocolTCP: 16, wire.ProtocolUDP: 6, wire.ProtocolICMPv6: 2}[f[20]]; ok && at+2 <= len(body) {
			body[at], body[at+1] = 0, 0
			c := wire.Checksum(body, wire.PseudoHeader6([16]byte(f[22:38]), [16]byte(f[38:54]), f[20], len(body)))
			body[at], body[at+1] = byte(c>>8), byte(c)
		}
		return
	}
	if len(f) < 34 || f[12] != 8 || f[13] != 0 || r.IntN(4) == 0 {
		return
	}
	n := int(f[14]&15) * 4
	if n < 20 || 14+n > len(f) {
		return
	}
	put := func(at int, c uint16) {
		if at+2 <= len(f) {
			f[at], f[at+1] = byte(c>>8), byte(c)
		}
	}
	put(24, 0)
	put(24, wire.Checksum(f[14:14+n], 0))
	body := f[14+n:]
	at, pseudo := 0, wire.PseudoHeader4([4]byte(f[26:30]), [4]byte(f[30:34]), f[23], len(body))
	switch f[23] {
	case wire.ProtocolTCP:
		at = 16
	case wire.ProtocolUDP:
		at = 6
	case wire.ProtocolICMP:
		at, pseudo = 2, 0
	default:
		return
	}
	put(14+n+at, 0)
	put(14+n+at, wire.Checksum(body, pseudo))
}

func TestCycles(t *testing.T) {
	cycles := 600
	if os.Getenv("UNET_CYCLES") != "" {
		if _, err := fmt.Sscan(os.Getenv("UNET_CYCLES"), &cycles); err != nil {
			t.Fatal(err)
		}
	}
	inNetwork(t, "F-CONN-2 connections that open and end in every way leave nothing", simLoss(), func(n *network) {
		buffers := link.Outstanding()
		l := n.listen(n.b, 80, 100)
		for i := range cycles {
			client := n.dial(80)
			if i%7 == 6 { // given up before it is open
				client.Abort()
				settle()
				if c, err := l.TryAccept(); err == nil {
					c.Abort()
				}
				continue
			}
			n.must(client.WaitConnect())
			server, err := l.Accept()
			n.must(err)
			if i%3 == 0 {
				n.write(client, "hello")
				n.reads(server, "hello")
			}
			switch i % 7 {
			case 0:
				n.must(client.Close())
				n.must(server.Close())
			case 1:
				n.must(server.Close())
				n.must(client.Close())
			case 2:
				client.Abort()
				n.must(server.Close())
			case 3:
				n.must(client.CloseWrite())
				n.reads(server, "EOF")
				n.must(server.Close())
				n.reads(client, "EOF")
				n.must(client.Close())
			case 4: // unread text
				n.write(client, "never read")
				settle()
				n.must(server.Close())
				n.must(client.Close())
			case 5:
				n.must(client.Update(func(o *tcp.Options) { o.Linger = 0 }))
				n.must(client.Close())
				n.must(server.Close())
			}
		}
		time.Sleep(20 * time.Minute)
		n.must(l.Close())
		n.nothingLeft(buffers)
	})
}

// simLoss is a wire that now and then loses a frame.
func simLoss() sim.Config { return sim.Config{Delay: time.Millisecond, Loss: 0.01, Seed: 5} }
