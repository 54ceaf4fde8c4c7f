package unet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/unet-go/unet/stack"
)

// pinger is what differs by family for a program that sends echo requests.
type pinger struct {
	network, wildcard string
	server            string
	request, reply    icmp.Type
	protocol          int
	header            int // octets before the message that Read returns
}

var pingers = []pinger{
	{"ip4:icmp", "0.0.0.0", dualServer[0], ipv4.ICMPTypeEcho, ipv4.ICMPTypeEchoReply, 1, 20},
	{"ip4:1", "", dualServer[0], ipv4.ICMPTypeEcho, ipv4.ICMPTypeEchoReply, 1, 20},
	{"ip6:ipv6-icmp", "::", dualServer[1], ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply, 58, 0},
	{"ip6:58", "", dualServer[1], ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply, 58, 0},
}

// echo returns an echo request; that of ICMPv6 has no checksum, which is the host's.
func (p *pinger) echo(t *testing.T, n int) []byte {
	t.Helper()
	m := icmp.Message{Type: p.request, Body: &icmp.Echo{ID: 7, Seq: 1, Data: make([]byte, n)}}
	b, err := m.Marshal(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestIPConnEcho(t *testing.T) {
	for _, p := range pingers {
		for _, n := range []int{0, 56, 5000} {
			t.Run(fmt.Sprintf("E-GO-20 %s, %d octets, unconnected", p.network, n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					client, _ := dualPair(t)
					pc, err := client.ListenPacket(p.network, p.wildcard)
					if err != nil {
						t.Fatal(err)
					}
					defer pc.Close()
					c := pc.(*IPConn)
					if err := c.SetICMPTypes(typeOf(t, p.reply)); err != nil {
						t.Fatal(err)
					}
					if n, err := c.WriteTo(p.echo(t, n), &net.IPAddr{IP: net.ParseIP(p.server)}); n == 0 || err != nil {
						t.Fatal(n, err)
					}
					b := make([]byte, 6000)
					got, from, err := c.ReadFrom(b)
					if err != nil || from.String() != p.server || from.Network() != "ip" {
						t.Fatal(got, from, err)
					}
					m, err := icmp.ParseMessage(p.protocol, b[:got])
					if err != nil || m.Type != p.reply || len(m.Body.(*icmp.Echo).Data) != n || m.Body.(*icmp.Echo).ID != 7 {
						t.Errorf("%+v, %v", m, err)
					}
				})
			})
		}
		t.Run(fmt.Sprintf("E-GO-21 %s, connected, with TTL and control messages", p.network), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := dualPair(t)
				nc, err := client.Dial(p.network, p.server)
				if err != nil {
					t.Fatal(err)
				}
				defer nc.Close()
				c := nc.(*IPConn)
				if c.RemoteAddr().String() != p.server || c.LocalAddr().(*net.IPAddr).IP.IsUnspecified() {
					t.Errorf("addresses %v, %v", c.LocalAddr(), c.RemoteAddr())
				}
				watch, err := server.ListenPacket(p.network, "")
				if err != nil {
					t.Fatal(err)
				}
				w := watch.(*IPConn)
				check(t, w.SetICMPTypes(typeOf(t, p.request)))
				check(t, w.SetControlMessage(ControlTTL|ControlPacketInfo|ControlTOS, true))
				check(t, c.SetICMPTypes(typeOf(t, p.reply))) // and none of neighbour discovery
				check(t, c.SetTTL(9))
				check(t, c.SetTOS(0x28))
				if _, err := c.Write(p.echo(t, 1)); err != nil {
					t.Fatal(err)
				}
				b, oob := make([]byte, 100), make([]byte, 200)
				n, oobn, flags, from, err := w.ReadMsgIP(b, oob)
				if err != nil || flags != 0 || n != p.header+9 || from.String() != c.LocalAddr().String() {
					t.Fatal(n, flags, from, err)
				}
				cm, err := ParseControlMessage(oob[:oobn])
				if err != nil || cm.TTL != 9 || cm.TOS != 0x28 || cm.Dst != netip.MustParseAddr(p.server) || cm.IfIndex != 2 {
					t.Errorf("%+v, %v", cm, err)
				}
				if n, err := c.Read(b); n != p.header+9 || err != nil {
					t.Errorf("Read = %d, %v, want %d with the header", n, err, p.header+9)
				}
				if _, err := c.WriteTo(b, c.RemoteAddr()); !errors.Is(err, net.ErrWriteToConnected) {
					t.Error(err)
				}
				check(t, c.SetReadDeadline(time.Now().Add(time.Second)))
				if _, err := c.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error(err)
				}
				check(t, c.Close())
				if _, err := c.Read(b); !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
			})
		})
	}
}

