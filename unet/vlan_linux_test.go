package unet

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/tap"
)

// TestVLANOverTAP sends tagged frames from the kernel's side of a device, as a switch that sets priorities does.
func TestVLANOverTAP(t *testing.T) {
	for i, tt := range []struct {
		name string
		cfg  tap.Config
	}{
		{"native", tap.Config{}},
		{"native without offload", tap.Config{NoOffload: true}},
		{"native without io_uring", tap.Config{NoIOUring: true}},
		{"portable", tap.Config{Portable: true}},
	} {
		t.Run("B-ETH-6 over TAP, "+tt.name, func(t *testing.T) {
			h := openTAP(t, 0, tt.cfg)
			l := newLiar(t, h)
			if tt.name == "native" { // these frames have a virtio header, and their checksum is only begun
				if err := unix.SetsockoptInt(l.fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err != nil {
					t.Fatal(err)
				}
			}
			send := func(kind uint16, payload []byte, tags ...uint16) {
				t.Helper()
				f := l.frame(kind, payload)
				for _, tag := range tags {
					f = slices.Insert(f, 12, 0x81, 0, byte(tag>>8), byte(tag))
				}
				if tt.name == "native" {
					f = slices.Concat(l.begun(f, 14+4*len(tags), kind), f)
				}
				if err := unix.Sendto(l.fd, f, 0, &l.to); err != nil {
					t.Fatal(err)
				}
			}
			c, err := h.ListenPacket("udp", h.ours+":9")
			if err != nil {
				t.Fatal(err)
			}
			if err := c.SetReadDeadline(time.Now().Add(hang)); err != nil {
				t.Fatal(err)
			}
			datagram := func(text string, tags ...uint16) {
				t.Helper()
				send(0x0800, l.ip(17, l.datagram(8+len(text), []byte(text)), nil)[14:], tags...)
			}
			before := h.Stats()
			datagram("of VLAN 5", 5)
			datagram("of VLAN 5 within a priority", 5, 0)
			datagram("of a priority within VLAN 5", 0, 5)
			for _, tags := range [][]uint16{nil, {0}, {7 << 13}, {0, 3 << 13}} {
				text := fmt.Sprint("with the tags ", tags)
				datagram(text, tags...)
				b := make([]byte, 100)
				if n, from, err := c.ReadFrom(b); err != nil || string(b[:n]) != text || from.String() != l.src.String()+":40000" {
					t.Fatalf("%q from %v, %v; want %q; dropped %v", b[:n], from, err, text, dropped(h.Host))
				}
			}
			if got := h.Stats().Dropped[stack.DropVLAN] - before.Dropped[stack.DropVLAN]; got != 3 {
				t.Errorf("%d frames of another VLAN dropped, want 3", got)
			}
			// An ARP request with a tag, of a neighbour that is learned since it asks for us.
			asks := []byte{0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, byte(i), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
			sender := l.src.As4()
			sender[3] = 77
			target := l.dst.As4()
			copy(asks[14:], sender[:])
			copy(asks[24:], target[:])
			known := h.Stats().Interfaces[1].Neighbors
			send(0x0806, asks, 6<<13)
			datagram("after the request") // in one queue behind it
			if _, _, err := c.ReadFrom(make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
			if got := h.Stats().Interfaces[1].Neighbors; got != known+1 {
				t.Errorf("%d neighbours after an ARP request with a tag, want %d", got, known+1)
			}
		})
	}
}

// begun makes the checksum of the datagram in f, whose IP header stands at ip, that of its pseudo-header alone, and
// returns the virtio header that says so.
func (l *liar) begun(f []byte, ip int, kind uint16) []byte {
	h := make([]byte, 10)
	if kind != 0x0800 {
		return h
	}
	udp := ip + 20
	h[0] = 1 // VIRTIO_NET_HDR_F_NEEDS_CSUM
	binary.NativeEndian.PutUint16(h[6:], uint16(udp))
	binary.NativeEndian.PutUint16(h[8:], 6)
	length := f[udp+4 : udp+6]
	binary.BigEndian.PutUint16(f[udp+6:], sum(0, slices.Concat(f[ip+12:ip+20], []byte{0, 17}, length)))
	return h
}
