package stack

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/tcp"
)

// gateways are two routers on the host's link, played by the test, and a far host behind both.
type gateways struct {
	*bed
	gatewayFamily
	alive [2]bool
	mac   [2]link.MAC
	went  string // over which gateway each segment has left since it was last looked at
	last  wire.TCP
	text  int
}

// gatewayFamily is the addresses of all in a family.
type gatewayFamily struct {
	our, far netip.Addr
	net      netip.Prefix
	gateways [2]netip.Addr
	behind   netip.Prefix // where far is
}

var gatewayFamilies = map[string]gatewayFamily{
	"": {ourIP, netip.MustParseAddr("10.9.0.1"), ourNet, [2]netip.Addr{netip.MustParseAddr("10.0.0.201"), netip.MustParseAddr("10.0.0.202")},
		netip.MustParsePrefix("10.9.0.0/16")},
	" (IPv6)": {netip.MustParseAddr("fd00::2"), netip.MustParseAddr("fd09::1"), netip.MustParsePrefix("fd00::2/64"), [2]netip.Addr{netip.MustParseAddr("fd00::c9"), netip.MustParseAddr("fd00::ca")},
		netip.MustParsePrefix("fd09::/16")},
}

// pass lets time go by. Living gateways answer who asks for them, and the segments that leave are noted.
func (g *gateways) pass(d time.Duration) {
	g.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		g.look()
	}
	g.look()
}

func (g *gateways) look() {
	g.Helper()
	for range 3 { // an answer may let a segment go
		for _, f := range g.take() {
			g.frame(f)
		}
	}
}

func (g *gateways) frame(f []byte) {
	g.Helper()
	var e wire.Ethernet
	packet, err := e.Parse(f)
	g.check(err)
	if e.Type == wire.EtherTypeARP {
		var a wire.ARP
		g.check(a.Parse(packet))
		g.asked(a.Op == wire.ARPRequest, netip.AddrFrom4(a.TargetIP))
		return
	}
	p, err := frames.ParseIP(packet)
	g.check(err)
	switch p.Protocol {
	case wire.ProtocolICMPv6:
		if target := 8; p.Payload[0] == wire.ICMPv6NeighborSolicitation {
			g.asked(true, netip.AddrFrom16([16]byte(p.Payload[target:])))
		}
		return
	case wire.ProtocolTCP:
	default: // reports of groups
		return
	}
	text, err := g.last.Parse(p.Payload)
	g.check(err)
	g.text = len(text)
	for i, mac := range g.mac {
		if e.Dst == mac {
			g.went += fmt.Sprint(i + 1)
		}
	}
}

func (g *gateways) check(err error) {
	g.Helper()
	if err != nil {
		g.Fatal(err)
	}
}

// asked has the gateway of an address answer, if it lives.
func (g *gateways) asked(request bool, a netip.Addr) {
	for i, own := range g.gateways {
		if request && a == own && g.alive[i] {
			g.says(i, false)
		}
	}
}

// says has a gateway answer us, or ask for us.
func (g *gateways) says(i int, asks bool) {
	from, mac := g.gateways[i], g.mac[i]
	if from.Is4() {
		op := uint16(wire.ARPReply)
		if asks {
			op = wire.ARPRequest
		}
		g.inject(arpFrame(ourMAC, mac, wire.ARP{Op: op, SenderMAC: mac, SenderIP: from.As4(), TargetMAC: ourMAC, TargetIP: g.our.As4()}))
		return
	}
	g.inject(neighborMessage(from, g.our, mac, asks))
}

// neighborMessage is an answer of a router to us, or its question for us.
func neighborMessage(from, our netip.Addr, mac link.MAC, asks bool) []byte {
	m, typ := wire.NDNeighbor{Router: true, Solicited: true, Override: true, Target: from.As16()}, uint8(wire.ICMPv6NeighborAdvertisement)
	o := wire.NDOption{Type: wire.NDOptTargetLinkAddr, Data: mac[:]}
	if asks {
		m, typ, o.Type = wire.NDNeighbor{Target: our.As16()}, wire.ICMPv6NeighborSolicitation, wire.NDOptSourceLinkAddr
	}
	b := make([]byte, wire.NDNeighborLen+8)
	o.Marshal(b[m.Marshal(b, typ):])
	wire.PutICMPv6Checksum(b, from.As16(), our.As16())
	h := wire.IPv6{Src: from.As16(), Dst: our.As16(), NextHeader: wire.ProtocolICMPv6, HopLimit: 255}
	return frames.Ethernet(ourMAC, mac, frames.IPv6(h, b))
}

