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
	alive [2]bool
	mac   [2]link.MAC
	went  string // over which gateway each segment has left since it was last looked at
	last  wire.TCP
	text  int
}

var (
	farIP     = netip.MustParseAddr("10.9.0.1")
	gatewayIP = [2]netip.Addr{netip.MustParseAddr("10.0.0.201"), netip.MustParseAddr("10.0.0.202")}
)

// pass lets time go by. Living gateways answer ARP, and the segments that leave are noted.
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
		for i, ip := range gatewayIP {
			if a.Op == wire.ARPRequest && a.TargetIP == ip.As4() && g.alive[i] {
				g.arp(i, wire.ARPReply)
			}
		}
		return
	}
	var ip wire.IPv4
	segment, err := ip.Parse(packet)
	g.check(err)
	text, err := g.last.Parse(segment)
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

// arp has a gateway answer us, or ask for us.
func (g *gateways) arp(i int, op uint16) {
	g.inject(arpFrame(ourMAC, g.mac[i], wire.ARP{Op: op, SenderMAC: g.mac[i], SenderIP: gatewayIP[i].As4(), TargetMAC: ourMAC,
		TargetIP: ourIP.As4()}))
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
	g.inject(frames.EthernetType(ourMAC, g.mac[1], wire.EtherTypeIPv4, frames.IP(farIP, ourIP, wire.ProtocolTCP, frames.TCP(farIP, ourIP, h, nil))))
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
	c, err := g.h.ConnectTCP(nil, netip.AddrPortFrom(farIP, 80), tcp.DefaultOptions())
	g.check(err)
	g.look()
	g.answer(wire.TCPSyn)
	g.check(c.WaitConnect())
	g.look()
	return c
}

func TestSilentGateway(t *testing.T) {
	t.Run("MUST-20 another gateway is tried", func(t *testing.T) { onBed(t, Config{}, silentGateway) })
	t.Run("a connection follows a new route", func(t *testing.T) { withPeer(t, Config{}, newRoute) })
}

func silentGateway(b *bed) {
	g := &gateways{bed: b, alive: [2]bool{true, true}, mac: [2]link.MAC{{2, 0, 0, 0, 1, 1}, {2, 0, 0, 0, 1, 2}}}
	far := netip.MustParsePrefix("10.9.0.0/16")
	b.addRoutes(Route{Dst: far, Via: gatewayIP[0]}, Route{Dst: far, Via: gatewayIP[1]})
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
	g.arp(0, wire.ARPRequest)
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
