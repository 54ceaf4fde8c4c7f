package stack

import (
	"bytes"
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/ip"
	"github.com/unet-go/unet/stack/link"
)

func TestUDPInput(t *testing.T) {
	withPeers(t, "B-UDP-1 a checksum of zero is sent as 0xffff", Config{}, func(b *bed) {
		s := b.bindUDP(b.here(7))
		// Two octets that make the sum come out as zero.
		d := frames.UDP(b.ours(), b.peer(), 7, 9, []byte{0, 0})
		want := append(d[:6:6], 0xff, 0xff, d[6], d[7])
		b.writeTo(s, d[6:8], b.there(9))
		out := b.take()
		if p := b.parsed(out[0]); !bytes.Equal(p.Payload, want) {
			b.Errorf("sent %x, want %x", p.Payload, want)
		}
	})
	t.Run("B-UDP-2 a wrong checksum is dropped, none is accepted", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			s := b.listenUDP("10.0.0.2:7")
			good := udp4(peerIP, ourIP, 5, 7, []byte("good"))
			bad := udp4(peerIP, ourIP, 5, 7, []byte("bad"))
			bad[7] ^= 1
			unchecked := udp4(peerIP, ourIP, 5, 7, []byte("none"))
			unchecked[6], unchecked[7] = 0, 0
			b.inject(b.in(wire.ProtocolUDP, bad), b.in(wire.ProtocolUDP, good), b.in(wire.ProtocolUDP, unchecked))
			b.wantDatagram(s, []byte("good"))
			b.wantDatagram(s, []byte("none"))
			b.wantNoDatagram(s)
			b.want()
			b.wantDrop(DropUDPChecksum, 1)
		})
	})
	t.Run("B-UDP-3 over IPv6 a datagram without checksum is dropped", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			s, err := b.h.ListenUDP(netip.MustParseAddrPort("[::]:7"), BindOptions{})
			if err != nil {
				t.Fatal(err)
			}
			src, dst := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
			d := udp4(src, dst, 5, 7, []byte("x"))
			b.h.udp.input(&ip.Packet{Src: src, Dst: dst, Payload: d})
			b.wantDatagram(s, []byte("x"))
			d[6], d[7] = 0, 0
			b.h.udp.input(&ip.Packet{Src: src, Dst: dst, Payload: d})
			b.wantNoDatagram(s)
			b.wantDrop(DropUDPChecksum, 1)
		})
	})
	withPeers(t, "B-UDP-4 lengths that lie are dropped, trailing octets cut", Config{}, func(b *bed) {
		s := b.bindUDP(b.here(7))
		length := func(n byte) []byte {
			d := frames.UDP(b.peer(), b.ours(), 5, 7, []byte("abcd"))
			d[5], d[6], d[7] = n, 0, 0
			if whole := d[:min(int(n), len(d))]; b.ours().Is6() && len(whole) >= wire.UDPLen { // where a checksum is a must
				c := wire.UDPChecksum(whole, wire.PseudoHeader(b.peer(), b.ours(), wire.ProtocolUDP, len(whole)))
				d[6], d[7] = byte(c>>8), byte(c)
			}
			return b.in(wire.ProtocolUDP, d)
		}
		b.inject(length(7), length(0), length(13), b.in(wire.ProtocolUDP, make([]byte, 7)))
		b.wantNoDatagram(s)
		b.wantDrop(DropUDPMalformed, 4)
		b.inject(length(10))
		b.wantDatagram(s, []byte("ab"))
		b.want()
	})
	withPeers(t, "B-UDP-8 an empty datagram is delivered", Config{}, func(b *bed) {
		s := b.bindUDP(b.here(7))
		b.inject(b.udpIn(5, 7, nil))
		n, from, truncated, err := s.ReadFrom(make([]byte, 10))
		if n != 0 || from != b.there(5) || truncated || err != nil {
			b.Errorf("ReadFrom = %d, %v, %v, %v", n, from, truncated, err)
		}
	})
	withPeers(t, "B-UDP-9 a short buffer loses the rest of its datagram alone", Config{}, func(b *bed) {
		s := b.bindUDP(b.here(7))
		b.inject(b.udpIn(5, 7, []byte("0123456789")), b.udpIn(5, 7, []byte("next")))
		p := make([]byte, 4)
		if n, _, truncated, err := s.ReadFrom(p); n != 4 || !truncated || err != nil || string(p) != "0123" {
			b.Errorf("ReadFrom = %d %q, truncated %v, %v", n, p, truncated, err)
		}
		b.wantDatagram(s, []byte("next"))
	})
	withPeers(t, "B-UDP-10 the connected socket comes before the address and the address before the wildcard", Config{}, func(b *bed) {
		reuse := BindOptions{ReuseAddr: true}
		var sockets []*UDPSocket
		for _, local := range []netip.AddrPort{b.anywhere(7), b.here(7), b.here(7)} {
			s, err := b.h.ListenUDP(local, reuse)
			if err != nil {
				b.Fatal(err)
			}
			sockets = append(sockets, s)
		}
		if err := sockets[2].Connect(b.there(5)); err != nil {
			b.Fatal(err)
		}
		in := func(port uint16) []byte { return b.udpIn(port, 7, []byte{byte(port)}) }
		b.inject(in(5), in(6))
		b.wantDatagram(sockets[2], []byte{5})
		b.wantDatagram(sockets[1], []byte{6})
		if err := sockets[1].Close(); err != nil {
			b.Fatal(err)
		}
		b.inject(in(6))
		b.wantDatagram(sockets[0], []byte{6})
		b.wantNoDatagram(sockets[2])
	})
	withPeers(t, "B-UDP-10 sockets that share a port by ReusePort share its flows", Config{}, func(b *bed) {
		var sockets [4]*UDPSocket
		for i := range sockets {
			s, err := b.h.ListenUDP(b.here(7), BindOptions{ReusePort: true})
			if err != nil {
				b.Fatal(err)
			}
			sockets[i] = s
		}
		for round := range 2 {
			for port := range uint16(1000) {
				b.inject(b.udpIn(port+1, 7, nil))
			}
			for i, s := range sockets {
				n := 0
				for {
					if _, _, _, err := s.TryReadFrom(nil); err != nil {
						break
					}
					n++
				}
				if n < 150 || n > 350 {
					b.Errorf("round %d: socket %d got %d of 1000 flows", round, i, n)
				}
			}
		}
	})
	withPeers(t, "B-UDP-11 group sources are dropped", Config{}, func(b *bed) {
		s := b.bindUDP(b.anywhere(7))
		groups := []string{"224.0.0.1", "255.255.255.255", "10.0.0.255"}
		if b.ours().Is6() {
			groups = []string{"ff01::1", "ff02::1", "ff0e::101"}
		}
		for _, src := range groups {
			a := netip.MustParseAddr(src)
			b.inject(b.framed(frames.IP(a, b.ours(), wire.ProtocolUDP, frames.UDP(a, b.ours(), 5, 7, nil))))
		}
		b.wantNoDatagram(s)
		b.wantDrop(DropBadSource, 3)
	})
	for _, size := range []int{0, 100, 1400} {
		withPeers(t, "B-UDP-12 the receive queue is bounded and drops the newest", Config{}, func(b *bed) {
			s := b.bindUDP(b.here(7))
			if err := s.SetReadBuffer(64 << 10); err != nil {
				b.Fatal(err)
			}
			d := b.udpIn(5, 7, octets(size))
			for range 1000 {
				b.inject(d)
			}
			s.mu.Lock()
			charge, queued := s.charge, s.queue.Len()
			s.mu.Unlock()
			if charge > 64<<10 || queued == 0 {
				b.Errorf("%d datagrams of %d octets take %d octets, the limit is 64 KiB", queued, size, charge)
			}
			b.wantDrop(DropUDPFull, uint64(1000-queued))
			for range queued {
				b.wantDatagram(s, octets(size))
			}
			b.inject(d)
			b.wantDatagram(s, octets(size))
		})
	}
}

