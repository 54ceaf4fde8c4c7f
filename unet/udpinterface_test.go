package unet

import (
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/sim"
)

// TestInterfaceByControlMessage has a host on two segments send over the one that a message names: a group and a network that
// both have routes to.
func TestInterfaceByControlMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var segments [2]*sim.Segment
		var heard [2]int
		for i := range segments {
			segments[i] = sim.NewSegment(sim.Config{})
			t.Cleanup(func() { _ = segments[i].Close() })
			segments[i].Tap(func(r sim.Record) {
				if n := len(r.Frame); n > 9 && string(r.Frame[n-9:]) == "over here" {
					heard[i]++
				}
			})
		}
		h, err := Open(Config{Link: segments[0].Port(), Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("fd00::1/64")}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = h.Close() })
		second := []netip.Prefix{netip.MustParsePrefix("10.1.0.1/24"), netip.MustParsePrefix("fd01::1/64")}
		if err := h.stack.Attach(segments[1].Port(), stack.Interface{Addrs: second}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second) // until no address is tentative
		c := packetSocket(t, h, "udp", ":0")
		for _, to := range []string{"224.0.0.251", "255.255.255.255", "ff02::fb", "ff05::fb"} {
			for i := range segments {
				heard = [2]int{}
				at := netip.AddrPortFrom(netip.MustParseAddr(to), 9)
				m := ControlMessage{IfIndex: i + 2}
				if _, _, err := c.WriteMsgUDPAddrPort([]byte("over here"), m.Append(nil, at.Addr()), at); err != nil {
					t.Errorf("to %s over interface %d: %v", to, i+2, err)
				}
				time.Sleep(time.Second)
				if heard[i] != 1 || heard[1-i] != 0 {
					t.Errorf("to %s over interface %d: heard %v", to, i+2, heard)
				}
			}
		}
		m := ControlMessage{IfIndex: 3}
		to := &net.UDPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 9}
		if _, _, err := c.WriteMsgUDP([]byte("x"), m.Append(nil, to.AddrPort().Addr()), to); is(err, syscall.ENETUNREACH) != nil {
			t.Errorf("over the wrong interface: %v", err)
		}
	})
}
