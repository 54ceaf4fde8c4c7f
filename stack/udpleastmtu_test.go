package stack

import (
	"net/netip"
	"syscall"
	"testing"

	"github.com/unet-go/unet/stack/sim"
)

// TestDatagramsLeastMTU checks that no datagram is cut to less than each link carries: there would be no end to that.
func TestDatagramsLeastMTU(t *testing.T) {
	inNetwork(t, "", sim.Config{}, func(n *network) {
		s, err := n.a.ListenUDP(netip.AddrPortFrom(n.any, 0), BindOptions{})
		n.must(err)
		defer s.Close()
		v6, least := n.any.Is6(), uint16(68)
		if v6 {
			least = 1280
		}
		n.want("too small", s.SetFamilyOptions(v6, DatagramOptions{MTU: least - 1}), syscall.EINVAL)
		n.must(s.SetFamilyOptions(v6, DatagramOptions{MTU: least}))
		_, err = s.WriteTo(make([]byte, 1400), netip.AddrPortFrom(n.addrB, 9))
		n.must(err)
	})
}
