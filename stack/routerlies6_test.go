package stack

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// TestRouterLies6 is TestRouterLies for a host that has IPv6: router advertisements and redirects, from its router and from
// others, and advertisements of neighbours that nobody has asked for and that replace nothing, move nothing.
func TestRouterLies6(t *testing.T) {
	ours, router := netip.MustParseAddr("fd00::2"), netip.MustParseAddr("fe80::1")
	group, far, liar := netip.MustParseAddr("ff02::1"), netip.MustParseAddr("2001:db8::9"), netip.MustParseAddr("fe80::66")
	liarMAC := link.MAC{2, 0, 0, 0, 6, 6}
	option := func(typ uint8, mac link.MAC) []byte { return append([]byte{typ, 1}, mac[:]...) }
	prefix := append([]byte{3, 4, 64, 0xc0, 0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0, 0, 0}, netip.MustParseAddr("2001:db8::").AsSlice()...)
	mtu := []byte{5, 1, 0, 0, 0, 0, 5, 0} // 1280
	message := func(mac link.MAC, src, dst netip.Addr, hops, typ uint8, rest [4]byte, body ...[]byte) []byte {
		m := frames.ICMP(src, dst, typ, 0, rest, bytes.Join(body, nil))
		h := wire.IPv6{NextHeader: wire.ProtocolICMPv6, HopLimit: hops, Src: src.As16(), Dst: dst.As16()}
		return frames.Ethernet(ourMAC, mac, frames.IPv6(h, m))
	}
	withAddrs(t, Config{ICMPRate: -1, NeighborReachable: time.Hour}, memInfo, []netip.Prefix{ourNet, netip.PrefixFrom(ours, 64)}, func(b *bed) {
		n := &network{T: t}
		n.must(b.h.AddRoutes(Route{Dst: netip.MustParsePrefix("::/0"), Via: router, Device: "mem0", OnLink: true}))
		time.Sleep(10 * time.Second) // DAD and reports are over
		s := b.listenUDP("[fd00::2]:7")
		b.take()
		b.writeTo(s, []byte("x"), netip.AddrPortFrom(far, 9))
		b.inject(message(peerMAC, router, ours, 255, wire.ICMPv6NeighborAdvertisement, [4]byte{0xe0}, router.AsSlice(), option(2, peerMAC)))
		sent := b.take()
		if len(sent) != 2 {
			b.Fatalf("%d frames to find the router, want two", len(sent))
		}
		way := sent[1]
		routes, addrs, neighbors := b.h.Routes(), b.h.Addrs(), b.h.Stats().Interfaces[1].Neighbors
		quote := way[wire.EthernetLen:]
		for _, from := range []struct {
			mac link.MAC
			ip  netip.Addr
		}{{peerMAC, router}, {liarMAC, liar}} {
			for _, dst := range []netip.Addr{ours, group} {
				b.inject(message(from.mac, from.ip, dst, 255, wire.ICMPv6RouterAdvertisement, [4]byte{64, 0xc0, 0xff, 0xff},
					make([]byte, 8), option(1, liarMAC), prefix, mtu))
				for _, target := range []netip.Addr{liar, far} {
					b.inject(message(from.mac, from.ip, dst, 255, wire.ICMPv6Redirect, [4]byte{}, target.AsSlice(), far.AsSlice(),
						option(2, liarMAC), append([]byte{4, byte((len(quote) + 15) / 8), 0, 0, 0, 0, 0, 0}, append(bytes.Clone(quote), make([]byte, 7-(len(quote)+7)%8)...)...)))
				}
			}
			// Neighbours that nobody has asked for, one that replaces nothing, and one that came through a router.
			for _, target := range []netip.Addr{liar, far, netip.MustParseAddr("fd00::99")} {
				b.inject(message(from.mac, from.ip, group, 255, wire.ICMPv6NeighborAdvertisement, [4]byte{0xa0}, target.AsSlice(), option(2, liarMAC)))
			}
			b.inject(message(from.mac, router, group, 254, wire.ICMPv6NeighborAdvertisement, [4]byte{0xa0}, router.AsSlice(), option(2, liarMAC)),
				message(from.mac, router, ours, 64, wire.ICMPv6NeighborSolicitation, [4]byte{}, ours.AsSlice(), option(1, liarMAC)))
		}
		b.inject(message(liarMAC, router, group, 255, wire.ICMPv6NeighborAdvertisement, [4]byte{0x80}, router.AsSlice(), option(2, liarMAC)))
		b.want()
		if b.h.Stats().Dropped[DropRedirect] == 0 {
			b.Error("no redirect was so right that a host which follows redirects would have followed it")
		}
		if !slices.Equal(b.h.Routes(), routes) || !slices.Equal(b.h.Addrs(), addrs) || b.h.Stats().Interfaces[1].Neighbors != neighbors {
			b.Errorf("the host has learned something: routes %v, addresses %v, %d neighbours", b.h.Routes(), b.h.Addrs(), b.h.Stats().Interfaces[1].Neighbors)
		}
		b.writeTo(s, []byte("x"), netip.AddrPortFrom(far, 9))
		if again := b.take(); len(again) != 1 || !bytes.Equal(way[:14], again[0][:14]) || !bytes.Equal(way[wire.EthernetLen+40:], again[0][wire.EthernetLen+40:]) {
			b.Errorf("the way to a far host was %x and is %x", way, again)
		}
	})
}
