package unet

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/tap"
	"github.com/unet-go/unet/tap/taptest"
)

// hasState waits until an interface of the kernel's has changed in h's eyes; for the test's whole time, if need be.
func hasState(h *Host, want stack.InterfaceState) {
	for h.Stats().Interfaces[1].State != want {
		time.Sleep(time.Millisecond)
	}
}

func theLink(t *testing.T, h *Host) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(h.Stats().Interfaces[1].Name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// onTAPs runs test with a host on a device of each kind, at 10.202.n.2, the kernel at 10.202.n.1.
func onTAPs(t *testing.T, test func(t *testing.T, h *Host, kernel, own netip.Addr)) {
	for i, tt := range []struct {
		name string
		cfg  Config
		tap  *tap.Config
	}{
		{"native", Config{}, nil},
		{"without io_uring", Config{NoIOUring: true}, nil},
		{"without offload", Config{NoOffload: true}, nil},
		{"several queues", Config{Queues: 4}, nil},
		{"portable", Config{Portable: true}, nil},
		{"TUN", Config{}, &tap.Config{TUN: true}},
		{"portable TUN", Config{}, &tap.Config{TUN: true, Portable: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			taptest.Need(t)
			kernel := netip.AddrFrom4([4]byte{10, 202, byte(i), 1})
			own := kernel.Next()
			cfg := tt.cfg
			cfg.Addrs = []netip.Prefix{netip.PrefixFrom(own, 24)}
			peers := []netip.Prefix{netip.PrefixFrom(kernel, 24)}
			if tt.tap != nil {
				tt.tap.PeerAddrs = peers
				dev, err := tap.Open(*tt.tap)
				if err != nil {
					t.Fatal(err)
				}
				cfg.Link = dev
			} else {
				cfg.Device, cfg.PeerAddrs = "unet%d", peers
			}
			h, err := Open(cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = h.Close() })
			test(t, h, kernel, own)
		})
	}
}

// TestLinkDeleted deletes the interface of a server that works.
func TestLinkDeleted(t *testing.T) {
	onTAPs(t, func(t *testing.T, h *Host, _, own netip.Addr) {
		l, err := h.Listen("tcp", ":8080")
		if err != nil {
			t.Fatal(err)
		}
		srv := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(l) }()
		u, err := h.ListenPacket("udp", ":53")
		if err != nil {
			t.Fatal(err)
		}
		// Requests that come all the time, and a connection that idles.
		idle, err := net.Dial("tcp", netip.AddrPortFrom(own, 8080).String())
		if err != nil {
			t.Fatal(err)
		}
		defer idle.Close()
		// A Write that waits, of which part is lent to the device.
		wl, err := h.Listen("tcp", ":8081")
		if err != nil {
			t.Fatal(err)
		}
		written := make(chan error, 1)
		go func() {
			c, err := wl.Accept()
			if err == nil {
				_, err = c.Write(make([]byte, 64<<20))
			}
			written <- err
		}()
		sated, err := net.Dial("tcp", netip.AddrPortFrom(own, 8081).String())
		if err != nil {
			t.Fatal(err)
		}
		defer sated.Close()
		if _, err := io.ReadFull(sated, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		stop := make(chan struct{})
		loaded := make(chan struct{})
		go func() {
			defer close(loaded)
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := net.DialTimeout("tcp", netip.AddrPortFrom(own, 8080).String(), 100*time.Millisecond)
				if err != nil {
					continue
				}
				_ = c.SetDeadline(time.Now().Add(100 * time.Millisecond))
				_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
				_, _ = io.Copy(io.Discard, c)
				c.Close()
			}
		}()
		defer func() { close(stop); <-loaded }()
		if err := netlink.LinkDel(theLink(t, h)); err != nil {
			t.Fatal(err)
		}
		_, _, err = u.ReadFrom(make([]byte, 1))
		for what, err := range map[string]error{"Serve": <-served, "ReadFrom": err, "Write": <-written} {
			if !errors.Is(err, syscall.ENETDOWN) {
				t.Errorf("%s: %v, want ENETDOWN", what, err)
			}
		}
		<-h.Done()
		if err := h.Err(); !errors.Is(err, syscall.ENETDOWN) {
			t.Errorf("Err() = %v, want ENETDOWN", err)
		}
		if s := h.Stats().Interfaces[1]; s.State != stack.InterfaceFailed || s.Err == nil {
			t.Errorf("interface is %v with %v", s.State, s.Err)
		}
		loopbackGoesOn(t, h)
	})
}

