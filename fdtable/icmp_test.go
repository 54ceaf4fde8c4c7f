package fdtable

import (
	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
)

// icmpError sends an ICMP error for a frame of a's, from a router. rest are the last octets of its header.
func (w *world) icmpError(router *sim.Port, quoted []byte, typ, code byte, rest [4]byte) {
	w.t.Helper()
	from, to := w.absent, w.addrA
	message := frames.ICMP(from, to, typ, code, rest, quoted[14:])
	packet := frames.IP(from, to, w.icmp, message)
	out := []link.Frame{frames.Frame(frames.Ethernet(link.MAC(quoted[6:12]), router.Info().MAC, packet))}
	if n, err := router.Write(out); n != 1 || err != nil {
		w.t.Fatalf("Write = %d, %v", n, err)
	}
	out[0].Release()
}
