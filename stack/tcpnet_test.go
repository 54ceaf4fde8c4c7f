package stack

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

var (
	addrA = netip.MustParseAddr("10.0.0.1")
	addrB = netip.MustParseAddr("10.0.0.2")
)

// network is two hosts on a segment, in a bubble's fake time.
type network struct {
	*testing.T
	family
	a, b *Host
	wire *sim.Segment
}

// inNetwork runs body in a bubble, and checks that the hosts end with nothing left.
func inNetwork(t *testing.T, name string, cfg sim.Config, body func(n *network)) {
	t.Helper()
	inHosts(t, name, cfg, Config{}, body)
}

// family is the addresses that two hosts have in a family.
type family struct {
	of            string // behind the names of its tests
	addrA, addrB  netip.Addr
	addrC, nobody netip.Addr // of a third host, and of none
	bits          int        // of their network
	any           netip.Addr // the unspecified address
	headerLen     int        // of IP
	icmpTypes
}

// icmpTypes are numbers of a family's ICMP.
type icmpTypes struct {
	icmp                                uint8 // the protocol
	echoRequest, echoReply              uint8
	unreachable                         uint8
	noRoute, noHost, noPort, prohibited uint8         // codes of unreachable
	prohibitedErr                       syscall.Errno // how Linux reads the last
}

var (
	ipv4 = family{addrA: addrA, addrB: addrB, addrC: netip.MustParseAddr("10.0.0.3"), nobody: netip.MustParseAddr("10.0.0.77"), bits: 24, any: netip.IPv4Unspecified(), headerLen: wire.IPv4Len,
		icmpTypes: icmpTypes{wire.ProtocolICMP, wire.ICMPv4EchoRequest, wire.ICMPv4EchoReply, wire.ICMPv4DestinationUnreachable, 0, 1, wire.ICMPv4PortUnreachable, 13, syscall.EHOSTUNREACH}}
	ipv6 = family{of: " (IPv6)", addrA: netip.MustParseAddr("fd00::1"), addrB: netip.MustParseAddr("fd00::2"),
		addrC: netip.MustParseAddr("fd00::3"), nobody: netip.MustParseAddr("fd00::77"), bits: 64,
		any: netip.IPv6Unspecified(), headerLen: wire.IPv6Len,
		icmpTypes: icmpTypes{wire.ProtocolICMPv6, wire.ICMPv6EchoRequest, wire.ICMPv6EchoReply, wire.ICMPv6DestinationUnreachable,
			wire.ICMPv6NoRoute, wire.ICMPv6AddrUnreachable, wire.ICMPv6PortUnreachable, wire.ICMPv6AdminProhibited, syscall.EACCES}}
)

// link6 is IPv6 with link-local addresses. In a network they have the zone of host a's interface.
var link6 = family{of: " (link-local)", addrA: netip.MustParseAddr("fe80::1"), addrB: netip.MustParseAddr("fe80::2"),
	addrC: netip.MustParseAddr("fe80::3"), nobody: netip.MustParseAddr("fe80::77"), bits: 64,
	any: netip.IPv6Unspecified(), headerLen: wire.IPv6Len}

// inScopes is inHosts that runs body over link-local addresses as well.
func inScopes(t *testing.T, name string, cfg sim.Config, hosts Config, body func(n *network)) {
	t.Helper()
	inHosts(t, name, cfg, hosts, body)
	inFamily(t, link6, name, cfg, hosts, body)
}

// inHosts runs body over each family that the wire has room for.
func inHosts(t *testing.T, name string, cfg sim.Config, hosts Config, body func(n *network)) {
	t.Helper()
	for _, f := range []family{ipv4, ipv6} {
		if f.any.Is6() && cfg.MTU != 0 && cfg.MTU < 1280 {
			continue
		}
		inFamily(t, f, name, cfg, hosts, body)
	}
}

// inHosts4 is inHosts for what only IPv4 has.
func inHosts4(t *testing.T, name string, cfg sim.Config, hosts Config, body func(n *network)) {
	t.Helper()
	inFamily(t, ipv4, name, cfg, hosts, body)
}

// inNetwork4 is inNetwork for what only IPv4 has.
func inNetwork4(t *testing.T, name string, cfg sim.Config, body func(n *network)) {
	t.Helper()
	inFamily(t, ipv4, name, cfg, Config{}, body)
}

