package stack

import (
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

// A listener answers at its own addresses and at no others, and of two at one port the one of the very address.
func TestListenerAddresses(t *testing.T) {
	first, second := addrB, netip.MustParseAddr("10.0.0.3")
	any4, any6 := netip.IPv4Unspecified(), netip.IPv6Unspecified()
	for _, c := range []struct {
		name   string
		listen []netip.Addr
		want   [2]int // which of them answers at the first and the second address of the host; -1 for none
	}{
		{"of one address", []netip.Addr{first}, [2]int{0, -1}},
		{"of the other", []netip.Addr{second}, [2]int{-1, 0}},
		{"of each", []netip.Addr{second, first}, [2]int{1, 0}},
		{"of all of IPv4", []netip.Addr{any4}, [2]int{0, 0}},
		{"of all", []netip.Addr{any6}, [2]int{0, 0}},
		{"E-LIS-10 of all of IPv4, and of all", []netip.Addr{any6, any4}, [2]int{1, 1}},
		{"of loopback", []netip.Addr{netip.MustParseAddr("127.0.0.1")}, [2]int{-1, -1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &network{T: t, family: ipv4, wire: sim.NewSegment(sim.Config{Delay: time.Millisecond})}
				defer n.wire.Close()
				n.a = n.host(Config{}, addrA)
				defer n.a.Close()
				b, err := New(Config{})
				n.must(err)
				defer b.Close()
				n.must(b.Attach(n.wire.Port(), Interface{Addrs: []netip.Prefix{netip.PrefixFrom(first, 24), netip.PrefixFrom(second, 24)}}))
				var listeners []*Listener
				for _, a := range c.listen {
					bound, err := b.BindTCP(netip.AddrPortFrom(a, 80), BindOptions{ReusePort: true})
					n.must(err)
					l, err := b.ListenTCP(bound, 4, tcp.DefaultOptions())
					n.must(err)
					listeners = append(listeners, l)
				}
				for i, a := range []netip.Addr{first, second} {
					conn, err := n.a.ConnectTCP(nil, netip.AddrPortFrom(a, 80), tcp.DefaultOptions())
					n.must(err)
					time.Sleep(time.Second)
					answered := -1
					for k, l := range listeners {
						if l.Pending() > 0 {
							accepted, err := l.Accept()
							n.must(err)
							answered = k
							accepted.Abort()
						}
					}
					if answered != c.want[i] {
						t.Errorf("%v: listener %d answered, want %d", a, answered, c.want[i])
					}
					if c.want[i] < 0 {
						n.want("Connected", conn.Connected(), syscall.ECONNREFUSED)
					}
					conn.Abort()
				}
			})
		})
	}
}
