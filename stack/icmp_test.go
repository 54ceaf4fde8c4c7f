package stack

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/rate"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

func TestICMPEcho(t *testing.T) {
	t.Run("B-IC4-1 a wrong checksum and unknown types are dropped in silence", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			bad := append([]byte(nil), echoRequest...)
			bad[9] ^= 1
			b.inject(in4(ip4(fromPeer(wire.ProtocolICMP), bad)),
				in4(ip4(fromPeer(wire.ProtocolICMP), echoRequest[:7])))
			for _, typ := range []uint8{42, 255} {
				b.inject(in4(ip4(fromPeer(wire.ProtocolICMP), icmp4(typ, 0, [4]byte{}, nil))))
			}
			b.want()
			b.wantDrop(DropICMPMalformed, 2)
			b.wantDrop(DropICMPType, 2)
		})
	})
	for _, n := range []int{0, 1, 1472, 20000} {
		t.Run(fmt.Sprintf("B-IC4-6 echo of %d octets", n), func(t *testing.T) {
			withPeer(t, Config{}, func(b *bed) {
				h := fromPeer(wire.ProtocolICMP)
				h.TOS = 0x2b // of which the ECN codepoint is not for the answer
				b.inject(cut(h, icmp4(8, 0, [4]byte{1, 2, 3, 4}, octets(n)), 1480)...)
				var got []byte
				for _, f := range b.take() {
					ip, p := b.parsed4(f)
					if ip.Src != ourIP.As4() || ip.Dst != peerIP.As4() || ip.FragmentOffset != len(got) || ip.TOS != 0x28 {
						t.Errorf("answer %+v", ip)
					}
					got = append(got, p...)
				}
				if string(got) != string(icmp4(0, 0, [4]byte{1, 2, 3, 4}, octets(n))) {
					t.Errorf("the answer differs")
				}
			})
		})
	}
	for _, dst := range []string{"255.255.255.255", "10.0.0.255", "224.0.0.1"} {
		for _, name := range []string{"B-IC4-7 echo", "D-MISC-1 smurf"} {
			t.Run(name+" to "+dst+" is not answered", func(t *testing.T) {
				withPeer(t, Config{}, func(b *bed) {
					a := netip.MustParseAddr(dst)
					h := fromPeer(wire.ProtocolICMP)
					h.Dst = a.As4()
					b.inject(ethFrame(groupMAC(a), peerMAC, wire.EtherTypeIPv4, ip4(h, echoRequest)))
					b.want()
					b.wantDrop(DropICMPBroadcast, 1)
				})
			})
		}
	}
	for name, typ := range map[string]uint8{"B-IC4-8 source quench": 4, "MUST-55 source quench": 4, "B-IC4-9 redirect": 5,
		"B-IC4-10 timestamp": 13, "B-IC4-10 information": 15, "B-IC4-10 mask": 17} {
		t.Run(name+" is dropped in silence", func(t *testing.T) {
			withPeer(t, Config{}, func(b *bed) {
				before := fmt.Sprint(b.h.Routes())
				quoted := ip4(toPeer(wire.ProtocolTCP), tcp4(ourIP, peerIP, wire.TCP{SrcPort: 5, DstPort: 80}, nil))
				b.inject(in4(ip4(fromPeer(wire.ProtocolICMP), icmp4(typ, 1, otherIP.As4(), quoted))))
				b.want()
				b.wantDrop(map[bool]Drop{true: DropRedirect, false: DropICMPType}[typ == 5], 1)
				if got := b.h.Stats().ICMPErrorsIn; got != 0 || fmt.Sprint(b.h.Routes()) != before {
					t.Errorf("it changed something")
				}
			})
		})
	}
}

