package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/unet-go/unet/examples/internal/hello"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/unet"
)

func TestMain(m *testing.M) {
	// fasthttp never ends the goroutine that keeps its Date header, and lets the one that sweeps its pool of
	// workers sleep up to 10 s after Shutdown.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// noHost fails the test: a run with these flags has no business to open one.
func noHost(t *testing.T) func(unet.Config) (*unet.Host, error) {
	return func(unet.Config) (*unet.Host, error) {
		t.Error("a host was opened")
		return nil, errors.ErrUnsupported
	}
}

func TestBadFlags(t *testing.T) {
	cases := []struct {
		args string
		want string // of stderr
	}{
		{"-server apache", `http: -server "apache": not nethttp or fasthttp`},
		{"-listen 8080", `http: -listen "8080": not host:port, such as :8080`},
		{"-addr 10.0.0.2", `http: -addr "10.0.0.2": not an address with its prefix length, such as 10.0.0.2/24`},
		{"-addr ,", "http: -addr: no address"},
		{"-peer ten", `http: -peer "ten": not an address with its prefix length, such as 10.0.0.2/24`},
		{"-gateway router", `http: -gateway "router": not an address, such as 10.0.0.1, and not none`},
		{"-gateway 10.0.0.9,10.0.0.8", `http: -gateway "10.0.0.9,10.0.0.8": two of one family`},
		{"-grace -1s", "http: -grace -1s: less than nothing"},
		{"-grace soon", `http: invalid value "soon" for flag -grace: parse error`},
		{"-fast", "http: flag provided but not defined: -fast"},
		{"serve", `http: unexpected argument "serve"`},
	}
	for _, tc := range cases {
		t.Run(tc.args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), strings.Fields(tc.args), &stdout, &stderr, noHost(t))
			if code != usage || strings.TrimSpace(stderr.String()) != tc.want || stdout.Len() > 0 {
				t.Errorf("exit code %d, stdout %q, stderr %q; want %d and %q", code, stdout.String(), stderr.String(), usage, tc.want)
			}
		})
	}
}

// What the kernel forwards to the host, for a container for instance, is answered by way of the kernel.
func TestGateway(t *testing.T) {
	const zero = "invalid IP"
	for args, want := range map[string][2]string{
		"-peer " + defaultPeers(true):         {"10.0.0.1", "fd75:6e65:7400::1"},
		"-peer " + defaultPeers(false):        {"10.0.0.1", zero},
		"-gateway none":                       {zero, zero},
		"-gateway 10.0.0.9":                   {"10.0.0.9", zero},
		"-gateway fe80::9,10.0.0.9":           {"10.0.0.9", "fe80::9"},
		"-peer 10.8.0.1/24,10.0.0.3/24":       {"10.0.0.3", zero},
		"-addr 192.168.1.50/24":               {zero, zero},
		"-addr 10.0.0.1/24 -peer 10.0.0.1/24": {zero, zero},
		"-addr 10.9.0.2/24 -peer 10.9.0.1/24": {"10.9.0.1", zero},
		"-addr fd09::2/64 -peer fd09::1/64":   {zero, "fd09::1"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), strings.Fields(args), &stdout, &stderr, func(cfg unet.Config) (*unet.Host, error) {
			if got := [2]string{cfg.Gateway.String(), cfg.Gateway6.String()}; got != want {
				t.Errorf("%q: gateways %v, want %v", args, got, want)
			}
			return nil, errors.ErrUnsupported
		})
		if code != failed {
			t.Errorf("%q: exit code %d, %s", args, code, stderr.String())
		}
	}
}

func TestHelpIsNoError(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"-h"}, &stdout, &stderr, noHost(t)); code != fine {
		t.Errorf("exit code %d", code)
	}
	if !strings.Contains(stderr.String(), "-cpuprofile file") {
		t.Errorf("no list of flags: %q", stderr.String())
	}
}

func TestMissingRightIsToldAndFails(t *testing.T) {
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), nil, &stdout, &stderr, func(cfg unet.Config) (*unet.Host, error) {
		if cfg.Device != "unet0" || fmt.Sprint(cfg.Addrs) != "[10.0.0.2/24 fd75:6e65:7400::2/64]" || cfg.PeerAddrs[0].String() != "10.0.0.1/24" {
			t.Errorf("configuration %+v", cfg)
		}
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: syscall.EPERM}
	})
	if want := "http: listen tcp: operation not permitted\n"; code != failed || stderr.String() != want {
		t.Errorf("exit code %d, stderr %q; want %d, %q", code, stderr.String(), failed, want)
	}
}

