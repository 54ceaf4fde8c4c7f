package fdtable

import (
	"net/netip"
	"testing"

	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
)

// unreachable sends an ICMP destination unreachable of a code for a frame, from a router to the frame's sender.
func unreachable(t *testing.T, router *sim.Port, quoted []byte, code byte) {
	t.Helper()
	var ip wire.IPv4
	if _, err := ip.ParseQuote(quoted[14:]); err != nil {
		t.Fatal(err)
	}
	from, to := netip.AddrFrom4([4]byte{10, 1, 0, 99}), netip.AddrFrom4(ip.Src)
	const headerAndEight = 28
	message := frames.ICMP(from, to, wire.ICMPv4DestinationUnreachable, code, [4]byte{}, quoted[14:14+headerAndEight])
	packet := frames.IP(from, to, wire.ProtocolICMP, message)
	out := []link.Frame{frames.Frame(frames.Ethernet(link.MAC(quoted[6:12]), router.Info().MAC, packet))}
	if n, err := router.Write(out); n != 1 || err != nil {
		t.Fatalf("Write = %d, %v", n, err)
	}
	out[0].Release()
}