func TestICMPErrorsSent(t *testing.T) {
	closed := func(h wire.IPv4, data []byte) []byte {
		return ip4(h, udp4(netip.AddrFrom4(h.Src), netip.AddrFrom4(h.Dst), 5, 7, data))
	}
	udp := fromPeer(wire.ProtocolUDP)
	with := func(change func(*wire.IPv4)) wire.IPv4 {
		h := udp
		change(&h)
		return h
	}
	none := []struct {
		name  string
		frame []byte
	}{
		{"an ICMP error", in4(ip4(with(func(h *wire.IPv4) { h.Protocol = wire.ProtocolICMP; h.Options = []byte{0x9e, 0, 0, 0} }),
			icmp4(3, 3, [4]byte{}, closed(udp, nil))))},
		{"an unknown ICMP type", in4(ip4(with(func(h *wire.IPv4) { h.Protocol = wire.ProtocolICMP; h.Options = []byte{0x9e, 0, 0, 0} }),
			icmp4(99, 0, [4]byte{}, nil)))},
		{"a limited broadcast", ethFrame(wire.BroadcastMAC, peerMAC, wire.EtherTypeIPv4,
			closed(with(func(h *wire.IPv4) { h.Dst = limitedBroadcast.As4() }), nil))},
		{"a directed broadcast", ethFrame(wire.BroadcastMAC, peerMAC, wire.EtherTypeIPv4,
			closed(with(func(h *wire.IPv4) { h.Dst = [4]byte{10, 0, 0, 255} }), nil))},
		{"a broadcast IP address in a unicast frame", in4(closed(with(func(h *wire.IPv4) { h.Dst = [4]byte{10, 0, 0, 255} }), nil))},
		{"a multicast", ethFrame(allHostsMAC, peerMAC, wire.EtherTypeIPv4,
			closed(with(func(h *wire.IPv4) { h.Dst = allHosts.As4() }), nil))},
		{"a link broadcast", ethFrame(wire.BroadcastMAC, peerMAC, wire.EtherTypeIPv4, closed(udp, nil))},
		{"a fragment that is not the first", in4(ip4(with(func(h *wire.IPv4) { h.FragmentOffset = 8; h.Options = []byte{0x9e, 0, 0, 0} }),
			octets(16)))},
		{"a source of zeros", in4(closed(with(func(h *wire.IPv4) { h.Src = [4]byte{} }), nil))},
		{"a loopback source", in4(closed(with(func(h *wire.IPv4) { h.Src = [4]byte{127, 0, 0, 1} }), nil))},
		{"a broadcast source", in4(closed(with(func(h *wire.IPv4) { h.Src = [4]byte{10, 0, 0, 255} }), nil))},
		{"a multicast source", in4(closed(with(func(h *wire.IPv4) { h.Src = [4]byte{224, 0, 0, 1} }), nil))},
		{"a source of class E", in4(closed(with(func(h *wire.IPv4) { h.Src = [4]byte{240, 0, 0, 1} }), nil))},
	}
	for _, tt := range none {
		t.Run("B-IC4-2 no error about "+tt.name, func(t *testing.T) {
			withPeer(t, Config{}, func(b *bed) {
				b.h.findNeighbor(b, otherIP)
				b.inject(tt.frame)
				b.want()
			})
		})
	}
	t.Run("B-IC4-2 but one about what came to us alone", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			p := closed(udp, nil)
			b.inject(in4(p))
			out := b.take()
			if len(out) != 1 {
				t.Fatalf("%d frames, want 1", len(out))
			}
			h := toPeer(wire.ProtocolICMP)
			h.TOS, h.ID = 0xc0, uint16(out[0][18])<<8|uint16(out[0][19])
			if want := out4(ip4(h, icmp4(3, 3, [4]byte{}, p))); string(out[0]) != string(want) {
				t.Errorf("sent %x, want %x", out[0], want)
			}
			// A bad option in a query, and in a first fragment, may be reported.
			q := fromPeer(wire.ProtocolICMP)
			q.Options = []byte{0x9e, 0, 0, 0}
			b.inject(in4(ip4(q, echoRequest)))
			f := with(func(h *wire.IPv4) { h.MF = true; h.Options = []byte{0x9e, 0, 0, 0} })
			b.inject(in4(ip4(f, octets(16))))
			if n := len(b.take()); n != 2 {
				t.Errorf("%d errors about bad options, want 2", n)
			}
		})
	})
	t.Run("B-IC4-3 the error quotes the packet unchanged, up to 576 octets in all", func(t *testing.T) {
		for _, n := range []int{0, 8, 500, 1000} {
			withPeer(t, Config{}, func(b *bed) {
				h := udp
				h.Options, h.TOS, h.ID, h.TTL = []byte{0x9e, 4, 1, 2}, 0x28, 4711, 3
				p := closed(h, octets(n))
				b.inject(in4(p))
				out := b.take()
				if len(out) != 1 {
					t.Fatalf("%d frames, want 1", len(out))
				}
				_, body := b.parsed4(out[0])
				if want := icmp4(3, 3, [4]byte{}, p[:min(len(p), 576-28)]); string(body) != string(want) {
					t.Errorf("%d octets: sent %x, want %x", n, body, want)
				}
			})
		}
	})
	t.Run("B-IC4-4 protocol unreachable, port unreachable, and a reset for TCP", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			for _, tt := range []struct {
				packet     []byte
				proto      uint8
				typ, code  uint8
				wantPacket bool
			}{
				{ip4(fromPeer(99), octets(8)), wire.ProtocolICMP, 3, 2, true},
				{closed(udp, nil), wire.ProtocolICMP, 3, 3, true},
				{ip4(fromPeer(wire.ProtocolTCP), tcp4(peerIP, ourIP, wire.TCP{SrcPort: 5, DstPort: 80, Flags: wire.TCPSyn}, nil)),
					wire.ProtocolTCP, 0, 0, true},
			} {
				b.inject(in4(tt.packet))
				out := b.take()
				if len(out) != 1 {
					t.Fatalf("%d frames, want 1", len(out))
				}
				ip, body := b.parsed4(out[0])
				if ip.Protocol != tt.proto || ip.Protocol == wire.ProtocolICMP && (body[0] != tt.typ || body[1] != tt.code) {
					t.Errorf("protocol %d, %x", ip.Protocol, body)
				}
			}
		})
	})
	flood := func(t *testing.T, peers int, low, high int) {
		t.Helper()
		// A device without ARP, so that spoofed sources on other networks can be answered.
		info := link.Info{Name: "mem0", Kind: link.IP, MTU: 1500}
		onDevice(t, Config{}, info, func(b *bed) {
			if err := b.h.AddRoute(netip.MustParsePrefix("0.0.0.0/0"), peerIP); err != nil {
				t.Fatal(err)
			}
			sent := 0
			for i := range 20000 {
				h := udp
				h.Src = [4]byte{192, 0, byte(i % peers), 1}
				b.inject(closed(h, nil))
				sent += len(b.take())
				time.Sleep(50 * time.Microsecond)
			}
			if sent < low || sent > high {
				t.Errorf("%d errors in one second, want %d to %d", sent, low, high)
			}
			if got := b.h.Stats(); got.ICMPErrors+got.Dropped[DropICMPRate] != 20000 {
				t.Errorf("%d sent and %d held back do not make 20000", got.ICMPErrors, got.Dropped[DropICMPRate])
			}
		})
	}
	t.Run("B-IC4-11 errors are limited for all, with jitter", func(t *testing.T) { flood(t, 200, 500, 1000) })
	t.Run("B-IC4-11 errors are limited for one peer", func(t *testing.T) { flood(t, 1, 50, 100) })
	t.Run("D-SIDE-2 the global limit is jittered, so its state cannot be read off", func(t *testing.T) {
		onBed(t, Config{}, func(b *bed) {
			// The attack of CVE-2020-25705 fills the bucket, spends a known number and counts what is left.
			var limit rate.Limit
			limit.InitErrors(1000)
			left := map[int]int{}
			for range 50 {
				time.Sleep(2 * time.Second)
				n := 0
				for i := range 1000 {
					peer := netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)})
					if limit.Allow(b.h.clock.Now(), peer, false) {
						n++
					}
				}
				left[n]++
			}
			for n, times := range left {
				if times > 25 {
					t.Errorf("a full bucket gave %d errors %d times of 50", n, times)
				}
				if n > 100 {
					t.Errorf("a burst of %d errors, the bucket holds 100", n)
				}
			}
		})
	})
	t.Run("B-IC4-11 the bound is Config's, or none", func(t *testing.T) {
		for rate, want := range map[int]int{1: 3, 20: 30, -1: 1000} {
			onBed(t, Config{ICMPRate: rate, ResetRate: rate}, func(b *bed) {
				sent := 0
				for range 1000 {
					if b.h.tcp.allowReset(peerIP) {
						sent++
					}
					time.Sleep(time.Millisecond)
				}
				if sent > want || sent == 0 || rate < 0 && sent != want {
					t.Errorf("rate %d let %d pass in a second", rate, sent)
				}
			})
		}
	})
}

