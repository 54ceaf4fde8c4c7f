package tap_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/tap"
	"github.com/unet-go/unet/tap/taptest"
)

// hang is when a test gives up on a frame that does not come; no test waits for it to pass.
const hang = 20 * time.Second

// peer is a device under test, with the addresses that a test needs to talk to the kernel over it.
type peer struct {
	testing.TB
	dev          *tap.Device
	kernel, ours netip.Addr
	kernelMAC    net.HardwareAddr
	batch        []link.Frame
	pending      []received
}

// subnets6 counts the IPv6 subnets that over has given away.
var subnets6 atomic.Uint32

// families are the versions of IP that a test runs with.
var families = []int{4, 6}

// over returns the configuration of a device whose kernel's side has an address of a family.
func over(family int, cfg tap.Config) tap.Config {
	if family == 6 {
		addr := [16]byte{0: 0xfd, 3: byte(subnets6.Add(1)), 15: 1}
		cfg.PeerAddrs = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom16(addr), 64)}
	}
	return cfg
}

// newPeer opens a device; our address is the one after the kernel's. Its family is that of cfg.PeerAddrs, IPv4 if there
// are none.
func newPeer(tb testing.TB, cfg tap.Config) *peer {
	tb.Helper()
	dev := taptest.Open(tb, cfg)
	ifc, err := net.InterfaceByName(dev.Info().Name)
	if err != nil {
		tb.Fatal(err)
	}
	kernel := dev.PeerAddrs()[0].Addr()
	watchdog := time.AfterFunc(hang, func() { dev.Close() })
	tb.Cleanup(func() { watchdog.Stop() })
	p := &peer{
		TB: tb, dev: dev, kernel: kernel, ours: kernel.Next(),
		kernelMAC: ifc.HardwareAddr, batch: make([]link.Frame, 64),
	}
	if mac := dev.Info().MAC; p.family() == 6 && dev.Info().Kind == link.Ethernet { // a peer answers ARP alone
		if err := neighbour(ifc.Name, p.ours, mac[:]); err != nil {
			tb.Fatal(err)
		}
	}
	p.awaitRoutes()
	return p
}

// awaitRoutes waits until the kernel knows its own address, and a way to ours: over IPv6 it makes both routes some time
// after the address was added, and until then drops what comes.
func (p *peer) awaitRoutes() {
	p.Helper()
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		own, err := netlink.RouteGet(p.kernel.AsSlice())
		_, err2 := netlink.RouteGet(p.ours.AsSlice())
		if err == nil && err2 == nil && own[0].Type == unix.RTN_LOCAL {
			return
		}
		if time.Since(began) > hang {
			p.Fatalf("the kernel has no routes: %v, %v, %v", own, err, err2)
		}
	}
}

// family is the version of IP that the peer speaks.
func (p *peer) family() int {
	if p.kernel.Is4() {
		return 4
	}
	return 6
}

// frame makes a frame with room in front of it, in a pooled buffer.
func frame(octets []byte) link.Frame {
	var f link.Frame
	b := link.NewBuffer(link.Headroom + len(octets))
	copy(b.Bytes()[link.Headroom:], octets)
	f.Set(b, link.Headroom, link.Headroom+len(octets))
	return f
}

// write writes octets as one frame.
func (p *peer) write(octets []byte, meta link.Meta) {
	p.Helper()
	f := frame(octets)
	f.Meta = meta
	p.writeFrames(f)
}

func (p *peer) writeFrames(frames ...link.Frame) {
	p.Helper()
	if n, err := p.dev.Write(frames); n != len(frames) || err != nil {
		p.Fatalf("Write = %d, %v, want %d", n, err, len(frames))
	}
	for i := range frames {
		frames[i].Release()
	}
}

// received is a frame from the kernel, copied and decoded.
type received struct {
	octets []byte
	meta   link.Meta
	gopacket.Packet
}

// payload returns the octets of a layer's payload.
func (r *received) payload(kind gopacket.LayerType) []byte { return r.Layer(kind).LayerPayload() }

// read reads one batch and answers the ARP requests in it.
func (p *peer) read() []received {
	p.Helper()
	n, err := p.dev.Read(p.batch)
	if err != nil {
		p.Fatalf("Read: %v", err)
	}
	if n == 0 {
		p.Fatal("Read returned no frame and no error")
	}
	decoder := func(octets []byte) gopacket.LayerType {
		switch {
		case p.dev.Info().Kind == link.Ethernet:
			return layers.LayerTypeEthernet
		case octets[0]>>4 == 6:
			return layers.LayerTypeIPv6
		}
		return layers.LayerTypeIPv4
	}
	var all []received
	for i := range p.batch[:n] {
		f := &p.batch[i]
		if f.Len() != len(f.Header) {
			p.Errorf("a received frame is not contiguous: %d of %d octets", len(f.Header), f.Len())
		}
		octets := append([]byte(nil), f.Header...)
		r := received{octets, f.Meta, gopacket.NewPacket(octets, decoder(octets), gopacket.Default)}
		f.Release()
		if arp, ok := r.Layer(layers.LayerTypeARP).(*layers.ARP); ok && arp.Operation == layers.ARPRequest {
			p.answer(arp)
		}
		all = append(all, r)
	}
	return all
}

// answer answers an ARP request for our address.
func (p *peer) answer(request *layers.ARP) {
	p.Helper()
	if netip.AddrFrom4([4]byte(request.DstProtAddress)) != p.ours {
		return
	}
	mac := p.dev.Info().MAC
	reply := layers.ARP{
		AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4,
		Operation: layers.ARPReply, SourceHwAddress: mac[:], SourceProtAddress: request.DstProtAddress,
		DstHwAddress: request.SourceHwAddress, DstProtAddress: request.SourceProtAddress,
	}
	p.write(serialize(p, p.ethernet(layers.EthernetTypeARP), &reply), link.Meta{})
}

