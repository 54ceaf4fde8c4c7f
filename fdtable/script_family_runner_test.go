package fdtable_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// decode reads an Ethernet frame with another code than the runner's, and demands that it is one to its last octet.
func decode(t *testing.T, frame []byte) gopacket.Packet {
	t.Helper()
	p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
	if p.ErrorLayer() != nil {
		t.Fatalf("%x: %v", frame, p.ErrorLayer().Error())
	}
	// Written again with computed lengths and checksums it must be the same frame.
	var all []gopacket.SerializableLayer
	var network gopacket.NetworkLayer
	for _, l := range p.Layers() {
		if n, ok := l.(gopacket.NetworkLayer); ok {
			network = n
		}
		if c, ok := l.(interface {
			SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
		}); ok && network != nil {
			if err := c.SetNetworkLayerForChecksum(network); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, l.(gopacket.SerializableLayer))
	}
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, all...); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(buf.Bytes(), frame) {
		t.Errorf("the frame is\n%x, and with right lengths and checksums\n%x", frame, buf.Bytes())
	}
	return p
}

// scriptOf is the runner of a script that is a family line and one that does nothing.
func scriptOf(t *testing.T, version string) *runner {
	t.Helper()
	s, err := parseScript("x", "# \nfamily "+version+"\nnone 1\n")
	if err != nil {
		t.Fatal(err)
	}
	r := newRunner(s, nil)
	r.mac, r.hostMAC, r.mtu = link.MAC{2, 0, 0, 0, 0, 2}, hostMAC, 1500
	r.put = func([][]byte) {}
	return r
}

// line is a statement of a script.
func line(t *testing.T, text string) *statement {
	t.Helper()
	st := &statement{times: 1, flow: "a"}
	if err := st.parse(text); err != nil {
		t.Fatal(err)
	}
	return st
}

// sent returns the frames that a line puts on the wire.
func (r *runner) sent(t *testing.T, text string) (frames [][]byte) {
	t.Helper()
	r.put = func(burst [][]byte) {
		for _, b := range burst {
			frames = append(frames, bytes.Clone(b))
		}
	}
	if err := r.act(line(t, text)); err != nil {
		t.Fatal(err)
	}
	return frames
}

// The peer's segments are correct in both families: gopacket reads the same fields, and finds no wrong checksum.
func TestScriptFrames(t *testing.T) {
	for version, f := range families {
		for _, c := range []struct {
			text     string
			ttl, tos uint8
		}{{"< S mss=1440 sackok ts=7 ws=3", 64, 0}, {"< PA seq=1 ack=5 len=99 tos=0xb8 ttl=7", 7, 0xb8},
			{"< FRUCE urg=3 text=\"sixteen-octets-x\"", 64, 0}} {
			t.Run(fmt.Sprintf("family %s, %s", version, c.text), func(t *testing.T) {
				r := scriptOf(t, version)
				frames := r.sent(t, c.text)
				if len(frames) != 1 {
					t.Fatalf("%d frames", len(frames))
				}
				p := decode(t, frames[0])
				ether := p.Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
				ip, tcp := p.NetworkLayer(), p.TransportLayer().(*layers.TCP)
				if net.HardwareAddr(hostMAC[:]).String() != ether.DstMAC.String() || !slices.Equal(ip.NetworkFlow().Dst().Raw(), f.host.AsSlice()) ||
					!slices.Equal(ip.NetworkFlow().Src().Raw(), f.peer.AsSlice()) || tcp.SrcPort != peerPort || tcp.DstPort != hostPort {
					t.Errorf("from %v to %v: %v", ip.NetworkFlow(), tcp.DstPort, ether.DstMAC)
				}
				s, err := readSegment(frames[0][14:])
				if err != nil || s.seq != tcp.Seq || s.ack != tcp.Ack || s.window != tcp.Window || !bytes.Equal(s.text, tcp.Payload) ||
					s.src != netip.AddrPortFrom(f.peer, peerPort) || s.dst != netip.AddrPortFrom(f.host, hostPort) {
					t.Errorf("read back it is %+v, %v", s, err)
				}
				if ttl, tos := hops(ip); ttl != c.ttl || tos != c.tos || s.ttl != ttl || s.tos != tos {
					t.Errorf("TTL %d and TOS %#x, read back %d and %#x, want %d and %#x", ttl, tos, s.ttl, s.tos, c.ttl, c.tos)
				}
				broken := bytes.Clone(frames[0][14:])
				broken[len(broken)-1] ^= 1
				if _, err := readSegment(broken); err == nil {
					t.Error("a segment with a wrong checksum is taken for right")
				}
			})
		}
	}
}

