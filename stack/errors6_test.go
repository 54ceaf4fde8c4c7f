package stack

import (
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/tcp"
)

// onPoint runs f with a host of an IPv6 address and a link-local one on a device without a link header.
func onPoint(t *testing.T, f func(b *bed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h, err := New(Config{ICMPRate: -1})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		b := &bed{T: t, family: ipv6, h: h, dev: newMemDevice(link.Info{Name: "mem0", Kind: link.IP, MTU: 1500})}
		addrs := []netip.Prefix{netip.MustParsePrefix("fd00::2/64"), netip.MustParsePrefix("fe80::2/64")}
		if err := h.Attach(b.dev, Interface{Addrs: addrs}); err != nil {
			t.Fatal(err)
		}
		b.take()
		f(b)
	})
}

// quoted returns an ICMPv6 message from the peer about one of our packets.
func quoted(b *bed, packet []byte, typ, code uint8) []byte {
	b.Helper()
	p, err := frames.ParseIP(packet)
	if err != nil {
		b.Fatal(err)
	}
	return frames.IP(p.Dst, p.Src, wire.ProtocolICMPv6, frames.ICMP(p.Dst, p.Src, typ, code, [4]byte{}, packet))
}

// TestICMPv6Errors checks what an ICMPv6 error says to the socket whose packet it is about, on each kind of address.
func TestICMPv6Errors(t *testing.T) {
	const unreachable = wire.ICMPv6DestinationUnreachable
	for _, peer := range []string{"fd00::1", "fe80::1%mem0"} {
		for _, x := range []struct {
			name      string
			typ, code uint8
			udp, tcp  syscall.Errno // tcp: what a connect fails with, 0 where it goes on
		}{
			{"no route", unreachable, wire.ICMPv6NoRoute, syscall.ENETUNREACH, syscall.ENETUNREACH},
			{"prohibited", unreachable, wire.ICMPv6AdminProhibited, syscall.EACCES, syscall.EACCES},
			{"beyond the scope", unreachable, wire.ICMPv6BeyondScope, syscall.EHOSTUNREACH, syscall.EHOSTUNREACH},
			{"address", unreachable, wire.ICMPv6AddrUnreachable, syscall.EHOSTUNREACH, syscall.EHOSTUNREACH},
			{"port", unreachable, wire.ICMPv6PortUnreachable, syscall.ECONNREFUSED, syscall.ECONNREFUSED},
			{"policy of sources", unreachable, wire.ICMPv6SourcePolicy, syscall.EACCES, syscall.EACCES},
			{"rejected route", unreachable, wire.ICMPv6RejectRoute, syscall.EACCES, syscall.EACCES},
			{"hop limit", wire.ICMPv6TimeExceeded, wire.ICMPv6HopLimitExceeded, syscall.EHOSTUNREACH, 0},
			{"header", wire.ICMPv6ParameterProblem, wire.ICMPv6ErroneousHeader, syscall.EPROTO, 0},
			{"unknown next header", wire.ICMPv6ParameterProblem, wire.ICMPv6UnknownNextHeader, syscall.EPROTO, syscall.EPROTO},
		} {
			t.Run(x.name+" of "+peer, func(t *testing.T) {
				onPoint(t, func(b *bed) {
					n := &network{T: t}
					to := netip.AddrPortFrom(netip.MustParseAddr(peer), 7)
					s, err := b.h.ListenUDP(netip.AddrPort{}, BindOptions{})
					n.must(err)
					n.must(s.Connect(to))
					if s.Remote() != to || s.Local().Addr().Zone() != to.Addr().Zone() {
						t.Errorf("the socket is %v-%v", s.Local(), s.Remote())
					}
					_, err = s.Write([]byte("x"))
					n.must(err)
					out := b.take()
					if len(out) != 1 {
						t.Fatalf("a datagram left as %d packets", len(out))
					}
					b.inject(quoted(b, out[0], x.typ, x.code))
					_, _, _, err = s.TryReadFrom(make([]byte, 1))
					n.want("Read of UDP", err, x.udp)

					c, err := b.h.ConnectTCP(nil, to, tcp.DefaultOptions())
					n.must(err)
					if c.Remote() != to {
						t.Errorf("the connection is to %v", c.Remote())
					}
					out = b.take()
					b.inject(quoted(b, out[0], x.typ, x.code))
					want := x.tcp
					if want == 0 {
						want = syscall.EINPROGRESS
					}
					n.want("connect", c.Connected(), want)
					n.must(c.Close())
				})
			})
		}
	}
}

// TestLongestDatagram6 is the test of the longest datagram over IPv6, where the length does not count the IP header.
func TestLongestDatagram6(t *testing.T) {
	t.Run("B-UDP-7 the longest datagram over IPv6", func(t *testing.T) {
		onPoint(t, func(b *bed) {
			n := &network{T: t}
			s, err := b.h.ListenUDP(netip.MustParseAddrPort("[::]:7"), BindOptions{})
			n.must(err)
			for _, to := range []string{"[::1]:7", "[fd00::2]:7", "[fe80::2%mem0]:7"} {
				if _, err := s.WriteTo(octets(65528), netip.MustParseAddrPort(to)); err != syscall.EMSGSIZE {
					t.Errorf("%s: WriteTo of 65,528 octets: %v, want EMSGSIZE", to, err)
				}
				if _, err := s.WriteTo(octets(65508), netip.MustParseAddrPort("127.0.0.1:7")); err != syscall.EMSGSIZE {
					t.Errorf("WriteTo of 65,508 octets over IPv4: %v, want EMSGSIZE", err)
				}
				if _, err := s.WriteTo(octets(65527), netip.MustParseAddrPort(to)); err != nil {
					t.Errorf("%s: WriteTo of 65,527 octets: %v", to, err)
				}
				synctest.Wait()
				k, from, _, err := s.TryReadFrom(make([]byte, 1<<16))
				if k != 65527 || err != nil || from != netip.MustParseAddrPort(to) {
					t.Errorf("%s: read %d octets from %v, %v", to, k, from, err)
				}
			}
		})
	})
}
