package stack

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"testing"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/ip"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/tcp"
)

// pings says whether the host answers an echo request in this packet, and takes the answer.
func (b *bed) answers(frames ...[]byte) bool {
	b.Helper()
	b.inject(frames...)
	return len(b.take()) > 0
}

var echoRequest = icmp4(8, 0, [4]byte{0, 1, 0, 1}, []byte("ping"))

func TestIPv4Input(t *testing.T) {
	t.Run("B-IP4-1 another version is dropped in silence", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			p := ip4(fromPeer(wire.ProtocolICMP), echoRequest)
			p[0] = 5<<4 | 5
			b.inject(in4(p))
			b.want()
			b.wantDrop(DropIPVersion, 1)
		})
	})
	t.Run("B-IP4-2 lengths that lie are dropped", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			good := ip4(fromPeer(wire.ProtocolICMP), echoRequest)
			with := func(i int, v byte) []byte {
				p := append([]byte(nil), good...)
				p[i] = v
				p[10], p[11] = 0, 0
				c := wire.Checksum(p[:20], 0)
				p[10], p[11] = byte(c>>8), byte(c)
				return in4(p)
			}
			b.inject(with(0, 0x44), with(0, 0x4f), with(3, 19), with(3, 200), in4(good[:12]))
			b.want()
			b.wantDrop(DropIPHeader, 5)
		})
	})
	t.Run("B-IP4-3 a wrong header checksum is dropped in silence", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			p := ip4(fromPeer(wire.ProtocolICMP), echoRequest)
			p[8] ^= 1
			b.inject(in4(p))
			b.want()
			b.wantDrop(DropIPChecksum, 1)
		})
	})
	t.Run("B-IP4-4 what is for others is dropped in silence", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			h := fromPeer(wire.ProtocolICMP)
			h.Dst = otherIP.As4()
			b.inject(in4(ip4(h, echoRequest)))
			b.want()
			b.wantDrop(DropNotForUs, 1)
		})
	})
	sources := []string{"0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.5", "240.0.0.1", "255.255.255.255",
		"10.0.0.255", "10.0.0.2"}
	for _, name := range []string{"B-IP4-5 invalid source", "MUST-63 SYN from an invalid source"} {
		for _, src := range sources {
			t.Run(name+" "+src+" is ignored", func(t *testing.T) {
				withPeer(t, Config{}, func(b *bed) {
					a := netip.MustParseAddr(src)
					ip := fromPeer(wire.ProtocolTCP)
					ip.Src = a.As4()
					syn := tcp4(a, ourIP, wire.TCP{SrcPort: 5, DstPort: 80, Flags: wire.TCPSyn}, nil)
					udp := ip
					udp.Protocol = wire.ProtocolUDP
					ping := ip
					ping.Protocol = wire.ProtocolICMP
					b.inject(in4(ip4(ip, syn)), in4(ip4(udp, udp4(a, ourIP, 5, 7, nil))), in4(ip4(ping, echoRequest)))
					b.want()
					b.wantDrop(DropBadSource, 3)
				})
			})
		}
	}
	t.Run("D-LAND-1 a segment from our own address and port is dropped", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			h := fromPeer(wire.ProtocolTCP)
			h.Src = ourIP.As4()
			b.inject(in4(ip4(h, tcp4(ourIP, ourIP, wire.TCP{SrcPort: 80, DstPort: 80, Flags: wire.TCPSyn}, nil))))
			b.want()
			b.wantDrop(DropBadSource, 1)
		})
	})
	t.Run("D-LAND-1 a connection to oneself within the host still works", func(t *testing.T) {
		onBed(t, Config{}, func(b *bed) {
			self := netip.AddrPortFrom(ourIP, 5000)
			bound, err := b.h.BindTCP(self, BindOptions{})
			if err != nil {
				t.Fatal(err)
			}
			c, err := b.h.ConnectTCP(bound, self, tcp.DefaultOptions())
			if err != nil {
				t.Fatal(err)
			}
			if err := c.WaitConnect(); err != nil {
				t.Fatalf("WaitConnect = %v", err)
			}
			p := make([]byte, 4)
			if _, err := c.Write([]byte("self")); err != nil {
				t.Fatal(err)
			}
			if n, err := c.Read(p); n != 4 || err != nil || string(p) != "self" {
				t.Errorf("Read = %q, %v", p[:n], err)
			}
			b.want()
		})
	})
	t.Run("B-IP4-6 127.0.0.1 from the wire is dropped", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			h := fromPeer(wire.ProtocolICMP)
			h.Dst = [4]byte{127, 0, 0, 1}
			b.inject(in4(ip4(h, echoRequest)))
			b.want()
			b.wantDrop(DropBadDestination, 1)
		})
	})
	t.Run("B-IP4-8 TTL 0 and 1 are accepted, and never sent as 0", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			for _, ttl := range []uint8{0, 1} {
				p := ip4(fromPeer(wire.ProtocolICMP), echoRequest)
				p[8], p[10], p[11] = ttl, 0, 0
				c := wire.Checksum(p[:20], 0)
				p[10], p[11] = byte(c>>8), byte(c)
				b.inject(in4(p))
				out := b.take()
				if len(out) != 1 {
					t.Fatalf("TTL %d: %d answers, want 1", ttl, len(out))
				}
				if ip, _ := b.parsed4(out[0]); ip.TTL != 64 {
					t.Errorf("TTL of the answer is %d, want 64", ip.TTL)
				}
			}
		})
	})
	for _, tt := range []struct {
		name    string
		options []byte
		pointer byte // of the parameter problem; 0: answered
	}{
		{"unknown option is skipped", []byte{0x9e, 4, 1, 2}, 0},
		{"two unknown options and no-operations are skipped", []byte{1, 0x9e, 3, 1, 1, 0x5e, 2, 0}, 0},
		{"end of list hides what follows", []byte{0, 0x9e, 0, 0}, 0},
		{"option of length 0", []byte{1, 0x9e, 0, 0}, 21},
		{"option of length 1", []byte{0x9e, 1, 0, 0}, 20},
		{"option that is too long", []byte{0x9e, 5, 0, 0}, 20},
		{"option whose length is missing", []byte{1, 1, 1, 0x9e}, 23},
	} {
		t.Run("B-IP4-10 "+tt.name, func(t *testing.T) {
			withPeer(t, Config{}, func(b *bed) {
				h := fromPeer(wire.ProtocolICMP)
				h.Options = tt.options
				p := ip4(h, echoRequest)
				b.inject(in4(p))
				out := b.take()
				if len(out) != 1 {
					t.Fatalf("%d frames, want 1", len(out))
				}
				ip, body := b.parsed4(out[0])
				want := icmp4(0, 0, [4]byte{0, 1, 0, 1}, []byte("ping"))
				if tt.pointer != 0 {
					want = icmp4(12, 0, [4]byte{tt.pointer}, p)
				}
				if ip.Dst != peerIP.As4() || string(body) != string(want) {
					t.Errorf("sent %x, want %x", body, want)
				}
			})
		})
	}
	t.Run("MUST-50 a handshake works with an IP option that nobody knows", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			bound, err := b.h.BindTCP(netip.AddrPortFrom(ourIP, 80), BindOptions{})
			if err != nil {
				t.Fatal(err)
			}
			l, err := b.h.ListenTCP(bound, 1, tcp.DefaultOptions())
			if err != nil {
				t.Fatal(err)
			}
			h := fromPeer(wire.ProtocolTCP)
			h.Options = []byte{0x9e, 4, 1, 2}
			b.inject(in4(ip4(h, tcp4(peerIP, ourIP, wire.TCP{SrcPort: 5, DstPort: 80, Seq: 99, Flags: wire.TCPSyn, Window: 9000}, nil))))
			synAck := b.segment()
			if synAck.Flags != wire.TCPSyn|wire.TCPAck || synAck.Ack != 100 {
				t.Fatalf("answer %+v, want a SYN-ACK", synAck)
			}
			b.inject(in4(ip4(h, tcp4(peerIP, ourIP, wire.TCP{SrcPort: 5, DstPort: 80, Seq: 100, Ack: synAck.Seq + 1,
				Flags: wire.TCPAck, Window: 9000}, nil))))
			if _, err := l.TryAccept(); err != nil {
				t.Errorf("TryAccept = %v", err)
			}
		})
	})
	for _, route := range []byte{131, 137} {
		t.Run(fmt.Sprintf("B-IP4-11 source route %d is dropped", route), func(t *testing.T) {
			withPeer(t, Config{}, func(b *bed) {
				h := fromPeer(wire.ProtocolTCP)
				h.Options = []byte{route, 7, 4, 10, 0, 0, 2}
				b.inject(in4(ip4(h, tcp4(peerIP, ourIP, wire.TCP{SrcPort: 5, DstPort: 80, Flags: wire.TCPSyn}, nil))))
				b.want()
				b.wantDrop(DropSourceRoute, 1)
			})
		})
	}
	t.Run("B-IP4-21 odd flags: the reserved bit is ignored, DF with MF is a fragment", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			flags := func(v byte) []byte {
				p := ip4(fromPeer(wire.ProtocolICMP), echoRequest[:len(echoRequest)-4])
				p[6] = v
				p[10], p[11] = 0, 0
				c := wire.Checksum(p[:20], 0)
				p[10], p[11] = byte(c>>8), byte(c)
				return in4(p)
			}
			if !b.answers(in4(ip4(fromPeer(wire.ProtocolICMP), echoRequest))) {
				t.Error("no answer without flags")
			}
			b.inject(flags(0x60), flags(0xe0))
			b.want()
		})
	})
	t.Run("B-IP4-22 broadcasts reach UDP, and move neither TCP nor ICMP errors", func(t *testing.T) {
		for _, dst := range []string{"255.255.255.255", "10.0.0.255"} {
			broadcastOnly(t, netip.MustParseAddr(dst), wire.BroadcastMAC)
			broadcastOnly(t, netip.MustParseAddr(dst), ourMAC)
		}
	})
	t.Run("MUST-57 segments to broadcast and multicast addresses are dropped", func(t *testing.T) {
		for _, dst := range []string{"255.255.255.255", "10.0.0.255", "224.0.0.1"} {
			a := netip.MustParseAddr(dst)
			broadcastOnly(t, a, groupMAC(a))
			broadcastOnly(t, a, ourMAC)
		}
		withPeer(t, Config{}, func(b *bed) { // unicast IP in a broadcast frame
			syn := tcp4(peerIP, ourIP, wire.TCP{SrcPort: 5, DstPort: 80, Flags: wire.TCPSyn}, nil)
			b.inject(ethFrame(wire.BroadcastMAC, peerMAC, wire.EtherTypeIPv4, ip4(fromPeer(wire.ProtocolTCP), syn)))
			b.want()
		})
	})
	t.Run("D-PARSE-4 encapsulated packets are protocol unreachable", func(t *testing.T) {
		for _, proto := range []uint8{4, 41, 253} {
			withPeer(t, Config{}, func(b *bed) {
				p := ip4(fromPeer(proto), ip4(fromPeer(wire.ProtocolICMP), echoRequest))
				b.inject(in4(p))
				out := b.take()
				if len(out) != 1 {
					t.Fatalf("protocol %d: %d frames, want 1", proto, len(out))
				}
				if _, body := b.parsed4(out[0]); string(body) != string(icmp4(3, 2, [4]byte{}, p)) {
					t.Errorf("protocol %d: sent %x", proto, body)
				}
			})
		}
	})
}

