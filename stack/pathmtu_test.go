package stack

import (
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/tcp"
)

// tooBig is a router's word that the datagrams of a port to another are too large for its next link.
func tooBig(local, remote uint16, mtu int) []byte {
	quote := ip4(wire.IPv4{Protocol: wire.ProtocolUDP, Src: ourIP.As4(), Dst: peerIP.As4(), DF: true}, udp4(ourIP, peerIP, local, remote, octets(8)))
	return in4(ip4(fromPeer(wire.ProtocolICMP), icmp4(wire.ICMPv4DestinationUnreachable, wire.ICMPv4FragmentationNeeded,
		[4]byte{2: byte(mtu >> 8), 3: byte(mtu)}, quote)))
}

// leaves says how a datagram of n octets leaves: its error, or the lengths of its packets, with DF where that is set.
func (b *bed) leaves(s *UDPSocket, n int) string {
	b.Helper()
	if _, err := s.WriteTo(octets(n), netip.AddrPortFrom(peerIP, 9)); err != nil {
		return err.Error()
	}
	seen := ""
	for _, f := range b.take() {
		if f[12] != 8 || f[13] != 0 { // ARP asks whether the neighbour is still there
			continue
		}
		ip, _ := b.parsed4(f)
		if seen += fmt.Sprintf(" %d", ip.TotalLen); ip.DF {
			seen += "DF"
		}
		if ip.DF && (ip.ID != 0 || ip.MF) {
			b.Errorf("%+v", ip)
		}
	}
	return seen
}

func TestPathMTUDiscovery(t *testing.T) {
	const tooLong = "message too long"
	for _, x := range []struct {
		name                 string
		mode                 tcp.PathMTUDiscovery
		small, whole, larger string // 100, 1472 and 1473 octets over the link's MTU of 1500
		narrow, narrower     string // 900 and 1000 octets after a router has said 1000
	}{
		{"WANT", tcp.DiscoverWant, " 128DF", " 1500DF", " 1500 21", " 928DF", " 996 52"},
		{"DONT", tcp.DiscoverDont, " 128", " 1500", " 1500 21", " 928", " 1028"},
		{"DO", tcp.DiscoverDo, " 128DF", " 1500DF", tooLong, " 928DF", tooLong},
		{"PROBE", tcp.DiscoverProbe, " 128DF", " 1500DF", tooLong, " 928DF", " 1028DF"},
		{"INTERFACE", tcp.DiscoverInterface, " 128", " 1500", tooLong, " 928", " 1028"},
		{"OMIT", tcp.DiscoverOmit, " 128", " 1500", " 1500 21", " 928", " 1028"},
	} {
		t.Run("E-OPT-5 B-PMT-7 IP_PMTUDISC_"+x.name, func(t *testing.T) {
			withPeer(t, Config{}, func(b *bed) {
				s := b.listenUDP("10.0.0.2:7")
				if err := s.SetPathMTUDiscovery(x.mode); err != nil {
					t.Fatal(err)
				}
				check := func(n int, want string) {
					t.Helper()
					if got := b.leaves(s, n); got != want {
						t.Errorf("%d octets: %q, want %q", n, got, want)
					}
				}
				check(100, x.small)
				check(1472, x.whole)
				check(1473, x.larger)
				b.inject(tooBig(7, 9, 1000))
				check(900, x.narrow)
				check(1000, x.narrower)
				time.Sleep(10*time.Minute + time.Second)
				b.h.findNeighbor(b, peerIP)
				check(1472, x.whole)
			})
		})
	}
	t.Run("E-OPT-5 who is believed, and what a connected socket knows", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			s := b.listenUDP("10.0.0.2:7")
			expect := func(want int, wantErr error) {
				t.Helper()
				if got, err := s.PathMTU(); got != want || err != wantErr {
					t.Errorf("path MTU %d, %v; want %d, %v", got, err, want, wantErr)
				}
			}
			expect(0, syscall.ENOTCONN)
			if err := s.Connect(netip.AddrPortFrom(peerIP, 9)); err != nil {
				t.Fatal(err)
			}
			expect(1500, nil)
			b.inject(tooBig(8, 9, 1000)) // of nobody
			b.inject(tooBig(7, 10, 1000))
			expect(1500, nil)
			b.inject(tooBig(7, 9, 1000))
			expect(1000, nil)
			if err := s.TakeError(); err != syscall.EMSGSIZE {
				t.Errorf("error %v", err)
			}
			b.inject(tooBig(7, 9, 1200)) // never upwards
			expect(1000, nil)
			b.inject(tooBig(7, 9, 68))
			expect(552, nil)
			_ = s.TakeError()
			other := b.listenUDP("10.0.0.2:8") // it is the path's, not the socket's
			if got := b.leaves(other, 700); got != " 548 200" {
				t.Errorf("another socket: %q", got)
			}
			if err := s.SetPathMTUDiscovery(tcp.DiscoverDont); err != nil {
				t.Fatal(err)
			}
			b.inject(tooBig(7, 9, 552))
			if err := s.TakeError(); err != nil {
				t.Errorf("with DONT: %v", err)
			}
		})
	})
}
