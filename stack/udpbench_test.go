package stack

import (
	"net/netip"
	"testing"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/ip"
)

// BenchmarkUDPReceive takes a datagram from the layer below and gives it to a reader that asks for no more than the sender.
func BenchmarkUDPReceive(b *testing.B) {
	h, err := New(Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	s, err := h.ListenUDP(netip.MustParseAddrPort("127.0.0.1:7"), BindOptions{})
	if err != nil {
		b.Fatal(err)
	}
	src, dst := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("127.0.0.1")
	p := &ip.Packet{Src: src, Dst: dst, Payload: udp4(src, dst, 5, 7, make([]byte, 64)), ChecksumOK: true, Protocol: wire.ProtocolUDP}
	buf := make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		h.udp.input(p)
		if n, _, _, err := s.ReadFrom(buf); n != 64 || err != nil {
			b.Fatal(n, err)
		}
	}
}