// broadcastOnly checks that a datagram to dst reaches a bound socket and that nothing else is answered.
func broadcastOnly(t *testing.T, dst netip.Addr, mac link.MAC) {
	t.Helper()
	withPeer(t, Config{}, func(b *bed) {
		s := b.listenUDP("0.0.0.0:7")
		to := func(proto uint8, payload []byte) []byte {
			h := fromPeer(proto)
			h.Dst = dst.As4()
			return ethFrame(mac, peerMAC, wire.EtherTypeIPv4, ip4(h, payload))
		}
		b.inject(
			to(wire.ProtocolUDP, udp4(peerIP, dst, 5, 7, []byte("all"))),
			to(wire.ProtocolUDP, udp4(peerIP, dst, 5, 8, []byte("all"))),
			to(wire.ProtocolTCP, tcp4(peerIP, dst, wire.TCP{SrcPort: 5, DstPort: 80, Flags: wire.TCPSyn}, nil)),
			to(99, nil),
		)
		b.want()
		b.wantDatagram(s, []byte("all"))
		b.wantNoDatagram(s)
	})
}

func TestIPv4Output(t *testing.T) {
	t.Run("B-IP4-7 a source that is not ours is refused", func(t *testing.T) {
		onBed(t, Config{}, func(b *bed) {
			if _, err := b.h.ListenUDP(netip.MustParseAddrPort("10.0.0.9:7"), BindOptions{}); err != syscall.EADDRNOTAVAIL {
				t.Errorf("ListenUDP = %v, want EADDRNOTAVAIL", err)
			}
			if _, err := b.h.ip.HostRoute(otherIP, peerIP); err != syscall.ENETUNREACH {
				t.Errorf("HostRoute = %v, want ENETUNREACH", err)
			}
		})
	})
	t.Run("MUST-49 the TTL is configurable", func(t *testing.T) {
		withPeer(t, Config{TTL: 3}, func(b *bed) {
			r, err := b.h.ip.HostRoute(ourIP, peerIP)
			if err != nil {
				t.Fatal(err)
			}
			b.h.udp.send(r, 7, 7, nil, 0, udpOptions{})
			r.Send(&ip.OutPacket{Protocol: 99, TTL: 9, Header: []byte{1, 2, 3, 4}, ChecksumOffset: -1, DontFragment: true})
			b.h.flush()
			out := b.take()
			if len(out) != 2 {
				t.Fatalf("%d frames", len(out))
			}
			for i, want := range []uint8{3, 9} {
				if ip, _ := b.parsed4(out[i]); ip.TTL != want {
					t.Errorf("packet %d has TTL %d, want %d", i, ip.TTL, want)
				}
			}
		})
	})
	t.Run("MUST-49 a connection's own TTL is in its SYN and its text", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			o := tcp.DefaultOptions()
			o.TTL = 3
			c, err := b.h.ConnectTCP(nil, netip.AddrPortFrom(peerIP, 80), o)
			if err != nil {
				t.Fatal(err)
			}
			var syn wire.TCP
			check := func(want uint16) {
				t.Helper()
				out := b.take()
				if len(out) != 1 {
					t.Fatalf("%d frames, want 1", len(out))
				}
				ip, p := b.parsed4(out[0])
				if _, err := syn.Parse(p); err != nil || ip.TTL != 3 || syn.Flags&want != want {
					t.Errorf("TTL %d, segment %+v, %v", ip.TTL, syn, err)
				}
			}
			check(wire.TCPSyn)
			b.inject(in4(ip4(fromPeer(wire.ProtocolTCP), tcp4(peerIP, ourIP, wire.TCP{SrcPort: 80, DstPort: syn.SrcPort,
				Seq: 99, Ack: syn.Seq + 1, Flags: wire.TCPSyn | wire.TCPAck, Window: 9000}, nil))))
			check(wire.TCPAck)
			if _, err := c.Write([]byte("text")); err != nil {
				t.Fatal(err)
			}
			check(wire.TCPPsh)
		})
	})
	t.Run("B-IP4-9 identifications do not come again and are not counted", func(t *testing.T) {
		identifications(t)
	})
	t.Run("D-SIDE-1 identifications to one peer tell nothing of those to others", func(t *testing.T) {
		identifications(t)
	})
	t.Run("B-IP4-20 datagrams over the MTU leave in fragments, or fail with DF", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			s := b.listenUDP("10.0.0.2:7")
			b.writeTo(s, octets(4000), netip.AddrPortFrom(peerIP, 9))
			out := b.take()
			if len(out) != 3 {
				t.Fatalf("%d fragments, want 3", len(out))
			}
			var data []byte
			var id uint16
			for i, f := range out {
				ip, p := b.parsed4(f)
				if i == 0 {
					id = ip.ID
				}
				if ip.FragmentOffset != len(data) || ip.MF != (i < 2) || ip.DF || ip.ID != id || len(f) > 1514 {
					t.Errorf("fragment %d: %+v", i, ip)
				}
				data = append(data, p...)
			}
			if string(data) != string(udp4(ourIP, peerIP, 7, 9, octets(4000))) {
				t.Error("the fragments do not make the datagram with its checksum")
			}
			if err := s.SetDontFragment(true); err != nil {
				t.Fatal(err)
			}
			if _, err := s.WriteTo(octets(1473), netip.AddrPortFrom(peerIP, 9)); err != syscall.EMSGSIZE {
				t.Errorf("WriteTo with DF = %v, want EMSGSIZE", err)
			}
			b.writeTo(s, octets(1472), netip.AddrPortFrom(peerIP, 9))
			out = b.take()
			if len(out) != 1 {
				t.Fatalf("%d frames, want 1", len(out))
			}
			if ip, _ := b.parsed4(out[0]); !ip.DF {
				t.Error("DF is not set")
			}
		})
	})
	t.Run("B-IP4-24 off-link without a route is ENETUNREACH at once, and works through a gateway", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			far := netip.MustParseAddr("8.8.8.8")
			if _, err := b.h.ip.HostRoute(netip.Addr{}, far); err != syscall.ENETUNREACH {
				t.Fatalf("HostRoute = %v, want ENETUNREACH", err)
			}
			all := netip.MustParsePrefix("0.0.0.0/0")
			if err := b.h.AddRoute(all, netip.MustParseAddr("192.0.2.1")); err != syscall.ENETUNREACH {
				t.Errorf("a gateway that is not on a connected network gave %v", err)
			}
			if err := b.h.AddRoute(all, peerIP); err != nil {
				t.Fatal(err)
			}
			if err := b.h.AddRoute(all, peerIP); err != syscall.EEXIST {
				t.Errorf("the same route again gave %v", err)
			}
			r, err := b.h.ip.HostRoute(netip.Addr{}, far)
			if err != nil || r.Local() != ourIP || r.NextHop() != peerIP {
				t.Fatalf("route %+v, %v", r, err)
			}
			b.h.udp.send(r, 7, 7, nil, 0, udpOptions{})
			b.h.flush()
			if out := b.take(); len(out) != 1 || link.MAC(out[0][:6]) != peerMAC {
				t.Errorf("sent %x", out)
			}
		})
	})
	t.Run("routes: the source, broadcasts and loopback", func(t *testing.T) {
		onBed(t, Config{}, func(b *bed) {
			for _, tt := range []struct {
				local, remote string
				wantLocal     string
				err           error
			}{
				{"", "10.0.0.1", "10.0.0.2", nil},
				{"0.0.0.0", "10.0.0.1", "10.0.0.2", nil},
				{"", "10.0.0.2", "10.0.0.2", nil},
				{"127.0.0.1", "10.0.0.2", "127.0.0.1", nil},
				{"", "127.8.8.8", "127.0.0.1", nil},
				{"", "0.0.0.0", "127.0.0.1", nil},
				{"", "::", "::1", nil},
				{"", "::ffff:10.0.0.1", "10.0.0.2", nil},
				{"127.0.0.1", "10.0.0.1", "", syscall.EINVAL},
				{"", "10.0.0.255", "", syscall.ENETUNREACH},
				{"", "255.255.255.255", "", syscall.ENETUNREACH},
				{"", "224.0.0.1", "", syscall.ENETUNREACH},
				{"", "2001:db8::1", "", syscall.ENETUNREACH},
			} {
				var local netip.Addr
				if tt.local != "" {
					local = netip.MustParseAddr(tt.local)
				}
				for range 2 { // the second time from the cache
					r, err := b.h.ip.HostRoute(local, netip.MustParseAddr(tt.remote))
					if err != tt.err || err == nil && r.Local().String() != tt.wantLocal {
						t.Errorf("HostRoute(%q, %s) = %+v, %v; want from %s, %v", tt.local, tt.remote, r, err, tt.wantLocal, tt.err)
					}
				}
			}
		})
	})
	t.Run("offloads: partial checksum, one super-segment, payload by reference", func(t *testing.T) {
		info := link.Info{Name: "mem0", Kind: link.IP, MTU: 1500, Checksum: true, TSO4: true, MaxPacket: 65535}
		onDevice(t, Config{}, info, func(b *bed) {
			r, err := b.h.ip.HostRoute(netip.Addr{}, peerIP)
			if err != nil {
				t.Fatal(err)
			}
			if pathOf(r) != (tcp.Path{MTU: 1500, PathMTU: 1500, MaxSuper: 65535}) {
				t.Errorf("path %+v", pathOf(r))
			}
			h := wire.TCP{SrcPort: 1, DstPort: 2, Flags: wire.TCPAck}
			var header [wire.TCPLen]byte
			h.Marshal(header[:])
			buf := link.NewBuffer(5000)
			data := buf.Bytes()[:4000]
			copy(data, octets(4000))
			r.Send(&ip.OutPacket{Protocol: wire.ProtocolTCP, Header: header[:], ChecksumOffset: 16, DontFragment: true, GSOSize: 1460,
				Payload: []tcp.Span{{Data: data[:1000], Owner: buf}, {Data: data[1000:], Owner: buf}}, PayloadLen: 4000})
			buf.Release()
			b.h.flush()
			b.dev.mu.Lock()
			meta := b.dev.metas
			b.dev.mu.Unlock()
			want := link.Meta{NeedsChecksum: true, ChecksumStart: 20, ChecksumOffset: 16, GSO: link.TCP4, GSOSize: 1460, HeaderLen: 40}
			if len(meta) != 1 || meta[0] != want {
				t.Fatalf("metadata %+v, want %+v", meta, want)
			}
			out := b.take()[0]
			var ip wire.IPv4
			p, err := ip.Parse(out)
			if err != nil || string(p[20:]) != string(octets(4000)) || !ip.DF {
				t.Errorf("packet %+v, %v", ip, err)
			}
			sum := wire.Fold(wire.PseudoHeader(ourIP, peerIP, wire.ProtocolTCP, 4020))
			if got := uint16(p[16])<<8 | uint16(p[17]); got != sum {
				t.Errorf("checksum field %#x, want the folded pseudo-header %#x", got, sum)
			}
			// A packet that says it never left the machine is not verified, one from the wire is.
			s := b.listenUDP("10.0.0.2:7")
			d := ip4(fromPeer(wire.ProtocolUDP), udp4(peerIP, ourIP, 5, 7, []byte("x")))
			d[26] ^= 0xff
			b.inject(d)
			b.wantNoDatagram(s)
			b.injectMeta(link.Meta{NeedsChecksum: true, ChecksumStart: 20, ChecksumOffset: 6}, d)
			b.wantDatagram(s, []byte("x"))
			b.injectMeta(link.Meta{ChecksumValid: true}, d)
			b.wantDatagram(s, []byte("x"))
		})
	})
}

