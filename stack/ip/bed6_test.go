package ip

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"

	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

var (
	our6, peer6     = netip.MustParseAddr("fd00::2"), netip.MustParseAddr("fd00::1")
	ourLink         = netip.MustParseAddr("fe80::2%tun0")
	ourNode         = netip.MustParseAddr("ff02::1:ff00:2")
	elsewhere6      = netip.MustParseAddr("2001:db8::9")
	echo            = []byte{128, 0, 0, 0, 0, 7, 0, 1, 'p', 'i', 'n', 'g'}
	tcp20           = bytes.Repeat([]byte{9}, 20)
	hbh, dest, rout = uint8(wire.IPv6HopByHop), uint8(wire.IPv6DestinationOptions), uint8(wire.IPv6Routing)
)

// bed6 is a layer with a device for packets without link headers, so that no neighbour is asked for.
type bed6 struct {
	t   *testing.T
	l   *Layer
	dev *device
	in  *Input
}

func onBed6(t *testing.T, f func(b *bed6)) {
	t.Helper()
	inBubble(t, func(l *Layer, _ *device) {
		dev := &device{info: link.Info{Name: "tun0", Kind: link.IP, MTU: 1500}}
		ifc, err := l.Attach(dev, InterfaceConfig{Addrs: []netip.Prefix{
			netip.MustParsePrefix("fd00::2/64"), netip.MustParsePrefix("fe80::2/64")}})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.AddRoutes(RouteEntry{Dst: netip.MustParsePrefix("::/0"), Via: peer6}); err != nil {
			t.Fatal(err)
		}
		in := new(Input)
		in.Init(l, ifc)
		in.Begin()
		f(&bed6{t: t, l: l, dev: dev, in: in})
	})
}

// packet6 returns a packet whose header names next, and has a length of its own unless that is set.
func packet6(src, dst netip.Addr, next uint8, payload ...[]byte) []byte {
	h := wire.IPv6{NextHeader: next, HopLimit: 64, Src: src.As16(), Dst: dst.As16()}
	body := bytes.Join(payload, nil)
	h.PayloadLen = len(body)
	b := make([]byte, wire.IPv6Len, wire.IPv6Len+len(body))
	h.Marshal(b)
	return append(b, body...)
}

// icmp6 completes the checksum of a message.
func icmp6(src, dst netip.Addr, message []byte) []byte {
	message = bytes.Clone(message)
	wire.PutICMPv6Checksum(message, src.As16(), dst.As16())
	return message
}

// options returns an extension header with options, padded.
func options(next uint8, opts ...byte) []byte {
	b := append([]byte{next, 0}, opts...)
	for len(b)%8 != 0 {
		b = append(b, wire.IPv6OptPad1)
	}
	b[1] = uint8(len(b)/8 - 1)
	return b
}

// piece returns a fragment header.
func piece(next uint8, offset int, more bool, id uint32) []byte {
	b := make([]byte, wire.IPv6FragmentLen)
	f := wire.IPv6Fragment{NextHeader: next, Offset: offset, More: more, ID: id}
	f.Marshal(b)
	return b
}

// give has the layer take a packet.
func (b *bed6) give(packet []byte) Outcome {
	f := new(link.Frame)
	*f = frames.Frame(packet)
	defer f.Release()
	return b.in.Frame(f)
}

// sent flushes and returns the packets sent since the last call.
func (b *bed6) sent() [][]byte {
	b.l.Flush()
	return b.dev.take()
}

// problem returns the type, the code and the pointer of the one ICMPv6 error that was sent, "" for none.
func (b *bed6) problem() string {
	b.t.Helper()
	out := b.sent()
	if len(out) == 0 {
		return ""
	}
	if len(out) > 1 {
		b.t.Fatalf("%d packets sent", len(out))
	}
	p, err := frames.ParseIP(out[0])
	if err != nil {
		b.t.Fatal(err)
	}
	m, body, err := wire.ParseICMPv6(p.Payload, p.Src.As16(), p.Dst.As16())
	if err != nil {
		b.t.Fatal(err)
	}
	if len(out[0]) > leastMTU6 || len(body) == 0 {
		b.t.Errorf("an error of %d octets", len(out[0]))
	}
	return fmt.Sprintf("%d/%d/%d", m.Type, m.Code, m.Pointer())
}
