package unet

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/tap"
)

// liar sends frames from the kernel's side of a TAP, past the kernel's stack.
type liar struct {
	*testing.T
	host        *tapHost
	fd          int
	to          unix.SockaddrLinklayer
	src, dst    netip.Addr
	kernel, own [6]byte
}

func newLiar(t *testing.T, h *tapHost) *liar {
	t.Helper()
	ifc, err := net.InterfaceByName(h.name)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return &liar{T: t, host: h, fd: fd, to: unix.SockaddrLinklayer{Ifindex: ifc.Index}, kernel: [6]byte(ifc.HardwareAddr),
		own: h.link.Info().MAC, src: netip.MustParseAddr(h.kernels), dst: netip.MustParseAddr(h.ours)}
}

// frame is an Ethernet frame for the host.
func (l *liar) frame(kind uint16, payload []byte) []byte {
	b := slices.Concat(l.own[:], l.kernel[:], []byte{byte(kind >> 8), byte(kind)}, payload)
	return append(b, make([]byte, max(0, 60-len(b)))...)
}

// ip is a frame with a packet of a right header, which change may spoil before its checksum is made.
func (l *liar) ip(protocol byte, payload []byte, change func(h []byte)) []byte {
	if l.src.Is6() {
		b := make([]byte, 8, wire.IPv6Len+len(payload))
		b[0], b[6], b[7] = 0x60, protocol, 64
		binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
		b = slices.Concat(b, l.src.AsSlice(), l.dst.AsSlice())
		if change != nil {
			change(b)
		}
		return l.frame(wire.EtherTypeIPv6, append(b, payload...))
	}
	b := make([]byte, 20, 20+len(payload))
	b[0], b[8], b[9] = 0x45, 64, protocol
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
	src, dst := l.src.As4(), l.dst.As4()
	copy(b[12:], src[:])
	copy(b[16:], dst[:])
	if change != nil {
		change(b)
	}
	binary.BigEndian.PutUint16(b[10:], ^sum(0, b))
	return l.frame(wire.EtherTypeIPv4, append(b, payload...))
}

