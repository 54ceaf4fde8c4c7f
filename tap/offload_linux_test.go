package tap_test

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/vishvananda/netlink"

	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/tap"
)

// TestChecksumLeftToDevice sends a begun checksum: with NeedsChecksum the kernel delivers the datagram,
// without it the kernel drops it, which shows that the flag and nothing else made the difference.
func TestChecksumLeftToDevice(t *testing.T) {
	for _, family := range families {
		for _, tun := range []bool{false, true} {
			t.Run(fmt.Sprintf("IPv%d, TUN %t", family, tun), func(t *testing.T) {
				testChecksumLeftToDevice(t, over(family, tap.Config{TUN: tun}))
			})
		}
	}
}

func testChecksumLeftToDevice(t *testing.T, cfg tap.Config) {
	p := newPeer(t, cfg)
	c, port := p.socket()
	begun := func(text string) ([]byte, link.Meta) {
		octets := p.udp(port, []byte(text))
		start := p.begin(octets, 17, 6)
		return octets, link.Meta{NeedsChecksum: true, ChecksumStart: uint16(start), ChecksumOffset: 6}
	}
	octets, meta := begun("whole")
	p.write(octets, meta)
	octets, _ = begun("broken")
	p.write(octets, link.Meta{})
	octets, meta = begun("gathered")
	f := frame(octets[:len(octets)-5])
	f.Append(octets[len(octets)-5:], nil)
	f.Meta = meta
	p.writeFrames(f)
	for _, want := range []string{"whole", "gathered"} {
		if got := string(p.next(c)); got != want {
			t.Errorf("the kernel received %q, want %q", got, want)
		}
	}
}

// TestBadMeta checks that a frame is dropped and counted if its Meta is wrong or asks for an offload that the device does
// not offer.
func TestBadMeta(t *testing.T) {
	for _, b := range backends {
		p := newPeer(t, b.cfg)
		c, port := p.socket()
		good := p.udp(port, []byte("good"))
		n := uint16(len(good))
		head := uint16(p.networkHeader() + 20)
		bad := []link.Meta{
			{NeedsChecksum: true, ChecksumStart: n - 1},
			{NeedsChecksum: true, ChecksumStart: head, ChecksumOffset: n - head - 1},
			{NeedsChecksum: true, ChecksumStart: 0xffff, ChecksumOffset: 0xffff},
			{GSO: link.TCP4, GSOSize: 1, HeaderLen: head + 1},
			{NeedsChecksum: true, ChecksumStart: head, ChecksumOffset: 6, GSO: link.TCP4, HeaderLen: head + 8},
			{NeedsChecksum: true, ChecksumStart: head, ChecksumOffset: 6, GSO: link.TCP6, GSOSize: 1, HeaderLen: n + 1},
			{NeedsChecksum: true, ChecksumStart: head, ChecksumOffset: 6, GSO: link.TCP4, GSOSize: 1, HeaderLen: head},
			{NeedsChecksum: true, ChecksumStart: head, ChecksumOffset: 6, GSO: 77, GSOSize: 1, HeaderLen: head + 8},
		}
		if !p.dev.Info().Checksum {
			bad = append(bad, link.Meta{NeedsChecksum: true, ChecksumStart: head, ChecksumOffset: 6})
		}
		for _, m := range bad {
			p.write(good, m)
		}
		p.write(good, link.Meta{})
		if got := string(p.next(c)); got != "good" {
			t.Errorf("%s: the kernel received %q", b.name, got)
		}
		s := p.dev.Stats()
		if s.OutMalformed != uint64(len(bad)) || s.FramesOut != 1 || s.OctetsOut != uint64(n) {
			t.Errorf("%s: Stats = %+v, want %d malformed and one frame of %d octets", b.name, s, len(bad), n)
		}
	}
}

// TestRefused checks that a frame that the kernel refuses is counted, and those around it arrive.
func TestRefused(t *testing.T) {
	forBackends(t, func(t *testing.T, cfg tap.Config) {
		p := newPeer(t, cfg)
		c, port := p.socket()
		p.writeFrames(frame(p.udp(port, []byte("before"))), frame([]byte{0}), frame(p.udp(port, []byte("after"))))
		for _, want := range []string{"before", "after"} {
			if got := string(p.next(c)); got != want {
				t.Errorf("the kernel received %q, want %q", got, want)
			}
		}
		if s := p.dev.Stats(); s.OutRefused != 1 || s.FramesOut != 2 {
			t.Errorf("Stats = %+v, want two frames out and one refused", s)
		}
	})
}

