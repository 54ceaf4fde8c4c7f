package stack

import (
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

// TestOwnLinkLocalRefuses checks that a datagram to a free port of the host's own link-local address is refused to the
// socket that is connected there.
func TestOwnLinkLocalRefuses(t *testing.T) {
	inFamily(t, ipv6, "", sim.Config{}, Config{}, func(n *network) {
		own := n.a.Addrs()[1].Addr().WithZone(n.a.InterfaceNames()[1])
		s, err := n.a.ListenUDP(netip.AddrPortFrom(n.any, 0), BindOptions{})
		n.must(err)
		defer s.Close()
		n.must(s.Connect(netip.AddrPortFrom(own, 9)))
		_, err = s.Write([]byte{1})
		n.must(err)
		time.Sleep(time.Second)
		_, err = s.Write([]byte{1})
		n.want("the second Write", err, syscall.ECONNREFUSED)
	})
}

// TestOwnLinkLocalTwice checks that a host with one link-local address on two interfaces talks to itself at each of the
// two, and a socket that is bound to one hears nothing that is for the other.
func TestOwnLinkLocalTwice(t *testing.T) {
	inFamily(t, ipv6, "", sim.Config{}, Config{}, func(n *network) {
		own := netip.MustParsePrefix("fe80::5/64")
		for range 2 {
			n.must(n.a.Attach(n.wire.Port(), Interface{Addrs: []netip.Prefix{own}, DADTransmits: -1}))
		}
		zones := n.a.InterfaceNames()[2:]
		for i, zone := range zones {
			here, there := own.Addr().WithZone(zone), own.Addr().WithZone(zones[1-i])
			l, err := n.a.ListenTCP(n.bindAt(n.a, netip.AddrPortFrom(here, 80)), 1, tcp.DefaultOptions())
			n.must(err)
			c, err := n.a.ConnectTCP(nil, netip.AddrPortFrom(here, 80), tcp.DefaultOptions())
			n.must(err)
			n.must(c.WaitConnect())
			server, err := l.Accept()
			n.must(err)
			if server.Remote().Addr() != here || server.Local().Addr() != here {
				n.Errorf("a connection of %v has %v and %v", here, server.Local(), server.Remote())
			}
			n.write(c, "ping")
			n.reads(server, "ping")
			c, err = n.a.ConnectTCP(nil, netip.AddrPortFrom(there, 80), tcp.DefaultOptions())
			n.must(err)
			n.want("a dial of the other", c.WaitConnect(), syscall.ECONNREFUSED)
			n.must(l.Close())
		}
	})
}

func (n *network) bindAt(h *Host, local netip.AddrPort) *Binding {
	n.Helper()
	b, err := h.BindTCP(local, BindOptions{ReuseAddr: true})
	n.must(err)
	return b
}