// hops returns the TTL or hop limit and the TOS or traffic class of a header.
func hops(ip gopacket.NetworkLayer) (ttl, tos uint8) {
	if h, ok := ip.(*layers.IPv6); ok {
		return h.HopLimit, h.TrafficClass
	}
	h := ip.(*layers.IPv4)
	return h.TTL, h.TOS
}

// A router's error quotes the host's packet: of IPv6 all of it.
func TestScriptICMP(t *testing.T) {
	r := scriptOf(t, "6")
	p := decode(t, r.sent(t, "icmp type=2 code=0 seq=1 mtu=1300")[0])
	h := p.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6)
	body := h.LayerPayload()
	quoted, err := readSegment(body[4:])
	if err != nil || h.TypeCode != layers.CreateICMPv6TypeCode(layers.ICMPv6TypePacketTooBig, 0) || binary.BigEndian.Uint32(body) != 1300 ||
		quoted.src.Addr() != families["6"].host || quoted.seq != 1 {
		t.Errorf("%v, MTU %d, quotes %+v, %v", h.TypeCode, binary.BigEndian.Uint32(body), quoted, err)
	}
	r = scriptOf(t, "4")
	p = decode(t, r.sent(t, "icmp type=3 code=4 seq=1 mtu=1300")[0])
	if h := p.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4); h.Seq != 1300 || len(h.Payload) != 28 {
		t.Errorf("MTU %d, %d octets quoted", h.Seq, len(h.Payload))
	}
}

// solicitation is the host's question for an address, to one station or to all that may have it.
func solicitation(source, target netip.Addr, to link.MAC) []byte {
	message := append([]byte{neighborSolicitation, 0, 0, 0, 0, 0, 0, 0}, target.AsSlice()...)
	message = append(append(message, wire.NDOptSourceLinkAddr, 1), hostMAC[:]...)
	packet := icmpPacket(source, target, message)
	packet[7] = 255
	return etherFrame(to, hostMAC, packet)
}

// The peer answers questions for its address over IPv6 as it does over IPv4, or keeps them for lines to expect.
func TestScriptNeighbors(t *testing.T) {
	host, peer, any := families["6"].host, families["6"].peer, families["6"].any
	group, own := link.MAC{0x33, 0x33, 0xff, 0, 0, 2}, link.MAC{2, 0, 0, 0, 0, 2}
	r := scriptOf(t, "6")
	p := decode(t, r.note(solicitation(host, peer, group)))
	ip, na := p.Layer(layers.LayerTypeIPv6).(*layers.IPv6), p.Layer(layers.LayerTypeICMPv6NeighborAdvertisement).(*layers.ICMPv6NeighborAdvertisement)
	if !na.Solicited() || !na.Override() || na.Router() || !na.TargetAddress.Equal(peer.AsSlice()) || ip.HopLimit != 255 ||
		!ip.SrcIP.Equal(peer.AsSlice()) || !ip.DstIP.Equal(host.AsSlice()) || len(na.Options) != 1 ||
		na.Options[0].Type != layers.ICMPv6OptTargetAddress || !bytes.Equal(na.Options[0].Data, own[:]) {
		t.Errorf("the answer is %+v, %+v", ip, na)
	}
	listening := icmpPacket(any, netip.MustParseAddr("ff02::16"), make([]byte, 8))
	listening[40] = listenerReport2
	for name, b := range map[string][]byte{
		"a question for its own address": solicitation(host, host, group), "a question whether its address is free": solicitation(any, host, group),
		"a report of its groups": etherFrame(link.MAC{0x33, 0x33, 0, 0, 0, 0x16}, hostMAC, listening),
	} {
		if a := r.note(b); a != nil || len(r.seen) > 0 {
			t.Errorf("%s: the answer is %x, and %d packets are kept", name, a, len(r.seen))
		}
	}
	r.arp = false
	r.note(solicitation(any, peer, group)) // no line is about that
	r.note(solicitation(host, peer, group))
	r.note(solicitation(host, peer, own))
	for _, want := range []string{"> arp who-has 2001:db8::2", "> arp probe 2001:db8::2"} {
		f, ok := r.take()
		if !ok || r.describe(f) != want {
			t.Errorf("kept is %q, want %q", r.describe(f), want)
		}
	}
}

