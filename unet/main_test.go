package unet

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
	"github.com/unet-go/unet/tap"
	"github.com/unet-go/unet/tap/taptest"
)

// roleVariable tells a process that TestRecipes or TestPathOfRouters starts which part it plays there.
const roleVariable = "UNET_TEST_RECIPE"

func TestMain(m *testing.M) {
	taptest.Enter()
	if os.Getenv(roleVariable) == "" { // a developer's own variables would configure the default host of the tests
		_, _ = configFromEnv(func(name string) string { _ = os.Unsetenv(name); return "" }, tap.KernelIPv6)
	}
	// The goroutine in which fasthttp's client looks for idle connections sleeps up to 10 s when there are none, and the
	// one that keeps its Date header never ends.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

// The two hosts of a test's network.
const (
	clientIP = "10.0.0.1"
	serverIP = "10.0.0.2"
)

// testFamily has the addresses of one family, for tests of both.
type testFamily struct {
	suffix         string // of the names of subtests
	client, server string
	bits           int
	loopback       string
	foreign        string       // of no host, and without a route
	subnet         netip.Prefix // of the kernel's over TAP, for each device a part of it; not valid for any
}

var testFamilies = []testFamily{
	{client: clientIP, server: serverIP, bits: 24, loopback: "127.0.0.1", foreign: "192.0.2.1"},
	{suffix: " over IPv6", client: "fd00::1", server: "fd00::2", bits: 64, loopback: "::1", foreign: "2001:db8::1", subnet: netip.MustParsePrefix("fd00:8::/32")},
}

// devices counts those that got a network of testFamily.subnet.
var devices atomic.Uint32

// peers returns an address for the kernel's side of a TAP device, in a network that no other device has.
func (f *testFamily) peers() []netip.Prefix {
	if !f.subnet.IsValid() {
		return nil
	}
	b := f.subnet.Addr().As16()
	binary.BigEndian.PutUint32(b[4:], devices.Add(1))
	b[15] = 1
	return []netip.Prefix{netip.PrefixFrom(netip.AddrFrom16(b), f.bits)}
}

// hosts opens a client and a server on a segment.
func (f *testFamily) hosts(tb testing.TB, segment *sim.Segment, cfg stack.Config) (client, server *Host) {
	tb.Helper()
	open := func(ip string) *Host {
		return openHost(tb, segment, netip.PrefixFrom(netip.MustParseAddr(ip), f.bits).String(), cfg)
	}
	return open(f.client), open(f.server)
}

// numbered opens the host of the number on a segment.
func (f *testFamily) numbered(tb testing.TB, segment *sim.Segment, n byte) *Host {
	tb.Helper()
	b := netip.MustParseAddr(f.server).AsSlice()
	b[len(b)-1] = n
	a, _ := netip.AddrFromSlice(b)
	return openHost(tb, segment, netip.PrefixFrom(a, f.bits).String(), stack.Config{})
}

// pair is the function of that name for the family.
func (f *testFamily) pair(tb testing.TB, cfg sim.Config) (client, server *Host) {
	tb.Helper()
	segment := sim.NewSegment(cfg)
	tb.Cleanup(func() { _ = segment.Close() })
	return f.hosts(tb, segment, stack.Config{})
}

// pair opens a client and a server host on a segment of their own, and closes all when the test ends.
func pair(tb testing.TB, cfg sim.Config) (client, server *Host, segment *sim.Segment) {
	tb.Helper()
	segment = sim.NewSegment(cfg)
	tb.Cleanup(func() { _ = segment.Close() })
	client = openHost(tb, segment, clientIP+"/24", stack.Config{})
	server = openHost(tb, segment, serverIP+"/24", stack.Config{})
	return client, server, segment
}

func openHost(tb testing.TB, segment *sim.Segment, addr string, cfg stack.Config) *Host {
	tb.Helper()
	return openPort(tb, segment.Port(), addr, cfg)
}

func openPort(tb testing.TB, port *sim.Port, addr string, cfg stack.Config) *Host {
	tb.Helper()
	h, err := Open(Config{Link: port, Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}, Stack: cfg})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = h.Close() })
	return h
}

// connection dials the server and returns both ends.
func connection(tb testing.TB, client, server *Host) (c, s *TCPConn) {
	tb.Helper()
	l := listen(tb, server)
	c = dial(tb, client, l)
	s, err := l.AcceptTCP()
	if err != nil {
		tb.Fatal(err)
	}
	if err := l.Close(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return c, s
}

func listen(tb testing.TB, server *Host) *TCPListener {
	tb.Helper()
	l, err := server.ListenTCP("tcp", &net.TCPAddr{IP: server.Addrs()[0].Addr().AsSlice()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	return l
}

func dial(tb testing.TB, client *Host, l *TCPListener) *TCPConn {
	tb.Helper()
	c, err := client.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

// brisk shortens the timers that would make a test in real time wait.
func brisk() stack.Config {
	return stack.Config{TCP: tcp.Config{MSL: 50 * time.Millisecond, MinRTO: 5 * time.Millisecond}}
}
