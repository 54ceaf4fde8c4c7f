package ip

import (
	"testing"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/wire"
)

// TestReassembledTooLong checks that no datagram is put together whose length IPv6's header cannot say (RFC 8200 4.5), also
// where the headers before the fragment header are longer in the first fragment than in the others.
func TestReassembledTooLong(t *testing.T) {
	onBed6(t, func(b *bed6) {
		var opts []byte
		for range 4 {
			opts = append(append(opts, wire.IPv6OptPadN, 252), make([]byte, 252)...)
		}
		b.give(packet6(peer6, our6, hbh, options(wire.IPv6Fragments, opts...), piece(wire.ProtocolUDP, 0, true, 5), make([]byte, 1024)))
		const end = 65528
		for at := 1024; at < end; at += 1024 {
			n := min(1024, end-at)
			if b.give(packet6(peer6, our6, wire.IPv6Fragments, piece(wire.ProtocolUDP, at, at+n < end, 5), make([]byte, n))) != Taken {
				t.Fatalf("a datagram of %d octets", len(b.in.Packet.header)+len(b.in.Packet.Payload))
			}
		}
		if got := b.l.Drops.Load()[drop.FragmentOverlap]; got != 1 {
			t.Errorf("%d drops, want 1", got)
		}
	})
}
