package stack

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/tcp"
)

func TestEthernet(t *testing.T) {
	ping := ip4(fromPeer(wire.ProtocolICMP), icmp4(8, 0, [4]byte{0, 1, 0, 1}, nil))
	t.Run("B-ETH-1 unknown types, 802.3 lengths and runts are counted drops", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			b.inject(
				ethFrame(ourMAC, peerMAC, 0x1234, ping),
				ethFrame(ourMAC, peerMAC, 46, ping),
				ethFrame(ourMAC, peerMAC, wire.EtherTypeIPv4, ping)[:13],
				ethFrame(ourMAC, peerMAC, wire.EtherTypeIPv6, make([]byte, 60)),
				[]byte{},
			)
			b.want()
			b.wantDrop(DropEtherType, 2)
			b.wantDrop(DropRunt, 2)
			b.wantDrop(DropIPVersion, 1)
			b.inject(in4(ping))
			b.want(out4(echoReply(b, icmp4(0, 0, [4]byte{0, 1, 0, 1}, nil))))
		})
	})
	t.Run("B-ETH-2 trailing pad never reaches transport", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			s := b.listenUDP("10.0.0.2:7")
			f := in4(ip4(fromPeer(wire.ProtocolUDP), udp4(peerIP, ourIP, 5, 7, []byte{'x'})))
			for len(f) < 60 {
				f = append(f, 0xaa)
			}
			b.inject(f)
			b.wantDatagram(s, []byte{'x'})

			// The same for a segment: an answer to a closed port acknowledges one octet, not one and the pad.
			syn := tcp4(peerIP, ourIP, wire.TCP{SrcPort: 5, DstPort: 99, Seq: 1000, Flags: wire.TCPSyn}, []byte{'x'})
			f = in4(ip4(fromPeer(wire.ProtocolTCP), syn))
			for len(f) < 60 {
				f = append(f, 0xaa)
			}
			b.inject(f)
			out := b.take()
			if len(out) != 1 {
				t.Fatalf("%d frames sent, want one reset", len(out))
			}
			var h wire.TCP
			_, payload := b.parsed4(out[0])
			if _, err := h.Parse(payload); err != nil || h.Flags != wire.TCPRst|wire.TCPAck || h.Ack != 1002 {
				t.Errorf("answer flags %#x ack %d (%v), want a reset that acknowledges SYN and one octet", h.Flags, h.Ack, err)
			}
			b.inject(in4(ip4(fromPeer(wire.ProtocolUDP), udp4(peerIP, ourIP, 5, 7, nil))[:27])) // IP total length 28
			b.wantNoDatagram(s)
			b.wantDrop(DropIPHeader, 1)
		})
	})
	t.Run("B-ETH-3 frames for other stations and groups are dropped", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			b.inject(ethFrame(otherMAC, peerMAC, wire.EtherTypeIPv4, ping),
				ethFrame(link.MAC{1, 0, 0x5e, 1, 2, 3}, peerMAC, wire.EtherTypeIPv4, ping))
			b.want()
			b.wantDrop(DropForeignMAC, 2)
		})
	})
	t.Run("B-ETH-4 a link broadcast earns no ICMP error", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			p := ip4(fromPeer(wire.ProtocolUDP), udp4(peerIP, ourIP, 5, 7, nil))
			b.inject(ethFrame(wire.BroadcastMAC, peerMAC, wire.EtherTypeIPv4, p))
			b.want()
			b.wantDrop(DropUDPNoPort, 1)
			b.inject(in4(p)) // to see that only the frame's address made the difference
			if n := len(b.take()); n != 1 {
				t.Errorf("%d frames for the same datagram by unicast, want one error", n)
			}
		})
	})
	t.Run("B-ETH-5 own source MAC is dropped", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			b.inject(ethFrame(ourMAC, ourMAC, wire.EtherTypeIPv4, ping))
			b.want()
			b.wantDrop(DropOwnMAC, 1)
		})
	})
}

func echoReply(b *bed, message []byte) []byte {
	// Only the identification is not known in advance.
	ip := toPeer(wire.ProtocolICMP)
	ip.ID = b.lastID()
	return ip4(ip, message)
}

// lastID returns the identification of the last packet sent and leaves what was sent alone.
func (b *bed) lastID() uint16 {
	b.dev.mu.Lock()
	defer b.dev.mu.Unlock()
	if len(b.dev.out) == 0 {
		return 0
	}
	f := b.dev.out[len(b.dev.out)-1]
	return uint16(f[18])<<8 | uint16(f[19])
}

func request(src netip.Addr, mac link.MAC, target netip.Addr) []byte {
	return arpFrame(wire.BroadcastMAC, mac, wire.ARP{Op: wire.ARPRequest, SenderMAC: mac, SenderIP: src.As4(),
		TargetIP: target.As4()})
}

