package tap

import (
	"encoding/binary"
	"fmt"
	"os"
	"testing"
	"unsafe"

	"github.com/unet-go/unet/stack/link"
)

// layout is what stands in front of a segment's text.
type layout struct {
	name     string
	version  byte // of IP
	vlan     bool
	between  int // octets of IP options, or of an extension header
	tcp      int // octets of the TCP header
	ethernet bool
}

// network returns where the IP header begins, transport where the TCP header does, and text where its text does.
func (l *layout) network() int {
	switch {
	case l.ethernet && l.vlan:
		return 18
	case l.ethernet:
		return 14
	}
	return 0
}

func (l *layout) transport() int {
	if l.version == 6 {
		return l.network() + 40 + l.between
	}
	return l.network() + 20 + l.between
}

func (l *layout) text() int { return l.transport() + l.tcp }

// frame returns a frame with n octets of text behind a virtio header, which says that it is a super-segment if it is.
func (l *layout) frame(super bool, n int) []byte {
	b := make([]byte, l.text()+n)
	if l.ethernet {
		binary.BigEndian.PutUint16(b[12:], map[byte]uint16{4: 0x0800, 6: 0x86dd}[l.version])
		if l.vlan {
			copy(b[14:], []byte{0, 5, b[12], b[13]})
			copy(b[12:], []byte{0x81, 0})
		}
	}
	b[l.network()] = l.version << 4
	b[l.transport()+tcpDataOffset] = byte(l.tcp / 4 << 4)
	gso := map[byte]byte{4: vnetGSOTCPv4, 6: vnetGSOTCPv6}[l.version]
	head := vnetHeader(vnetNeedsChecksum, gso, 0, 1428, uint16(l.transport()), 16)
	if !super {
		head = make([]byte, vnetLen)
	}
	return append(head, b...)
}

// TestTextAligned receives super-segments and single ones, small and large: their text begins at a multiple of 8, in
// every buffer of a batch and for either family. The first large frame of another layout may be in the wrong place,
// since a frame is read before it is known, and those that were read together with it.
func TestTextAligned(t *testing.T) {
	for _, kind := range []link.Kind{link.Ethernet, link.IP} {
		for _, rings := range []bool{true, false} {
			t.Run(fmt.Sprintf("%v, io_uring %v", kind, rings), func(t *testing.T) { testTextAligned(t, kind, rings) })
		}
	}
}

func testTextAligned(t *testing.T, kind link.Kind, rings bool) {
	q, driver := pairOf(t, kind, rings)
	usual := []layout{{name: "IPv4", version: 4, tcp: 32}, {name: "IPv6", version: 6, tcp: 32}}
	others := []layout{
		{name: "IPv4 options", version: 4, between: 4, tcp: 32}, {name: "IPv6 extension header", version: 6, between: 8, tcp: 32},
		{name: "IPv4 without timestamps", version: 4, tcp: 20}, {name: "IPv6 without timestamps", version: 6, tcp: 20},
		{name: "IPv6 with SACK", version: 6, tcp: 44},
	}
	if kind == link.Ethernet {
		others = append(others, layout{name: "IPv4 in a VLAN", version: 4, vlan: true, tcp: 32},
			layout{name: "IPv6 in a VLAN", version: 6, vlan: true, tcp: 32})
	}
	for range 2 { // the second time after every other layout
		for _, l := range append(usual, others...) {
			l.ethernet = kind == link.Ethernet
			awaitAligned(t, q, driver, &l, "super-segments", true, 9*1428)
		}
		for _, l := range usual {
			l.ethernet = kind == link.Ethernet
			awaitAligned(t, q, driver, &l, "large segments", false, 8948)
			for _, n := range []int{1, 700, 1428, 1937, copyBelow - lastPlace - l.text()} {
				awaitAligned(t, q, driver, &l, "segments", false, n)
			}
		}
	}
}

// awaitAligned sends frames of a layout: the first one alone, which may tell of the layout, then some batches.
func awaitAligned(t *testing.T, q *native, driver *os.File, l *layout, name string, super bool, n int) {
	t.Helper()
	frames := make([]link.Frame, 64)
	for batch, count := range []int{1, colours, colours, colours} {
		for range count {
			if _, err := driver.Write(l.frame(super, n)); err != nil {
				t.Fatal(err)
			}
		}
		got, err := q.Read(frames)
		if got != count || err != nil {
			t.Fatalf("Read = %d, %v, want %d frames", got, err, count)
		}
		for i := range frames[:got] {
			f := &frames[i]
			if at := uintptr(unsafe.Pointer(&f.Header[l.text()])); at%8 != 0 && batch > 0 {
				t.Errorf("%s, %s of %d octets: frame %d has its text at %#x", l.name, name, n, i, at)
			}
			if len(f.Header) != l.text()+n || f.Prepend(link.Headroom) == nil {
				t.Errorf("%s, %s of %d octets: frame %d has %d octets, or no headroom", l.name, name, n, i, len(f.Header))
			}
			f.Release()
		}
	}
}
