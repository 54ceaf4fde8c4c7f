package unet

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/tap"
	"github.com/unet-go/unet/tap/taptest"
)

// TestOnLinkGateway has hosts with an address of 32 bits, and a gateway outside of it, as clouds and VPNs give them out.
func TestOnLinkGateway(t *testing.T) {
	kernel := netip.MustParsePrefix("10.211.0.1/24")
	far := netip.MustParsePrefix("10.212.0.1/32") // the kernel's as well, behind the gateway
	for _, tt := range []struct {
		name string
		cfg  tap.Config
		way  Config
	}{
		{"over TAP, a gateway", tap.Config{}, Config{Gateway: kernel.Addr()}},
		{"over TAP without offload, a gateway", tap.Config{NoOffload: true}, Config{Gateway: kernel.Addr()}},
		{"over TAP, routes", tap.Config{}, Config{Routes: []stack.Route{
			{Dst: netip.PrefixFrom(kernel.Addr(), 32)}, {Dst: netip.MustParsePrefix("0.0.0.0/0"), Via: kernel.Addr()}}}},
		{"over TAP, all on the link", tap.Config{}, Config{Routes: []stack.Route{{Dst: netip.MustParsePrefix("0.0.0.0/0")}}}},
		{"over TUN, a gateway", tap.Config{TUN: true}, Config{Gateway: kernel.Addr()}},
		{"over TUN, all on the link", tap.Config{TUN: true}, Config{Routes: []stack.Route{{Dst: netip.MustParsePrefix("0.0.0.0/0")}}}},
	} {
		t.Run("B-IP4-24 "+tt.name, func(t *testing.T) {
			tt.cfg.PeerAddrs = []netip.Prefix{kernel, far}
			dev := taptest.Open(t, tt.cfg)
			ours := kernel.Addr().Next()
			tt.way.Link, tt.way.Addrs = dev, []netip.Prefix{netip.PrefixFrom(ours, 32)}
			h, err := Open(tt.way)
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			for _, server := range []netip.Addr{kernel.Addr(), far.Addr()} {
				l, err := net.Listen("tcp", server.String()+":0")
				if err != nil {
					t.Fatal(err)
				}
				talk(t, l, h.Dial)
			}
			l, err := h.Listen("tcp", ours.String()+":0")
			if err != nil {
				t.Fatal(err)
			}
			talk(t, l, net.Dial)
			from := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(far.Addr(), 0))}
			if l, err = h.Listen("tcp", ours.String()+":0"); err != nil {
				t.Fatal(err)
			}
			talk(t, l, from.Dial)
		})
	}
}

// talk has a client say hello, and closes the listener.
func talk(t *testing.T, l net.Listener, dial func(network, address string) (net.Conn, error)) {
	t.Helper()
	defer l.Close()
	c, err := dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, way := range [][2]net.Conn{{c, s}, {s, c}} {
		if _, err := way[0].Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 5)
		if n, err := way[1].Read(b); err != nil || string(b[:n]) != "hello" {
			t.Fatalf("read %q, %v", b[:n], err)
		}
	}
}

// TestOnLinkSegment is the same between two hosts on a segment, neither of which has a network.
func TestOnLinkSegment(t *testing.T) {
	segment := sim.NewSegment(sim.Config{})
	defer segment.Close()
	one, two := netip.MustParseAddr("203.0.113.5"), netip.MustParseAddr("172.31.1.1")
	open := func(cfg Config, addr netip.Addr) *Host {
		cfg.Link, cfg.Addrs = segment.Port(), []netip.Prefix{netip.PrefixFrom(addr, 32)}
		h, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = h.Close() })
		return h
	}
	a := open(Config{Gateway: two}, one)
	b := open(Config{Routes: []stack.Route{{Dst: netip.PrefixFrom(one, 32)}}}, two)
	for _, way := range [][2]*Host{{a, b}, {b, a}} {
		l, err := way[0].Listen("tcp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).AddrPort().Port()
		server := way[0].Addrs()[0].Addr()
		talk(t, l, func(network, _ string) (net.Conn, error) {
			return way[1].Dial(network, netip.AddrPortFrom(server, port).String())
		})
	}
}

func TestGatewayErrors(t *testing.T) {
	any4 := netip.MustParsePrefix("0.0.0.0/0")
	a := netip.MustParseAddr
	for _, tt := range []struct {
		name string
		cfg  Config
		want error
		text string
	}{
		{"loopback", Config{Gateway: a("127.0.0.1")}, nil, "unet: Config.Gateway is 127.0.0.1, which is no other host's address"},
		{"multicast", Config{Gateway: a("224.0.0.1")}, nil, "unet: Config.Gateway is 224.0.0.1, which is no other host's address"},
		{"everybody", Config{Gateway: a("255.255.255.255")}, syscall.EINVAL, "unet: route 0.0.0.0/0 via 255.255.255.255: invalid argument"},
		{"nobody", Config{Gateway: a("0.0.0.0")}, nil, "unet: Config.Gateway is 0.0.0.0, which is no other host's address"},
		{"our own", Config{Gateway: a("10.0.0.2")}, nil, "unet: Config.Gateway is 10.0.0.2, which is no other host's address"},
		{"our own, mapped", Config{Gateway: a("::ffff:10.0.0.2")}, nil, "unet: Config.Gateway is 10.0.0.2, which is no other host's address"},
		{"a route to a gateway nowhere", Config{Routes: []stack.Route{{Dst: any4, Via: a("172.31.1.1")}}}, syscall.ENETUNREACH,
			"unet: route 0.0.0.0/0 via 172.31.1.1: network is unreachable"},
		{"a device that is not there", Config{Routes: []stack.Route{{Dst: any4, Device: "eth7"}}}, syscall.ENODEV,
			"unet: route 0.0.0.0/0 on eth7: no such device"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Link, tt.cfg.Addrs = sim.NewSegment(sim.Config{}).Port(), prefixes("10.0.0.2/32")
			h, err := Open(tt.cfg)
			if h != nil || errorText(err) != tt.text || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("%v, %v; want %s", h, err, tt.text)
			}
		})
	}
}
