package unet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/sim"
)

// The addresses of the two hosts of a test with both families.
var (
	dualClient = []string{clientIP, "2001:db8::1"}
	dualServer = []string{serverIP, "2001:db8::2"}
)

// dualPair opens a client and a server with addresses of both families on a segment of their own, and waits until nobody
// has objected to these.
func dualPair(tb testing.TB) (client, server *Host) {
	tb.Helper()
	segment := sim.NewSegment(sim.Config{})
	tb.Cleanup(func() { _ = segment.Close() })
	open := func(addrs []string) *Host {
		h, err := Open(Config{Link: segment.Port(), Addrs: prefixes(addrs[0]+"/24", addrs[1]+"/64")})
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = h.Close() })
		return h
	}
	client, server = open(dualClient), open(dualServer)
	time.Sleep(5 * time.Second) // of a bubble's time
	return client, server
}

// TestDualStack checks who reaches a listener, by its network and address, and under which addresses both ends see it.
func TestDualStack(t *testing.T) {
	for _, x := range []struct {
		network, address string
		shown            string  // the listener's address
		takes            [2]bool // IPv4, IPv6
		octets           int     // of an IPv4 address that it shows
	}{
		{"tcp", ":80", "[::]:80", [2]bool{true, true}, 16},
		{"tcp", "[::]:80", "[::]:80", [2]bool{true, true}, 16},
		{"tcp", "0.0.0.0:80", "[::]:80", [2]bool{true, true}, 16},
		{"tcp4", ":80", "0.0.0.0:80", [2]bool{true, false}, 4},
		{"tcp6", ":80", "[::]:80", [2]bool{false, true}, 0},
		{"tcp", serverIP + ":80", serverIP + ":80", [2]bool{true, false}, 4},
		{"tcp", "[2001:db8::2]:80", "[2001:db8::2]:80", [2]bool{false, true}, 0},
		{"tcp", "[::ffff:" + serverIP + "]:80", serverIP + ":80", [2]bool{true, false}, 4},
	} {
		t.Run(fmt.Sprintf("E-LIS-10 %s on %s", x.network, x.address), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := dualPair(t)
				l, err := server.Listen(x.network, x.address)
				if err != nil {
					t.Fatal(err)
				}
				if l.Addr().String() != x.shown {
					t.Errorf("Addr %v, want %s", l.Addr(), x.shown)
				}
				for i, ip := range dualServer {
					at := net.JoinHostPort(ip, "80")
					c, err := client.Dial("tcp", at)
					if !x.takes[i] {
						if !errors.Is(err, syscall.ECONNREFUSED) {
							t.Errorf("Dial %s: %v, want ECONNREFUSED", at, err)
						}
						continue
					}
					if err != nil {
						t.Error(err)
						continue
					}
					a, err := l.Accept()
					if err != nil {
						t.Fatal(err)
					}
					if got, want := fmt.Sprint(a.LocalAddr(), a.RemoteAddr()), fmt.Sprint(c.RemoteAddr(), c.LocalAddr()); got != want || c.RemoteAddr().String() != at {
						t.Errorf("the ends see %v and %v", got, want)
					}
					if n := len(a.RemoteAddr().(*net.TCPAddr).IP); i == 0 && n != x.octets {
						t.Errorf("an IPv4 peer has %d octets, want %d", n, x.octets)
					}
					_, _ = c.Close(), a.Close()
				}
			})
		})
	}
}

// TestZones uses link-local addresses by the names of their interfaces, and by their numbers.
func TestZones(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := dualPair(t)
		local := linkLocalOf(t, server)
		zone, servers := client.stack.InterfaceNames()[1], server.stack.InterfaceNames()[1]
		l, err := server.Listen("tcp", fmt.Sprintf("[%s%%%s]:80", local, servers))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := server.Listen("tcp", fmt.Sprintf("[%s]:81", local)); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("Listen without a zone: %v, want EINVAL", err)
		}
		if _, err := client.Dial("tcp", fmt.Sprintf("[%s]:80", local)); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("Dial without a zone: %v, want EINVAL", err)
		}
		for _, z := range []string{zone, "2"} {
			c, err := client.Dial("tcp", fmt.Sprintf("[%s%%%s]:80", local, z))
			if err != nil {
				t.Fatal(err)
			}
			a, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf("[%s%%%s]:80", local, zone); c.RemoteAddr().String() != want {
				t.Errorf("RemoteAddr %v, want %s", c.RemoteAddr(), want)
			}
			if from := a.RemoteAddr().(*net.TCPAddr); !from.IP.IsLinkLocalUnicast() || from.Zone != servers {
				t.Errorf("the peer is %v", from)
			}
			_, _ = c.Close(), a.Close()
		}
		p, err := server.ListenPacket("udp", ":9")
		if err != nil {
			t.Fatal(err)
		}
		u, err := client.ListenPacket("udp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := u.WriteTo([]byte("x"), &net.UDPAddr{IP: local.AsSlice(), Zone: "2", Port: 9}); err != nil {
			t.Error(err)
		}
		_, from, err := p.ReadFrom(make([]byte, 9))
		if err != nil {
			t.Fatal(err)
		}
		if a := from.(*net.UDPAddr); a.Zone != servers || !a.IP.IsLinkLocalUnicast() {
			t.Errorf("the datagram is from %v", a)
		}
	})
}

