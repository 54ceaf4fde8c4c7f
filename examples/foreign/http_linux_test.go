package foreign

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/unet-go/unet/examples/internal/hello"
	"github.com/unet-go/unet/tap"
)

// curl gets what the examples' servers serve, sends them what they send back, and understands their refusals.
func TestCurl(t *testing.T) {
	for _, server := range []string{"nethttp", "fasthttp"} {
		t.Run(server, func(t *testing.T) {
			over(t, tap.Config{}, nil, func(w *world) {
				site := "http://" + w.serve(server)
				curl := func(args ...string) string {
					return w.run(nil, "curl", append([]string{"--silent", "--show-error", "--globoff", "--fail", "--max-time", "50"}, args...)...)
				}
				if got := curl(site + "/"); got != hello.Text {
					w.Errorf("/: %q", got)
				}
				const size = 3_000_000
				want, _ := io.ReadAll(hello.Octets(size))
				if got := curl(fmt.Sprintf("%s/bytes?n=%d", site, size)); got != string(want) {
					w.Errorf("/bytes: %d octets of %d, or others", len(got), size)
				}
				sent := text(size)
				name := w.file("sent", sent)
				if got := curl("--data-binary", "@"+name, "--header", "Expect:", site+"/echo"); got != string(sent) {
					w.Errorf("/echo: %d octets of %d, or others", len(got), size)
				}
				if got := curl("--head", site+"/"); !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || !strings.Contains(got, fmt.Sprintf("Content-Length: %d\r\n", len(hello.Text))) {
					w.Errorf("HEAD /: %q", got)
				}
				before := w.host.Stats().TCP.PassiveOpens
				many := curl(strings.Fields(strings.Repeat(site+"/ ", 100))...)
				if many != strings.Repeat(hello.Text, 100) {
					w.Errorf("100 requests: %q", many)
				}
				if n := w.host.Stats().TCP.PassiveOpens - before; n != 1 {
					w.Errorf("100 requests over %d connections, want one", n)
				}
				for path, status := range map[string]string{"/nothing": "404", "/bytes?n=-1": "400"} {
					if got, err := w.try(nil, "curl", "--silent", "--globoff", "--output", "/dev/null", "--write-out", "%{http_code}", site+path); got != status || err != nil {
						w.Errorf("%s: %q, %v, want %s", path, got, err, status)
					}
				}
			})
		})
	}
}

// wrk has every request of a second answered, by either server.
func TestWrk(t *testing.T) {
	for _, server := range []string{"nethttp", "fasthttp"} {
		t.Run(server, func(t *testing.T) {
			over(t, tap.Config{}, nil, func(w *world) {
				const conns = 32
				out := w.run(nil, "wrk", "-t", "2", "-c", strconv.Itoa(conns), "-d", "1s", "--timeout", "30s", "http://"+w.serve(server)+"/")
				requests := regexp.MustCompile(`(?m)^ *([0-9]+) requests in `).FindStringSubmatch(out)
				if requests == nil || requests[1] == "0" || strings.Contains(out, "Socket errors") || strings.Contains(out, "Non-2xx") {
					w.Errorf("wrk:\n%s", out)
				}
				if s := w.host.Stats(); s.TCP.PassiveOpens < conns || s.TCPGauges.ListenOverflows != 0 {
					w.Errorf("%d connections, want %d; %d found the accept queue full", s.TCP.PassiveOpens, conns, s.TCPGauges.ListenOverflows)
				}
			})
		})
	}
}

// h2load has a number of requests answered, over HTTP/2 with many streams on each connection, and over HTTP/1.1.
func TestH2load(t *testing.T) {
	over(t, tap.Config{}, nil, func(w *world) {
		const requests, conns = 5000, 20
		target := "http://" + w.serve("h2c") + "/"
		for i, args := range [][]string{{"-m", "50"}, {"--h1"}} {
			out := w.run(nil, "h2load", append([]string{"-n", strconv.Itoa(requests), "-c", strconv.Itoa(conns), target}, args...)...)
			for _, want := range []string{
				fmt.Sprintf("requests: %d total, %[1]d started, %[1]d done, %[1]d succeeded, 0 failed, 0 errored, 0 timeout", requests),
				fmt.Sprintf("status codes: %d 2xx, 0 3xx, 0 4xx, 0 5xx", requests),
				fmt.Sprintf("(%d) data", requests*len(hello.Text)),
			} {
				if !strings.Contains(out, want) {
					w.Errorf("h2load %v says not %q:\n%s", args, want, out)
				}
			}
			if n := w.host.Stats().TCP.PassiveOpens; n != uint64(conns*(i+1)) {
				w.Errorf("%d connections, want %d", n, conns*(i+1))
			}
		}
	})
}