// TestTruncated raises the MTU without telling the portable backend, and sends frames that do not fit into its buffers.
func TestTruncated(t *testing.T) {
	p := newPeer(t, tap.Config{Portable: true, MTU: 1000})
	c, _ := p.socket()
	l, err := netlink.LinkByName(p.dev.Info().Name)
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetMTU(l, 9000); err != nil {
		t.Fatal(err)
	}
	p.send(c, []byte("resolve"))
	p.await(p.isUDP)
	p.send(c, make([]byte, 5000))
	p.send(c, []byte("fits"))
	got := p.await(p.isUDP)
	if text := string(got.payload(layers.LayerTypeUDP)); text != "fits" {
		t.Errorf("read %d octets, want those that fit", len(text))
	}
	if s := p.dev.Stats(); s.InTruncated != 1 {
		t.Errorf("Stats = %+v, want one frame truncated", s)
	}
}

// connection is one TCP connection of a kernel's socket with a hand that writes segments.
type connection struct {
	*peer
	kernelSide net.Conn
	port       layers.TCPPort
	seq, ack   uint32
}

// mss is what the hand says that it takes, and sends in each segment of a super-segment. It fits in a packet of either
// family.
const mss = 1440

// connect opens a connection with that MSS and a window of 65,535 octets to the kernel.
func connect(p *peer) *connection {
	p.Helper()
	ln, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(p.kernel, 0)))
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { ln.Close() })
	c := &connection{peer: p, port: layers.TCPPort(ln.Addr().(*net.TCPAddr).Port), seq: 1000}
	option := layers.TCPOption{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{mss >> 8, mss & 0xff}}
	p.write(p.packet(&layers.TCP{SrcPort: 4000, DstPort: c.port, Seq: c.seq, SYN: true, Window: 65535, Options: []layers.TCPOption{option}}, nil), link.Meta{})
	synAck := p.await(func(r *received) bool {
		tcp, ok := r.Layer(layers.LayerTypeTCP).(*layers.TCP)
		return ok && tcp.SYN && tcp.ACK && tcp.Ack == c.seq+1
	})
	c.seq++
	c.ack = synAck.Layer(layers.LayerTypeTCP).(*layers.TCP).Seq + 1
	p.write(c.segment(nil), link.Meta{})
	if c.kernelSide, err = ln.Accept(); err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { c.kernelSide.Close() })
	if err := c.kernelSide.SetDeadline(time.Now().Add(hang)); err != nil {
		p.Fatal(err)
	}
	return c
}

// segment builds our next segment.
func (c *connection) segment(payload []byte) []byte {
	return c.packet(&layers.TCP{SrcPort: 4000, DstPort: c.port, Seq: c.seq, Ack: c.ack, ACK: true, Window: 65535}, payload)
}

// text is n octets of which no two runs are alike.
func text(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i ^ i>>8*31)
	}
	return b
}

// super is the kind of a super-segment of the peer's family.
func (p *peer) super() link.Segmentation {
	if p.family() == 6 {
		return link.TCP6
	}
	return link.TCP4
}

// TestSegmentationOut hands the kernel super-segments, in one piece and gathered; its TCP delivers all of them.
func TestSegmentationOut(t *testing.T) {
	for _, family := range families {
		for _, tun := range []bool{false, true} {
			t.Run(fmt.Sprintf("IPv%d, TUN %t", family, tun), func(t *testing.T) {
				testSegmentationOut(t, over(family, tap.Config{TUN: tun}))
			})
		}
	}
}

func testSegmentationOut(t *testing.T, cfg tap.Config) {
	p := newPeer(t, cfg)
	c := connect(p)
	for _, size := range []int{mss + 1, 20000, 40000} {
		want := text(size)
		octets := c.segment(want)
		start := p.begin(octets, 6, 16)
		meta := link.Meta{
			NeedsChecksum: true, ChecksumStart: uint16(start), ChecksumOffset: 16,
			GSO: p.super(), GSOSize: mss, HeaderLen: uint16(start + 20),
		}
		f := frame(octets[:start+20])
		f.Append(octets[start+20:], nil)
		f.Meta = meta
		p.writeFrames(f)
		got := make([]byte, size)
		if _, err := readFull(c.kernelSide, got); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("super-segment of %d octets: %v, %+v", size, err, p.dev.Stats())
		}
		c.seq += uint32(size)
	}
	if s := p.dev.Stats(); s.Dropped() != 0 {
		t.Errorf("Stats = %+v, want no drop", s)
	}
}

