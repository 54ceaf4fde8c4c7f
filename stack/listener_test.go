package stack

import (
	"net/netip"
	"testing"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

// A server that has seen Accept return must be able to listen at the same address again, and a client must
// no longer be taken.
func TestListenerEndsBeforeItWakes(t *testing.T) {
	inNetwork(t, "the address is free when waiters wake", sim.Config{}, func(n *network) {
		at := netip.AddrPortFrom(n.addrA, 80)
		listen := func() *Listener {
			b, err := n.a.BindTCP(at, BindOptions{})
			n.must(err)
			l, err := n.a.ListenTCP(b, 1, tcp.DefaultOptions())
			n.must(err)
			return l
		}
		l := listen()
		var again *Listener
		l.Watch(watchFunc(func(Readiness) { again = listen() }))
		n.must(l.Close())
		if again == nil {
			n.Fatal("the watcher was not called")
		}
		n.must(again.Close())
	})
}