// line returns the output of the program line by line.
type line chan string

func (l line) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// address picks the URL out of the line that says where the server is.
func address(t *testing.T, said string) string {
	t.Helper()
	for _, word := range strings.Fields(said) {
		if strings.HasPrefix(word, "http://") {
			return word
		}
	}
	t.Fatalf("no address in %q", said)
	return ""
}

// serveUntilInterrupted runs the program, fetches /, interrupts it, and demands that it ends well.
func serveUntilInterrupted(t *testing.T, c *http.Client, open func(unet.Config) (*unet.Host, error), args ...string) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	stdout := make(line, 16)
	var stderr bytes.Buffer
	code := make(chan int, 1)
	go func() { code <- run(ctx, args, stdout, &stderr, open) }()
	url := address(t, <-stdout)
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || string(got) != "Hello, World!" {
		t.Errorf("got %q, %v", got, err)
	}
	interrupt()
	if said := <-stdout; said != "shutting down\n" {
		t.Errorf("after the interrupt it says %q", said)
	}
	if got := <-code; got != fine {
		t.Errorf("exit code %d, stderr %q", got, stderr.String())
	}
	c.CloseIdleConnections()
}

func TestServesOnTheKernelUntilInterrupted(t *testing.T) {
	for name := range hello.Servers {
		t.Run(name, func(t *testing.T) {
			c := &http.Client{Transport: &http.Transport{}}
			serveUntilInterrupted(t, c, noHost(t), "-kernel", "-listen", "127.0.0.1:0", "-server", name)
		})
	}
}

func TestBusyPortIsToldAndFails(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"-kernel", "-listen", ln.Addr().String()}, &stdout, &stderr, noHost(t))
	want := "http: listen tcp " + ln.Addr().String() + ": bind: address already in use\n"
	if code != failed || stderr.String() != want {
		t.Errorf("exit code %d, stderr %q; want %d, %q", code, stderr.String(), failed, want)
	}
}

// TestServesOnUnetUntilInterrupted runs the program on a port of a simulated segment instead of a TAP device.
func TestServesOnUnetUntilInterrupted(t *testing.T) {
	for name := range hello.Servers {
		t.Run(name, func(t *testing.T) {
			segment := sim.NewSegment(sim.Config{})
			defer segment.Close()
			peer, err := unet.Open(unet.Config{Link: segment.Port(), Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}})
			if err != nil {
				t.Fatal(err)
			}
			defer peer.Close()
			open := func(cfg unet.Config) (*unet.Host, error) {
				cfg.Device, cfg.PeerAddrs, cfg.Link = "", nil, segment.Port()
				return unet.Open(cfg)
			}
			c := &http.Client{Transport: &http.Transport{DialContext: peer.DialContext}}
			serveUntilInterrupted(t, c, open, "-server", name, "-listen", ":80")
		})
	}
}

// TestGraceIsBounded interrupts the program while a request does not end.
func TestGraceIsBounded(t *testing.T) {
	for name := range hello.Servers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				segment := sim.NewSegment(sim.Config{Delay: time.Millisecond})
				defer segment.Close()
				peer, err := unet.Open(unet.Config{Link: segment.Port(), Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}})
				if err != nil {
					t.Fatal(err)
				}
				defer peer.Close()
				open := func(cfg unet.Config) (*unet.Host, error) {
					cfg.Device, cfg.PeerAddrs, cfg.Link = "", nil, segment.Port()
					return unet.Open(cfg)
				}
				ctx, interrupt := context.WithCancel(t.Context())
				stdout := make(line, 16)
				var stderr bytes.Buffer
				code := make(chan int, 1)
				go func() { code <- run(ctx, []string{"-server", name, "-grace", "3s", "-v"}, stdout, &stderr, open) }()
				address(t, <-stdout)
				conn, err := peer.Dial("tcp", "10.0.0.2:8080")
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if _, err := io.WriteString(conn, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nand no more"); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				time.Sleep(time.Second) // of the bubble: the request is in progress
				start := time.Now()
				interrupt()
				if got := <-code; got != failed || time.Since(start) != 3*time.Second {
					t.Errorf("exit code %d after %v, stderr %q", got, time.Since(start), stderr.String())
				}
				if want := "http: requests were still in progress after 3s: context deadline exceeded\n"; stderr.String() != want {
					t.Errorf("stderr %q, want %q", stderr.String(), want)
				}
				time.Sleep(time.Minute) // fasthttp's sweeper ends by itself
			})
		})
	}
}