// answer acknowledges the last segment.
func (g *gateways) answer(flags uint16) {
	h := wire.TCP{SrcPort: g.last.DstPort, DstPort: g.last.SrcPort, Seq: 100, Ack: g.last.Seq + uint32(g.text), Flags: flags | wire.TCPAck,
		Window: 65535}
	if flags&wire.TCPSyn != 0 {
		h.Ack++
	} else {
		h.Seq++
	}
	g.inject(frames.Ethernet(ourMAC, g.mac[1], frames.IP(g.far, g.our, wire.ProtocolTCP, frames.TCP(g.far, g.our, h, nil))))
}

// over says over which gateway all segments have gone since the last call.
func (g *gateways) over(what string, want string) {
	g.Helper()
	for _, c := range g.went {
		if string(c) != want {
			g.Errorf("%s: segments went over %q, want %s", what, g.went, want)
			break
		}
	}
	if g.went == "" {
		g.Errorf("%s: nothing has left", what)
	}
	g.went = ""
}

func (g *gateways) connect() *TCPConn {
	g.Helper()
	c, err := g.h.ConnectTCP(nil, netip.AddrPortFrom(g.far, 80), tcp.DefaultOptions())
	g.check(err)
	g.look()
	g.answer(wire.TCPSyn)
	g.check(c.WaitConnect())
	g.look()
	return c
}

func TestSilentGateway(t *testing.T) {
	for of, f := range gatewayFamilies {
		t.Run("MUST-20 another gateway is tried"+of, func(t *testing.T) {
			withAddrs(t, Config{}, memInfo, []netip.Prefix{f.net}, func(b *bed) { silentGateway(b, f) })
		})
	}
	t.Run("a connection follows a new route", func(t *testing.T) { withPeer(t, Config{}, newRoute) })
}

func silentGateway(b *bed, f gatewayFamily) {
	time.Sleep(5 * time.Second) // our address is unique, and has been announced
	b.take()
	g := &gateways{bed: b, gatewayFamily: f, alive: [2]bool{true, true}, mac: [2]link.MAC{{2, 0, 0, 0, 1, 1}, {2, 0, 0, 0, 1, 2}}}
	b.addRoutes(Route{Dst: f.behind, Via: f.gateways[0]}, Route{Dst: f.behind, Via: f.gateways[1]})
	c := g.connect()
	defer c.Abort()
	write := func() {
		b.Helper()
		if _, err := c.Write([]byte("x")); err != nil {
			b.Fatal(err)
		}
	}
	write()
	g.look()
	g.answer(0)
	g.over("both answer", "1")

	g.alive[0] = false
	write()
	g.pass(3 * time.Second)
	g.over("until the gateway is in doubt", "1")
	g.pass(27 * time.Second)
	if g.went[len(g.went)-1] != '2' {
		b.Fatalf("30 s later segments have gone over %q", g.went)
	}
	g.answer(0)
	if n := c.Unsent(); n != 0 {
		b.Errorf("%d octets are not acknowledged", n)
	}
	g.went = ""
	second := g.connect()
	defer second.Abort()
	g.over("a new connection", "2")

	g.alive[0] = true
	g.says(0, true)
	write()
	g.pass(time.Second)
	g.over("a route that works is kept", "2")
	g.answer(0)
	c = g.connect()
	defer c.Abort()
	g.over("the first gateway is back", "1")

	// A gateway that has another link address now is found, although it says nothing.
	g.mac[0] = link.MAC{2, 0, 0, 0, 1, 9}
	write()
	g.pass(20 * time.Second)
	if g.went == "" || g.went[len(g.went)-1] != '1' {
		b.Errorf("segments went over %q", g.went)
	}
}

func newRoute(b *bed) {
	c, _ := b.accepted()
	defer c.Abort()
	if _, err := c.Write([]byte("x")); err != nil {
		b.Fatal(err)
	}
	b.sent()
	other := newMemDevice(link.Info{Name: "mem1", Kind: link.IP, MTU: 1500})
	if err := b.h.Attach(other, Interface{Addrs: []netip.Prefix{netip.MustParsePrefix("10.1.0.1/24")}}); err != nil {
		b.Fatal(err)
	}
	b.addRoutes(Route{Dst: netip.PrefixFrom(peerIP, 32), Device: "mem1"})
	time.Sleep(time.Second)
	if out := other.takeTCP(b); len(out) == 0 || out[0].text != "x" {
		b.Errorf("%v left on the new way", out)
	}
	if out := b.sent(); len(out) != 0 {
		b.Errorf("%v left on the old way", out)
	}
}
