package ip

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/wire"
)

func TestIPv6Input(t *testing.T) {
	ping := func(src, dst netip.Addr) []byte {
		return packet6(src, dst, wire.ProtocolICMPv6, icmp6(src, dst, echo))
	}
	a := netip.MustParseAddr
	for _, c := range []struct {
		name    string
		packet  []byte
		dropped drop.Reason // Reasons: it is a ping that is answered
	}{
		{"B-IP6-1 a whole packet", ping(peer6, our6), drop.Reasons},
		{"B-IP6-1 what follows the payload is cut", append(ping(peer6, our6), 1, 2, 3), drop.Reasons},
		{"B-IP6-1 shorter than its length", ping(peer6, our6)[:51], drop.IPHeader},
		{"B-IP6-1 shorter than a header", ping(peer6, our6)[:39], drop.IPHeader},
		{"B-IP6-2 for another host", ping(peer6, a("fd00::3")), drop.NotForUs},
		{"B-IP6-2 for a group that we are not in", ping(peer6, a("ff02::2")), drop.NotForUs},
		{"B-IP6-2 for the loopback address", ping(peer6, a("::1")), drop.BadDestination},
		{"B-IP6-2 for a mapped address", ping(peer6, a("::ffff:10.0.0.2")), drop.BadDestination},
		{"B-IP6-2 for no address", ping(peer6, a("::")), drop.BadDestination},
		{"B-IP6-2 from a group", ping(a("ff02::1"), our6), drop.BadSource},
		{"B-IP6-2 from the loopback address", ping(a("::1"), our6), drop.BadSource},
		{"B-IP6-2 from a mapped address", ping(a("::ffff:10.0.0.1"), our6), drop.BadSource},
		{"B-IP6-2 from no address", ping(a("::"), our6), drop.BadSource},
		{"B-IP6-2 from our own address", ping(our6, our6), drop.BadSource},
		{"B-IP6-2 TCP from our own address", packet6(our6, our6, wire.ProtocolTCP, tcp20), drop.BadSource},
		{"B-IP6-2 TCP from no address to a group", packet6(a("::"), a("ff02::1"), wire.ProtocolTCP, tcp20), drop.BadSource},
		{"B-IP6-8 nothing follows", packet6(peer6, our6, wire.IPv6NoNext, tcp20), drop.NoNextHeader},
		{"B-IP6-16 a wrong checksum", packet6(peer6, our6, wire.ProtocolICMPv6, echo), drop.ICMPMalformed},
		{"B-IP6-6 a routing header without segments left", packet6(peer6, our6, rout, []byte{58, 0, 0, 0, 0, 0, 0, 0}, icmp6(peer6, our6, echo)), drop.Reasons},
		{"B-IC6-1 an unknown informational message", packet6(peer6, our6, 58, icmp6(peer6, our6, []byte{200, 0, 0, 0, 0, 0, 0, 0})), drop.ICMPType},
		{"B-IC6-4 from a link-local address", ping(a("fe80::1"), a("fe80::2")), drop.Reasons},
		{"B-IC6-4 to all nodes", ping(a("fe80::1"), a("ff02::1")), drop.Reasons},
		{"B-IC6-4 to our solicited-node group", ping(peer6, ourNode), drop.Reasons},
	} {
		t.Run(c.name, func(t *testing.T) {
			onBed6(t, func(b *bed6) {
				if got := b.give(c.packet); got != Taken {
					t.Errorf("outcome %d", got)
				}
				out := b.sent()
				if c.dropped == drop.Reasons {
					b.wantEcho(c.packet, out)
					return
				}
				if n := b.l.Drops.Load()[c.dropped]; n != 1 {
					t.Errorf("dropped: %v, want for %v", b.l.Drops.Load(), c.dropped)
				}
				for _, p := range out {
					t.Errorf("sent %x", p)
				}
			})
		})
	}
}

// wantEcho checks that a ping was answered: from the address that was asked, or one of the interface's in the scope of who
// asked.
func (b *bed6) wantEcho(asked []byte, out [][]byte) {
	b.t.Helper()
	if len(out) != 1 {
		b.t.Fatalf("%d packets sent, want an answer; dropped: %v", len(out), b.l.Drops.Load())
	}
	q, err := frames.ParseIP(asked)
	if err != nil {
		b.t.Fatal(err)
	}
	from := q.Dst
	if from.IsMulticast() {
		if from = our6; q.Src.IsLinkLocalUnicast() {
			from = ourLink.WithZone("")
		}
	}
	reply := bytes.Clone(echo)
	reply[0] = wire.ICMPv6EchoReply
	want := packet6(from, q.Src, wire.ProtocolICMPv6, icmp6(from, q.Src, reply))
	copy(want[:4], out[0][:4]) // with its flow label
	if !bytes.Equal(out[0], want) {
		b.t.Errorf("sent %x\nwant %x", out[0], want)
	}
}
