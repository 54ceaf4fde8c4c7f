package ip

import (
	"net/netip"
	"testing"
	"time"
)

// TestFragmentsGiveWayByAge checks that a flood of fragments of one family does not take the room of the other's that
// come later.
func TestFragmentsGiveWayByAge(t *testing.T) {
	onBed6(t, func(b *bed6) {
		b.l.ReassemblyBytes = 1 << 20
		add := func(src, dst netip.Addr, id uint32, offset int, more bool) bool {
			p := &Packet{family: familyOf(src), Src: src, Dst: dst, Protocol: 17, header: make([]byte, 48),
				Payload: make([]byte, 1024), Interface: b.in.iface}
			return b.l.reassembly.add(fragmentIn{id: id, offset: offset, more: more}, p)
		}
		flood := func(from, to uint32) {
			for id := from; id < to; id++ {
				a := elsewhere6.As16()
				a[14] = byte(id % 8)
				add(netip.AddrFrom16(a), our6, id, 0, true)
			}
		}
		flood(0, 4000) // fills the memory
		time.Sleep(100 * time.Millisecond)
		src, dst := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
		add(src, dst, 1, 0, true)
		flood(4000, 4001)
		if !add(src, dst, 1, 1024, false) {
			t.Error("a datagram of IPv4 gave way to a later one of IPv6")
		}
	})
}
