//go:build !race

package unet

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/unet-go/unet/stack/sim"
)

// The first call makes an address. A client of fasthttp asks for both after each request.
func TestAddressesAllocateOnce(t *testing.T) {
	client, server, _ := pair(t, sim.Config{})
	c, s := connection(t, client, server)
	u, err := client.DialUDP("udp", nil, &net.UDPAddr{IP: net.ParseIP(serverIP), Port: 53})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	l := listen(t, server)
	if n := testing.AllocsPerRun(100, func() {
		for _, c := range []net.Conn{c, s, u} {
			_, _ = c.LocalAddr(), c.RemoteAddr()
		}
		_ = l.Addr()
	}); n != 0 {
		t.Errorf("E-GO-18: %v allocations", n)
	}
}

// TestFastHTTPClientAllocatesNothing is the idea of fasthttp's own TestAllocationClient: its client asks for both
// addresses with each response.
func TestFastHTTPClientAllocatesNothing(t *testing.T) {
	bubble(t, "E-GO-18 requests", sim.Config{}, func(t *testing.T, client, server *Host, _ *sim.Segment) {
		l := listen(t, server)
		srv := fasthttp.Server{NoDefaultDate: true, Handler: func(*fasthttp.RequestCtx) {}}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(l) }()
		c := fasthttp.HostClient{Addr: l.Addr().String(), Dial: func(addr string) (net.Conn, error) { return client.Dial("tcp", addr) }}
		url := "http://" + c.Addr
		var from net.Addr
		n := testing.AllocsPerRun(200, func() {
			req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
			req.SetRequestURI(url)
			if err := c.Do(req, res); err != nil {
				t.Error(err)
			}
			if a := res.RemoteAddr(); a != from && from != nil {
				t.Errorf("the answer is from %v", a)
			} else {
				from = a
			}
			fasthttp.ReleaseRequest(req)
			fasthttp.ReleaseResponse(res)
		})
		if n > 0 {
			t.Errorf("%v allocations for each request", n)
		}
		c.CloseIdleConnections()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Minute) // until the cleaners of both have looked around and ended
	})
}

// TestReadEndedByDeadlineAllocatesOnce does what a server of net/http does after each request.
func TestReadEndedByDeadlineAllocatesOnce(t *testing.T) {
	bubble(t, "a past deadline", sim.Config{}, func(t *testing.T, client, server *Host, _ *sim.Segment) {
		c, _ := connection(t, client, server)
		var b [1]byte
		var err error
		long := time.Unix(1, 0)
		if n := testing.AllocsPerRun(100, func() {
			_ = c.SetReadDeadline(long)
			_, err = c.Read(b[:])
			_ = c.SetReadDeadline(time.Time{})
		}); n != 1 {
			t.Errorf("%v allocations, want the error alone", n)
		}
		var op *net.OpError
		if !errors.As(err, &op) || op.Op != "read" || op.Net != "tcp" || op.Err != os.ErrDeadlineExceeded ||
			op.Source.String() != c.LocalAddr().String() || op.Addr.String() != c.RemoteAddr().String() {
			t.Errorf("%#v", err)
		}
	})
}

// TestReadFromUDPAddrPortAllocatesNothing reads with and without control messages.
func TestReadFromUDPAddrPortAllocatesNothing(t *testing.T) {
	client, server, _ := pair(t, sim.Config{})
	p, c := packetSocket(t, server, "udp4", ":0"), packetSocket(t, client, "udp4", ":0")
	to := netip.AddrPortFrom(netip.MustParseAddr(serverIP), p.LocalAddr().(*net.UDPAddr).AddrPort().Port())
	b, oob := make([]byte, 100), make([]byte, 100)
	send := func() {
		if _, err := c.WriteToUDPAddrPort(b[:50], to); err != nil {
			t.Error(err)
		}
	}
	for name, read := range map[string]func() error{
		"ReadFromUDPAddrPort": func() error { _, _, err := p.ReadFromUDPAddrPort(b); return err },
		"ReadMsgUDPAddrPort":  func() error { _, _, _, _, err := p.ReadMsgUDPAddrPort(b, oob); return err },
	} {
		n := testing.AllocsPerRun(100, func() {
			send()
			if err := read(); err != nil {
				t.Error(err)
			}
		})
		if n >= 1 {
			t.Errorf("%s: %v allocations", name, n)
		}
		_ = p.SetControlMessage(ControlPacketInfo|ControlTTL|ControlTOS, true)
	}
}