// A family line changes the addresses; addresses and options of the other family are errors.
func TestScriptFamily(t *testing.T) {
	for version, want := range map[string]string{"4": "192.0.2.1:80", "6": "[2001:db8::1]:80"} {
		r := scriptOf(t, version)
		if got := r.address(arguments{"host:80"}, 0); got.String() != want {
			t.Errorf("family %s: host:80 is %v", version, got)
		}
		if got := r.address(arguments{"a"}, 0); got != netip.AddrPortFrom(families[version].peer, peerPort) {
			t.Errorf("family %s: the peer is %v", version, got)
		}
		if err := r.declare([]string{"b", "peer=:7", "host=" + want}); err != nil || r.flows["b"].host.String() != want {
			t.Errorf("family %s: flow b is %+v, %v", version, r.flows["b"], err)
		}
	}
	if lines, _ := opening("connected", nil, families["6"].mss); lines[2] != "> S seq=0 win=65535 mss=1440 sackok ts=0/0 ws=7" {
		t.Errorf("connected begins with %s", lines[2])
	}
	for text, want := range map[string]string{
		"< S from=192.0.2.9":     "from=192.0.2.9 is of the other family",
		"< S ipopt=01010101":     "ipopt is for IPv4 alone",
		"flow b peer=1.2.3.4:80": "1.2.3.4:80 is of the other family",
		"flow b peer=::1:80":     `"::1:80" is no IP:PORT`,
	} {
		if err := scriptOf(t, "6").act(line(t, text)); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	// A script that names no family has other addresses, options and messages of routers over IPv6, and an MTU to match.
	for text, want := range map[string]string{
		"bind(0, 192.0.2.9:0) = 0": "bind(0, [2001:db8::9]:0) = 0", "config addr=198.51.100.1/24": "config addr=2001:db8:1::1/64",
		"> arp who-has 192.0.2.2": "> arp who-has 2001:db8::2", "+0.1 < PA len=10": "+0.1 < PA len=10",
		"getsockopt(1, IP_MTU_DISCOVER) = 1": "getsockopt(1, IPV6_MTU_DISCOVER) = 1", "setsockopt(0, IP_TTL, 9) = 0": "setsockopt(0, IPV6_UNICAST_HOPS, 9) = 0",
	} {
		if got := translate(text); got != want {
			t.Errorf("%s is %s over IPv6, want %s", text, got, want)
		}
	}
	s, err := parseScriptFor(alike6, "x", "# \nconfig mtu=1300\nicmp type=3 code=4 seq=1 mtu=1280\n")
	if err != nil || s.named {
		t.Fatalf("named %v, %v", s.named, err)
	}
	if mtu, _, err := newRunner(s, nil).settings(nil); mtu != 1320 || err != nil {
		t.Errorf("the MTU is %d, %v", mtu, err)
	}
}