// linkLocalOf returns the link-local address of a host, without its zone.
func linkLocalOf(t *testing.T, h *Host) netip.Addr {
	t.Helper()
	for _, p := range h.Addrs() {
		if p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() {
			return p.Addr().WithZone("")
		}
	}
	t.Fatal("no link-local address")
	return netip.Addr{}
}

// TestFallback checks when a dial tries the addresses of the other family (RFC 8305).
func TestFallback(t *testing.T) {
	asksBefore(t)
	const silent6 = "2001:db8::99" // no host has it
	for _, x := range []struct {
		name    string
		addrs   []string
		dialer  Dialer
		listens string
		took    time.Duration // before the connection is made, without the round trips
		want    string        // the address that is reached
		err     string
	}{
		{name: "the first family answers", addrs: []string{serverIP, "2001:db8::2"}, listens: "[::]:80", want: "[2001:db8::2]:80"},
		{name: "the first family is silent", addrs: []string{serverIP, silent6}, listens: "[::]:80", took: 300 * time.Millisecond, want: serverIP + ":80"},
		{name: "with another delay", addrs: []string{serverIP, silent6}, dialer: Dialer{FallbackDelay: 7 * time.Millisecond}, listens: "[::]:80", took: 7 * time.Millisecond, want: serverIP + ":80"},
		{name: "the first family refuses", addrs: []string{serverIP, "2001:db8::2"}, listens: serverIP + ":80", want: serverIP + ":80"},
		{name: "without a fallback", addrs: []string{serverIP, silent6}, dialer: Dialer{FallbackDelay: -1, Timeout: 10 * time.Second}, listens: "[::]:80", took: 3 * time.Second, want: serverIP + ":80"},
		{name: "both refuse", addrs: []string{serverIP, "2001:db8::2"}, listens: "[::]:81", err: "dial tcp [2001:db8::2]:80: connect: connection refused"},
		{name: "from an address of IPv4", addrs: []string{serverIP, "2001:db8::2"}, dialer: Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(clientIP)}}, listens: "[::]:80", want: serverIP + ":80"},
	} {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := dualPair(t)
				l, err := server.Listen("tcp", x.listens)
				if err != nil {
					t.Fatal(err)
				}
				answering(t, l)
				z := &zone{names: map[string][]string{"server.test.": x.addrs}}
				at := nameServer(t, server, z)
				client.dns = []netip.AddrPort{at}
				d := x.dialer
				d.Host = client
				began := time.Now()
				c, err := d.Dial("tcp", "server.test.:80")
				took := time.Since(began)
				if text := errorText(err); text != x.err {
					t.Fatalf("%v, want %s", err, x.err)
				}
				if err != nil {
					return
				}
				if c.RemoteAddr().String() != x.want {
					t.Errorf("reached %v, want %s", c.RemoteAddr(), x.want)
				}
				if took != x.took {
					t.Errorf("took %v, want %v", took, x.took)
				}
				_ = c.Close()
			})
		})
	}
}

// TestSortDestinations checks in which order the addresses of a name are dialled (RFC 6724 10.2).
func TestSortDestinations(t *testing.T) {
	for _, x := range []struct {
		name        string
		own         []string
		given, want []string
	}{
		{"IPv6 first", []string{"10.0.0.1/24", "2001:db8::1/64"}, []string{"10.0.0.2", "2001:db8::2"}, []string{"2001:db8::2", "10.0.0.2"}},
		{"what cannot be reached last", []string{"10.0.0.1/24"}, []string{"2001:db8::2", "10.0.0.2"}, []string{"10.0.0.2", "2001:db8::2"}},
		{"IPv4 before a unique local address from a global one", []string{"10.0.0.1/24", "2001:db8::1/64"}, []string{"fd00::2", "10.0.0.2"}, []string{"10.0.0.2", "fd00::2"}},
		{"a unique local address in its own network", []string{"2001:db8::1/64", "fd00::1/64"}, []string{"2001:db8::2", "fd00::2"}, []string{"2001:db8::2", "fd00::2"}},
		{"the longer common prefix", []string{"2001:db8:1::1/64", "2001:db8:2::1/64"}, []string{"2001:db8:8::2", "2001:db8:2::2"}, []string{"2001:db8:2::2", "2001:db8:8::2"}},
		{"IPv4 keeps its order", []string{"10.0.0.1/24"}, []string{"10.0.0.9", "10.0.0.2", "10.0.0.5"}, []string{"10.0.0.9", "10.0.0.2", "10.0.0.5"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			segment := sim.NewSegment(sim.Config{})
			defer segment.Close()
			h, err := Open(Config{Link: segment.Port(), Addrs: prefixes(x.own...)})
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			if len(x.own) > 1 { // to the networks that are not its own
				if err := h.stack.AddRoutes(stack.Route{Dst: prefixes("::/0")[0]}); err != nil {
					t.Fatal(err)
				}
			}
			var addrs []netip.Addr
			for _, a := range x.given {
				addrs = append(addrs, netip.MustParseAddr(a))
			}
			h.stack.SortDestinations(addrs)
			if fmt.Sprint(addrs) != fmt.Sprint(x.want) {
				t.Errorf("%v, want %v", addrs, x.want)
			}
		})
	}
}