func identifications(t *testing.T) {
	t.Helper()
	withPeer(t, Config{}, func(b *bed) {
		s := b.listenUDP("10.0.0.2:7")
		if err := s.SetPathMTUDiscovery(tcp.DiscoverDont); err != nil { // what may not be cut needs none
			t.Fatal(err)
		}
		seen := map[uint16]bool{}
		var last uint16
		steps := 0
		for i := range 10000 {
			b.writeTo(s, nil, netip.AddrPortFrom(peerIP, 9))
			ip, _ := b.parsed4(b.take()[0])
			if seen[ip.ID] {
				t.Fatalf("identification %d again after %d packets", ip.ID, i)
			}
			seen[ip.ID] = true
			if ip.ID == last+1 {
				steps++
			}
			last = ip.ID
		}
		if steps > 100 {
			t.Errorf("%d of 10000 identifications follow their predecessor", steps)
		}
	})
}

func TestAttach(t *testing.T) {
	eth := link.Info{Kind: link.Ethernet, MAC: ourMAC, MTU: 1500}
	prefix := func(s string) Interface { return Interface{Addrs: []netip.Prefix{netip.MustParsePrefix(s)}} }
	for _, tt := range []struct {
		name string
		info link.Info
		ic   Interface
		err  error
	}{
		{"an address twice", eth, prefix("10.0.0.2/16"), syscall.EADDRINUSE},
		{"a loopback address", eth, prefix("127.0.0.2/8"), syscall.EINVAL},
		{"a multicast address", eth, prefix("224.0.0.1/4"), syscall.EINVAL},
		{"a mapped address", eth, prefix("::ffff:10.1.0.2/120"), syscall.EINVAL},
		{"an address of IPv6", eth, prefix("fd00::2/64"), nil},
		{"IPv6's loopback address", eth, prefix("::1/128"), syscall.EINVAL},
		{"IPv6 where packets are too small", link.Info{MAC: ourMAC, MTU: 1279}, prefix("fd00::2/64"), syscall.EINVAL},
		{"no MAC", link.Info{MTU: 1500}, prefix("10.1.0.2/16"), syscall.EINVAL},
		{"a group's MAC", link.Info{MAC: wire.BroadcastMAC, MTU: 1500}, prefix("10.1.0.2/16"), syscall.EINVAL},
		{"a tiny MTU", link.Info{MAC: ourMAC, MTU: 67}, prefix("10.1.0.2/16"), syscall.EINVAL},
		{"another network", eth, prefix("10.1.0.2/16"), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onBed(t, Config{}, func(b *bed) {
				if err := b.h.Attach(newMemDevice(tt.info), tt.ic); !errors.Is(err, tt.err) {
					t.Errorf("Attach = %v, want %v", err, tt.err)
				}
			})
		})
	}
	t.Run("after Close", func(t *testing.T) {
		h, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := h.Close(); err != nil {
				t.Errorf("Close = %v", err)
			}
		}
		if err := h.Attach(newMemDevice(eth), prefix("10.1.0.2/16")); err != syscall.ENETDOWN {
			t.Errorf("Attach = %v, want ENETDOWN", err)
		}
		if _, err := h.ListenUDP(netip.AddrPort{}, BindOptions{}); err != syscall.ENETDOWN {
			t.Errorf("ListenUDP = %v, want ENETDOWN", err)
		}
	})
}

func TestShardsArePowersOfTwo(t *testing.T) {
	for n, want := range map[int]int{1: 1, 2: 2, 3: 4, 5: 8, 8: 8, 9: 16, 1000: 1024} {
		if got := (Config{Shards: n}).withDefaults().Shards; got != want {
			t.Errorf("%d shards become %d, want %d", n, got, want)
		}
	}
}
