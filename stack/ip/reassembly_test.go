package ip

import (
	"testing"

	"github.com/unet-go/unet/internal/wire"
)

func TestReassemblyECN(t *testing.T) {
	whole := make([]byte, 108)
	for _, c := range []struct {
		name string
		ecn  [3]uint8
		want int // of the whole, -1 for dropped
	}{
		{"none", [3]uint8{NotECT, NotECT, NotECT}, NotECT},
		{"all ECT(0)", [3]uint8{ECT0, ECT0, ECT0}, ECT0},
		{"CE first", [3]uint8{CE, ECT0, ECT0}, CE},
		{"CE last", [3]uint8{ECT0, ECT0, CE}, CE},
		{"CE amid ECT(1)", [3]uint8{1, CE, 1}, CE},
		{"all CE", [3]uint8{CE, CE, CE}, CE},
		{"CE first and Not-ECT", [3]uint8{CE, NotECT, NotECT}, -1},
		{"Not-ECT first and CE", [3]uint8{NotECT, NotECT, CE}, -1},
		{"all three", [3]uint8{ECT0, CE, NotECT}, -1},
	} {
		t.Run("C-ECN-6 fragments: "+c.name, func(t *testing.T) {
			inBubble(t, func(l *Layer, dev *device) {
				in := input(l)
				var got *Packet
				for i, ecn := range c.ecn {
					part := whole[i*40 : min(i*40+40, len(whole))]
					h := wire.IPv4{ID: 77, TOS: 0x28 | ecn, FragmentOffset: i * 40, MF: i < 2, TTL: 64, Protocol: wire.ProtocolUDP}
					if in.Frame(frame(peerIP, ourIP, h, part)) == ForTransport {
						got = &in.Packet
					}
				}
				switch {
				case got == nil && c.want >= 0:
					t.Error("dropped")
				case got != nil && c.want < 0:
					t.Errorf("delivered with %x", got.TOS)
				case got != nil && got.TOS != 0x28|uint8(c.want):
					t.Errorf("TOS %x, want %x", got.TOS, 0x28|c.want)
				}
				in.End()
			})
		})
	}
}