// nginxConfig is one server, in one process that stays in the foreground.
const nginxConfig = `daemon off; master_process off; pid nginx.pid; error_log stderr warn;
events { worker_connections 512; }
http {
  access_log off; client_max_body_size 100m;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  keepalive_requests 100000;
  upstream unet { server %[2]s; keepalive 8; }
  server { listen %[1]s; root %[3]s;
    location / { }
    location /unet/ { proxy_pass http://unet/; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }
}
`

// haproxyConfig is one proxy, in the foreground.
const haproxyConfig = `global
  maxconn 500
defaults
  mode http
  timeout connect 10s
  timeout client 30s
  timeout server 30s
frontend kernel
  bind %[1]s
  default_backend unet
backend unet
  http-reuse always
  server only %[2]s
`

// nginx starts nginx in front of a server, with a folder of files.
func (w *world) nginx(upstream, root string) netip.AddrPort {
	w.Helper()
	at := w.free()
	config := w.file("nginx.conf", fmt.Appendf(nil, nginxConfig, at, upstream, root))
	w.start(at, "nginx", "-p", w.dir, "-e", "stderr", "-c", config)
	return at
}

// fetch fetches a page.
func fetch(c *http.Client, url string) ([]byte, error) {
	resp, err := c.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(resp.Status)
	}
	return io.ReadAll(resp.Body)
}

// get is fetch, and fails the test where that fails.
func (w *world) get(c *http.Client, url string) []byte {
	w.Helper()
	body, err := fetch(c, url)
	if err != nil {
		w.Fatalf("%s: %v", url, err)
	}
	return body
}

// The host dials nginx, which serves files, and keeps its connection for all of them.
func TestNginx(t *testing.T) {
	over(t, tap.Config{}, nil, func(w *world) {
		root := filepath.Join(w.dir, "root")
		if err := os.Mkdir(root, 0o755); err != nil {
			t.Fatal(err)
		}
		page := text(2_000_000)
		w.file("root/page", page)
		w.file("root/small", page[:100])
		site := "http://" + w.nginx("127.0.0.1:1", root).String()
		transport := &http.Transport{DialContext: w.host.DialContext}
		defer transport.CloseIdleConnections()
		c := &http.Client{Transport: transport, Timeout: hang}
		for range 100 {
			if got := w.get(c, site+"/small"); !bytes.Equal(got, page[:100]) {
				w.Fatalf("%q", got)
			}
		}
		for range 5 {
			if got := w.get(c, site+"/page"); !bytes.Equal(got, page) {
				w.Fatalf("%d octets of %d, or others", len(got), len(page))
			}
		}
		if n := w.host.Stats().TCP.ActiveOpens; n != 1 {
			w.Errorf("%d connections, want one", n)
		}
	})
}

// nginx and HAProxy stand in front of servers on the host. They forward requests of one client after the other over
// connections that they keep, and those of many at once.
func TestReverseProxies(t *testing.T) {
	for _, proxy := range []string{"nginx", "haproxy"} {
		for _, server := range []string{"nethttp", "fasthttp"} {
			t.Run(proxy+" in front of "+server, func(t *testing.T) {
				over(t, tap.Config{}, nil, func(w *world) { w.testProxy(proxy, w.serve(server)) })
			})
		}
	}
}

func (w *world) testProxy(proxy, server string) {
	var site string
	if proxy == "nginx" {
		site = "http://" + w.nginx(server, w.dir).String() + "/unet"
	} else {
		at := w.free()
		w.start(at, "haproxy", "-db", "-f", w.file("haproxy.cfg", fmt.Appendf(nil, haproxyConfig, at, server)))
		site = "http://" + at.String()
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	c := &http.Client{Transport: transport, Timeout: hang}
	for range 100 {
		if got := w.get(c, site+"/"); string(got) != hello.Text {
			w.Fatalf("%q", got)
		}
	}
	if n := w.host.Stats().TCP.PassiveOpens; n != 1 {
		w.Errorf("100 requests over %d connections of the proxy, want one", n)
	}
	const size = 3_000_000
	want, _ := io.ReadAll(hello.Octets(size))
	if got := w.get(c, fmt.Sprintf("%s/bytes?n=%d", site, size)); !bytes.Equal(got, want) {
		w.Errorf("/bytes: %d octets of %d, or others", len(got), size)
	}
	sent := text(size)
	if proxy == "nginx" {
		sent = sent[:50_000] // once the answer has begun, nginx passes on no more of a request than the sockets take
	}
	resp, err := c.Post(site+"/echo", "application/octet-stream", bytes.NewReader(sent))
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(got, sent) {
		w.Errorf("/echo: %d octets of %d, or others: %v", len(got), len(sent), err)
	}
	var clients sync.WaitGroup
	for range 20 {
		clients.Go(func() {
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			for range 100 {
				if got, err := fetch(&http.Client{Transport: transport, Timeout: hang}, site+"/"); string(got) != hello.Text || err != nil {
					w.Errorf("%q, %v", got, err)
					return
				}
			}
		})
	}
	clients.Wait()
}