func reply(src netip.Addr, mac link.MAC) []byte {
	return arpFrame(ourMAC, mac, wire.ARP{Op: wire.ARPReply, SenderMAC: mac, SenderIP: src.As4(),
		TargetMAC: ourMAC, TargetIP: ourIP.As4()})
}

// The states of a neighbour.
const (
	incomplete = "INCOMPLETE"
	reachable  = "REACHABLE"
	stale      = "STALE"
	delay      = "DELAY"
	probe      = "PROBE"
	failed     = "FAILED"
)

// entry returns what the cache says of a.
func (b *bed) entry(a netip.Addr) (mac link.MAC, state string, ok bool) {
	for _, n := range b.h.ip.Interfaces()[1].Neighbors() {
		if n.Addr == a {
			return n.MAC, n.State, true
		}
	}
	return mac, "", false
}

func TestARPInput(t *testing.T) {
	t.Run("B-ARP-1 a request for our address is answered by unicast, fields swapped", func(t *testing.T) {
		onBed(t, Config{}, func(b *bed) {
			b.inject(request(peerIP, peerMAC, ourIP))
			b.want(arpFrame(peerMAC, ourMAC, wire.ARP{Op: wire.ARPReply, SenderMAC: ourMAC, SenderIP: ourIP.As4(),
				TargetMAC: peerMAC, TargetIP: peerIP.As4()}))
			b.inject(request(peerIP, peerMAC, otherIP))
			b.want()
		})
	})
	t.Run("B-ARP-1 an address probe is answered too", func(t *testing.T) {
		onBed(t, Config{}, func(b *bed) {
			b.inject(request(netip.IPv4Unspecified(), peerMAC, ourIP))
			b.want(arpFrame(peerMAC, ourMAC, wire.ARP{Op: wire.ARPReply, SenderMAC: ourMAC, SenderIP: ourIP.As4(),
				TargetMAC: peerMAC}))
		})
	})
	t.Run("B-ARP-2 known senders are updated, new ones only learned when they ask for us", func(t *testing.T) {
		onBed(t, Config{}, func(b *bed) {
			b.inject(request(peerIP, peerMAC, peerIP)) // gratuitous
			b.inject(reply(peerIP, peerMAC))           // unasked
			if _, _, ok := b.entry(peerIP); ok {
				t.Error("a gratuitous ARP packet made an entry")
			}
			b.inject(request(peerIP, peerMAC, ourIP))
			if mac, _, ok := b.entry(peerIP); !ok || mac != peerMAC {
				t.Errorf("a request for us made the entry %v, %v", mac, ok)
			}
			b.inject(request(peerIP, otherMAC, peerIP))
			if mac, state, _ := b.entry(peerIP); mac != otherMAC || state != stale {
				t.Errorf("after a gratuitous update the entry is %v, state %s", mac, state)
			}
		})
	})
	t.Run("B-ARP-3 malformed packets are dropped", func(t *testing.T) {
		onBed(t, Config{}, func(b *bed) {
			good := request(peerIP, peerMAC, ourIP)
			at := func(i int, v byte) []byte {
				f := append([]byte(nil), good...)
				f[i] = v
				return f
			}
			b.inject(at(14, 9), at(15, 6), at(16, 0x86), at(18, 5), at(19, 16), at(21, 3), good[:41])
			b.want()
			b.wantDrop(DropARPMalformed, 7)
		})
	})
	t.Run("B-ARP-4 impossible senders are never learned", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			b.inject(
				request(peerIP, wire.BroadcastMAC, ourIP),
				request(peerIP, link.MAC{1, 0, 0x5e, 0, 0, 1}, ourIP),
				request(peerIP, link.MAC{}, ourIP),
				request(netip.MustParseAddr("224.0.0.1"), otherMAC, ourIP),
				request(netip.MustParseAddr("10.0.0.255"), otherMAC, ourIP),
				request(netip.MustParseAddr("127.0.0.1"), otherMAC, ourIP),
			)
			b.want()
			b.inject(request(netip.IPv4Unspecified(), otherMAC, otherIP))
			if mac, _, _ := b.entry(peerIP); mac != peerMAC {
				t.Errorf("the peer's entry became %v", mac)
			}
			if n := b.h.Stats().Interfaces[1].Neighbors; n != 1 {
				t.Errorf("the cache has %d entries, want 1", n)
			}
			b.wantDrop(DropARPSender, 6)
		})
	})
	t.Run("B-ARP-2 only an answer to our request proves that the neighbour hears us", func(t *testing.T) {
		for _, tt := range []struct {
			name  string
			frame []byte
			want  string
		}{
			{"answer", reply(peerIP, peerMAC), reachable},
			{"request", request(peerIP, peerMAC, ourIP), delay},
			{"gratuitous", request(peerIP, peerMAC, peerIP), delay},
		} {
			onBed(t, Config{}, func(b *bed) {
				s := b.listenUDP("10.0.0.2:7")
				b.writeTo(s, []byte("x"), netip.AddrPortFrom(peerIP, 7))
				b.take()
				b.inject(tt.frame)
				sent := 0
				for _, f := range b.take() {
					if f[13] == 0 { // IPv4
						sent++
					}
				}
				if _, state, _ := b.entry(peerIP); state != tt.want || sent != 1 {
					t.Errorf("%s: state %s and %d datagrams, want state %s and one", tt.name, state, sent, tt.want)
				}
			})
		}
	})
	t.Run("B-ARP-10 an entry that was used lately is not evicted while it is stale", func(t *testing.T) {
		withPeer(t, Config{MaxNeighbors: 64}, func(b *bed) {
			time.Sleep(46 * time.Second)
			if _, state, _ := b.entry(peerIP); state != stale {
				t.Fatalf("state %s, want STALE", state)
			}
			for i := range 200 {
				b.inject(request(netip.AddrFrom4([4]byte{10, 0, 0, byte(10 + i)}), otherMAC, ourIP))
			}
			if _, _, ok := b.entry(peerIP); !ok {
				t.Error("the entry is gone")
			}
			time.Sleep(time.Minute)
			b.inject(request(netip.MustParseAddr("10.0.0.250"), otherMAC, ourIP))
			if _, _, ok := b.entry(peerIP); ok {
				t.Error("an unused entry keeps its place for ever")
			}
		})
	})
	t.Run("B-ARP-10 spoofed packets neither grow the cache nor evict a live entry", func(t *testing.T) {
		withPeer(t, Config{MaxNeighbors: 64}, func(b *bed) {
			for i := range 1000 {
				a := netip.AddrFrom4([4]byte{10, 0, 0, byte(10 + i%200)})
				b.inject(reply(a, otherMAC), request(a, otherMAC, ourIP))
			}
			if n := b.h.Stats().Interfaces[1].Neighbors; n != 64 {
				t.Errorf("the cache has %d entries, want 64", n)
			}
			if mac, state, ok := b.entry(peerIP); !ok || mac != peerMAC || state != reachable {
				t.Errorf("the live entry is %v, state %s, %v", mac, state, ok)
			}
		})
	})
}