func readFull(c net.Conn, b []byte) (int, error) {
	n := 0
	for n < len(b) {
		m, err := c.Read(b[n:])
		if n += m; err != nil {
			return n, err
		}
	}
	return n, nil
}

// TestSegmentationIn lets the kernel send more than a segment: it arrives in one piece, described by Meta,
// where offload is on, and in pieces of the MSS where it is not.
func TestSegmentationIn(t *testing.T) {
	for _, family := range families {
		for _, cfg := range []tap.Config{{}, {TUN: true}, {NoOffload: true}, {Portable: true}} {
			name := fmt.Sprintf("IPv%d, TUN %t, NoOffload %t, Portable %t", family, cfg.TUN, cfg.NoOffload, cfg.Portable)
			t.Run(name, func(t *testing.T) { testSegmentationIn(t, over(family, cfg)) })
		}
	}
}

func testSegmentationIn(t *testing.T, cfg tap.Config) {
	p := newPeer(t, cfg)
	c := connect(p)
	want := text(10 * mss) // the initial window of RFC 6928
	if _, err := c.kernelSide.Write(want); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	high, largest := 0, 0
	first := c.ack
	for high < len(want) {
		r := p.await(func(r *received) bool {
			tcp, ok := r.Layer(layers.LayerTypeTCP).(*layers.TCP)
			return ok && len(tcp.LayerPayload()) > 0
		})
		tcp := r.Layer(layers.LayerTypeTCP).(*layers.TCP)
		payload := tcp.LayerPayload()
		high = max(high, int(tcp.Seq-first)+copy(got[tcp.Seq-first:], payload))
		if tcp.Seq == c.ack { // the kernel may wait for an ACK before it sends the rest
			c.ack += uint32(len(payload))
			p.write(c.segment(nil), link.Meta{})
		}
		largest = max(largest, len(payload))
		start := uint16(p.transportHeader())
		meta := link.Meta{NeedsChecksum: true, ChecksumStart: start, ChecksumOffset: 16}
		switch {
		case cfg.NoOffload || cfg.Portable:
			meta = link.Meta{}
		case len(payload) > mss:
			meta.GSO, meta.GSOSize, meta.HeaderLen = p.super(), mss, start+20
		}
		if r.meta != meta {
			t.Errorf("segment of %d octets has Meta %+v, want %+v", len(payload), r.meta, meta)
		}
	}
	if !bytes.Equal(got, want) {
		t.Error("the octets differ")
	}
	if one := largest <= mss; one != (cfg.NoOffload || cfg.Portable) {
		t.Errorf("the largest segment has %d octets", largest)
	}
	if s := p.dev.Stats(); s.Dropped() != 0 {
		t.Errorf("Stats = %+v, want no drop", s)
	}
}

// TestAllocs holds the hot path to no allocation, in both directions.
func TestAllocs(t *testing.T) {
	p := newPeer(t, tap.Config{})
	c, port := p.socket()
	p.send(c, []byte("resolve"))
	p.await(p.isUDP)
	f := frame(p.udp(port, []byte("allocs")))
	whole := p.udp(port, bytes.Repeat([]byte{1}, 500))
	g := frame(whole[:42])
	g.Append(whole[42:], nil)
	out := []link.Frame{f, g}
	to := netip.AddrPortFrom(p.ours, 4000)
	small, large := []byte("in"), make([]byte, 1400)
	in := make([]byte, 2048)
	round := func() {
		if n, err := p.dev.Write(out); n != 2 || err != nil {
			t.Fatal(n, err)
		}
		for range out {
			if _, _, err := c.ReadFromUDPAddrPort(in); err != nil {
				t.Fatal(err)
			}
		}
		for _, b := range [][]byte{small, large} {
			if _, err := c.WriteToUDPAddrPort(b, to); err != nil {
				t.Fatal(err)
			}
		}
		for got := 0; got < 2; {
			n, err := p.dev.Read(p.batch)
			if err != nil {
				t.Fatal(err)
			}
			for i := range p.batch[:n] {
				p.batch[i].Release()
			}
			got += n
		}
	}
	for range 100 {
		round() // fill the pools
	}
	if raceEnabled {
		return // the detector allocates for itself, and sync.Pool drops at random under it
	}
	if n := testing.AllocsPerRun(500, round); n != 0 {
		t.Errorf("%v allocations for two frames each way, want none", n)
	}
	f.Release()
	g.Release()
}
