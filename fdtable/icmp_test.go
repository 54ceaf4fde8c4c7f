package fdtable

import (
	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
)

// unreachable sends an ICMP destination unreachable of a code for a frame, from a router to the frame's sender.
func (w *world) unreachable(router *sim.Port, quoted []byte, code byte) {
	w.t.Helper()
	from, to := w.absent, w.addrA
	message := frames.ICMP(from, to, w.worldFamily.unreachable, code, [4]byte{}, quoted[14:])
	packet := frames.IP(from, to, w.icmp, message)
	out := []link.Frame{frames.Frame(frames.Ethernet(link.MAC(quoted[6:12]), router.Info().MAC, packet))}
	if n, err := router.Write(out); n != 1 || err != nil {
		w.t.Fatalf("Write = %d, %v", n, err)
	}
	out[0].Release()
}
