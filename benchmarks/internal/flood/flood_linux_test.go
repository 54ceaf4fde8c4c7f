package flood

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// TestFrames looks at what each kind sends: frames to the server that no checksum condemns.
func TestFrames(t *testing.T) {
	protocols := map[string]uint8{"udp": wire.ProtocolUDP, "fragments": wire.ProtocolUDP, "icmp": wire.ProtocolICMP}
	for _, kind := range Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			f := flooder{own: link.MAC{2, 1}, peer: link.MAC{2, 2}, client: netip.MustParseAddr("10.0.1.1"),
				server: netip.MustParseAddr("10.0.1.2"), port: 8080, rnd: 1}
			f.attack.addr = netip.MustParseAddr("198.19.0.1")
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
					var p wire.ARP
					if err := p.Parse(body); err != nil || p.SenderMAC == f.own || p.SenderMAC == f.peer {
						t.Errorf("%v, %+v", err, p)
					}
					continue
				}
				if eth.Dst != f.peer || eth.Src != f.own {
					t.Errorf("from %v to %v", eth.Src, eth.Dst)
				}
				f.packet(t, body, protocols[kind.Name])
			}
			if len(seen) < 20 { // echo requests differ in their source, holes in their number
				t.Errorf("64 frames are but %d different ones", len(seen))
			}
		})
	}
}

// packet looks at an IPv4 packet. Protocol 0 is TCP's.
func (f *flooder) packet(t *testing.T, b []byte, proto uint8) {
	var ip wire.IPv4
	payload, err := ip.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if proto == 0 {
		proto = wire.ProtocolTCP
		if sum := wire.Checksum(payload, wire.PseudoHeader4(ip.Src, ip.Dst, proto, len(payload))); sum != 0 {
			t.Errorf("checksum %#x", sum)
		}
		var h wire.TCP
		if _, err := h.Parse(payload); err != nil {
			t.Error(err)
		}
	}
	if ip.Protocol != proto || ip.Dst != f.server.As4() || ip.Src == ip.Dst {
		t.Errorf("%+v", ip)
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
