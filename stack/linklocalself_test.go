package stack

import (
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/stack/sim"
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
