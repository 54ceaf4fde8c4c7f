package tap

import (
	"encoding/binary"
	"testing"

	"github.com/unet-go/unet/stack/link"
)

// everything is a device that offers all offloads.
var everything = link.Info{Checksum: true, TSO4: true, TSO6: true}

// vnetHeader builds a virtio header.
func vnetHeader(flags, gso byte, headerLen, gsoSize, start, offset uint16) []byte {
	h := []byte{flags, gso}
	for _, v := range []uint16{headerLen, gsoSize, start, offset} {
		h = binary.NativeEndian.AppendUint16(h, v)
	}
	return h
}

func TestGetVnet(t *testing.T) {
	frame := make([]byte, 200)
	frame[34+12] = 8 << 4 // a TCP header of 32 octets at 34
	short := make([]byte, 200)
	short[34+12] = 4 << 4
	super := link.Meta{NeedsChecksum: true, ChecksumStart: 34, ChecksumOffset: 16, GSOSize: 100, HeaderLen: 66}
	super4, super6 := super, super
	super4.GSO, super6.GSO = link.TCP4, link.TCP6
	for _, c := range []struct {
		name  string
		h     []byte
		frame []byte
		ok    bool
		want  link.Meta
	}{
		{"plain", vnetHeader(0, 0, 0, 0, 0, 0), frame, true, link.Meta{}},
		{"plain with a hint", vnetHeader(0, 0, 99, 0, 7, 7), frame, true, link.Meta{}},
		{"verified", vnetHeader(2, 0, 0, 0, 0, 0), frame, true, link.Meta{ChecksumValid: true}},
		{"begun", vnetHeader(1, 0, 0, 0, 34, 16), frame, true, link.Meta{NeedsChecksum: true, ChecksumStart: 34, ChecksumOffset: 16}},
		{"begun, the last octets", vnetHeader(1, 0, 0, 0, 100, 98), frame, true, link.Meta{NeedsChecksum: true, ChecksumStart: 100, ChecksumOffset: 98}},
		{"begun outside", vnetHeader(1, 0, 0, 0, 100, 99), frame, false, link.Meta{}},
		{"begun far outside", vnetHeader(1, 0, 0, 0, 0xffff, 0xffff), frame, false, link.Meta{}},
		{"TCP4, whatever the hint", vnetHeader(1, 1, 190, 100, 34, 16), frame, true, super4},
		{"TCP6", vnetHeader(1, 4, 0, 100, 34, 16), frame, true, super6},
		{"no checksum", vnetHeader(0, 1, 66, 100, 34, 16), frame, false, link.Meta{}},
		{"no size", vnetHeader(1, 1, 66, 0, 34, 16), frame, false, link.Meta{}},
		{"TCP with ECN, not asked for", vnetHeader(1, 0x81, 66, 100, 34, 16), frame, false, link.Meta{}},
		{"UDP, not asked for", vnetHeader(1, 3, 66, 100, 34, 6), frame, false, link.Meta{}},
		{"a data offset below five", vnetHeader(1, 1, 66, 100, 34, 16), short, false, link.Meta{}},
		{"a TCP header that is cut", vnetHeader(1, 1, 66, 100, 34, 16), frame[:53], false, link.Meta{}},
		{"options that are cut", vnetHeader(1, 1, 66, 100, 34, 16), frame[:65], false, link.Meta{}},
		{"nothing but headers", vnetHeader(1, 1, 66, 100, 34, 16), frame[:66], true, super4},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := link.Meta{NeedsChecksum: true, GSO: link.TCP6, GSOSize: 9, HeaderLen: 9} // must be overwritten
			if ok := getVnet(c.h, c.frame, &m); ok != c.ok || ok && m != c.want {
				t.Errorf("getVnet = %t, %+v, want %t, %+v", ok, m, c.ok, c.want)
			}
		})
	}
}

func TestPutVnet(t *testing.T) {
	meta := link.Meta{NeedsChecksum: true, ChecksumStart: 34, ChecksumOffset: 16, GSO: link.TCP6, GSOSize: 1440, HeaderLen: 66}
	h := make([]byte, vnetLen)
	for i := range h {
		h[i] = 0xff
	}
	if !putVnet(h, &meta, &everything, 5000) || string(h) != string(vnetHeader(1, 4, 66, 1440, 34, 16)) {
		t.Errorf("putVnet wrote % x", h)
	}
	if !putVnet(h, &link.Meta{ChecksumValid: true}, &everything, 60) || string(h) != string(make([]byte, vnetLen)) {
		t.Errorf("putVnet of a plain frame wrote % x", h)
	}
	for _, info := range []link.Info{{}, {Checksum: true}, {Checksum: true, TSO4: true}} {
		if putVnet(h, &meta, &info, 5000) {
			t.Errorf("a TCP6 super-segment passed a device with %+v", info)
		}
	}
}

// FuzzVnet checks that whatever getVnet accepts describes the frame, and survives putVnet.
func FuzzVnet(f *testing.F) {
	f.Add(vnetHeader(1, 1, 66, 100, 34, 16), make([]byte, 100))
	f.Add(vnetHeader(1, 4, 0, 100, 54, 16), make([]byte, 100))
	f.Add(vnetHeader(2, 0, 0, 0, 0, 0), []byte{})
	f.Fuzz(func(t *testing.T, h, frame []byte) {
		if len(h) < vnetLen || len(frame) > maxMTU+18 {
			return
		}
		var m, again link.Meta
		if !getVnet(h, frame, &m) {
			return
		}
		if !metaFits(&m, &everything, len(frame)) {
			t.Fatalf("% x and %d octets gave %+v", h[:vnetLen], len(frame), m)
		}
		back := make([]byte, vnetLen)
		if !putVnet(back, &m, &everything, len(frame)) || !getVnet(back, frame, &again) {
			t.Fatalf("%+v does not survive", m)
		}
		if m.ChecksumValid = false; again != m {
			t.Fatalf("%+v became %+v", m, again)
		}
	})
}