func inFamily(t *testing.T, f family, name string, cfg sim.Config, hosts Config, body func(n *network)) {
	t.Helper()
	t.Run(name+f.of, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := &network{T: t, family: f, wire: sim.NewSegment(cfg)}
			n.a, n.b = n.host(hosts, n.addrA), n.host(hosts, n.addrB)
			if hasZone(n.addrB) {
				zone := n.a.InterfaceNames()[1]
				n.addrA, n.addrB, n.nobody = n.addrA.WithZone(zone), n.addrB.WithZone(zone), n.nobody.WithZone(zone)
			}
			body(n)
			for _, h := range []*Host{n.a, n.b} {
				if err := h.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
				g := h.Stats().TCPGauges
				if g.Connections() != 0 || g.HalfOpen != 0 || g.Orphans != 0 || g.Bindings != 0 || g.States[tcp.TimeWaitState] != 0 {
					t.Errorf("left after Close: %+v", g)
				}
			}
			if err := n.wire.Close(); err != nil {
				t.Errorf("segment: %v", err)
			}
		})
	})
}

func (n *network) host(cfg Config, addr netip.Addr) *Host {
	n.Helper()
	h, err := New(cfg)
	n.must(err)
	n.must(h.Attach(n.wire.Port(), Interface{Addrs: []netip.Prefix{netip.PrefixFrom(addr, n.bits)}}))
	return h
}

func (n *network) must(err error) {
	n.Helper()
	if err != nil {
		n.Fatal(err)
	}
}

// want checks an error against an errno, 0 for none.
func (n *network) want(what string, err error, errno syscall.Errno) {
	n.Helper()
	if errno == 0 && err == nil {
		return
	}
	if !errors.Is(err, errno) || errno == 0 {
		n.Errorf("%s: error %v, want %v", what, err, errno)
	}
}

func (n *network) bind(h *Host, port uint16) *Binding {
	n.Helper()
	b, err := h.BindTCP(netip.AddrPortFrom(n.any, port), BindOptions{ReuseAddr: true})
	n.must(err)
	return b
}

func (n *network) listen(h *Host, port uint16, backlog int) *Listener {
	n.Helper()
	l, err := h.ListenTCP(n.bind(h, port), backlog, tcp.DefaultOptions())
	n.must(err)
	return l
}

// dial begins an active open from a to b.
func (n *network) dial(port uint16) *TCPConn {
	n.Helper()
	c, err := n.a.ConnectTCP(nil, netip.AddrPortFrom(n.addrB, port), tcp.DefaultOptions())
	n.must(err)
	return c
}

// connect returns the ends of a connection from a to b.
func (n *network) connect() (client, server *TCPConn) {
	n.Helper()
	l := n.listen(n.b, 80, 16)
	client = n.dial(80)
	n.must(client.WaitConnect())
	server, err := l.Accept()
	n.must(err)
	n.must(l.Close())
	return client, server
}

func (n *network) write(c *TCPConn, text string) {
	n.Helper()
	if k, err := c.Write([]byte(text)); err != nil || k != len(text) {
		n.Fatalf("Write: %d, %v", k, err)
	}
}

// read reads once; at the end of the stream it returns "EOF", and the errno's name for an error.
func (n *network) read(c *TCPConn) string {
	n.Helper()
	var b [4096]byte
	k, err := c.Read(b[:])
	switch {
	case err != nil:
		return err.Error()
	case k == 0:
		return "EOF"
	}
	return string(b[:k])
}

// reads checks what the next reads return.
func (n *network) reads(c *TCPConn, want ...string) {
	n.Helper()
	for i, w := range want {
		if got := n.read(c); got != w {
			n.Errorf("read %d: %q, want %q", i+1, got, w)
		}
	}
}

func (n *network) state(c *TCPConn, want tcp.State) {
	n.Helper()
	if got := c.State(); got != want {
		n.Errorf("state %v, want %v", got, want)
	}
}

func settle() { synctest.Wait() }

func TestConversation(t *testing.T) {
	inNetwork(t, "open, both ways, close", sim.Config{Delay: time.Millisecond}, func(n *network) {
		client, server := n.connect()
		if client.Local() != server.Remote() || client.Remote() != server.Local() {
			n.Errorf("addresses: %v-%v and %v-%v", client.Local(), client.Remote(), server.Local(), server.Remote())
		}
		n.write(client, "ping")
		n.reads(server, "ping")
		n.write(server, "pong")
		n.reads(client, "pong")
		n.must(client.Close())
		n.reads(server, "EOF", "EOF", "EOF") // E-RW-1
		n.must(server.Close())
		time.Sleep(time.Second)
		if g := n.b.Stats().TCPGauges; g.Connections() != 0 {
			n.Errorf("server: %+v", g)
		}
		if g := n.a.Stats().TCPGauges; g.Connections() != 0 || g.States[tcp.TimeWaitState] != 1 {
			n.Errorf("client: %+v", g)
		}
		time.Sleep(2 * time.Minute)
		if g := n.a.Stats().TCPGauges; g.States[tcp.TimeWaitState] != 0 {
			n.Errorf("after 2MSL: %+v", g)
		}
	})
}