func TestICMPErrorsReceived(t *testing.T) {
	quote := ip4(toPeer(wire.ProtocolUDP), udp4(ourIP, peerIP, 7, 9, []byte("hello")))
	// run connects a socket to the peer and gives the host an error; want is what Read then says.
	run := func(t *testing.T, typ, code uint8, rest [4]byte, quote []byte, want error) {
		t.Helper()
		withPeer(t, Config{}, func(b *bed) {
			s := b.listenUDP("10.0.0.2:7")
			if err := s.Connect(netip.AddrPortFrom(peerIP, 9)); err != nil {
				t.Fatal(err)
			}
			b.inject(in4(ip4(fromPeer(wire.ProtocolICMP), icmp4(typ, code, rest, quote))))
			if err := s.TakeError(); !errors.Is(err, want) {
				t.Errorf("error %v, want %v", err, want)
			}
			if err := s.TakeError(); err != nil {
				t.Errorf("the error came twice: %v", err)
			}
			b.want()
		})
	}
	for _, tt := range []struct {
		typ, code uint8
		want      error
	}{
		{3, 0, syscall.ENETUNREACH}, {3, 1, syscall.EHOSTUNREACH}, {3, 2, syscall.ENOPROTOOPT}, {3, 3, syscall.ECONNREFUSED},
		{3, 4, syscall.EMSGSIZE}, {3, 5, syscall.EOPNOTSUPP}, {3, 6, syscall.ENETUNREACH}, {3, 7, syscall.EHOSTUNREACH},
		{3, 13, syscall.EHOSTUNREACH}, {3, 16, nil}, {11, 0, syscall.EHOSTUNREACH}, {12, 0, syscall.EPROTO}, {4, 0, nil},
	} {
		t.Run(fmt.Sprintf("B-IC4-5 type %d code %d reaches the socket that it is about", tt.typ, tt.code), func(t *testing.T) {
			run(t, tt.typ, tt.code, [4]byte{}, quote, tt.want)
		})
	}
	odd := func(i int, v byte) []byte {
		q := append([]byte(nil), quote...)
		q[i] = v
		return q
	}
	for name, q := range map[string][]byte{
		"nothing":                {},
		"less than an IP header": quote[:19],
		"no transport header":    quote[:20],
		"7 octets of transport":  quote[:27],
		"an IHL of 15":           odd(0, 0x4f),
		"an IHL of 4":            odd(0, 0x44),
		"another version":        odd(0, 0x65),
		"a foreign source":       odd(15, 9),
		"a foreign destination":  odd(19, 9),
		"another local port":     odd(21, 99),
		"another remote port":    odd(23, 99),
		"another protocol":       odd(9, 99),
		"a later fragment":       odd(7, 2),
	} {
		t.Run("B-IC4-5 a quote with "+name+" is ignored", func(t *testing.T) { run(t, 3, 3, [4]byte{}, q, nil) })
	}
	t.Run("B-IC4-5 a quote of eight octets is enough", func(t *testing.T) {
		run(t, 3, 3, [4]byte{}, quote[:28], syscall.ECONNREFUSED)
	})
}
