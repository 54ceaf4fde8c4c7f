package flood

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// TestFrames looks at what each kind sends: frames to the server that no checksum condemns.
func TestFrames(t *testing.T) {
	protocols := map[string]uint8{"udp": wire.ProtocolUDP, "fragments": wire.ProtocolUDP, "icmp": wire.ProtocolICMP}
	for _, kind := range Kinds() {
		t.Run(kind.Name, func(t *testing.T) { lookAt(t, &kind, "10.0.1.1", "10.0.1.2", "198.19.0.1", protocols[kind.Name]) })
	}
	protocols["icmp"], protocols["fragments"], protocols["arp"] = wire.ProtocolICMPv6, wire.IPv6Fragments, wire.ProtocolICMPv6
	for _, kind := range Kinds() {
		t.Run(kind.Name+" over IPv6", func(t *testing.T) {
			lookAt(t, &kind, "fd75::1", "fd75::2", "2001:2:0:1::1", protocols[kind.Name])
		})
	}
}

func lookAt(t *testing.T, kind *Kind, client, server, attacker string, protocol uint8) {
	f := flooder{own: link.MAC{2, 1}, peer: link.MAC{2, 2}, client: netip.MustParseAddr(client),
		server: netip.MustParseAddr(server), port: 8080, rnd: 1}
	f.attack.addr = netip.MustParseAddr(attacker)
	seen := make(map[string]bool)
	for range 64 {
		var b [128]byte
		frame := b[:kind.frame(&f, b[:])]
		f.count++
		seen[string(frame)] = true
		var eth wire.Ethernet
		body, err := eth.Parse(frame)
		if err != nil {
			t.Fatal(err)
		}
		if kind.Name == "arp" {
			if eth.Src == f.own || eth.Src == f.peer {
				t.Errorf("from %v", eth.Src)
			}
			if f.server.Is4() {
				var p wire.ARP
				if err := p.Parse(body); err != nil || p.SenderMAC != eth.Src {
					t.Errorf("%v, %+v", err, p)
				}
				continue
			}
		} else if eth.Dst != f.peer || eth.Src != f.own {
			t.Errorf("from %v to %v", eth.Src, eth.Dst)
		}
		f.packet(t, body, protocol)
	}
	if len(seen) < 20 { // echo requests differ in their source, holes in their number
		t.Errorf("64 frames are but %d different ones", len(seen))
	}
}

// packet looks at a packet. Protocol 0 is TCP's.
func (f *flooder) packet(t *testing.T, b []byte, proto uint8) {
	if proto == 0 {
		proto = wire.ProtocolTCP
	}
	p, err := frames.ParseIP(b)
	if err != nil || p.Protocol != proto || p.Src == p.Dst || p.Src.Is4() != f.server.Is4() {
		t.Fatalf("%+v, %v", p, err)
	}
	switch {
	case proto == wire.ProtocolICMPv6:
		if _, _, err := wire.ParseICMPv6(p.Payload, p.Src.As16(), p.Dst.As16()); err != nil {
			t.Error(err)
		}
	case proto == wire.ProtocolTCP, proto == wire.ProtocolUDP && p.Src.Is6():
		if sum := wire.Checksum(p.Payload, wire.PseudoHeader(p.Src, p.Dst, proto, len(p.Payload))); sum != 0 {
			t.Errorf("checksum %#x", sum)
		}
	}
	if proto == wire.ProtocolTCP {
		var h wire.TCP
		if _, err := h.Parse(p.Payload); err != nil {
			t.Error(err)
		}
	}
	if p.Dst != f.server && !p.Dst.IsMulticast() {
		t.Errorf("to %v", p.Dst)
	}
}

func TestHole(t *testing.T) {
	f := flooder{client: netip.MustParseAddr("10.0.1.1"), server: netip.MustParseAddr("10.0.1.2")}
	f.attack = attackConn{addr: netip.MustParseAddr("198.19.0.1"), seq: 1000}
	var numbers []uint32
	for range attackWindow/2 + 1 {
		var b [128]byte
		var h wire.TCP
		n := f.hole(b[:])
		if _, err := h.Parse(b[wire.EthernetLen+wire.IPv4Len : n]); err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, h.Seq-f.attack.seq)
	}
	if numbers[0] != 2 || numbers[1] != 4 || slices.Max(numbers) != attackWindow || numbers[len(numbers)-1] != 2 {
		t.Errorf("%v ... %v, at most %d", numbers[:2], numbers[len(numbers)-1], slices.Max(numbers))
	}
}

func TestNames(t *testing.T) {
	names := strings.Split(Names(), ",")
	if len(names) != len(Kinds()) {
		t.Errorf("%v", names)
	}
	for _, name := range names {
		if kind := Named(name); kind == nil || kind.Name != name || kind.Rate == 0 || kind.About == "" || strings.Contains(name, ".") {
			t.Errorf("%s: %+v", name, kind)
		}
	}
	if Named("water") != nil {
		t.Error("there is a kind called water")
	}
}