// sum is the Internet checksum's sum, kept apart from the stack's own.
func sum(s uint32, b []byte) uint16 {
	for i := 0; i+1 < len(b); i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if len(b)%2 == 1 {
		s += uint32(b[len(b)-1]) << 8
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

// segment is a TCP segment to a port, with a right checksum; offset is the header's length in words as it
// says itself.
func (l *liar) segment(port, offset int, options []byte) []byte {
	b := make([]byte, 20+len(options))
	binary.BigEndian.PutUint16(b, 40000)
	binary.BigEndian.PutUint16(b[2:], uint16(port))
	b[12], b[13] = byte(offset<<4), 2 // SYN
	copy(b[20:], options)
	l.transportSum(b, 6, 16)
	return b
}

func (l *liar) transportSum(b []byte, protocol byte, at int) {
	pseudo := uint32(sum(0, slices.Concat(l.src.AsSlice(), l.dst.AsSlice(), []byte{0, protocol, byte(len(b) >> 8), byte(len(b))})))
	b[at], b[at+1] = 0, 0
	binary.BigEndian.PutUint16(b[at:], ^sum(pseudo, b))
}

// datagram is a UDP datagram that claims a length.
func (l *liar) datagram(length int, payload []byte) []byte {
	b := make([]byte, 8, 8+len(payload))
	binary.BigEndian.PutUint16(b, 40000)
	binary.BigEndian.PutUint16(b[2:], 9)
	binary.BigEndian.PutUint16(b[4:], uint16(length))
	b = append(b, payload...)
	l.transportSum(b, 17, 6)
	return b
}

// lie is a frame that lies about a length, and the reason that it is dropped for.
type lie struct {
	name, reason string
	frame        []byte
}

// lies4 are those that only IPv4 has.
func (l *liar) lies4() []lie {
	text := make([]byte, 40)
	total := func(n uint16) func([]byte) { return func(h []byte) { binary.BigEndian.PutUint16(h[2:], n) } }
	first := func(b byte) func([]byte) { return func(h []byte) { h[0] = b } }
	return []lie{
		{"a frame of a header alone", stack.DropIPHeader.String(), l.frame(wire.EtherTypeIPv4, nil)[:14]},
		{"IPv4 total length beyond the frame", stack.DropIPHeader.String(), l.ip(6, text, total(1000))},
		{"IPv4 total length within the header", stack.DropIPHeader.String(), l.ip(6, text, total(19))},
		{"IPv4 total length zero", stack.DropIPHeader.String(), l.ip(6, text, total(0))},
		{"IPv4 header shorter than a header", stack.DropIPHeader.String(), l.ip(6, text, first(0x44))},
		{"IPv4 header longer than the packet", stack.DropIPHeader.String(), l.ip(6, nil, first(0x4f))},
		{"IPv4 that is IPv6", stack.DropIPVersion.String(), l.ip(6, text, first(0x65))},
		{"a fragment past 65,535", stack.DropFragment.String(), l.ip(17, text, func(h []byte) { binary.BigEndian.PutUint16(h[6:], 0x1fff) })},
		{"a fragment of a length that is no multiple of eight", stack.DropFragment.String(), l.ip(17, text[:39], func(h []byte) { binary.BigEndian.PutUint16(h[6:], 0x2000) })},
		{"ARP that is cut short", stack.DropARPMalformed.String(), l.frame(wire.EtherTypeARP, []byte{0, 1, 8, 0, 6, 4, 0, 1})[:22]},
		{"ARP with addresses of other lengths", stack.DropARPMalformed.String(), l.frame(wire.EtherTypeARP, []byte{0, 1, 8, 0, 16, 255, 0, 1})},
	}
}

// lies6 are those that only IPv6 has.
func (l *liar) lies6() []lie {
	text := make([]byte, 40)
	// An extension header that names TCP behind it, and so many more times eight octets of its own.
	extension := func(more byte, rest ...byte) []byte { return slices.Concat([]byte{6, more}, rest, text) }
	option := func(b ...byte) []byte { return extension(0, slices.Concat(b, make([]byte, 6-len(b)))...) }
	solicitation := func(rest ...byte) []byte {
		b := slices.Concat([]byte{wire.ICMPv6NeighborSolicitation, 0, 0, 0, 0, 0, 0, 0}, l.dst.AsSlice(), rest)
		l.transportSum(b, wire.ProtocolICMPv6, 2)
		return b
	}
	cut := solicitation()[:20]
	l.transportSum(cut, wire.ProtocolICMPv6, 2)
	neighbors := func(h []byte) { h[7] = 255 }
	return []lie{
		{"a frame of a header alone", stack.DropIPHeader.String(), l.frame(wire.EtherTypeIPv6, nil)[:14]},
		{"IPv6 cut within its header", stack.DropIPHeader.String(), l.ip(6, nil, nil)[:14+39]},
		{"IPv6 payload length beyond the frame", stack.DropIPHeader.String(), l.ip(6, text, func(h []byte) { binary.BigEndian.PutUint16(h[4:], 1000) })},
		{"IPv6 that is IPv4", stack.DropIPVersion.String(), l.ip(6, text, func(h []byte) { h[0] = 0x45 })},
		{"an extension header beyond the packet", stack.DropExtensionHeader.String(), l.ip(wire.IPv6DestinationOptions, extension(200, 0, 0, 0, 0, 0, 0), nil)},
		{"an extension header cut short", stack.DropExtensionHeader.String(), l.ip(wire.IPv6HopByHop, []byte{6}, nil)},
		{"an option beyond its header", stack.DropExtensionHeader.String(), l.ip(wire.IPv6DestinationOptions, option(wire.IPv6OptPadN, 9), nil)},
		{"a fragment header cut short", stack.DropExtensionHeader.String(), l.ip(wire.IPv6Fragments, []byte{17, 0, 0, 1, 0, 0}, nil)},
		{"a fragment past 65,535", stack.DropExtensionHeader.String(), l.ip(wire.IPv6Fragments, slices.Concat([]byte{17, 0, 0xff, 0xf8, 0, 0, 0, 1}, text), nil)},
		{"a fragment of a length that is no multiple of eight", stack.DropExtensionHeader.String(), l.ip(wire.IPv6Fragments, slices.Concat([]byte{17, 0, 0, 1, 0, 0, 0, 2}, text[:39]), nil)},
		{"a solicitation cut within its target", stack.DropNDMalformed.String(), l.ip(wire.ProtocolICMPv6, cut, neighbors)},
		{"a solicitation with an option of length zero", stack.DropNDMalformed.String(), l.ip(wire.ProtocolICMPv6, solicitation(1, 0, 0, 0, 0, 0, 0, 0), neighbors)},
		{"a solicitation with an option beyond its end", stack.DropNDMalformed.String(), l.ip(wire.ProtocolICMPv6, solicitation(1, 9, 0, 0, 0, 0, 0, 0), neighbors)},
	}
}

// lies are those of transports to a TCP port.
func (l *liar) lies(port int) []lie {
	text := make([]byte, 40)
	icmp := byte(wire.ProtocolICMP)
	if l.src.Is6() {
		icmp = wire.ProtocolICMPv6
	}
	const malformed, badSum = "TCP malformed", "TCP checksum"
	return []lie{
		{"TCP header longer than the segment", malformed, l.ip(6, l.segment(port, 15, nil), nil)},
		{"TCP header shorter than a header", malformed, l.ip(6, l.segment(port, 4, nil), nil)},
		{"TCP cut within its header", malformed, l.ip(6, text[:19], nil)},
		{"TCP option of length zero", malformed, l.ip(6, l.segment(port, 6, []byte{3, 0, 0, 0}), nil)},
		{"TCP option beyond the header", malformed, l.ip(6, l.segment(port, 6, []byte{1, 1, 8, 10}), nil)},
		{"TCP with a wrong checksum", badSum, l.ip(6, slices.Concat(l.segment(port, 5, nil)[:16], []byte{0xde, 0xad, 0, 0}), nil)},
		{"UDP length beyond the packet", stack.DropUDPMalformed.String(), l.ip(17, l.datagram(1000, text), nil)},
		{"UDP length within the header", stack.DropUDPMalformed.String(), l.ip(17, l.datagram(7, text), nil)},
		{"UDP cut within its header", stack.DropUDPMalformed.String(), l.ip(17, text[:7], nil)},
		{"ICMP cut within its header", stack.DropICMPMalformed.String(), l.ip(icmp, text[:3], nil)},
	}
}

// A frame that lies about a length is a counted drop, under the reason that it gave; the host goes on
// serving, also while they come.
func TestIntegrationLies(t *testing.T) {
	for _, f := range testFamilies {
		tellLies(t, &f)
	}
}

func tellLies(t *testing.T, f *testFamily) {
	h := openTAP(t, 0, tap.Config{PeerAddrs: f.peers()})
	ln, err := h.Listen("tcp", net.JoinHostPort(h.ours, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	l := newLiar(t, h)
	list := l.lies4
	if l.src.Is6() {
		list = l.lies6
	}
	echo(t, ln.Addr().String()) // the neighbours know each other
	for _, tt := range append(list(), l.lies(ln.Addr().(*net.TCPAddr).Port)...) {
		t.Run("D-PARSE-1 "+tt.name+f.suffix, func(t *testing.T) {
			before := dropped(h.Host)
			const frames = 3
			for range frames {
				if err := unix.Sendto(l.fd, tt.frame, 0, &l.to); err != nil {
					t.Fatal(err)
				}
			}
			echo(t, ln.Addr().String()) // behind the lies in the device's queue
			want := map[string]uint64{tt.reason: frames}
			if diff := cmp.Diff(want, since(h.Host, before)); diff != "" {
				t.Errorf("dropped: -want +got\n%s", diff)
			}
		})
	}
	_ = ln.Close()
	<-served
	gone(t, h.Host)
}

// dropped returns all counters of dropped packets by reason.
func dropped(h *Host) map[string]uint64 {
	s := h.Stats()
	all := map[string]uint64{"TCP malformed": s.TCPGauges.Malformed, "TCP checksum": s.TCPGauges.BadChecksum, "TCP dropped": s.TCPGauges.Dropped}
	for i, n := range s.Dropped {
		all[stack.Drop(i).String()] = n
	}
	return all
}

// since returns the counters that have grown, but for what the kernel says by itself to groups.
func since(h *Host, before map[string]uint64) map[string]uint64 {
	grown := make(map[string]uint64)
	for reason, n := range dropped(h) {
		if kernels := reason == stack.DropForeignMAC.String() || reason == stack.DropNotForUs.String(); n > before[reason] && !kernels {
			grown[reason] = n - before[reason]
		}
	}
	return grown
}

// echo sends a text over a connection of its own and waits for it to come back.
func echo(t *testing.T, address string) {
	t.Helper()
	c, err := new(net.Dialer).DialContext(context.Background(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(hang))
	if _, err := io.WriteString(c, "still there?"); err != nil {
		t.Fatal(err)
	}
	_ = c.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(c); string(got) != "still there?" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
}