// await reads until a frame satisfies want, and keeps the other frames of that read for the next call.
func (p *peer) await(want func(*received) bool) received {
	p.Helper()
	for {
		for len(p.pending) > 0 {
			r := p.pending[0]
			p.pending = p.pending[1:]
			if want(&r) {
				return r
			}
		}
		p.pending = p.read()
	}
}

// isUDP reports whether a frame carries a datagram from the kernel to us.
func (p *peer) isUDP(r *received) bool {
	ip := r.NetworkLayer()
	return ip != nil && bytes.Equal(ip.NetworkFlow().Dst().Raw(), p.ours.AsSlice()) && r.Layer(layers.LayerTypeUDP) != nil
}

func (p *peer) ethernet(kind layers.EthernetType) *layers.Ethernet {
	mac := p.dev.Info().MAC
	return &layers.Ethernet{SrcMAC: mac[:], DstMAC: p.kernelMAC, EthernetType: kind}
}

// networkLayer is a layer below a transport protocol, whose pseudo header that needs.
type networkLayer interface {
	gopacket.NetworkLayer
	gopacket.SerializableLayer
}

// ip builds the IP header of a packet from us to the kernel.
func (p *peer) ip(protocol layers.IPProtocol) (networkLayer, layers.EthernetType) {
	if p.family() == 6 {
		return &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: protocol, SrcIP: p.ours.AsSlice(), DstIP: p.kernel.AsSlice()},
			layers.EthernetTypeIPv6
	}
	return &layers.IPv4{Version: 4, TTL: 64, Protocol: protocol, SrcIP: p.ours.AsSlice(), DstIP: p.kernel.AsSlice()},
		layers.EthernetTypeIPv4
}

// packet builds a frame from us to the kernel with correct checksums; an Ethernet header is put in front if
// the device wants one.
func (p *peer) packet(transport gopacket.SerializableLayer, payload []byte) []byte {
	p.Helper()
	var ip networkLayer
	var kind layers.EthernetType
	switch t := transport.(type) {
	case *layers.UDP:
		ip, kind = p.ip(layers.IPProtocolUDP)
		t.SetNetworkLayerForChecksum(ip)
	case *layers.TCP:
		ip, kind = p.ip(layers.IPProtocolTCP)
		t.SetNetworkLayerForChecksum(ip)
	}
	all := []gopacket.SerializableLayer{ip, transport, gopacket.Payload(payload)}
	if p.dev.Info().Kind == link.Ethernet {
		all = append([]gopacket.SerializableLayer{p.ethernet(kind)}, all...)
	}
	return serialize(p, all...)
}

// udp builds a datagram from our port 4000 to the kernel's port.
func (p *peer) udp(port uint16, payload []byte) []byte {
	p.Helper()
	return p.packet(&layers.UDP{SrcPort: 4000, DstPort: layers.UDPPort(port)}, payload)
}

// transportHeader is the offset of what follows the IP header in the device's frames, which have no IP options.
func (p *peer) transportHeader() int {
	if p.family() == 6 {
		return p.networkHeader() + 40
	}
	return p.networkHeader() + 20
}

// networkHeader is the offset of the IP header in the device's frames.
func (p *peer) networkHeader() int {
	if p.dev.Info().Kind == link.IP {
		return 0
	}
	return 14
}

func serialize(tb testing.TB, all ...gopacket.SerializableLayer) []byte {
	tb.Helper()
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, all...); err != nil {
		tb.Fatal(err)
	}
	return buf.Bytes()
}

// socket opens a UDP socket of the kernel's on the device's address.
func (p *peer) socket() (*net.UDPConn, uint16) {
	p.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(p.kernel, 0)))
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(hang)); err != nil {
		p.Fatal(err)
	}
	return c, c.LocalAddr().(*net.UDPAddr).AddrPort().Port()
}

// send sends a datagram from the kernel's socket to our port 4000.
func (p *peer) send(c *net.UDPConn, payload []byte) {
	p.Helper()
	if _, err := c.WriteToUDPAddrPort(payload, netip.AddrPortFrom(p.ours, 4000)); err != nil {
		p.Fatal(err)
	}
}

// next returns the next datagram of a kernel socket.
func (p *peer) next(c *net.UDPConn) []byte {
	p.Helper()
	b := make([]byte, 65536)
	n, from, err := c.ReadFromUDPAddrPort(b)
	if err != nil {
		p.Fatalf("the kernel received nothing: %v; %+v", err, p.dev.Stats())
	}
	if want := netip.AddrPortFrom(p.ours, 4000); netip.AddrPortFrom(from.Addr().Unmap(), from.Port()) != want {
		p.Errorf("the kernel received from %v, want %v", from, want)
	}
	return b[:n]
}

// sum is the folded, not complemented Internet checksum of b with an initial value.
func sum(initial uint32, b []byte) uint16 {
	for ; len(b) > 1; b = b[2:] {
		initial += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		initial += uint32(b[0]) << 8
	}
	for initial>>16 != 0 {
		initial = initial&0xffff + initial>>16
	}
	return uint16(initial)
}

// begin replaces the checksum of a frame from packet by the one that Meta.NeedsChecksum promises.
func (p *peer) begin(octets []byte, protocol byte, offset int) (start int) {
	start = p.transportHeader()
	segment := octets[start:]
	pseudo := append(append(p.ours.AsSlice(), p.kernel.AsSlice()...), 0, protocol, byte(len(segment)>>8), byte(len(segment)))
	binary.BigEndian.PutUint16(segment[offset:], sum(0, pseudo))
	return start
}