func TestNeighborResolution(t *testing.T) {
	ask := func(mac link.MAC) []byte {
		return arpFrame(mac, ourMAC, wire.ARP{Op: wire.ARPRequest, SenderMAC: ourMAC, SenderIP: ourIP.As4(),
			TargetIP: peerIP.As4()})
	}
	t.Run("B-ARP-6 a dead neighbour earns one request a second", func(t *testing.T) {
		onBed(t, Config{}, func(b *bed) {
			s := b.listenUDP("10.0.0.2:7")
			requests := 0
			for range 10000 {
				b.writeTo(s, []byte("x"), netip.AddrPortFrom(peerIP, 7))
				time.Sleep(500 * time.Microsecond)
			}
			for _, f := range b.take() {
				if string(f) != string(ask(wire.BroadcastMAC)) {
					t.Fatalf("sent %x", f)
				}
				requests++
			}
			if requests < 5 || requests > 6 {
				t.Errorf("%d requests in 5 s, want 5 or 6", requests)
			}
		})
	})
	t.Run("B-ARP-7 what was sent while resolving leaves on the reply, in order, at most 64", func(t *testing.T) {
		onBed(t, Config{}, func(b *bed) {
			s := b.listenUDP("10.0.0.2:7")
			for i := range 70 {
				b.writeTo(s, []byte{byte(i)}, netip.AddrPortFrom(peerIP, 7))
			}
			b.want(ask(wire.BroadcastMAC))
			b.wantDrop(DropNeighborQueue, 6)
			b.inject(reply(peerIP, peerMAC))
			out := b.take()
			if len(out) != 64 {
				t.Fatalf("%d frames after the reply, want 64", len(out))
			}
			for i, f := range out {
				if _, p := b.parsed4(f); p[8] != byte(6+i) || link.MAC(f[:6]) != peerMAC {
					t.Fatalf("frame %d carries %d to %x", i, p[8], f[:6])
				}
			}
		})
	})
	t.Run("B-ARP-8 a failed resolution is reported up after three seconds", func(t *testing.T) {
		onBed(t, Config{}, func(b *bed) {
			s := b.listenUDP("10.0.0.2:7")
			if err := s.Connect(netip.AddrPortFrom(peerIP, 7)); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			if _, err := s.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			_, err := s.Read(make([]byte, 1))
			if took := time.Since(start); !errors.Is(err, syscall.EHOSTUNREACH) || took != 3*time.Second {
				t.Errorf("Read = %v after %v, want EHOSTUNREACH after 3s", err, took)
			}
			b.want(ask(wire.BroadcastMAC), ask(wire.BroadcastMAC), ask(wire.BroadcastMAC))
			if held := b.h.Stats().Interfaces[1].Held; held != 0 {
				t.Errorf("%d packets still held", held)
			}
		})
	})
	t.Run("B-ARP-8 a dial to a dead neighbour fails with EHOSTUNREACH after three seconds", func(t *testing.T) {
		onBed(t, Config{}, func(b *bed) {
			start := time.Now()
			c, err := b.h.ConnectTCP(nil, netip.AddrPortFrom(peerIP, 80), tcp.DefaultOptions())
			if err != nil {
				t.Fatal(err)
			}
			if err := c.WaitConnect(); err != syscall.EHOSTUNREACH || time.Since(start) != 3*time.Second {
				t.Errorf("WaitConnect = %v after %v, want EHOSTUNREACH after 3s", err, time.Since(start))
			}
			b.want(ask(wire.BroadcastMAC), ask(wire.BroadcastMAC), ask(wire.BroadcastMAC))
		})
	})
	t.Run("B-ARP-7 the first SYN to a new host is not lost", func(t *testing.T) {
		onBed(t, Config{}, func(b *bed) {
			if _, err := b.h.ConnectTCP(nil, netip.AddrPortFrom(peerIP, 80), tcp.DefaultOptions()); err != nil {
				t.Fatal(err)
			}
			b.want(ask(wire.BroadcastMAC))
			b.inject(reply(peerIP, peerMAC))
			out := b.take()
			if len(out) != 1 {
				t.Fatalf("%d frames after the reply, want the SYN", len(out))
			}
			var h wire.TCP
			if _, p := b.parsed4(out[0]); len(p) < wire.TCPLen {
				t.Errorf("sent %x", p)
			} else if _, err := h.Parse(p); err != nil || h.Flags&wire.TCPSyn == 0 || h.DstPort != 80 {
				t.Errorf("sent %+v, %v", h, err)
			}
		})
	})
	t.Run("B-ARP-5 a peer whose MAC changes silently is found again within 60 s", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			s := b.listenUDP("10.0.0.2:7")
			start := time.Now()
			for {
				b.writeTo(s, []byte("x"), netip.AddrPortFrom(peerIP, 7))
				arrived := false
				for _, f := range b.take() {
					if link.MAC(f[:6]) == otherMAC {
						arrived = true
					}
					if string(f) == string(ask(wire.BroadcastMAC)) {
						b.inject(reply(peerIP, otherMAC))
					}
				}
				if arrived {
					break
				}
				if time.Since(start) > time.Minute {
					t.Fatal("no traffic to the new MAC after a minute")
				}
				time.Sleep(500 * time.Millisecond)
			}
		})
	})
	t.Run("reachability: confirmed, polled by unicast, forgotten", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			r, err := b.h.ip.HostRoute(netip.Addr{}, peerIP)
			if err != nil {
				t.Fatal(err)
			}
			send := func() {
				b.h.udp.send(r, 7, 7, nil, 0, udpOptions{})
				b.h.flush()
			}
			send() // the route learns its neighbour
			r.Confirm(b.h.clock.Now())
			state := func() string { _, s, _ := b.entry(peerIP); return s }
			time.Sleep(14 * time.Second)
			if got := state(); got != reachable {
				t.Fatalf("state %s after 14 s, want REACHABLE", got)
			}
			for range 40 { // a confirmed neighbour stays reachable
				time.Sleep(4 * time.Second)
				send()
				r.Confirm(b.h.clock.Now())
			}
			if got := state(); got != reachable {
				t.Fatalf("state %s although confirmed, want REACHABLE", got)
			}
			time.Sleep(46 * time.Second)
			if got := state(); got != stale {
				t.Fatalf("state %s after 46 s of silence, want STALE", got)
			}
			b.take()
			send()
			if got := state(); got != delay {
				t.Fatalf("state %s after a send, want DELAY", got)
			}
			if n := len(b.take()); n != 1 {
				t.Fatalf("%d frames, want the datagram alone", n)
			}
			time.Sleep(5 * time.Second)
			b.want(ask(peerMAC))
			b.inject(reply(peerIP, peerMAC))
			if got := state(); got != reachable {
				t.Fatalf("state %s after an answer to the poll, want REACHABLE", got)
			}
			time.Sleep(46*time.Second + staleLifetime)
			synctest.Wait()
			if _, _, ok := b.entry(peerIP); ok {
				t.Error("an unused entry was kept for ever")
			}
			b.want()
			send() // the route still works, and asks anew
			b.want(ask(wire.BroadcastMAC))
		})
	})
}
