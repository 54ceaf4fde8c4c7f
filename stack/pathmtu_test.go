package stack

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/tcp"
)

// mtuEnds are we and a peer, whose datagrams a router may call too large.
type mtuEnds struct {
	our, peer netip.Addr
	net       netip.Prefix
	room      int    // for the payload of a datagram of the link's MTU
	narrow    int    // the MTU that the router tells
	least     int    // that it is believed
	locked    string // how 100 octets leave if it tells less
	cut       string // how 1240 octets leave then
}

var mtuFamilies = [2]mtuEnds{
	{ourIP, peerIP, ourNet, 1472, 1000, 552, " 128", " 548 548 212"},
	{netip.MustParseAddr("fd00::2"), netip.MustParseAddr("fd00::1"), netip.MustParsePrefix("fd00::2/64"), 1452, 1300, 1280, " 148", " 1280 64"},
}

// inEnds runs body on a host that knows the peer.
func inEnds(t *testing.T, e mtuEnds, body func(b *bed)) {
	t.Helper()
	withAddrs(t, Config{}, memInfo, []netip.Prefix{e.net}, func(b *bed) {
		time.Sleep(5 * time.Second) // our address is unique, and has been announced
		b.take()
		e.meet(b)
		body(b)
	})
}

// meet makes the peer a reachable neighbour.
func (e mtuEnds) meet(b *bed) {
	b.Helper()
	if e.peer.Is4() {
		b.h.findNeighbor(b, e.peer)
		return
	}
	s := b.listenUDP("[::]:9")
	b.writeTo(s, nil, netip.AddrPortFrom(e.peer, 9))
	b.inject(neighborMessage(e.peer, e.our, peerMAC, false))
	b.take()
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

// tooBig is a router's word that the datagrams of a port to another are too large for its next link.
func (e mtuEnds) tooBig(local, remote uint16, mtu int) []byte {
	rest := [4]byte{2: byte(mtu >> 8), 3: byte(mtu)}
	quote := frames.IP(e.our, e.peer, wire.ProtocolUDP, frames.UDP(e.our, e.peer, local, remote, octets(8)))
	if e.peer.Is4() {
		return in4(ip4(fromPeer(wire.ProtocolICMP), icmp4(wire.ICMPv4DestinationUnreachable, wire.ICMPv4FragmentationNeeded, rest, quote)))
	}
	return frames.Ethernet(ourMAC, peerMAC, frames.IP(e.peer, e.our, wire.ProtocolICMPv6,
		frames.ICMP(e.peer, e.our, wire.ICMPv6PacketTooBig, 0, rest, quote)))
}

// leaves says how a datagram of n octets leaves: its error, or the lengths of its packets, with DF where that is set.
func (b *bed) leaves(s *UDPSocket, peer netip.Addr, n int) string {
	b.Helper()
	if _, err := s.WriteTo(octets(n), netip.AddrPortFrom(peer, 9)); err != nil {
		return err.Error()
	}
	seen := ""
	for _, f := range b.take() {
		switch packet := f[wire.EthernetLen:]; packet[0] >> 4 {
		case 4:
			ip, _ := b.parsed4(f)
			if seen += fmt.Sprintf(" %d", ip.TotalLen); ip.DF {
				seen += "DF"
			}
			if ip.DF && (ip.ID != 0 || ip.MF) {
				b.Errorf("%+v", ip)
			}
		case 6:
			if p, err := frames.ParseIP(packet); err == nil && p.Protocol != wire.ProtocolICMPv6 {
				seen += fmt.Sprintf(" %d", len(packet))
			}
		} // ARP and neighbour discovery ask whether the neighbour is still there
	}
	return seen
}

func TestPathMTUDiscovery(t *testing.T) {
	const tooLong = "message too long"
	for _, x := range []struct {
		name                 string
		mode                 tcp.PathMTUDiscovery
		small, whole, larger string // 100 octets, what the link's MTU of 1500 has room for, and one octet more
		narrow, narrower     string // 100 octets less than the MTU that a router has told, and as many
	}{
		{"WANT", tcp.DiscoverWant, " 128DF", " 1500DF", " 1500 21", " 928DF", " 996 52"},
		{"DONT", tcp.DiscoverDont, " 128", " 1500", " 1500 21", " 928", " 996 52"},
		{"DO", tcp.DiscoverDo, " 128DF", " 1500DF", tooLong, " 928DF", tooLong},
		{"PROBE", tcp.DiscoverProbe, " 128DF", " 1500DF", tooLong, " 928DF", " 1028DF"},
		{"INTERFACE", tcp.DiscoverInterface, " 128", " 1500", tooLong, " 928", " 1028"},
		{"OMIT", tcp.DiscoverOmit, " 128", " 1500", " 1500 21", " 928", " 1028"},
		{"WANT (IPv6)", tcp.DiscoverWant, " 148", " 1500", " 1496 61", " 1248", " 1296 108"},
		{"DONT (IPv6)", tcp.DiscoverDont, " 148", " 1500", " 1496 61", " 1248", " 1296 108"},
		{"DO (IPv6)", tcp.DiscoverDo, " 148", " 1500", tooLong, " 1248", tooLong},
		{"PROBE (IPv6)", tcp.DiscoverProbe, " 148", " 1500", tooLong, " 1248", " 1348"},
		{"INTERFACE (IPv6)", tcp.DiscoverInterface, " 148", " 1500", tooLong, " 1248", " 1348"},
		{"OMIT (IPv6)", tcp.DiscoverOmit, " 148", " 1500", " 1496 61", " 1248", " 1348"},
	} {
		t.Run("E-OPT-5 B-PMT-7 IP_PMTUDISC_"+x.name, func(t *testing.T) {
			e := mtuFamilies[0]
			if strings.Contains(x.name, "IPv6") {
				e = mtuFamilies[1]
			}
			inEnds(t, e, func(b *bed) {
				s := b.listenUDP(netip.AddrPortFrom(e.our, 7).String())
				if err := s.SetPathMTUDiscovery(x.mode); err != nil {
					t.Fatal(err)
				}
				check := func(n int, want string) {
					t.Helper()
					if got := b.leaves(s, e.peer, n); got != want {
						t.Errorf("%d octets: %q, want %q", n, got, want)
					}
				}
				check(100, x.small)
				check(e.room, x.whole)
				check(e.room+1, x.larger)
				b.inject(e.tooBig(7, 9, e.narrow))
				check(e.narrow-100, x.narrow)
				check(e.narrow, x.narrower)
				time.Sleep(10*time.Minute + time.Second)
				e.meet(b)
				check(e.room, x.whole)
			})
		})
	}
	for _, e := range mtuFamilies {
		t.Run("E-OPT-5 who is believed, and what a connected socket knows, "+e.peer.String(), func(t *testing.T) {
			inEnds(t, e, func(b *bed) {
				s := b.listenUDP(netip.AddrPortFrom(e.our, 7).String())
				expect := func(want int, wantErr error) {
					t.Helper()
					if got, err := s.PathMTU(); got != want || err != wantErr {
						t.Errorf("path MTU %d, %v; want %d, %v", got, err, want, wantErr)
					}
				}
				expect(0, syscall.ENOTCONN)
				if err := s.Connect(netip.AddrPortFrom(e.peer, 9)); err != nil {
					t.Fatal(err)
				}
				expect(1500, nil)
				b.inject(e.tooBig(8, 9, e.narrow)) // of nobody
				b.inject(e.tooBig(7, 10, e.narrow))
				expect(1500, nil)
				b.inject(e.tooBig(7, 9, e.narrow))
				expect(e.narrow, nil)
				if err := s.TakeError(); err != syscall.EMSGSIZE {
					t.Errorf("error %v", err)
				}
				b.inject(e.tooBig(7, 9, 1400)) // never upwards
				expect(e.narrow, nil)
				b.inject(e.tooBig(7, 9, 68))
				expect(e.least, nil)
				_ = s.TakeError()
				if got := b.leaves(s, e.peer, 100); got != e.locked {
					t.Errorf("over a path that is narrower than is believed: %q", got)
				}
				other := b.listenUDP(netip.AddrPortFrom(e.our, 8).String()) // it is the path's, not the socket's
				if got := b.leaves(other, e.peer, 1240); got != e.cut {
					t.Errorf("another socket: %q", got)
				}
				if err := s.SetPathMTUDiscovery(tcp.DiscoverDont); err != nil {
					t.Fatal(err)
				}
				b.inject(e.tooBig(7, 9, 552))
				if err := s.TakeError(); err != nil {
					t.Errorf("with DONT: %v", err)
				}
			})
		})
	}
}

// TestTooBigByMode checks what a router's word does to a connected socket, by its mode, as Linux 6 does it: the error that
// the next call returns, and the path MTU that the socket then knows.
func TestTooBigByMode(t *testing.T) {
	for _, x := range []struct {
		name       string
		mode       tcp.PathMTUDiscovery
		err4, err6 error
		mtu4, mtu6 bool // whether the MTU that is told counts
	}{
		{"DONT", tcp.DiscoverDont, nil, nil, true, true},
		{"WANT", tcp.DiscoverWant, syscall.EMSGSIZE, syscall.EMSGSIZE, true, true},
		{"DO", tcp.DiscoverDo, syscall.EMSGSIZE, syscall.EMSGSIZE, true, true},
		{"PROBE", tcp.DiscoverProbe, syscall.EMSGSIZE, syscall.EMSGSIZE, true, true},
		{"INTERFACE", tcp.DiscoverInterface, syscall.EMSGSIZE, nil, false, false},
		{"OMIT", tcp.DiscoverOmit, syscall.EMSGSIZE, nil, false, false},
	} {
		for i, e := range mtuFamilies {
			wantErr, learns := x.err4, x.mtu4
			if i == 1 {
				wantErr, learns = x.err6, x.mtu6
			}
			t.Run("E-OPT-5 B-PMT-7 IP_PMTUDISC_"+x.name+" "+e.peer.String(), func(t *testing.T) {
				inEnds(t, e, func(b *bed) {
					s := b.listenUDP(netip.AddrPortFrom(e.our, 7).String())
					n := &network{T: t}
					n.must(s.SetPathMTUDiscovery(x.mode))
					n.must(s.Connect(netip.AddrPortFrom(e.peer, 9)))
					b.inject(e.tooBig(7, 9, e.narrow))
					want := 1500
					if learns {
						want = e.narrow
					}
					err := s.TakeError()
					if mtu, merr := s.PathMTU(); mtu != want || merr != nil || err != wantErr {
						t.Errorf("path MTU %d, %v, and the error %v; want %d and %v", mtu, merr, err, want, wantErr)
					}
				})
			})
		}
	}
}
