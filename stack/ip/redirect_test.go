package ip

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// redirects of one family: the host has a default route by way of a router, which says that another router is better.
type redirects struct {
	*family
	router, better, dst netip.Addr
	// frame returns a redirect from src for a packet from the host to about, which names a router.
	frame func(src, about, via netip.Addr) *link.Frame
}

var redirectFamilies = []redirects{
	{family4, netip.MustParseAddr("10.0.0.66"), netip.MustParseAddr("10.0.0.67"), netip.MustParseAddr("192.0.2.9"), redirectFrame4},
	{family6, routerLink, netip.MustParseAddr("fe80::67%mem0"), netip.MustParseAddr("2001:db8:9::9"), redirectFrame6},
}

func redirectFrame4(src, about, via netip.Addr) *link.Frame {
	quoted := frames.IP(ourIP, about, wire.ProtocolUDP, []byte{0, 7, 0, 9, 0, 9, 0, 0, 'x'})
	f := new(link.Frame)
	*f = frames.Frame(frames.Ethernet(ourMAC, peerMAC, frames.IP(src, ourIP, wire.ProtocolICMP,
		frames.ICMP(src, ourIP, wire.ICMPv4Redirect, 1, via.As4(), quoted))))
	return f
}

func redirectFrame6(src, about, via netip.Addr) *link.Frame {
	b := make([]byte, wire.NDRedirectLen)
	(&wire.NDRedirect{Target: via.As16(), Dst: about.As16()}).Marshal(b)
	b = append(b, targetOption(strangerMAC)...)
	return message{from: peerMAC, to: ourMAC, src: src, dst: ndOur, body: b}.frame()
}

func (n *nodes) giveFrame(f *link.Frame) {
	n.in.Begin()
	n.in.Frame(f)
	n.in.End()
	f.Release()
	n.l.Flush()
}

// firstHop returns the first hop to an address.
func (n *nodes) firstHop(a netip.Addr) netip.Addr {
	n.Helper()
	r, err := n.l.HostRoute(netip.Addr{}, a)
	if err != nil {
		n.Fatal(err)
	}
	return r.nextHop
}

// withRouter runs f with a default route of the family.
func withRouter(t *testing.T, accept bool, r redirects, f func(n *nodes)) {
	t.Helper()
	settled(t, Config{AcceptRedirects: accept}, func(n *nodes) {
		all := netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		if r.family == family4 {
			all = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		}
		if err := n.l.AddRoutes(RouteEntry{Dst: all, Via: r.router}); err != nil {
			t.Fatal(err)
		}
		f(n)
	})
}

func TestRedirects(t *testing.T) {
	for _, r := range redirectFamilies {
		name := " IPv" + string('0'+rune(r.version))
		t.Run("D-MISC-2 B-IC4-9 B-ND-5 by default none is followed,"+name, func(t *testing.T) {
			withRouter(t, false, r, func(n *nodes) {
				n.giveFrame(r.frame(r.router, r.dst, r.better))
				if got := n.firstHop(r.dst); got != r.router {
					t.Errorf("the first hop is %v", got)
				}
				n.dropped(drop.Redirect, 1)
			})
		})
		t.Run("B-IC4-9 B-ND-5 by choice that of the first hop is,"+name, func(t *testing.T) {
			withRouter(t, true, r, func(n *nodes) {
				n.giveFrame(r.frame(r.router, r.dst, r.better))
				if got := n.firstHop(r.dst); got != r.better {
					t.Errorf("the first hop is %v, want %v", got, r.better)
				}
				if got := n.firstHop(r.dst.Next()); got != r.router {
					t.Errorf("the first hop of another host is %v", got)
				}
				n.giveFrame(r.frame(r.better, r.dst, r.router)) // it is the first hop now
				if got := n.firstHop(r.dst); got != r.router {
					t.Errorf("the first hop is %v, want %v again", got, r.router)
				}
			})
		})
		t.Run("a destination that is on the link,"+name, func(t *testing.T) {
			withRouter(t, true, r, func(n *nodes) {
				dst := r.dst
				if r.family == family4 { // it cannot say so of an address in no network of the host's
					return
				}
				n.giveFrame(r.frame(r.router, dst, dst))
				if got := n.firstHop(dst); got != dst {
					t.Errorf("the first hop is %v, want itself", got)
				}
			})
		})
		t.Run("D-MISC-2 B-IC4-9 B-ND-5 forged ones,"+name, func(t *testing.T) {
			withRouter(t, true, r, func(n *nodes) {
				neighbor, own, group, far := ndPeer, ndOur, allNodes, netip.MustParseAddr("2001:db8:9::1")
				if r.family == family4 {
					neighbor, own, group, far = peerIP, ourIP, allHosts, netip.MustParseAddr("192.0.2.1")
				}
				list := []*link.Frame{
					r.frame(r.better, r.dst, r.better), // not from the first hop
					r.frame(neighbor, r.dst, r.better),
					r.frame(r.router, r.dst, far),         // not on the link
					r.frame(r.router, r.dst, own),         // us
					r.frame(r.router, r.dst, group),       // nobody
					r.frame(r.router, own, r.better),      // about a packet to us
					r.frame(r.router, neighbor, r.better), // about a neighbour, for which it is no first hop
				}
				for _, f := range list {
					n.giveFrame(f)
				}
				for a, want := range map[netip.Addr]netip.Addr{r.dst: r.router, neighbor: neighbor} {
					if got := n.firstHop(a); got != want {
						t.Errorf("the first hop to %v is %v", a, got)
					}
				}
				got := n.l.Drops.Load()
				if sum := got[drop.Redirect] + got[drop.NDMalformed]; sum != uint64(len(list)) || len(n.l.topology.Load().redirects) != 0 {
					t.Errorf("%d dropped of %d", sum, len(list))
				}
			})
		})
		t.Run("one to a router that does not answer is forgotten,"+name, func(t *testing.T) {
			withRouter(t, true, r, func(n *nodes) {
				n.giveFrame(r.frame(r.router, r.dst, r.better))
				n.sendUDP(r.dst)
				n.sleep(20 * time.Second)
				if got := n.firstHop(r.dst); got != r.router {
					t.Errorf("the first hop is %v", got)
				}
			})
		})
		t.Run("D-MISC-2 a flood of them is bounded,"+name, func(t *testing.T) {
			withRouter(t, true, r, func(n *nodes) {
				for i := range 5000 {
					b := r.dst.AsSlice()
					binary.BigEndian.PutUint16(b[len(b)-2:], uint16(i))
					a, _ := netip.AddrFromSlice(b)
					n.giveFrame(r.frame(r.router, a, r.better))
				}
				if got := len(n.l.topology.Load().redirects); got != maxRedirects {
					t.Errorf("%d are remembered", got)
				}
			})
		})
	}
}
