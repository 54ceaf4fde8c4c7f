package stack

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// memDevice is a device that a test feeds and reads.
type memDevice struct {
	info   link.Info
	mu     sync.Mutex
	ready  sync.Cond
	in     [][]byte
	meta   []link.Meta
	out    [][]byte
	metas  []link.Meta
	closed bool
}

func newMemDevice(info link.Info) *memDevice {
	d := &memDevice{info: info}
	d.ready.L = &d.mu
	return d
}

func (d *memDevice) Info() link.Info { return d.info }

func (d *memDevice) Read(frames []link.Frame) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.in) == 0 && !d.closed {
		d.ready.Wait()
	}
	if d.closed {
		return 0, link.ErrClosed
	}
	n := min(len(frames), len(d.in))
	for i := range n {
		b := link.NewBuffer(link.Headroom + len(d.in[i]))
		copy(b.Bytes()[link.Headroom:], d.in[i])
		frames[i].Set(b, link.Headroom, link.Headroom+len(d.in[i]))
		frames[i].Meta = d.meta[i]
	}
	d.in, d.meta = d.in[n:], d.meta[n:]
	return n, nil
}

func (d *memDevice) Write(frames []link.Frame) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return 0, link.ErrClosed
	}
	for i := range frames {
		b := make([]byte, frames[i].Len())
		frames[i].CopyTo(b)
		d.out = append(d.out, b)
		d.metas = append(d.metas, frames[i].Meta)
	}
	return len(frames), nil
}

func (d *memDevice) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.ready.Broadcast()
	return nil
}

// bed is a host on a memDevice, in a synctest bubble.
type bed struct {
	*testing.T
	family // of its packets: addrB is the host's, addrA its peer's
	h      *Host
	dev    *memDevice
}

var (
	ourMAC   = link.MAC{2, 0, 0, 0, 0, 2}
	peerMAC  = link.MAC{2, 0, 0, 0, 0, 1}
	otherMAC = link.MAC{2, 0, 0, 0, 0, 9}
	ourIP    = netip.MustParseAddr("10.0.0.2")
	peerIP   = netip.MustParseAddr("10.0.0.1")
	otherIP  = netip.MustParseAddr("10.0.0.9")
	ourNet   = netip.MustParsePrefix("10.0.0.2/24")
	memInfo  = link.Info{Name: "mem0", Kind: link.Ethernet, MAC: ourMAC, MTU: 1500}
)

// onBed runs f over IPv4, with a fresh host that knows nobody. See onBeds for tests of both families.
func onBed(t *testing.T, cfg Config, f func(*bed)) {
	t.Helper()
	onDevice(t, cfg, memInfo, f)
}

func onDevice(t *testing.T, cfg Config, info link.Info, f func(*bed)) {
	t.Helper()
	withAddrs(t, cfg, info, []netip.Prefix{ourNet}, f)
}

// withAddrs is onDevice for a host of other addresses.
func withAddrs(t *testing.T, cfg Config, info link.Info, addrs []netip.Prefix, f func(*bed)) {
	t.Helper()
	inBed(t, ipv4, cfg, info, addrs, f)
}

// inBed runs f with a host on a device. With IPv6 the host has shown that its address is unique, and said its groups.
func inBed(t *testing.T, of family, cfg Config, info link.Info, addrs []netip.Prefix, f func(*bed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		buffers := link.Outstanding() // -1 unless built with unetdebug
		h, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { // also when f gives up: a bubble must not end before its goroutines
			if err := h.Close(); err != nil {
				t.Error(err)
			}
			if n := link.Outstanding(); n != buffers {
				t.Errorf("%d buffers in use after Close, %d before", n, buffers)
			}
		}()
		b := &bed{T: t, family: of, h: h, dev: newMemDevice(info)}
		if err := h.Attach(b.dev, Interface{Addrs: addrs}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if of.any.Is6() {
			time.Sleep(10 * time.Second)
			b.take()
		}
		f(b)
	})
}

// withPeer is onBed with a peer that has just answered an ARP request of ours.
func withPeer(t *testing.T, cfg Config, f func(*bed)) {
	t.Helper()
	onBed(t, cfg, func(b *bed) {
		b.h.findNeighbor(b, peerIP)
		f(b)
	})
}

