package fdtable

import (
	"testing"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
)

// unreachable sends an ICMP destination unreachable of a code for a frame, from a router to the frame's sender.
func unreachable(t *testing.T, router *sim.Port, quoted []byte, code byte) {
	t.Helper()
	ip := quoted[14:42] // the header and eight octets
	const total = 20 + 8 + 28
	p := make([]byte, 14+total)
	copy(p[0:6], quoted[6:12])
	mac := router.Info().MAC
	copy(p[6:12], mac[:])
	p[12] = 8
	h := p[14:34]
	h[0], h[3], h[8], h[9] = 0x45, total, 64, 1
	copy(h[12:16], []byte{10, 1, 0, 99})
	copy(h[16:20], ip[12:16])
	put := func(field, over []byte) {
		sum := wire.Checksum(over, 0)
		field[0], field[1] = byte(sum>>8), byte(sum)
	}
	put(h[10:12], h)
	m := p[34:]
	m[0], m[1] = 3, code
	copy(m[8:], ip)
	put(m[2:4], m)
	b := link.NewBuffer(link.Headroom + len(p))
	copy(b.Bytes()[link.Headroom:], p)
	frames := make([]link.Frame, 1)
	frames[0].Set(b, link.Headroom, link.Headroom+len(p))
	if n, err := router.Write(frames); n != 1 || err != nil {
		t.Fatalf("Write = %d, %v", n, err)
	}
	frames[0].Release()
}