// TestLinkDown sets the interface down and up again, under a connection and beside dials.
func TestLinkDown(t *testing.T) {
	onTAPs(t, func(t *testing.T, h *Host, kernel, own netip.Addr) {
		l, err := h.Listen("tcp", ":8080")
		if err != nil {
			t.Fatal(err)
		}
		kl, err := net.Listen("tcp", netip.AddrPortFrom(kernel, 0).String())
		if err != nil {
			t.Fatal(err)
		}
		defer kl.Close()
		client, err := net.Dial("tcp", netip.AddrPortFrom(own, 8080).String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		for range 3 {
			link := theLink(t, h)
			if err := netlink.LinkSetDown(link); err != nil {
				t.Fatal(err)
			}
			hasState(h, stack.InterfaceDown)
			for _, network := range []string{"tcp", "udp"} {
				address := kl.Addr().String()
				want := fmt.Sprintf("dial %s %s: connect: network is unreachable", network, address)
				if c, err := h.Dial(network, address); fmt.Sprint(err) != want {
					t.Errorf("Dial: %v, %v, want %s", c, err, want)
				}
				// What the kernel itself says to a program that dials us.
				if c, err := net.Dial(network, netip.AddrPortFrom(own, 8080).String()); !errors.Is(err, syscall.ENETUNREACH) {
					t.Errorf("the kernel says %v, %v, where we say that the network is unreachable", c, err)
				}
			}
			if _, err := server.Write([]byte("while it is down")); err != nil {
				t.Errorf("Write: %v", err)
			}
			if err := netlink.LinkSetUp(link); err != nil {
				t.Fatal(err)
			}
			hasState(h, stack.InterfaceUp)
			b := make([]byte, len("while it is down"))
			if _, err := io.ReadFull(client, b); err != nil || string(b) != "while it is down" {
				t.Errorf("read %q, %v", b, err)
			}
			c, err := h.Dial("tcp", kl.Addr().String())
			if err != nil {
				t.Fatalf("Dial when it is up again: %v", err)
			}
			c.Close()
		}
		if h.Err() != nil {
			t.Errorf("Err() = %v", h.Err())
		}
	})
}

// TestDefaultHostAnew checks that the default host is made again when its interface was deleted.
func TestDefaultHostAnew(t *testing.T) {
	taptest.Need(t)
	t.Setenv("UNET_DEVICE", "unet8")
	t.Setenv("UNET_ADDR", "10.203.0.2/24")
	t.Setenv("UNET_PEER", "10.203.0.1/24")
	var hosts []*Host
	for range 3 {
		l, err := Listen("tcp", ":8080")
		if err != nil {
			t.Fatal(err)
		}
		h, err := Default()
		if err != nil {
			t.Fatal(err)
		}
		hosts = append(hosts, h)
		accepted := make(chan error, 1)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					accepted <- err
					return
				}
				c.Close()
			}
		}()
		c, err := net.Dial("tcp", "10.203.0.2:8080")
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		if err := netlink.LinkDel(theLink(t, h)); err != nil {
			t.Fatal(err)
		}
		if err := <-accepted; !errors.Is(err, syscall.ENETDOWN) {
			t.Errorf("Accept: %v, want ENETDOWN", err)
		}
	}
	if hosts[0] == hosts[1] || hosts[1] == hosts[2] {
		t.Errorf("the default hosts were %p", hosts)
	}
	for _, h := range hosts {
		if err := h.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}