func TestUDPErrors(t *testing.T) {
	withPeers(t, "B-UDP-5 port unreachable reaches the connected socket once, and no other", Config{}, func(b *bed) {
		datagram := frames.IP(b.ours(), b.peer(), wire.ProtocolUDP, frames.UDP(b.ours(), b.peer(), 7, 9, nil))
		unreachable := b.icmpIn(b.unreachable, b.noPort, [4]byte{}, datagram)
		s := b.bindUDP(b.here(7))
		b.inject(unreachable)
		b.wantNoDatagram(s)
		if err := s.Connect(b.there(9)); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Write([]byte("x")); err != nil {
			b.Fatal(err)
		}
		got := make(chan error, 2)
		go func() {
			for range 2 {
				_, err := s.Read(make([]byte, 1))
				got <- err
			}
		}()
		b.inject(unreachable)
		if err := <-got; err != syscall.ECONNREFUSED {
			b.Errorf("Read = %v, want ECONNREFUSED", err)
		}
		synctest.Wait()
		select {
		case err := <-got:
			b.Errorf("the second Read did not wait: %v", err)
		default:
		}
		b.inject(unreachable)
		<-got
		b.inject(unreachable)
		if _, err := s.Write([]byte("x")); err != syscall.ECONNREFUSED {
			b.Errorf("Write = %v, want ECONNREFUSED", err)
		}
		if _, err := s.Write([]byte("x")); err != nil {
			b.Errorf("the second Write = %v", err)
		}
	})
	t.Run("B-UDP-6 broadcasts need SetBroadcast", func(t *testing.T) {
		onBed(t, Config{}, func(b *bed) {
			s := b.listenUDP("10.0.0.2:7")
			for _, dst := range []string{"255.255.255.255", "10.0.0.255"} {
				a := netip.MustParseAddr(dst)
				if _, err := s.WriteTo(nil, netip.AddrPortFrom(a, 9)); err != syscall.EACCES {
					t.Errorf("WriteTo %s = %v, want EACCES", dst, err)
				}
				if err := s.SetBroadcast(true); err != nil {
					t.Fatal(err)
				}
				b.writeTo(s, []byte("all"), netip.AddrPortFrom(a, 9))
				h := wire.IPv4{Protocol: wire.ProtocolUDP, Src: ourIP.As4(), Dst: a.As4(), DF: true}
				b.want(ethFrame(wire.BroadcastMAC, ourMAC, wire.EtherTypeIPv4, ip4(h, udp4(ourIP, a, 7, 9, []byte("all")))))
				if err := s.SetBroadcast(false); err != nil {
					t.Fatal(err)
				}
			}
			group := netip.MustParseAddr("239.129.2.3")
			b.writeTo(s, nil, netip.AddrPortFrom(group, 9))
			h := wire.IPv4{Protocol: wire.ProtocolUDP, Src: ourIP.As4(), Dst: group.As4(), DF: true, TTL: 1}
			b.want(ethFrame(link.MAC{1, 0, 0x5e, 1, 2, 3}, ourMAC, wire.EtherTypeIPv4, ip4(h, udp4(ourIP, group, 7, 9, nil))))
		})
	})
	withPeers(t, "B-UDP-7 the longest datagram", Config{}, func(b *bed) {
		s := b.bindUDP(b.here(7))
		longest, fragments := 65507, 45
		if b.ours().Is6() { // whose length does not count its header
			longest, fragments = 65527, 46
		}
		b.writeTo(s, octets(longest), b.there(9))
		if n := len(b.take()); n != fragments {
			b.Errorf("%d fragments, want %d", n, fragments)
		}
		if _, err := s.WriteTo(octets(longest+1), b.there(9)); err != syscall.EMSGSIZE {
			b.Errorf("WriteTo = %v, want EMSGSIZE", err)
		}
	})
	t.Run("binds that clash", func(t *testing.T) {
		for _, tt := range []struct {
			first, second string
			one, two      BindOptions
			err           error
		}{
			{"10.0.0.2:7", "10.0.0.2:7", BindOptions{}, BindOptions{}, syscall.EADDRINUSE},
			{"0.0.0.0:7", "10.0.0.2:7", BindOptions{}, BindOptions{}, syscall.EADDRINUSE},
			{"10.0.0.2:7", "0.0.0.0:7", BindOptions{}, BindOptions{}, syscall.EADDRINUSE},
			{"10.0.0.2:7", "[::]:7", BindOptions{}, BindOptions{}, syscall.EADDRINUSE},
			{"10.0.0.2:7", "[::]:7", BindOptions{}, BindOptions{V6Only: true}, nil},
			{"0.0.0.0:7", "[::]:7", BindOptions{}, BindOptions{V6Only: true}, nil},
			{"0.0.0.0:7", "[::]:7", BindOptions{}, BindOptions{}, syscall.EADDRINUSE},
			{"10.0.0.2:7", "127.0.0.1:7", BindOptions{}, BindOptions{}, nil},
			{"10.0.0.2:7", "10.0.0.2:8", BindOptions{}, BindOptions{}, nil},
			{"10.0.0.2:7", "10.0.0.2:7", BindOptions{ReusePort: true}, BindOptions{}, syscall.EADDRINUSE},
			{"10.0.0.2:7", "10.0.0.2:7", BindOptions{ReusePort: true}, BindOptions{ReusePort: true}, nil},
			{"10.0.0.2:7", "10.0.0.9:7", BindOptions{}, BindOptions{}, syscall.EADDRNOTAVAIL},
			{"[fd00::2]:7", "[fd00::2]:7", BindOptions{}, BindOptions{}, syscall.EADDRINUSE},
			{"[::]:7", "[fd00::2]:7", BindOptions{}, BindOptions{}, syscall.EADDRINUSE},
			{"[::]:7", "10.0.0.2:7", BindOptions{}, BindOptions{}, syscall.EADDRINUSE},
			{"[::]:7", "10.0.0.2:7", BindOptions{V6Only: true}, BindOptions{}, nil},
			{"[fd00::2]:7", "[::]:7", BindOptions{}, BindOptions{V6Only: true}, syscall.EADDRINUSE},
			{"[fd00::2]:7", "0.0.0.0:7", BindOptions{}, BindOptions{}, nil},
			{"[fd00::2]:7", "10.0.0.2:7", BindOptions{}, BindOptions{}, nil},
			{"[fd00::2]:7", "[::1]:7", BindOptions{}, BindOptions{}, nil},
			{"[fd00::2]:7", "[fd00::2]:8", BindOptions{}, BindOptions{}, nil},
			{"[fd00::2]:7", "[fd00::2]:7", BindOptions{ReusePort: true}, BindOptions{}, syscall.EADDRINUSE},
			{"[fd00::2]:7", "[fd00::2]:7", BindOptions{ReusePort: true}, BindOptions{ReusePort: true}, nil},
			{"[fd00::2]:7", "[fd00::9]:7", BindOptions{}, BindOptions{}, syscall.EADDRNOTAVAIL},
		} {
			withAddrs(t, Config{}, memInfo, []netip.Prefix{ourNet, ipv6.net()}, func(b *bed) {
				if _, err := b.h.ListenUDP(netip.MustParseAddrPort(tt.first), tt.one); err != nil {
					t.Fatal(err)
				}
				if _, err := b.h.ListenUDP(netip.MustParseAddrPort(tt.second), tt.two); err != tt.err {
					t.Errorf("%s after %s: %v, want %v", tt.second, tt.first, err, tt.err)
				}
			})
		}
	})
	// The ports of UDP are one table for both families, and to use all up is expensive: one family is enough.
	t.Run("ports are chosen, exhausted and given back", func(t *testing.T) {
		onBed(t, Config{}, func(b *bed) {
			var all []*UDPSocket
			seen := map[uint16]bool{}
			for range ephemeralPorts {
				s := b.listenUDP("10.0.0.2:0")
				if seen[s.Local().Port()] {
					t.Fatalf("port %d twice", s.Local().Port())
				}
				seen[s.Local().Port()] = true
				all = append(all, s)
			}
			if _, err := b.h.ListenUDP(netip.MustParseAddrPort("10.0.0.2:0"), BindOptions{}); err != syscall.EADDRINUSE {
				t.Errorf("with no port left: %v, want EADDRINUSE", err)
			}
			for _, s := range all {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if n := b.h.Stats().UDPSockets; n != 0 || len(b.h.udp.ports) != 0 {
				t.Errorf("%d sockets and %d ports left", n, len(b.h.udp.ports))
			}
		})
	})
}

func TestUDPSocketBlocking(t *testing.T) {
	onBeds(t, "a read deadline ends a waiting read at its moment, and can be cleared", Config{}, func(b *bed) {
		s := b.bindUDP(b.here(7))
		start := time.Now()
		if err := s.SetReadDeadline(start.Add(time.Second)); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Read(make([]byte, 1)); err != syscall.EAGAIN || time.Since(start) != time.Second {
			b.Errorf("Read = %v after %v, want EAGAIN after 1s", err, time.Since(start))
		}
		if err := s.SetReadDeadline(time.Time{}); err != nil {
			b.Fatal(err)
		}
		done := make(chan error)
		go func() {
			_, err := s.Read(make([]byte, 1))
			done <- err
		}()
		time.Sleep(time.Hour)
		if err := s.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
			b.Fatal(err)
		}
		if err := <-done; err != syscall.EAGAIN {
			b.Errorf("Read = %v, want EAGAIN", err)
		}
		if err := s.SetWriteDeadline(time.Now()); err != nil {
			b.Fatal(err)
		}
		if _, err := s.WriteTo(nil, b.there(9)); err != syscall.EAGAIN {
			b.Errorf("WriteTo = %v, want EAGAIN", err)
		}
	})
	withPeers(t, "a passed deadline does not hide what is queued from who would not wait", Config{}, func(b *bed) {
		s := b.bindUDP(b.here(7))
		b.inject(b.udpIn(5, 7, []byte("here")))
		if err := s.SetReadDeadline(time.Now()); err != nil {
			b.Fatal(err)
		}
		p := make([]byte, 8)
		if _, _, _, err := s.ReadFrom(p); err != syscall.EAGAIN {
			b.Errorf("ReadFrom = %v, want EAGAIN", err)
		}
		if n, _, _, err := s.TryReadFrom(p); err != nil || string(p[:n]) != "here" {
			b.Errorf("TryReadFrom = %q, %v", p[:n], err)
		}
	})
	withPeers(t, "who only looks at a datagram leaves it to the next who waits", Config{}, func(b *bed) {
		s := b.bindUDP(b.here(7))
		got := make(chan string, 2)
		for _, peek := range []bool{true, false} {
			go func() {
				p := make([]byte, 8)
				n, _, err := s.ReadMsg([][]byte{p}, ReadMode{Peek: peek})
				got <- fmt.Sprintf("%s %v", p[:n], err)
			}()
			synctest.Wait() // readers are woken in the order in which they came
		}
		b.inject(b.udpIn(5, 7, []byte("here")))
		synctest.Wait()
		for range len(got) {
			if g := <-got; g != "here <nil>" {
				b.Errorf("read %q", g)
			}
		}
		if s.Unread() != 0 {
			b.Error("the second reader still waits")
			_ = s.Close()
		}
	})
	onBeds(t, "Close ends what waits, and all later calls", Config{}, func(b *bed) {
		s := b.bindUDP(b.here(7))
		done := make(chan error)
		for range 3 {
			go func() {
				_, err := s.Read(make([]byte, 1))
				done <- err
			}()
		}
		synctest.Wait()
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		for range 3 {
			if err := <-done; err != syscall.EBADF {
				b.Errorf("Read = %v, want EBADF", err)
			}
		}
		_, write := s.WriteTo(nil, b.there(9))
		_, empty := s.Write(nil)
		for _, err := range []error{s.Close(), s.SetReadDeadline(time.Time{}), s.SetBroadcast(true), write, empty,
			s.Connect(b.there(9))} {
			if err != syscall.EBADF {
				b.Errorf("after Close: %v, want EBADF", err)
			}
		}
	})
	withPeers(t, "Connect chooses the source, filters, and can be dissolved", Config{}, func(b *bed) {
		s := b.bindUDP(b.anywhere(7))
		if _, err := s.Write(nil); err != syscall.EDESTADDRREQ {
			b.Errorf("Write = %v, want EDESTADDRREQ", err)
		}
		if err := s.Connect(b.there(9)); err != nil {
			b.Fatal(err)
		}
		if s.Local() != b.here(7) || s.Remote() != b.there(9) {
			b.Errorf("connected %v to %v", s.Local(), s.Remote())
		}
		from := func(port uint16) []byte {
			return b.udpIn(port, 7, nil)
		}
		b.inject(from(8))
		b.wantNoDatagram(s)
		b.inject(from(9))
		b.wantDatagram(s, nil)
		if err := s.Connect(netip.AddrPort{}); err != nil {
			b.Fatal(err)
		}
		if s.Local() != b.anywhere(7) || s.Remote().IsValid() {
			b.Errorf("dissolved: %v to %v", s.Local(), s.Remote())
		}
		b.inject(from(8))
		b.wantDatagram(s, nil)
		refused := map[string]error{"8.8.8.8:1": syscall.ENETUNREACH, "10.0.0.255:1": syscall.EACCES}
		if b.ours().Is6() {
			refused = map[string]error{"[2001:db8::8]:1": syscall.ENETUNREACH}
		}
		for to, want := range refused {
			if err := s.Connect(netip.MustParseAddrPort(to)); err != want {
				b.Errorf("Connect(%s) = %v, want %v", to, err, want)
			}
		}
		for _, to := range []netip.AddrPort{{}, b.there(0)} {
			if _, err := s.WriteTo(nil, to); err != syscall.EINVAL {
				b.Errorf("WriteTo(%v) = %v, want EINVAL", to, err)
			}
		}
	})
	onBeds(t, "loopback: to all addresses of the host itself, and a closed port refuses", Config{}, func(b *bed) {
		s := b.bindUDP(b.anywhere(7))
		longest, own := 65507, []netip.AddrPort{b.here(7), b.loopback(7), b.anywhere(7), netip.MustParseAddrPort("127.9.9.9:7")}
		if b.ours().Is6() {
			longest, own = 65527, own[:3]
		}
		for _, to := range own {
			c := b.bindUDP(b.anywhere(0))
			if err := c.Connect(to); err != nil {
				b.Fatal(err)
			}
			for _, n := range []int{0, 1, 1000, longest} {
				if _, err := c.Write(octets(n)); err != nil {
					b.Fatal(err)
				}
				p := make([]byte, longest)
				m, from, _, err := s.ReadFrom(p)
				if m != n || err != nil || from != c.Local() || !bytes.Equal(p[:m], octets(n)) {
					b.Fatalf("%s: ReadFrom = %d, %v, %v; want %d from %v", to, m, from, err, n, c.Local())
				}
			}
		}
		c := b.bindUDP(b.loopback(0))
		if err := c.Connect(b.loopback(9)); err != nil {
			b.Fatal(err)
		}
		if _, err := c.Write([]byte("x")); err != nil {
			b.Fatal(err)
		}
		if _, err := c.Read(nil); err != syscall.ECONNREFUSED {
			b.Errorf("Read = %v, want ECONNREFUSED", err)
		}
		b.want()
	})
}

// TestLongestDatagram6 is its twin. The longest payload is that of the address that an unspecified one means.
func TestLongestDatagram(t *testing.T) {
	onBed(t, Config{}, func(b *bed) {
		s := b.bindUDP(b.anywhere(7))
		for _, to := range []string{"127.0.0.1:9", "0.0.0.0:9"} {
			if n, err := s.WriteTo(make([]byte, 65508), netip.MustParseAddrPort(to)); n != 0 || err != syscall.EMSGSIZE {
				t.Errorf("65508 octets to %s: %d, %v; want EMSGSIZE", to, n, err)
			}
			if n, err := s.WriteTo(make([]byte, 65507), netip.MustParseAddrPort(to)); n != 65507 || err != nil {
				t.Errorf("65507 octets to %s: %d, %v", to, n, err)
			}
		}
	})
}
