package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/unet-go/unet/examples/internal/hello"
	"github.com/unet-go/unet/tap/taptest"
)

func TestMain(m *testing.M) {
	taptest.Enter()
	// fasthttp never ends the goroutine that keeps its Date header, and lets the one that sweeps its pool of
	// workers sleep up to 10 s after Shutdown.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// shown runs the demo with a load of one request for each client, and demands that it prints what it should.
func shown(t *testing.T, open func() (*world, error)) {
	w, err := open()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := w.show(t.Context(), load{clients: 8}, &out); err != nil {
		t.Errorf("%v, after\n%s", err, &out)
	}
	said := out.String()
	for _, site := range []struct{ name, at, server, client string }{
		{"nethttp", "10.0.0.2:8080", "10.0.0.2.8080", "10.0.0.1."},
		{"nethttp", "[fd75:6e65:7400::2]:8080", "fd75:6e65:7400::2.8080", "fd75:6e65:7400::1."},
		{"fasthttp", "10.0.0.2:8081", "10.0.0.2.8081", "10.0.0.1."},
		{"fasthttp", "[fd75:6e65:7400::2]:8081", "fd75:6e65:7400::2.8081", "fd75:6e65:7400::1."},
	} {
		if strings.HasPrefix(site.at, "[") && !w.v6 {
			continue
		}
		_, said, ok := strings.Cut(said, site.name+" serves http://"+site.at+"/\n")
		if !ok {
			t.Fatalf("%s at %s is missing in\n%s", site.name, site.at, out.String())
		}
		said, _, _ = strings.Cut(said, " serves ")
		at := 0
		for _, want := range []string{
			"> " + site.server + ": Flags [S], seq ",
			" " + site.server + " > " + site.client,
			": Flags [S.], seq ",
			"> " + site.server + ": Flags [.], ack 1, ",
			"> " + site.server + ": Flags [P.], seq 1:",
			": Flags [P.], seq 1:",
			"> " + site.server + ": Flags [F.], ",
			": Flags [F.], ",
			"\n  GET  /                    200, 13 octets, every one right\n",
			"\n  GET  /bytes?n=10000000    200, 10,000,000 octets, every one right\n",
			"\n  POST /echo                200, 1,000,000 octets, every one right\n",
			"\n  8 clients for ",
			"s: 8 requests, ",
			", 0 errors\n",
		} {
			next := strings.Index(said[at:], want)
			if next < 0 {
				t.Fatalf("%s at %s: %q is missing after %q in\n%s", site.name, site.at, want, said[:at], said)
			}
			at += next + len(want) - 1
		}
	}
	if !strings.Contains(said, "\nleft over: 0 connections, ") {
		t.Errorf("no last line in\n%s", said)
	}
}

func TestOverSegment(t *testing.T) { shown(t, overSegment) }

func TestOverTAP(t *testing.T) {
	taptest.Need(t)
	shown(t, overTAP)
}

func TestFlags(t *testing.T) {
	for _, tc := range []struct {
		args string
		code int
		says string
	}{
		{"-clients 0", usage, "demo: want at least one client"},
		{"-time -1s", usage, "demo: want at least one client"},
		{"serve", usage, "no other arguments"},
		{"-fast", usage, "flag provided but not defined: -fast"},
		{"-h", fine, "-clients number"},
	} {
		t.Run(tc.args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(strings.Fields(tc.args), &stdout, &stderr)
			if code != tc.code || !strings.Contains(stderr.String(), tc.says) || stdout.Len() > 0 {
				t.Errorf("exit code %d, stdout %q, stderr %q; want %d and %q", code, &stdout, &stderr, tc.code, tc.says)
			}
		})
	}
}

// TestWrongAnswers checks that both clients find wrong answers.
func TestWrongAnswers(t *testing.T) {
	for _, tc := range []struct{ name, body, fetch, load string }{
		{"another octet", "Hello, Wurld!", "octet 8 is 0x75, not 0x6f", `body "Hello, Wurld!"`},
		{"too little", "Hello, World", "the stream ends after 12 octets", "length 12, not 13"},
		{"too much", "Hello, World!!", "octets follow the last one, 13", "length 14, not 13"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			at := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(tc.body)) })
			if _, err := pages[0].fetch(t.Context(), new(net.Dialer).DialContext, at); err == nil || err.Error() != tc.fetch {
				t.Errorf("fetch: %v, want %s", err, tc.fetch)
			}
			r := load{clients: 2}.run(t.Context(), new(net.Dialer).DialContext, at)
			want := "2 of 2 clients failed, the first: answer 1: " + tc.load
			if err := r.err(); err == nil || err.Error() != want {
				t.Errorf("load: %v, want %s", err, want)
			}
		})
	}
	t.Run("another status", func(t *testing.T) {
		at := serve(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, hello.Text, http.StatusTeapot) })
		if _, err := pages[0].fetch(t.Context(), new(net.Dialer).DialContext, at); err == nil || err.Error() != "418 I'm a teapot" {
			t.Errorf("fetch: %v", err)
		}
		r := load{clients: 1}.run(t.Context(), new(net.Dialer).DialContext, at)
		if err := r.err(); err == nil || !strings.HasSuffix(err.Error(), `status "HTTP/1.1 418 I'm a teapot"`) {
			t.Errorf("load: %v", err)
		}
	})
}

// serve serves over the kernel's loopback until the test ends.
func serve(t *testing.T, handler http.HandlerFunc) netip.AddrPort {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	t.Cleanup(func() {
		_ = server.Shutdown(context.Background())
		<-served
	})
	return ln.Addr().(*net.TCPAddr).AddrPort()
}

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", 100000: "100,000"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %q, want %q", n, got, want)
		}
	}
}
