package unet

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/net/nettest"

	"github.com/unet-go/unet/tap/taptest"
)

// The default host as a program meets it: a TAP device from the environment, the kernel at its other end.
func TestDefaultHost(t *testing.T) {
	taptest.Need(t)
	t.Setenv("UNET_DEVICE", "unet7")
	t.Setenv("UNET_ADDR", "10.200.0.2/24")
	t.Setenv("UNET_PEER", "10.200.0.1/24")
	serve := func() {
		t.Helper()
		l, err := Listen("tcp", ":8080")
		if err != nil {
			t.Fatal(err)
		}
		srv := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "hello "+r.RemoteAddr[:len("10.200.0.1")])
		})}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(l) }()
		transport := &http.Transport{}
		defer transport.CloseIdleConnections()
		if err := fetch(&http.Client{Transport: transport}, "http://10.200.0.2:8080", nil, "HTTP/1.1", []byte("hello 10.200.0.1")); err != nil {
			t.Error(err)
		}
		if err := errors.Join(srv.Close(), expect(<-served, http.ErrServerClosed)); err != nil {
			t.Error(err)
		}
	}
	serve()
	h, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	serve() // on the same host
	if again, err := Default(); again != h || err != nil {
		t.Errorf("a second default host: %p is not %p, %v", again, h, err)
	}
	t.Run("a device that another host holds", func(t *testing.T) {
		other, err := Open(Config{Device: "unet7", Addrs: prefixes("10.200.0.3/24")})
		if other != nil || !errors.Is(err, syscall.EBUSY) {
			t.Errorf("%v, %v", other, err)
		}
	})
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	serve() // on a new one
	h, err = Default()
	if err != nil {
		t.Fatal(err)
	}
	if err := Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != net.ErrClosed {
		t.Errorf("Close after Shutdown: %v", err)
	}
	serve() // on a third one
	if err := Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Run("a device that cannot be is package net's error", func(t *testing.T) {
		t.Setenv("UNET_DEVICE", "lo")
		l, err := Listen("tcp", ":8080")
		const from = `(from UNET_DEVICE="lo" UNET_ADDR="10.200.0.2/24" UNET_PEER="10.200.0.1/24")`
		if _, ok := err.(*net.OpError); l != nil || !ok || !errors.Is(err, syscall.EINVAL) || !strings.HasSuffix(err.Error(), from) {
			t.Errorf("%v, %T %v", l, err, err)
		}
	})
}

func expect(got, want error) error {
	if got == want {
		return nil
	}
	return errors.Join(got, want)
}

func TestNetConnToKernel(t *testing.T) {
	for i, tt := range []struct {
		name string
		cfg  Config
	}{
		{"native", Config{}},
		{"native without offload", Config{NoOffload: true}},
		{"portable", Config{Portable: true}},
	} {
		subnet := netip.AddrFrom4([4]byte{10, 201, byte(i), 0})
		peer, own := subnet.Next(), subnet.Next().Next()
		open := func(t *testing.T) *Host {
			taptest.Need(t)
			tt.cfg.Device, tt.cfg.PeerAddrs, tt.cfg.Addrs = "unet%d", []netip.Prefix{netip.PrefixFrom(peer, 24)}, []netip.Prefix{netip.PrefixFrom(own, 24)}
			h, err := Open(tt.cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = h.Close() })
			return h
		}
		ends := func(l net.Listener, dial func(network, address string) (net.Conn, error)) nettest.MakePipe {
			return func() (c1, c2 net.Conn, stop func(), err error) {
				c, err := dial("tcp", l.Addr().String())
				if err != nil {
					return nil, nil, nil, err
				}
				s, err := l.Accept()
				return c, s, func() { _, _ = c.Close(), s.Close() }, err
			}
		}
		t.Run("E-GO-1 over TAP, "+tt.name+", the kernel dials", func(t *testing.T) {
			l, err := open(t).Listen("tcp", own.String()+":0")
			if err != nil {
				t.Fatal(err)
			}
			nettest.TestConn(t, ends(l, net.Dial))
		})
		t.Run("E-GO-1 over TAP, "+tt.name+", the kernel listens", func(t *testing.T) {
			h := open(t)
			l, err := net.Listen("tcp", peer.String()+":0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			nettest.TestConn(t, ends(l, h.Dial))
		})
	}
}

// A client of the kernel's gets back what it sent, in super-segments both ways.
func TestEchoToKernel(t *testing.T) {
	taptest.Need(t)
	h, err := Open(Config{Device: "unet%d", PeerAddrs: prefixes("10.202.0.1/24"), Addrs: prefixes("10.202.0.2/24")})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	l, err := h.Listen("tcp", ":7")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.Copy(c, c)
		_ = c.Close()
	}()
	c, err := net.Dial("tcp", "10.202.0.2:7")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	text := random(3, 32<<20)
	go func() {
		_, _ = c.Write(text)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	echo, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(echo, text) {
		t.Errorf("%d of %d octets, %v", len(echo), len(text), err)
	}
}