// findNeighbor makes a neighbour of the host's reachable, by an exchange of ARP or of neighbour discovery.
func (h *Host) findNeighbor(b *bed, a netip.Addr) {
	b.Helper()
	s := b.bindUDP(b.here(9))
	b.writeTo(s, nil, netip.AddrPortFrom(a, 9))
	b.inject(b.told(a, peerMAC))
	if got := b.take(); len(got) != 2 {
		b.Fatalf("resolving the peer sent %d frames, want request and datagram", len(got))
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

// inject gives frames to the host as one burst and waits until it is done with them.
func (b *bed) inject(frames ...[]byte) {
	b.Helper()
	b.injectMeta(link.Meta{}, frames...)
}

func (b *bed) injectMeta(m link.Meta, frames ...[]byte) {
	d := b.dev
	d.mu.Lock()
	for _, f := range frames {
		d.in = append(d.in, f)
		d.meta = append(d.meta, m)
	}
	d.ready.Broadcast()
	d.mu.Unlock()
	synctest.Wait()
}

// take returns the frames that the host has sent since the last call.
func (b *bed) take() [][]byte {
	synctest.Wait()
	d := b.dev
	d.mu.Lock()
	defer d.mu.Unlock()
	out := d.out
	d.out, d.metas = nil, nil
	return out
}

// want compares all that was sent since the last call with frames.
func (b *bed) want(frames ...[]byte) {
	b.Helper()
	got := b.take()
	if diff := cmp.Diff(dumps(frames), dumps(got)); diff != "" {
		b.Errorf("frames sent (-want +got):\n%s", diff)
	}
}

func dumps(frames [][]byte) []string {
	s := []string{}
	for _, f := range frames {
		s = append(s, hex.EncodeToString(f))
	}
	return s
}

// wantDrop says that exactly n packets were dropped for the reason so far.
func (b *bed) wantDrop(reason Drop, n uint64) {
	b.Helper()
	if got := b.h.Stats().Dropped[reason]; got != n {
		b.Errorf("dropped for %q: %d, want %d", reason, got, n)
	}
}

func (b *bed) listenUDP(local string) *UDPSocket {
	b.Helper()
	return b.bindUDP(netip.MustParseAddrPort(local))
}

func (b *bed) writeTo(s *UDPSocket, p []byte, to netip.AddrPort) {
	b.Helper()
	if n, err := s.WriteTo(p, to); n != len(p) || err != nil {
		b.Fatalf("WriteTo = %d, %v", n, err)
	}
}

// wantDatagram takes the next datagram without waiting.
func (b *bed) wantDatagram(s *UDPSocket, data []byte) {
	b.Helper()
	p := make([]byte, 70000)
	n, _, truncated, err := s.TryReadFrom(p)
	if err != nil || truncated || !bytes.Equal(p[:n], data) {
		b.Fatalf("TryReadFrom = %d octets, truncated %v, %v; want %d octets", n, truncated, err, len(data))
	}
}

func (b *bed) wantNoDatagram(s *UDPSocket) {
	b.Helper()
	if n, from, _, err := s.TryReadFrom(make([]byte, 1)); err == nil {
		b.Fatalf("an unexpected datagram of %d octets or more from %v", n, from)
	}
}

// Frames.

func arpFrame(dst, src link.MAC, p wire.ARP) []byte { return frames.ARP(dst, src, p) }

func ethFrame(dst, src link.MAC, typ uint16, payload []byte) []byte {
	return frames.EthernetType(dst, src, typ, payload)
}

// in4 frames an IPv4 packet from the peer to the host.
func in4(packet []byte) []byte {
	return frames.EthernetType(ourMAC, peerMAC, wire.EtherTypeIPv4, packet)
}

// out4 frames one from the host to the peer.
func out4(packet []byte) []byte {
	return frames.EthernetType(peerMAC, ourMAC, wire.EtherTypeIPv4, packet)
}

// ip4 builds a packet; fields of h that are zero get their usual values.
func ip4(h wire.IPv4, payload []byte) []byte { return frames.IPv4(h, payload) }

func fromPeer(proto uint8) wire.IPv4 {
	return wire.IPv4{Protocol: proto, Src: peerIP.As4(), Dst: ourIP.As4()}
}

func toPeer(proto uint8) wire.IPv4 {
	return wire.IPv4{Protocol: proto, Src: ourIP.As4(), Dst: peerIP.As4()}
}

// udp4 builds a datagram with its checksum.
func udp4(src, dst netip.Addr, srcPort, dstPort uint16, data []byte) []byte {
	return frames.UDP(src, dst, srcPort, dstPort, data)
}

// icmp4 builds an ICMP message with its checksum.
func icmp4(typ, code uint8, rest [4]byte, body []byte) []byte {
	return frames.ICMP(peerIP, ourIP, typ, code, rest, body)
}

// tcp4 builds a segment with its checksum.
func tcp4(src, dst netip.Addr, h wire.TCP, data []byte) []byte { return frames.TCP(src, dst, h, data) }

// octets returns n octets that differ from place to place.
func octets(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

// parsed4 is a sent frame as IPv4 packet.
func (b *bed) parsed4(f []byte) (ip wire.IPv4, payload []byte) {
	b.Helper()
	payload, err := ip.Parse(f[wire.EthernetLen:])
	if err != nil {
		b.Fatalf("a sent frame does not parse: %v", err)
	}
	return ip, payload
}

// segment takes the one frame that was sent and returns its TCP header.
func (b *bed) segment() (h wire.TCP) {
	b.Helper()
	out := b.take()
	if len(out) != 1 {
		b.Fatalf("%d frames sent, want one segment", len(out))
	}
	p := b.parsed(out[0])
	if _, err := h.Parse(p.Payload); err != nil {
		b.Fatalf("the segment %x does not parse: %v", p.Payload, err)
	}
	return h
}