func typeOf(t *testing.T, typ icmp.Type) uint8 {
	t.Helper()
	switch typ := typ.(type) {
	case ipv4.ICMPType:
		return uint8(typ)
	case ipv6.ICMPType:
		return uint8(typ)
	}
	t.Fatal(typ)
	return 0
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func TestIPConnErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := dualPair(t)
		for _, x := range []struct {
			network, address, want string
		}{
			{"ip4", "", "listen ip4: unknown network ip4"},
			{"ip4:nonsense", "", "listen ip4:nonsense: address nonsense: unknown IP protocol specified"},
			{"ip5:icmp", "", "listen ip5:icmp: unknown network ip5:icmp"},
			{"udp:1", "", "listen udp:1: unknown network udp:1"},
			{"ip4:300", "", "listen ip4:300 0.0.0.0: socket: invalid argument"},
			{"ip4:0", "", "listen ip4:0 0.0.0.0: socket: protocol not supported"},
			{"ip4:tcp", "", "listen ip4:tcp 0.0.0.0: socket: protocol not supported"},
			{"ip4:icmp", "10.9.9.9", "listen ip4:icmp 10.9.9.9: bind: cannot assign requested address"},
			{"ip4:icmp", "2001:db8::1", "listen ip4:icmp: address 2001:db8::1: no suitable address found"},
		} {
			// An address without octets is printed as nothing.
			want := strings.Replace(x.want, " 0.0.0.0:", ":", 1)
			if _, err := client.ListenPacket(x.network, x.address); err == nil || strings.Replace(err.Error(), " :", ":", 1) != want {
				t.Errorf("ListenPacket(%q, %q): %v, want %s", x.network, x.address, err, want)
			}
		}
		if _, err := client.Listen("ip4:icmp", "10.0.0.1"); err == nil || !strings.Contains(err.Error(), "unexpected address type") {
			t.Errorf("Listen: %v", err)
		}
		if _, err := client.DialIP("udp", nil, &net.IPAddr{}); !errors.As(err, new(net.UnknownNetworkError)) {
			t.Errorf("DialIP udp: %v", err)
		}
		if _, err := client.DialIP("ip4:icmp", nil, nil); err == nil || !strings.Contains(err.Error(), "missing address") {
			t.Errorf("DialIP nil: %v", err)
		}
		if _, err := client.DialIP("ip4:icmp", nil, &net.IPAddr{IP: net.ParseIP("192.0.2.1")}); !errors.Is(err, syscall.ENETUNREACH) {
			t.Errorf("DialIP without a route: %v", err)
		}
	})
}

func TestIPConnOtherProtocols(t *testing.T) {
	for i, server := range dualServer {
		t.Run(fmt.Sprintf("E-GO-22 protocol 253 to %s", server), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, other := dualPair(t)
				network := []string{"ip4:253", "ip6:253"}[i]
				c, err := client.Dial(network, server)
				if err != nil {
					t.Fatal(err)
				}
				// The host does not speak it, and says so.
				_, _ = c.Write([]byte("nobody"))
				want := []error{syscall.ENOPROTOOPT, syscall.EPROTO}[i]
				if _, err := c.Read(make([]byte, 100)); !errors.Is(err, want) {
					t.Errorf("Read: %v, want %v", err, want)
				}
				l, err := other.ListenIP(network, nil)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := c.Write([]byte("somebody")); err != nil {
					t.Fatal(err)
				}
				b := make([]byte, 100)
				if n, from, err := l.ReadFromIP(b); err != nil || string(b[:n]) != "somebody" || from.String() != c.LocalAddr().String() {
					t.Errorf("%q from %v, %v", b[:n], from, err)
				}
				_ = c.SetReadDeadline(time.Now().Add(time.Second))
				if _, err := c.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("after it was taken: %v", err)
				}
			})
		})
	}
}

// TestIPConnBounded floods a socket that nobody reads: what it keeps is bounded, and counted where it is not kept.
func TestIPConnBounded(t *testing.T) {
	t.Run("E-GO-23 a flood of packets", func(t *testing.T) { synctest.Test(t, ipConnBounded) })
}

func ipConnBounded(t *testing.T) {
	client, server := dualPair(t)
	l, err := server.ListenIP("ip4:253", nil)
	if err != nil {
		t.Fatal(err)
	}
	check(t, l.SetReadBuffer(1))
	c, err := client.DialIP("ip4:253", nil, &net.IPAddr{IP: net.ParseIP(dualServer[0])})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = c.Write(nil) // finds the neighbour: few packets would be kept meanwhile
	time.Sleep(time.Second)
	if _, _, err := l.ReadFromIP(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		_, _ = c.Write(make([]byte, 1000))
	}
	synctest.Wait()
	kept := 0
	for _ = l.SetReadDeadline(time.Now().Add(time.Second)); ; kept++ {
		if _, _, err := l.ReadFromIP(make([]byte, 2000)); err != nil {
			break
		}
	}
	if dropped := server.Stats().Dropped[stack.DropRawFull]; kept == 0 || kept > 2 || uint64(kept)+dropped < 90 {
		t.Errorf("%d kept, %d dropped", kept, dropped)
	}
}
