package apps

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/tap"
	"github.com/unet-go/unet/tap/taptest"
	"github.com/unet-go/unet/unet"
)

func TestMain(m *testing.M) {
	if !taptest.Inside() {
		install()
	}
	taptest.Enter()
	goleak.VerifyTestMain(m,
		// It looks for idle connections, and sleeps up to 10 s when there are none.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"),
		// It keeps the date for as long as the process lives.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

// world is a network with a side for servers and one for clients, in package net's terms.
type world struct {
	server   string // its address
	listen   func(network, address string) (net.Listener, error)
	packet   func(network, address string) (net.PacketConn, error)
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	outgoing func(network, address string) (net.PacketConn, error) // the client's
}

// worlds are both sides on unet, the clients on the kernel's stack, the servers there.
var worlds = []struct {
	name string
	open func(t *testing.T) *world
}{
	{"unet to unet", overSegment},
	{"kernel to unet", func(t *testing.T) *world { return overTAP(t).accepting() }},
	{"unet to kernel", func(t *testing.T) *world { return overTAP(t).dialling() }},
}

// everywhere runs a test in all worlds at once.
func everywhere(t *testing.T, test func(t *testing.T, w *world)) {
	for _, w := range worlds {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			test(t, w.open(t))
		})
	}
}

// open opens a host that ends with the test.
func open(t *testing.T, cfg unet.Config) *unet.Host {
	t.Helper()
	h, err := unet.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// overSegment returns two hosts on a segment in memory.
func overSegment(t *testing.T) *world {
	t.Helper()
	segment := sim.NewSegment(sim.Config{Offload: true})
	t.Cleanup(func() { _ = segment.Close() })
	client := open(t, unet.Config{Link: segment.Port(), Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}})
	server := open(t, unet.Config{Link: segment.Port(), Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24")}})
	return &world{server: "10.0.0.2", listen: server.Listen, packet: server.ListenPacket, dial: client.DialContext, outgoing: client.ListenPacket}
}

// kernelPeer is a host on a TAP device with the kernel at its other end.
type kernelPeer struct {
	*unet.Host
	ours, kernels string
}

func overTAP(t *testing.T) *kernelPeer {
	t.Helper()
	dev := taptest.Open(t, tap.Config{})
	peer := dev.PeerAddrs()[0]
	ours := peer.Addr().Next()
	h := open(t, unet.Config{Link: dev, Addrs: []netip.Prefix{netip.PrefixFrom(ours, peer.Bits())}})
	return &kernelPeer{h, ours.String(), peer.Addr().String()}
}

// accepting is the world whose server is on unet.
func (p *kernelPeer) accepting() *world {
	return &world{server: p.ours, listen: p.Listen, packet: p.ListenPacket, dial: new(net.Dialer).DialContext, outgoing: net.ListenPacket}
}

// dialling is the world whose client is on unet.
func (p *kernelPeer) dialling() *world {
	return &world{server: p.kernels, listen: net.Listen, packet: net.ListenPacket, dial: p.DialContext, outgoing: p.ListenPacket}
}

// listening returns a listener on a port of its own.
func (w *world) listening(t *testing.T) net.Listener {
	t.Helper()
	l, err := w.listen("tcp", net.JoinHostPort(w.server, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// dialling returns what dials an address whatever it is asked for, for clients that go by a server's name.
func (w *world) dialling(a net.Addr) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) { return w.dial(ctx, "tcp", a.String()) }
}

// connect dials a listener.
func (w *world) connect(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	c, err := w.dial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// serverName is whose certificate servers show.
const serverName = "server.test"

// identity returns the TLS configurations of a server of that name, and of a client that trusts it.
var identity = sync.OnceValues(func() (server, client *tls.Config) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: serverName}, DNSNames: []string{serverName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}}},
		&tls.Config{RootCAs: pool, ServerName: serverName}
})

// quiet is a logger for servers whose complaints a test expects.
type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

// text returns n octets that differ from place to place.
func text(n int) []byte {
	b := make([]byte, n)
	x := uint32(n)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}
